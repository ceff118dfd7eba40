//! Checks rule files without a server: parses, compiles, lints, formats.

use std::io::Read;
use std::path::{Path, PathBuf};

use hop3_seclang::Parser;
use hop3_seclang::ast::{Document, OperatorName};
use hop3_seclang::diagnostic::{Diagnostic, Severity};
use hop3_seclang::format::format_file;
use hop3_seclang::lint;
use hop3_seclang::loader::Files;
use hop3_seclang::source::{FileId, Sources, Span};
use hop3_waf::{PcreConstruct, Ruleset};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What was found in a set of files that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Rules that were read; `None` when the files could not be parsed.
    pub rules: Option<usize>,
    /// Findings for which rules are refused.
    pub errors: usize,
    /// Findings that are probably not meant.
    pub warnings: usize,
    /// Findings that are good to know.
    pub notes: usize,
    /// All of them, in the order of the text.
    pub findings: Vec<Finding>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `error`, `warning` or `info`.
    pub severity: String,
    /// `syntax`, `engine`, `pcre-only`, or the name of a lint.
    pub lint: String,
    /// What is the matter, in one line.
    pub message: String,
    /// The file, when there is a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The finding with the line and carets under the fault, as a terminal shows it.
    pub text: String,
}

/// Rule files as one ruleset, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFiles(Vec<(PathBuf, Vec<u8>)>);

impl RuleFiles {
    /// Reads the files; a folder stands for its `*.conf`, sorted; `stdin` is what `-` stands for.
    ///
    /// # Errors
    /// A file cannot be read, or a folder has no rule files.
    pub fn read(
        paths: &[PathBuf],
        stdin: impl FnOnce() -> std::io::Result<Vec<u8>>,
    ) -> Result<RuleFiles, Failure> {
        let mut stdin = Some(stdin);
        let mut files = Vec::new();
        for path in paths {
            let failed = |error: &std::io::Error| {
                Failure::not_found(format!("cannot read `{}`", path.display()))
                    .because(error)
                    .hint("name rule files, or folders with *.conf files, that you may read")
            };
            if path == Path::new("-") {
                if let Some(stdin) = stdin.take() {
                    files.push((PathBuf::from("stdin"), stdin().map_err(|error| failed(&error))?));
                }
            } else if path.is_dir() {
                let found = rule_files(path).map_err(|error| failed(&error))?;
                if found.is_empty() {
                    return Err(Failure::not_found(format!("`{}` holds no *.conf file", path.display()))
                        .hint("name the rule files themselves when they end otherwise"));
                }
                for file in found {
                    let bytes = bounded(&file).map_err(|error| failed(&error))?;
                    files.push((file, bytes));
                }
            } else {
                files.push((path.clone(), bounded(path).map_err(|error| failed(&error))?));
            }
        }
        Ok(RuleFiles(files))
    }

    /// Everything that parser, engine and lints have to say.
    pub fn check(&self) -> Report {
        let loader = everywhere();
        match self.parse(&loader) {
            Ok(document) => checked(&document),
            Err(diagnostics) => {
                let found = diagnostics.list.iter().map(|diagnostic| ("syntax", diagnostic));
                report(None, found.collect(), &diagnostics.sources)
            }
        }
    }

    /// The files in canonical layout, comments kept: path, new content, whether it differs.
    ///
    /// # Errors
    /// They have errors, or mean something else afterwards; nothing was changed.
    pub fn formatted(&self) -> Result<Vec<(PathBuf, Vec<u8>, bool)>, Failure> {
        let loader = everywhere();
        let before = self.parse(&loader).map_err(|diagnostics| {
            let errors: Vec<String> =
                diagnostics.errors().map(|error| error.render(&diagnostics.sources)).collect();
            Failure::usage("files with errors are not formatted")
                .detail(errors.join("\n").lines().map(str::to_owned))
        })?;
        let mut formatted = Vec::new();
        for (path, text) in &self.0 {
            let file = before.sources.files().iter().position(|file| file.path == *path);
            let file = file.and_then(|file| u32::try_from(file).ok()).map(FileId);
            let new = file.map_or_else(|| text.clone(), |file| format_file(&before, file));
            let differs = new != *text;
            formatted.push((path.clone(), new, differs));
        }
        let again = RuleFiles(formatted.iter().map(|(path, text, _)| (path.clone(), text.clone())).collect());
        match again.parse(&loader) {
            Ok(after) if after == before => Ok(formatted),
            _ => Err(Failure::internal("the formatted rules would not mean the same")
                .hint("nothing was changed; please report these files")),
        }
    }

    pub(super) fn parse(&self, loader: &Files) -> Result<Document, hop3_seclang::Diagnostics> {
        let mut parser = Parser::new(loader);
        for (path, text) in &self.0 {
            parser.text(path, text);
        }
        parser.finish()
    }
}

/// Whoever checks files may read them all: the command runs with the person's own rights.
pub(super) fn everywhere() -> Files {
    Files::beneath(["/"])
}

/// Longest rule file that is read, in bytes: the Core Rule Set as a whole has 2 MiB.
const LONGEST: u64 = 256 << 20;

/// The content of a file; an error for one without an end.
fn bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LONGEST {
        true => Err(std::io::Error::other(format!("it has more than {} MiB", LONGEST >> 20))),
        false => Ok(bytes),
    }
}

fn rule_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "conf") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Compiles and lints a document that was parsed.
fn checked(document: &Document) -> Report {
    let rules = document.rules().count();
    let mut found: Vec<(&str, Diagnostic)> =
        document.warnings.iter().map(|warning| ("syntax", warning.clone())).collect();
    match Ruleset::compile(document) {
        Ok(ruleset) => {
            found.extend(ruleset.warnings().iter().map(|warning| ("engine", warning.clone())));
            let fallbacks = ruleset.fallbacks().iter();
            found.extend(
                fallbacks.map(|fallback| {
                    ("pcre-only", backtracking(document, fallback.rule_id, fallback.construct))
                }),
            );
        }
        Err(error) => found.extend(error.diagnostics.iter().map(|error| ("engine", error.clone()))),
    }
    found.extend(lint::lint(document).into_iter().map(|lint| (lint.name, lint.diagnostic)));
    found.sort_by_key(|(_, diagnostic)| diagnostic.span);
    let found = found.iter().map(|(lint, diagnostic)| (*lint, diagnostic)).collect();
    report(Some(rules), found, &document.sources)
}

fn backtracking(document: &Document, rule: u64, construct: PcreConstruct) -> Diagnostic {
    Diagnostic::warning(
        pattern_of(document, rule, construct),
        format!("the pattern of rule {rule} has {construct}: it runs on the backtracking engine"),
    )
    .hint("its steps are limited, and running out of them counts as a match; write it without if you can")
}

/// The place of a rule's pattern with such a construct, or the rule's.
fn pattern_of(document: &Document, id: u64, construct: PcreConstruct) -> Option<Span> {
    let marks: &[&str] = match construct {
        PcreConstruct::LookAround => &["(?=", "(?!", "(?<=", "(?<!", "\\Z"],
        PcreConstruct::Atomic => &["(?>", "++", "*+", "?+", "}+"],
        _ => &["\\1", "\\2", "\\3", "\\4", "\\5", "\\6", "\\7", "\\8", "\\9", "\\k", "\\g", "(?P="],
    };
    let rule = document.rules().find(|rule| rule.id == id)?;
    let links = rule.links.iter().map(|link| link.condition.as_ref());
    let operators = std::iter::once(rule.condition.as_ref()).chain(links).flatten();
    let mut patterns = operators.map(|condition| &condition.operator).filter(|operator| {
        matches!(operator.name, OperatorName::Rx | OperatorName::RxGlobal)
            && marks.iter().any(|mark| operator.argument.raw_str().contains(mark))
    });
    Some(patterns.next().map_or(rule.span, |operator| operator.span))
}

fn report(rules: Option<usize>, found: Vec<(&str, &Diagnostic)>, sources: &Sources) -> Report {
    let count = |severity| found.iter().filter(|(_, found)| found.severity == severity).count();
    Report {
        rules,
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
        notes: count(Severity::Info),
        findings: found.iter().map(|(lint, diagnostic)| finding(lint, diagnostic, sources)).collect(),
    }
}

fn finding(lint: &str, diagnostic: &Diagnostic, sources: &Sources) -> Finding {
    let place = diagnostic.span.and_then(|span| sources.locate(span));
    Finding {
        severity: match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
        .to_owned(),
        lint: lint.to_owned(),
        message: diagnostic.message.clone(),
        file: place.map(|(path, _)| path.display().to_string()),
        line: place.map(|(_, at)| at.line),
        column: place.map(|(_, at)| at.column),
        hint: diagnostic.hint.clone(),
        text: diagnostic.render(sources),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> RuleFiles {
        RuleFiles(vec![("t.conf".into(), text.into())])
    }

    #[test]
    fn everybody_has_a_say_in_the_order_of_the_text() {
        let report = files(
            "SecAction \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:1,pass\"\n\
             SecRule ARGS \"@rx a(?=b)\" \"id:3,phase:5,pass\"\nSecRuleRemoveById 9\nSecHashKeyy x\n",
        )
        .check();
        assert_eq!((report.rules, report.errors), (None, 1), "{report:?}");
        assert!(report.findings[0].text.starts_with("error: t.conf:5:1:"), "{report:?}");
        let report = files(
            "SecAction \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:1,pass\"\n\
             SecRule ARGS \"@rx a(?=b)\" \"id:3,phase:5,pass\"\nSecRuleRemoveById 9\n",
        )
        .check();
        let names: Vec<_> = report.findings.iter().map(|found| (found.lint.as_str(), found.line)).collect();
        assert_eq!(
            names,
            [("unreachable-rule", Some(2)), ("pcre-only", Some(3)), ("engine", Some(4))],
            "{report:?}"
        );
        assert_eq!((report.rules, report.errors, report.warnings, report.notes), (Some(3), 0, 3, 0));
        assert_eq!(report.findings[1].column, Some(14));
    }

    #[test]
    fn errors_of_the_engine_are_errors() {
        let report = files("SecRule ARGS \"@rx (a\" \"id:3,phase:2,pass\"\n").check();
        assert_eq!((report.rules, report.errors), (Some(1), 1));
        assert_eq!(report.findings[0].lint, "engine");
    }

    #[test]
    fn formatting_keeps_comments_and_meaning() {
        let text = "# why\n  secrule   args \"@rx x\" id:1,phase:2,pass\n";
        let formatted = files(text).formatted().unwrap();
        let new = String::from_utf8(formatted[0].1.clone()).unwrap();
        assert_eq!(new, "# why\nSecRule \"ARGS\" \"@rx x\" \\\n    \"id:1,\\\n    phase:2,\\\n    pass\"\n");
        assert!(formatted[0].2);
        assert!(!files(&new).formatted().unwrap()[0].2, "what is formatted stays");
        assert!(files("SecRule").formatted().is_err());
    }
}
