//! A number counts only with the right answers: whatever the seed, the Core Rule Set refuses every attack of the
//! corpus, and nothing else.

use std::path::{Path, PathBuf};

use hop3_benches::corpus::{self, Expect, Request, SEED, SMALL};
use hop3_benches::inspection::{refuses, ruleset};

#[test]
fn every_attack_is_refused_and_no_benign_request() {
    let data = std::env::var_os("HOP3_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let crs = data.join("crs");
    if !crs.join("rules").is_dir() {
        eprintln!("crs: no test data at {}; set HOP3_TEST_DATA to the folder that holds them", crs.display());
        return;
    }
    let rules = ruleset(Some(&crs)).unwrap();
    let wrong = |request: &Request| refuses(&rules, request) != (request.expect == Expect::Block);
    for seed in (1..=3).chain([SEED]) {
        let requests = corpus::all(seed).into_iter().chain(corpus::small(seed, SMALL, 5));
        for request in requests.chain(corpus::sizes(seed).into_iter().take(9)) {
            let start = request.body[..request.body.len().min(300)].escape_ascii();
            assert!(
                !wrong(&request),
                "seed {seed}, `{}`: {} {} {start}",
                request.label,
                request.method,
                request.target
            );
        }
    }
}
