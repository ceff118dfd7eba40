//! The processors against ModSecurity v3's own regression cases.
//!
//! The files are read where they lie (`$HOP3_TEST_DATA`, by default `../shared`
//! beside the workspace) and skipped with a message when they are missing. Only
//! what the processors alone decide is judged: the cases' `debug_log` is matched
//! against lines in v3's wording made from the results, and their rules are
//! evaluated where they compare nothing but body-processor variables.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use hop3_bodies::{Limits, cookies, form, json, multipart};
use regex_automata::meta::Regex;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Cases where we differ from v3 on purpose: file, title, why.
const DIFFERENCES: &[(&str, &str, &str)] = &[(
    "request-body-parser-multipart-crlf.json",
    "multipart parser (final CRLF)",
    "v3 loses the line ends inside a field's value; we keep them",
)];

/// Variables of one request, in v3's spelling, with all their values.
#[derive(Default)]
struct Outcome {
    variables: Vec<(String, String)>,
    log: String,
}

impl Outcome {
    fn set(&mut self, name: &str, value: impl ToString) {
        self.variables.push((name.to_owned(), value.to_string()));
    }

    fn set_flag(&mut self, name: &str, flag: bool) {
        self.set(name, u8::from(flag));
    }

    fn say(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.log, "{}", line.as_ref());
    }

    fn argument(&mut self, collections: &[&str], name: &[u8], value: &[u8]) {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        for collection in collections {
            self.set(&format!("{collection}:{name}"), &value);
        }
    }
}

fn test_data() -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let data = std::env::var_os("HOP3_TEST_DATA").map_or(default, PathBuf::from);
    let folder = data.join("modsecurity-tests/regression");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no regression cases at {}; set HOP3_TEST_DATA", folder.display());
    None
}

#[test]
fn agrees_with_the_regression_cases() {
    let Some(folder) = test_data() else { return };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut judged, mut skipped, mut failures) = (0, 0, Vec::new());
    for file in files {
        let file_name = file.file_name().unwrap().to_string_lossy().into_owned();
        let cases: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for case in cases.as_array().unwrap() {
            let title = case["title"].as_str().unwrap_or_default();
            if let Some((_, _, why)) = DIFFERENCES.iter().find(|d| (d.0, d.1) == (file_name.as_str(), title))
            {
                println!("differs: {file_name}: {title}: {why}");
                continue;
            }
            let Some(outcome) = process(case) else {
                skipped += 1;
                continue;
            };
            let verdicts = [judge_log(&file_name, case, &outcome), judge_status(case, &outcome)];
            match verdicts.iter().any(Option::is_some) {
                true => judged += 1,
                false => skipped += 1,
            }
            let complaints = verdicts.into_iter().flatten().filter_map(Result::err);
            failures.extend(complaints.map(|complaint| format!("{file_name}: {title}: {complaint}")));
        }
    }
    println!("{judged} judged, {skipped} left to the engine's runner, {} failed", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(judged >= 90, "only {judged} cases could be judged: has their format changed?");
}

/// The SecLang lines of a case.
fn rules(case: &Value) -> Vec<&str> {
    case["rules"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn directive(case: &Value, name: &str) -> Option<usize> {
    rules(case).into_iter().rev().find_map(|rule| rule.strip_prefix(name)?.trim().parse().ok())
}

fn header<'a>(case: &'a Value, name: &str) -> Option<&'a str> {
    let headers = case["request"]["headers"].as_object()?;
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1.as_str()
}

/// Runs the processors that the request asks for.
fn process(case: &Value) -> Option<Outcome> {
    let request = case.get("request")?;
    let mut outcome = Outcome::default();
    let uri = request["uri"].as_str().unwrap_or_default();
    let limits = Limits {
        arguments: directive(case, "SecArgumentsLimit").unwrap_or(1000),
        depth: directive(case, "SecRequestBodyJsonDepthLimit").unwrap_or(512),
        files: directive(case, "SecUploadFileLimit").unwrap_or(100),
        ..Limits::default()
    };
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let form = form::parse(query.as_bytes(), b'&', &limits);
    let mut invalid_encoding = form.invalid_encoding;
    for argument in &form.arguments {
        outcome.argument(&["ARGS", "ARGS_GET"], &argument.name, &argument.value);
    }
    if let Some(cookie) = header(case, "Cookie") {
        for cookie in cookies::parse(cookie.as_bytes()) {
            outcome.argument(&["REQUEST_COOKIES"], &cookie.name, &cookie.value);
        }
    }
    // Each line of a body ends in a line feed, the last one too.
    let mut body = String::new();
    for line in request["body"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        body.push_str(line);
        body.push('\n');
    }
    let taken = form.arguments.len();
    let limits = Limits { arguments: limits.arguments.saturating_sub(taken), ..limits };
    let content_type = header(case, "Content-Type").unwrap_or_default();
    let lower = content_type.to_ascii_lowercase();
    let switched =
        |name| rules(case).iter().any(|rule| rule.contains(&format!("requestBodyProcessor={name}")));
    if switched("JSON") && lower.starts_with("application/json") {
        process_json(body.as_bytes(), limits, &mut outcome);
    } else if lower.starts_with("multipart/form-data") {
        process_multipart(case, content_type, body.as_bytes(), &limits, &mut outcome);
    } else if lower.starts_with("application/x-www-form-urlencoded") {
        let form = form::parse(body.as_bytes(), b'&', &limits);
        invalid_encoding |= form.invalid_encoding;
        for argument in &form.arguments {
            outcome.argument(&["ARGS", "ARGS_POST"], &argument.name, &argument.value);
        }
        outcome.set("REQBODY_ERROR", 0);
    }
    outcome.set_flag("URLENCODED_ERROR", invalid_encoding);
    Some(outcome)
}

fn process_json(body: &[u8], limits: Limits, outcome: &mut Outcome) {
    let json = json::parse(body, &json::Options { limits, naming: json::Naming::ModSecurity3 });
    for argument in json.arguments() {
        outcome.argument(&["ARGS", "ARGS_POST"], &argument.name, &argument.value);
    }
    outcome.set_flag("REQBODY_ERROR", json.error.is_some());
    outcome.set_flag("REQBODY_PROCESSOR_ERROR", json.error.is_some());
    if let Some(error) = json.error {
        outcome.say(error.to_string());
    }
}

fn process_multipart(case: &Value, content_type: &str, body: &[u8], limits: &Limits, outcome: &mut Outcome) {
    let parsed = multipart::parse(content_type.as_bytes(), body, limits);
    let flags = &parsed.flags;
    let error = parsed.error.as_ref().map(ToString::to_string).unwrap_or_default();
    let no_files_limit = directive(case, "SecRequestBodyNoFilesLimit").unwrap_or(usize::MAX);
    let too_long = parsed.no_files_length > no_files_limit;
    if let Ok(boundary) = multipart::boundary(content_type.as_bytes()) {
        outcome.say(format!("Multipart: Boundary: {}", String::from_utf8_lossy(boundary)));
    }
    let is_final = error.contains("Final boundary missing") || error.contains("No boundaries found");
    if flags.boundary_parameter {
        outcome.say("Multipart: Invalid parameter after boundary in C-T (tolerated).");
    }
    if !is_final {
        outcome.say(&error);
    }
    if error.contains("(-14)") {
        outcome.say("Multipart: Warning: Duplicate Content-Disposition name");
    }
    for part in &parsed.parts {
        let (name, content) = (String::from_utf8_lossy(&part.name), String::from_utf8_lossy(part.content));
        outcome.say(format!("Multipart: Content-Disposition name: {name}."));
        outcome.set("MULTIPART_NAME", &name);
        match &part.filename {
            Some(filename) => {
                let filename = String::from_utf8_lossy(filename);
                outcome.say(format!(
                    "Multipart: Added file part to the list: name \"{name}\" file name \"{filename}\" (offset {}, length {})",
                    part.offset,
                    part.content.len()
                ));
                outcome.set("MULTIPART_FILENAME", &filename);
                outcome.set(&format!("FILES:{name}"), &filename);
                outcome.set(&format!("FILES_NAMES:{name}"), &name);
                outcome.set(&format!("FILES_SIZES:{name}"), part.content.len());
            }
            None => {
                outcome.say(format!("Multipart: Added data to variable: {content}"));
                outcome.say(format!("Adding request argument (BODY): name \"{name}\", value \"{content}\""));
                outcome.argument(&["ARGS", "ARGS_POST"], &part.name, part.content);
            }
        }
    }
    for (flag, variable, line) in [
        (flags.data_before, "MULTIPART_DATA_BEFORE", "seen data before first boundary."),
        (flags.data_after, "MULTIPART_DATA_AFTER", "seen data after last boundary."),
        (flags.boundary_quoted, "MULTIPART_BOUNDARY_QUOTED", "boundary was quoted."),
        (flags.boundary_whitespace, "MULTIPART_BOUNDARY_WHITESPACE", "boundary whitespace in C-T header."),
        (flags.header_folding, "MULTIPART_HEADER_FOLDING", "header folding used."),
        (flags.crlf_lf_lines(), "MULTIPART_CRLF_LF_LINES", "mixed line endings used (CRLF/LF)."),
        (flags.lf_line, "MULTIPART_LF_LINE", "incorrect line endings used (LF)."),
        (flags.missing_semicolon, "MULTIPART_MISSING_SEMICOLON", "missing semicolon in C-T header."),
        (flags.invalid_quoting, "MULTIPART_INVALID_QUOTING", "invalid quoting used."),
        (flags.invalid_part, "MULTIPART_INVALID_PART", "invalid part parsing."),
        (flags.invalid_header_folding, "MULTIPART_INVALID_HEADER_FOLDING", "invalid header folding used."),
        (flags.file_limit_exceeded, "MULTIPART_FILE_LIMIT_EXCEEDED", "Upload file limit exceeded"),
        (parsed.strict_error(), "MULTIPART_STRICT_ERROR", "strict error"),
    ] {
        outcome.set_flag(variable, flag);
        if flag {
            outcome.say(format!("Multipart: Warning: {line}"));
        }
    }
    if is_final {
        outcome.say(&error);
    }
    outcome.set("MULTIPART_UNMATCHED_BOUNDARY", parsed.unmatched_boundary as u8);
    outcome.set("FILES_COMBINED_SIZE", parsed.files_combined_size());
    outcome.set_flag("REQBODY_ERROR", parsed.error.is_some() || too_long);
    outcome.set_flag("REQBODY_PROCESSOR_ERROR", parsed.error.is_some());
}

/// Matches the expected debug log, if it speaks of what processors decide.
fn judge_log(file: &str, case: &Value, outcome: &Outcome) -> Option<Result<(), String>> {
    let expected = case["expected"]["debug_log"].as_str().filter(|pattern| !pattern.is_empty())?;
    let about_bodies = file.starts_with("request-body-parser-multipart") || expected.starts_with("Multipart");
    let variable = expected.starts_with("Target value");
    let exact = ["FILES", "MULTIPART", "REQBODY_ERROR", "URLENCODED_ERROR", "REQUEST_COOKIES"];
    let names = exact.iter().any(|name| expected.contains(&format!("Variable: {name}")));
    let ours = variable && (names || expected.contains("Variable: ARGS:"));
    let elsewhere = ["_NAMES", "COMBINED_SIZE", "TMP"].iter().any(|name| expected.contains(name));
    if !(about_bodies || (ours && !elsewhere)) {
        return None;
    }
    // Most such rules transform by t:trim; then the trimmed value is logged.
    let trimmed = rules(case).iter().any(|rule| rule.contains("t:trim"));
    let mut log = outcome.log.clone();
    for (name, value) in &outcome.variables {
        let value = if trimmed { value.trim() } else { value };
        let _ = writeln!(log, "Target value: \"{value}\" (Variable: {name})");
    }
    let pattern =
        Regex::new(&format!("(?sm){expected}")).unwrap_or_else(|error| panic!("{expected}: {error}"));
    match pattern.is_match(log.as_bytes()) {
        true => Some(Ok(())),
        false => Some(Err(format!("expected {expected:?} in:\n{log}"))),
    }
}

/// One rule that compares a number: variable, negated, number, actions.
fn comparison(rule: &str) -> Option<(&str, bool, u64, &str)> {
    let (variable, rest) = rule.strip_prefix("SecRule ")?.trim_start().split_once(' ')?;
    let (operator, rest) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    let (negated, operator) =
        operator.strip_prefix('!').map_or((false, operator), |operator| (true, operator));
    let number = operator.strip_prefix("@eq ")?.trim().parse().ok()?;
    Some((variable, negated, number, rest))
}

/// Evaluates the rules and compares the status, if all of them only compare
/// variables that processors set.
fn judge_status(case: &Value, outcome: &Outcome) -> Option<Result<(), String>> {
    let body_variable = |name: &str| name.starts_with("MULTIPART_") || name.starts_with("REQBODY_");
    if !outcome.variables.iter().any(|(name, _)| name.starts_with("MULTIPART_")) {
        return None;
    }
    let mut status = 200;
    let mut chain_holds = true;
    let mut chained_status = None;
    for rule in rules(case).into_iter().filter(|rule| rule.starts_with("SecRule ")) {
        let (variable, negated, number, actions) =
            comparison(rule).filter(|(name, ..)| body_variable(name))?;
        let (_, value) = outcome.variables.iter().rev().find(|(name, _)| name == variable)?;
        let value: u64 = value.parse().ok()?;
        let denies = actions.contains("deny").then(|| {
            let given = actions.split_once("status:").and_then(|(_, rest)| rest.get(..3)?.parse().ok());
            given.unwrap_or(403)
        });
        chained_status = chained_status.or(denies);
        chain_holds &= (value == number) != negated;
        if actions.contains("chain") {
            continue;
        }
        if let (true, Some(denied), 200) = (chain_holds, chained_status, status) {
            status = denied;
        }
        (chain_holds, chained_status) = (true, None);
    }
    let expected = case["expected"]["http_code"].as_u64().unwrap_or(200);
    match status == expected {
        true => Some(Ok(())),
        false => Some(Err(format!(
            "status {status} instead of {expected}; {:?}\n{}",
            outcome.variables, outcome.log
        ))),
    }
}
