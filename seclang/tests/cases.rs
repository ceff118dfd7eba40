//! `cases/valid/*.conf` load, `cases/invalid/*.conf` are refused.
//!
//! Beside a file, `NAME.stderr` holds the findings exactly as they are shown: the errors of an
//! invalid file, the warnings of a valid one (none without the file). Set `UPDATE_EXPECTED=1` to write them anew, then
//! read the difference.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use hop3_seclang::loader::MemoryLoader;
use hop3_seclang::{Document, Parser, format, parse_str};

/// The files of a folder with an extension, sorted.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

/// Everything a case may include or read.
fn loader(folder: &Path) -> MemoryLoader {
    let mut loader = MemoryLoader::new();
    for name in ["conf", "data", "inc", "lua"].iter().flat_map(|extension| files(folder, extension)) {
        loader = loader.with(name.file_name().unwrap(), std::fs::read(&name).unwrap());
    }
    loader
}

/// Compares with, or writes, the expected findings.
fn check(case: &Path, shown: &str, wrong: &mut Vec<String>) {
    let expected_path = case.with_extension("stderr");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let _ = std::fs::remove_file(&expected_path);
        if !shown.is_empty() {
            std::fs::write(&expected_path, format!("{shown}\n")).unwrap();
        }
    }
    let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
    if expected.trim_end() != shown.trim_end() {
        wrong.push(format!("{}\n--- expected\n{expected}\n--- shown\n{shown}", case.display()));
    }
}

fn run(folder: &str, least: usize, judge: fn(&Path, &MemoryLoader) -> Result<String, String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let loader = loader(&folder);
    let cases = files(&folder, "conf");
    assert!(cases.len() >= least, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        match judge(Path::new(case.file_name().unwrap()), &loader) {
            Ok(shown) => check(case, &shown, &mut wrong),
            Err(problem) => wrong.push(format!("{}: {problem}", case.display())),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

#[test]
fn valid_files_load_and_survive_formatting() {
    run("valid", 30, |name, loader| {
        let document = hop3_seclang::parse(name, loader).map_err(|error| error.to_string())?;
        let text = format::format(&document);
        let again = parse_str("formatted.conf", &text, loader)
            .map_err(|error| format!("formatted: {error}\n{text}"))?;
        if document != again {
            return Err(format!("formatting changed the meaning:\n{text}"));
        }
        Ok(warnings(&document))
    });
}

fn warnings(document: &Document) -> String {
    let shown: Vec<_> = document.warnings.iter().map(|warning| warning.render(&document.sources)).collect();
    shown.join("\n\n")
}

#[test]
fn invalid_files_are_refused_with_the_expected_words() {
    run("invalid", 60, |name, loader| match hop3_seclang::parse(name, loader) {
        Ok(_) => Err("loaded".into()),
        Err(error) => Ok(error.to_string()),
    });
}

#[test]
fn several_files_are_one_document() {
    let loader = MemoryLoader::new();
    let mut parser = Parser::new(&loader);
    parser.text("setup.conf", "SecRuleEngine On\nSecAction \"id:1,pass\"");
    parser.text("rules.conf", "SecRule ARGS \"x\" \"id:1,deny\"");
    let error = parser.finish().unwrap_err().to_string();
    assert!(error.starts_with("error: rules.conf:1:19: the rule id 1 is used twice"), "{error}");
    assert!(error.contains("note: setup.conf:2:12: used here first"), "{error}");
}

#[test]
fn every_error_of_a_file_is_reported_up_to_a_bound() {
    let text: String = (0..500).map(|_| "SecNothing On\n").collect();
    let error = parse_str("many.conf", &text, &MemoryLoader::new()).unwrap_err();
    assert_eq!(error.errors().count(), 101);
    assert!(error.to_string().contains("too many errors; reading stopped here"));
}
