//! What the integration tests of the engine share.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::loader::{Files, MemoryLoader};
use hop3_seclang::{Document, Parser};
use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart};

/// The folder of test data, if it is there.
pub fn test_data(folder: &str) -> Option<PathBuf> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = workspace.join(std::env::var_os("HOP3_TEST_DATA").unwrap_or_else(|| "../shared".into()));
    let path = root.join(folder);
    if !path.is_dir() {
        println!("skipped: {} is missing (set HOP3_TEST_DATA)", path.display());
        return None;
    }
    Some(path)
}

/// Compiles rules of a test.
pub fn ruleset(rules: &str) -> Arc<Ruleset> {
    let loader = MemoryLoader::new();
    let document =
        hop3_seclang::parse_str("test.conf", rules, &loader).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(Ruleset::compile(&document).unwrap_or_else(|error| panic!("{error}")))
}

/// CRS as released, after `engine` and with `setup` after its own set-up.
pub fn crs(engine: &str, setup: &str) -> Option<Document> {
    let root = test_data("crs")?;
    let loader = Files::beneath([&root]);
    let mut parser = Parser::new(&loader);
    parser.text(root.join("engine.conf"), engine);
    parser.file(root.join("crs-setup.conf.example"));
    parser.text(root.join("setup.conf"), setup);
    let mut rules: Vec<PathBuf> =
        std::fs::read_dir(root.join("rules")).unwrap().map(|entry| entry.unwrap().path()).collect();
    rules.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    rules.sort();
    for path in rules {
        parser.file(&path);
    }
    Some(parser.finish().unwrap_or_else(|error| panic!("{error}")))
}

/// A transaction from 127.0.0.1.
pub fn transaction(ruleset: &Arc<Ruleset>) -> Transaction {
    let start =
        TransactionStart { id: "test-1".into(), unix_time: Duration::from_secs(1_700_000_000), entropy: 7 };
    let connection =
        Connection { client: ([127, 0, 0, 1], 40_000).into(), server: ([127, 0, 0, 1], 80).into() };
    Transaction::new(ruleset.clone(), start, connection)
}
