//! What v3 says when rules do not load, and what this project says instead.
//!
//! The wording differs on purpose: our diagnostics show the line, mark the
//! place and give advice. What must agree is the reason, and the line where
//! v3 names one: v3 gives the place of what it had read last, so that our line
//! is that one or the next. Columns do not count.

use hop3_seclang::diagnostic::{Diagnostic, Severity};
use hop3_seclang::source::Sources;

use super::pattern;

/// Part of v3's message, and a pattern that one of our errors must match.
const MEANINGS: &[(&str, &str)] = &[
    (
        "SecDefaultAction must specify a disruptive action",
        "SecDefaultAction must specify a disruptive action",
    ),
    ("must specify a phase", "SecDefaultAction must specify a phase"),
    ("not suitable to be part of the SecDefaultActions", "cannot stand in SecDefaultAction"),
    ("SecDefaultActions can only be placed once per phase", "default action of phase . is set again"),
    ("Rules must have an ID", "has no id"),
    ("is duplicated", "is used twice"),
    ("Disruptive actions can only be specified by", "only the first rule of a chain"),
    ("marked as chained but", "chain is not finished"),
    ("Unknown phase", "phase"),
    ("Bad format, missing equals sign", "xmlns: the equals sign is missing"),
    ("XMLNS is invalid", "xmlns: write|xmlns: .* is no namespace"),
    ("Missing xmlns href", "xmlns: .* is no namespace"),
    ("Expecting an action, got", "unknown action|needs a value|takes no value|is no number|is not a"),
    ("Expecting a variable", "unknown variable|variable is missing"),
    ("is not supported by libModSecurity", "is not supported"),
    ("is not yet supported", "is not supported"),
    ("is not supported", "is not supported"),
    ("Looking at:", "cannot read|no file matches"),
    ("Failed to open", "cannot read|no file matches"),
    ("File not found", "cannot read|is not supported"),
    ("Failed to download", "never fetched|is not supported"),
    ("Failed to load script", "cannot be compiled|is no Lua script|cannot read"),
    ("Expecting a Lua script", "is no Lua script"),
    ("Failed to load DTD", "the DTD .* cannot be used|is not loaded"),
    ("Failed to load Schema", "the schema .* cannot be used|is not loaded"),
    ("Not able to convert", "is no |is not |range"),
    ("Not a number", "is no number|is not a|range"),
    ("Not a valid number", "is no number|is not a"),
    ("Invalid range", "range|is not within"),
    ("does not seems to be a valid", "is no number|is not a|is not within"),
    ("The input", "is no number|is not a|is not within"),
    ("Something wrong with initcol", "initcol|collection"),
    ("is not a valid `ID;VARIABLE'", "target is missing|ctl"),
    ("is not a valid `TAG;VARIABLE'", "target is missing|ctl"),
    ("Allow: if specified", "allow"),
    ("Error with regular expression", "the pattern cannot be compiled"),
];

/// Why the errors are not the one that v3 expects; `None` when they are.
pub fn complaint(expected: &str, diagnostics: &[Diagnostic], sources: &Sources) -> Option<String> {
    let errors: Vec<&Diagnostic> =
        diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    let ours = errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ");
    let Some((_, meaning)) = MEANINGS.iter().find(|(theirs, _)| expected.contains(theirs)) else {
        return Some(format!("no meaning is known for /{expected}/; we say: {ours}"));
    };
    let line = line_of(expected);
    for error in &errors {
        let at = error.span.and_then(|span| sources.locate(span)).map(|(_, position)| position.line);
        match pattern::found(meaning, error.message.as_bytes()) {
            Err(problem) => return Some(problem),
            Ok(true) if line.is_none_or(|line| at.is_some_and(|at| (line..=line + 1).contains(&at))) => {
                return None;
            }
            Ok(_) => {}
        }
    }
    Some(format!("/{expected}/ is expected, we say: {ours}"))
}

/// The number after `Line: `.
fn line_of(expected: &str) -> Option<u32> {
    let (_, rest) = expected.split_once("Line: ")?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use hop3_seclang::loader::MemoryLoader;
    use hop3_seclang::parse_str;

    use super::complaint;

    #[test]
    fn reason_and_line_must_agree() {
        let rules = "SecRuleEngine On\nSecRule ARGS \"@ipMatchFromFile none.txt\" \"id:1\"\n";
        let errors = parse_str("a.conf", rules, &MemoryLoader::new()).unwrap_err();
        let complaint = |expected: &str| complaint(expected, &errors.list, &errors.sources);
        assert_eq!(complaint("Line: 2. Column: 19. Looking at: 'none.txt'"), None);
        assert_eq!(complaint("Looking at: 'none.txt'"), None);
        assert_eq!(complaint("Line: 1. Looking at: 'none.txt'"), None);
        assert!(complaint("Line: 3. Looking at: 'none.txt'").is_some());
        assert!(complaint("XMLS: Bad format, missing equals sign").is_some());
        assert!(complaint("something new").unwrap().contains("no meaning is known"));
    }
}
