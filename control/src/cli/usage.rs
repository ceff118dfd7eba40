//! Mistyped commands, in the same shape as every other error.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::{Failure, Kind};

/// Prints what clap has to say and gives the exit code: help and version go to stdout, errors to stderr.
pub fn report(error: &clap::Error, program: &str) -> u8 {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Whether anybody reads it is no matter of ours.
        let _ = error.print();
        return 0;
    }
    eprintln!("{}", failure(error, program));
    Kind::Usage.exit_code()
}

/// The same as a [`Failure`]: the first line of clap's message, and a hint.
fn failure(error: &clap::Error, program: &str) -> Failure {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        // The likeliest comes last.
        Some(ContextValue::Strings(texts)) => texts.last().cloned(),
        _ => None,
    };
    let nearest = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(context)
        .map(|word| format!("did you mean `{word}`?"));
    let message = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("unknown command `{word}`")
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing".to_owned()
        }
        _ => {
            let text = error.to_string();
            let paragraph = text.split("\n\n").next().unwrap_or_default();
            let words: Vec<&str> = paragraph.split_whitespace().collect();
            words.join(" ").trim_start_matches("error: ").to_owned()
        }
    };
    Failure::usage(message).hint(nearest.unwrap_or_else(|| format!("see `{program} help`")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;
    use super::*;

    #[test]
    fn slips_get_the_nearest_word() {
        let cases = [
            ("hop3 dploy", "error: unknown command `dploy`\nhint: did you mean `deploy`?"),
            ("hop3 app statsu", "error: unknown command `statsu`\nhint: did you mean `status`?"),
            ("hop3 app", "error: a command is missing\nhint: see `hop3 help`"),
            ("hop3", "error: a command is missing\nhint: see `hop3 help`"),
            ("hop3 app list --jsn", "error: unexpected argument '--jsn' found\nhint: did you mean `--json`?"),
        ];
        for (typed, printed) in cases {
            let error = Cli::try_parse_from(typed.split(' ')).unwrap_err();
            assert_eq!(failure(&error, "hop3").to_string(), printed, "{typed}");
        }
    }
}
