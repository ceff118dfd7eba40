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
    (
        "Expecting an action, got",
        "unknown action|needs a value|takes no value|is no number|is not a|is none of",
    ),
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
    ("The input", "is no number|is not a|is not within|is none of"),
    ("Something wrong with initcol", "initcol|collection"),
    ("is not a valid `ID;VARIABLE'", "target is missing|ctl"),
    ("is not a valid `TAG;VARIABLE'", "target is missing|ctl"),
    ("Allow: if specified", "allow"),
    ("Error with regular expression", "the pattern cannot be compiled"),
    ("Argument separator should be", "SecArgumentSeparator|separator"),
    ("no longer supported", "has no effect|is not supported"),
    ("not currently supported", "has no effect|is not supported|is not a|no value"),
    ("Failed to load locate the GeoDB", "cannot read|no file matches"),
    ("Failed to load the GeoDB", "cannot read|no database|cannot be used"),
    ("Failed to process unicode map", "SecUnicodeMapFile|code page|is no number|is missing|cannot read"),
    ("Failed to locate the unicode map", "cannot read|no file matches"),
    ("Not able to open", "cannot read|no file matches"),
    ("Script not found", "cannot read"),
    ("Problems load script", "cannot be compiled|cannot read"),
    ("demands a key and a URI", "never fetched|is missing|is not supported"),
    ("failed to load:", "is no number|is not a|range|target|unknown|needs"),
    ("Please use @fuzzyHash", "fuzzyHash"),
    ("Expecting a digit", "is no number|is not a"),
    ("Internal error. Expected:", "is not one of|is neither|is not a|unknown"),
    ("Invalid input", "unknown directive|unexpected|is not|quote|expected"),
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

    /// Rules, and what v3 says when it reads them.
    const REFUSED: &[(&str, &str)] = &[
        ("SecArgumentSeparator ab", "Argument separator should be set to a single character."),
        ("SecRuleRemoveById abc", "SecRuleRemoveById: failed to load:Not a number or range: abc. "),
        (
            "SecRuleUpdateTargetById abc ARGS",
            "SecRuleUpdateTargetById: failed to load:The input \"abc\" does not",
        ),
        (
            "SecRuleUpdateActionById abc \"pass\"",
            "SecRuleUpdateActionById: failed to load:The input \"abc\" does not",
        ),
        ("SecGeoLookupDb none.dat", "Failed to load locate the GeoDB file from: none.dat "),
        ("SecUnicodeMapFile none 20127", "Failed to locate the unicode map file from: none "),
        ("SecUnicodeMapFile none", "Failed to process unicode map, missing parameter: none "),
        (
            "SecUnicodeMapFile none abc",
            "Failed to process unicode map, last parameter is expected to be a number: abc",
        ),
        (
            "SecAction \"id:1,phase:1,pass,initcol:nope=x\"",
            "Something wrong with initcol: collection must be",
        ),
        (
            "SecAction \"id:1,phase:1,pass,initcol:ip\"",
            "Something wrong with initcol format: missing equals sign",
        ),
        ("SecAction \"id:1,phase:1,pass,maturity:abc\"", "Maturity: The input \"abc\" is not a number"),
        ("SecAction \"id:1,phase:1,pass,accuracy:abc\"", "Accuracy: The input \"abc\" is not a number"),
        ("SecAction \"id:1,phase:1,pass,severity:abc\"", "Severity: The input \"abc\" is not a number"),
        ("SecAction \"id:1,phase:1,pass,skip:abc\"", "Skip: The input \"abc\" is not a number"),
        (
            "SecAction \"id:1,phase:1,allow:nope\"",
            "Allow: if specified, the parameter most be: phase, request",
        ),
        ("SecAction \"id:1,phase:8,pass\"", "Unknown phase: 8"),
        ("SecRule ARGS a \"phase:1,pass\"", "Rules must have an ID. File: a.conf at line: 1"),
        ("SecAction \"id:1,pass\"\nSecAction \"id:1,pass\"", "Rule id: 1 is duplicated"),
        ("SecAction \"id:abc,phase:1,pass\"", "The input \"abc\" does not seems to be a valid integer."),
        ("SecAction \"id:1,phase:1,pass,ctl:ruleRemoveById=a-b\"", "Not a number: a"),
        ("SecAction \"id:1,phase:1,pass,ctl:ruleRemoveById=9-1\"", "Invalid range: 9-1"),
        ("SecAction \"id:1,phase:1,pass,ctl:ruleRemoveTargetById=1\"", "1 is not a valid `ID;VARIABLE'"),
        ("SecAction \"id:1,phase:1,pass,ctl:ruleRemoveTargetByTag=x\"", "x is not a valid `TAG;VARIABLE'"),
        (
            "SecAction \"id:1,phase:1,pass,ctl:ruleEngine=maybe\"",
            "Expecting an action, got: ctl:ruleEngine=maybe",
        ),
        ("SecAction \"id:1,phase:1,pass,status:abc\"", "Not a valid number: abc"),
        ("SecRule ARGS \"@validateByteRange 1-900\" \"id:1\"", "Invalid range end value: 900"),
        ("SecRule ARGS \"@validateByteRange abc\" \"id:1\"", "Not able to convert 'abc' into a number"),
        ("SecRule ARGS \"@pmFromFile none\" \"id:1\"", "Failed to open file: none. "),
        ("SecRule ARGS \"@ipMatchFromFile none\" \"id:1\"", "Failed to open file: none"),
        ("SecRule ARGZ \"@rx a\" \"id:1\"", "Expecting a variable, got:  : ARGZ"),
        ("SecRule ARGS \"@rx a\" \"id:1,zzz\"", "Expecting an action, got: zzz"),
        ("SecRule XML \"@validateDTD none\" \"id:1\"", "XML: File not found: none. "),
        ("SecRule XML \"@validateSchema none\" \"id:1\"", "XML: File not found: none. "),
        ("SecRuleScript none.lua \"id:1\"", "Failed to load script: Failed to open file"),
        ("SecConnEngine On", "SecConnEngine is not yet supported."),
        ("SecContentInjection On", "SecContentInjection is not yet supported."),
        ("SecHashEngine On", "SecHashEngine is not yet supported."),
        ("SecStreamInBodyInspection On", "SecStreamInBodyInspection is not supported."),
        ("SecAction \"id:1,phase:1,pass,append:'x'\"", "Action: Append is not yet supported."),
        ("SecAction \"id:1,phase:1,proxy:'x'\"", "Action: Proxy is not yet supported."),
        ("SecRule ARGS \"@rsub s/a/b/\" \"id:1\"", "Operator: Rsub is not yet supported."),
        ("SecRule ARGS \"@gsbLookup x\" \"id:1\"", "Operator: GsbLookup is not yet supported."),
        (
            "SecRule ARGS \"@rx (\" \"id:1\"",
            "Rules error. File: a.conf. Line: 1. Column: 0. Error with regular expression",
        ),
        ("SecDefaultAction \"phase:1,log\"", "SecDefaultAction must specify a disruptive action."),
        ("SecDefaultAction \"pass,log\"", "SecDefaultAction must specify a phase"),
        (
            "SecDefaultAction \"phase:1,pass,id:1\"",
            "The action 'id' is not suitable to be part of the SecDefaultActions",
        ),
        (
            "SecRule ARGS a \"id:1,chain,pass\"\nSecRule ARGS b \"deny\"",
            "Disruptive actions can only be specified by chain starter rules.",
        ),
        ("SecNoSuch a", "Rules error. File: a.conf. Line: 1. Column: 0. Invalid input:  SecNoSuch a"),
        ("Include none.conf", "none.conf: Not able to open file. Looking at: 'none.conf'"),
    ];

    #[test]
    fn what_version_3_refuses_is_refused_for_its_reason() {
        let mut wrong = Vec::new();
        for (rules, expected) in REFUSED {
            let loader = MemoryLoader::new();
            let mut parser = hop3_seclang::Parser::new(&loader).dialect(hop3_seclang::Dialect::ModSecurity3);
            parser.text("a.conf", format!("{rules}\n"));
            let found = match parser.finish() {
                Err(found) => (found.list, found.sources),
                Ok(document) => match hop3_waf::Ruleset::compile(&document) {
                    Err(found) => (found.diagnostics, found.sources),
                    Ok(_) => {
                        wrong.push(format!("{rules}: loads"));
                        continue;
                    }
                },
            };
            wrong.extend(complaint(expected, &found.0, &found.1).map(|why| format!("{rules}: {why}")));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
