//! A user's own command, run as the app, never with control-plane privileges.
//!
//! This is the only file of the product that names a shell. A command from a `Procfile` or `hop3.toml` is code of
//! the app: it may need `&&`, `$PORT` or a pipe. So it may reach `/bin/sh -c`, but only inside the app's own
//! process (its user, its environment, its session). Nothing the control plane itself does is ever an
//! [`AppCommand`]; that uses arguments.

use serde::{Deserialize, Serialize};

/// One command of an app. Never empty, never contains NUL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppCommand {
    /// Program and arguments, executed directly.
    Direct(Vec<String>),
    /// Text for the app's shell.
    Shell(String),
}

/// Why a text is not a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a command must not be empty or contain a NUL byte")]
pub struct AppCommandError;

impl AppCommand {
    /// Takes a command line as a user wrote it: executed directly when it is words and plain quotes, else by
    /// the app's shell.
    ///
    /// # Errors
    /// When it is blank or contains NUL.
    pub fn parse(line: &str) -> Result<Self, AppCommandError> {
        if line.trim().is_empty() || line.contains('\0') {
            return Err(AppCommandError);
        }
        Ok(match words(line) {
            Some(words) if !words.is_empty() => Self::Direct(words),
            _ => Self::Shell(line.trim().to_owned()),
        })
    }

    /// Program and arguments to execute.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Direct(words) => words.clone(),
            Self::Shell(text) => vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()],
        }
    }
}

impl std::fmt::Display for AppCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Direct(words) => f.write_str(&words.join(" ")),
            Self::Shell(text) => f.write_str(text),
        }
    }
}

/// First words that only a shell understands.
const SHELL_WORDS: [&str; 24] = [
    ".", ":", "[", "alias", "case", "cd", "command", "eval", "exec", "exit", "export", "for", "if", "read",
    "set", "shift", "source", "test", "times", "trap", "ulimit", "umask", "unset", "while",
];

/// The words of a line that needs no shell, or `None` when it does.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut current: Option<String> = None;
    let mut characters = line.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => words.extend(current.take()),
            '\'' => {
                let (inner, rest) = characters.as_str().split_once('\'')?;
                current.get_or_insert_default().push_str(inner);
                characters = rest.chars();
            }
            '"' => {
                let (inner, rest) = characters.as_str().split_once('"')?;
                if inner.contains(['$', '`', '\\']) {
                    return None;
                }
                current.get_or_insert_default().push_str(inner);
                characters = rest.chars();
            }
            '~' | '#' | '!' if current.is_none() => return None,
            '$' | '`' | '\\' | '|' | '&' | ';' | '<' | '>' | '(' | ')' | '{' | '}' | '*' | '?' | '['
            | '\n' | '\r' => return None,
            // An assignment in front of a command (`DEBUG=1 ./run`).
            '=' if words.is_empty() => return None,
            other => current.get_or_insert_default().push(other),
        }
    }
    words.extend(current);
    let first = words.first()?;
    if SHELL_WORDS.contains(&first.as_str()) { None } else { Some(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_are_executed_directly() {
        for (line, argv) in [
            ("gunicorn app:app", vec!["gunicorn", "app:app"]),
            ("  run 'a b'\t\"c d\"e ", vec!["run", "a b", "c de"]),
            ("run --name=x ''", vec!["run", "--name=x", ""]),
        ] {
            assert_eq!(
                AppCommand::parse(line).unwrap(),
                AppCommand::Direct(argv.iter().map(ToString::to_string).collect())
            );
        }
    }

    #[test]
    fn shell_syntax_goes_to_the_shell_unchanged() {
        for line in [
            "run -p $PORT",
            "a && b",
            "A=1 run",
            "run > f",
            "run *.py",
            "cd x",
            "run \"$A\"",
            "exec run",
            "run 'open",
            "run ~",
            "~/run",
            "a\nb",
            "[ -f x ]",
            "run \\a",
            "# only",
            "if true",
            "run #x",
        ] {
            assert_eq!(AppCommand::parse(line).unwrap().argv(), ["/bin/sh", "-c", line], "{line}");
        }
        assert!(AppCommand::parse(" \t").is_err());
        assert!(AppCommand::parse("a\0b").is_err());
    }
}
