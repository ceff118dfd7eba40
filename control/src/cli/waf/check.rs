//! `waf check`: rule files without a server.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use super::super::Context;
use crate::data::write_atomically;
use crate::failure::{Failure, Kind};
use crate::firewall::check::{Report, RuleFiles};

/// Options of `waf check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Rule files in their order; a folder stands for its *.conf, `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print the files in canonical layout instead; comments stay
    #[arg(long)]
    format: bool,
    /// With --format: rewrite the files in place
    #[arg(long, requires = "format")]
    write: bool,
    /// Print instead how each rule is decided: folded at load, by texts, by bytes, on each value, or walked
    #[arg(long, conflicts_with = "format")]
    strategies: bool,
}

impl Check {
    /// Prints every finding and the count, or the formatted files.
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let stdin = || {
            let mut text = Vec::new();
            std::io::stdin().lock().read_to_end(&mut text).map(|_| text)
        };
        let files = RuleFiles::read(&self.files, stdin)?;
        if self.format {
            return self.rewrite(&files, context);
        }
        if self.strategies {
            let strategies = files.strategies()?;
            return context.output.result(&strategies, || strategies.to_string());
        }
        let report = files.check();
        context.output.result(&report, || shown(&report, context.global.verbose > 0))?;
        if report.errors > 0 {
            // Everything was said on stdout.
            return Err(Failure::new(Kind::Usage, ""));
        }
        Ok(())
    }

    fn rewrite(&self, files: &RuleFiles, context: &Context) -> Result<(), Failure> {
        for (path, text, differs) in files.formatted()? {
            if !self.write || path == std::path::Path::new("stdin") {
                context.output.line(String::from_utf8_lossy(&text).trim_end_matches('\n'))?;
            } else if differs {
                write_with_its_mode(&path, &text)?;
                context.output.line(&format!("✓ {} formatted", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Replaces a file whole; its permissions stay.
fn write_with_its_mode(path: &std::path::Path, text: &[u8]) -> Result<(), Failure> {
    // A link stays a link.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mode = std::fs::metadata(&real).map(|metadata| metadata.permissions());
    let written = mode.and_then(|mode| {
        write_atomically(&real, text)?;
        std::fs::set_permissions(&real, mode)
    });
    written.map_err(|error| {
        Failure::new(Kind::Internal, format!("cannot write `{}`", path.display())).because(&error)
    })
}

/// Findings with their places, then the count; what is only good to know is shown when asked for.
fn shown(report: &Report, all: bool) -> String {
    let mut text = String::new();
    for finding in report.findings.iter().filter(|finding| all || finding.severity != "info") {
        text.push_str(&format!("{}\n[{}]\n\n", finding.text, finding.lint));
    }
    let count = |number: usize, noun: &str| match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    };
    let mark = if report.errors > 0 { "✗" } else { "✓" };
    let rules = report.rules.map(|rules| format!("{}, ", count(rules, "rule"))).unwrap_or_default();
    text.push_str(&format!(
        "{mark} {rules}{}, {}",
        count(report.errors, "error"),
        count(report.warnings, "warning")
    ));
    if report.notes > 0 {
        let how = if all { "" } else { " (-v shows them)" };
        text.push_str(&format!(", {}{how}", count(report.notes, "note")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_comes_last() {
        let mut report = Report { rules: Some(1), warnings: 2, notes: 1, ..Report::default() };
        assert_eq!(shown(&report, false), "✓ 1 rule, 0 errors, 2 warnings, 1 note (-v shows them)");
        report = Report { errors: 1, ..Report::default() };
        assert_eq!(shown(&report, false), "✗ 1 error, 0 warnings");
    }
}
