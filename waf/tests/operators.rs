//! ModSecurity's own operator tests (`secrules-language-tests`): the operator
//! is built from name and parameter, run on the input, and its answer compared.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::path::Path;
use std::sync::Arc;

use hop3_seclang::ast::{DataFile, DirectiveKind, Operator, OperatorName, Template};
use hop3_seclang::loader::MemoryLoader;
use hop3_waf::Ruleset;
use serde_json::Value;

/// Operators this engine refuses, with the reason.
const SKIPPED: [(&str, &str); 0] = [];

#[test]
fn secrules_operators() {
    let Some(data) = support::test_data("modsecurity-tests") else { return };
    let folder = data.join("secrules-language-tests/operators");
    let (mut cases, mut passed, mut skipped) = (0, 0, 0);
    let mut failures = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    for path in files {
        let list: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for case in list.as_array().unwrap() {
            cases += 1;
            let name = case["name"].as_str().unwrap();
            if let Some((_, reason)) = SKIPPED.iter().find(|(skipped, _)| *skipped == name) {
                skipped += 1;
                if skipped == 1 {
                    println!("skip {name}: {reason}");
                }
                continue;
            }
            match run(&folder, name, case) {
                Ok(()) => passed += 1,
                Err(reason) => failures.push(format!("{name} {case}: {reason}")),
            }
        }
    }
    failures.iter().for_each(|failure| println!("FAIL {failure}"));
    println!(
        "suite=secrules-operators cases={cases} passed={passed} failed={} skipped={skipped}",
        failures.len()
    );
    assert!(failures.is_empty(), "{} cases failed", failures.len());
}

/// One case: whether a rule with the operator matches a header of that value.
/// The operator is put into the tree directly: some parameters cannot be
/// written in a rule, e.g. those with a newline.
fn run(folder: &Path, name: &str, case: &Value) -> Result<(), String> {
    let input = bytes(case["input"].as_str().unwrap_or_default());
    let expected = case["ret"].as_u64() == Some(1);
    let database = folder.join("../../data/GeoIP2-City-Test.mmdb");
    let (mut loader, mut places) = (MemoryLoader::new(), "");
    if let Ok(database) = std::fs::read(database) {
        loader = loader.with("places.mmdb", database);
        places = "SecGeoLookupDb places.mmdb\n";
    }
    let rule = "SecRule REQUEST_HEADERS:x \"@noMatch\" \"id:1,phase:1,deny,capture,t:none\"\n";
    let rules = format!("SecRuleEngine On\n{places}{rule}");
    let mut document =
        hop3_seclang::parse_str("case.conf", &rules, &loader).map_err(|error| error.to_string())?;
    for directive in &mut document.directives {
        if let DirectiveKind::Rule(rule) = &mut directive.kind {
            let condition = rule.condition.as_mut().unwrap();
            condition.operator.node = operator(folder, name, case["param"].as_str().unwrap_or_default());
        }
    }
    let ruleset = match Ruleset::compile(&document) {
        Ok(ruleset) => Arc::new(ruleset),
        // A parameter that makes no sense is refused at load, and cannot match.
        Err(_) if !expected => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let mut transaction = support::transaction(&ruleset);
    transaction.add_request_header(b"x", &input);
    let _ = transaction.process_request_headers();
    let matched = transaction.interruption().is_some();
    if matched != expected {
        return Err(format!("answered {matched}"));
    }
    if let Some(groups) = case["re_groups"].as_array().filter(|_| matched) {
        for (index, group) in groups.iter().take(10).enumerate() {
            let found = transaction.tx(&index.to_string());
            let wanted = group.as_str().map(bytes).unwrap_or_default();
            if found.clone().unwrap_or_default() != wanted {
                return Err(format!("group {index} is {found:?}"));
            }
        }
    }
    Ok(())
}

fn operator(folder: &Path, name: &str, parameter: &str) -> Operator {
    let name = OperatorName::from_name(name).unwrap();
    let mut files = Vec::new();
    if name == OperatorName::PmFromFile {
        let file = parameter.rsplit_once("/operators/").map_or(parameter, |(_, file)| file);
        let path = folder.join(file);
        let contents = std::fs::read(&path).unwrap().into();
        files.push(DataFile { path, contents });
    }
    Operator { negated: false, name, argument: Template::literal(parameter), files }
}

/// Replaces each `\xHH` by that byte and each `\uHHHH` by its low byte, as the
/// suite asks; its text is Latin-1 otherwise only where bytes are written so.
fn bytes(text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let digits = match text.get(at..at + 2) {
            Some(b"\\x") => 2,
            Some(b"\\u") => 4,
            _ => 0,
        };
        let value = text.get(at + 2..at + 2 + digits).and_then(|digits| std::str::from_utf8(digits).ok());
        match value.filter(|_| digits > 0).and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                out.push((value & 0xff) as u8);
                at += 2 + digits;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}
