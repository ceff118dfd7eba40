//! Real rule files: the Core Rule Set, Debian's package, ModSecurity's own.
//!
//! The data are read where they lie (`HOP3_TEST_DATA`, default `../shared`
//! beside the workspace) and nothing depends on their version.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use hop3_seclang::loader::{Files, MemoryLoader};
use hop3_seclang::{Document, Parser, format, parse_str};

/// A folder of the test data; `None` is printed and skips the test.
fn data(folder: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = workspace.join(std::env::var_os("HOP3_TEST_DATA").unwrap_or_else(|| "../shared".into()));
    present(root.join(folder))
}

fn present(path: PathBuf) -> Option<PathBuf> {
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn load(files: &[PathBuf], roots: &[&Path]) -> Document {
    let loader = Files::beneath(roots);
    let mut parser = Parser::new(&loader);
    for file in files {
        parser.file(file);
    }
    let document = parser.finish().unwrap_or_else(|error| panic!("{error}"));
    let warnings: Vec<_> =
        document.warnings.iter().map(|warning| warning.render(&document.sources)).collect();
    assert!(warnings.is_empty(), "{}", warnings.join("\n\n"));
    document
}

fn conf_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    files.sort();
    files
}

/// Formatting and reading again gives the same tree, and formatting that gives the same text.
fn round_trip(document: &Document, folder: &Path) {
    let text = format::format(document);
    let loader = Files::beneath([folder]);
    let again =
        parse_str(folder.join("formatted.conf"), &text, &loader).unwrap_or_else(|error| panic!("{error}"));
    for (old, new) in document.directives.iter().zip(&again.directives) {
        assert_eq!(old, new);
    }
    assert_eq!(document.directives.len(), again.directives.len());
    assert_eq!(format::format(&again), text);
}

#[test]
fn core_rule_set() {
    let Some(crs) = data("crs") else { return };
    let mut files = vec![crs.join("crs-setup.conf.example")];
    files.extend(conf_files(&crs.join("rules")));
    let document = load(&files, &[&crs]);
    let rules = document.rules().count();
    let chained = document.rules().filter(|rule| !rule.links.is_empty()).count();
    println!("{rules} rules, {chained} chains, {} directives", document.directives.len());
    assert!(rules > 0 && chained > 0, "{rules} rules, {chained} chains");
    let links: usize = document.rules().map(|rule| rule.links.len()).sum();
    let written: usize = files.iter().map(|file| count_rules(file)).sum();
    assert_eq!(rules + links, written, "every SecRule and SecAction of the text is in the tree");
    round_trip(&document, &crs.join("rules"));
}

/// Lines that start a rule, counted without the parser.
fn count_rules(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("SecRule ") || line.starts_with("SecAction"))
        .count()
}

#[test]
fn example_files_of_the_core_rule_set() {
    let Some(crs) = data("crs") else { return };
    for entry in std::fs::read_dir(crs.join("rules")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "example") {
            load(&[path], &[&crs]);
        }
    }
}

#[test]
fn debian_core_rule_set() {
    let Some(folder) = present("/usr/share/modsecurity-crs".into()) else { return };
    let Some(setup) = present("/etc/modsecurity/crs".into()) else { return };
    let document = load(&[folder.join("owasp-crs.load")], &[&folder, &setup]);
    let rules = document.rules().count();
    println!("{rules} rules");
    assert!(rules > 500, "{rules}");
    round_trip(&document, &folder.join("rules"));
}

#[test]
fn recommended_configuration() {
    let Some(folder) = data("modsecurity-tests") else { return };
    let loader = Files::beneath([&folder]);
    let file = folder.join("modsecurity.conf-recommended");
    let document = hop3_seclang::parse(&file, &loader).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(document.rules().count(), count_rules(&file));
    assert!(document.settings().count() >= 15);
    // Two directives have no effect here, and it says so.
    for warning in &document.warnings {
        assert!(warning.message.contains("has no effect"), "{}", warning.message);
    }
    round_trip(&document, Path::new("/"));
}

#[test]
fn memory_loader_serves_embedded_rules() {
    let loader = MemoryLoader::new()
        .with("base/a.conf", "Include sub/*.conf\nSecMarker A")
        .with("base/sub/b.conf", "SecRule ARGS \"@pmFromFile words.data\" \"id:1,deny\"")
        .with("base/sub/words.data", "one\ntwo\n");
    let document = hop3_seclang::parse("base/a.conf", &loader).unwrap();
    let rule = document.rules().next().unwrap();
    let file = &rule.condition.as_ref().unwrap().operator.files[0];
    assert_eq!(
        (&*file.contents, file.path.as_path()),
        (&b"one\ntwo\n"[..], Path::new("base/sub/words.data"))
    );
}
