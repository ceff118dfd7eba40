//! The scan: one value before many rules, none of which match. The Core Rule Set's texts and classes of bytes where a release
//! is given (`CRS=FOLDER`) or lies among the test data, rules made by the thousand everywhere; `no rule` is what a transaction
//! costs by itself.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hop3_benches::corpus::random::Random;
use hop3_benches::corpus::{Expect, Request, SEED, words};
use hop3_benches::generated_rules;
use hop3_benches::inspection::{refuses, ruleset};
use hop3_seclang::loader::MemoryLoader;
use hop3_waf::Ruleset;

fn main() {
    divan::main();
}

/// What people write, and what holds many bytes that rules wait for.
const VALUES: &[&str] = &[
    "word",
    "prose 100 B",
    "prose 1 KB",
    "prose 10 KB",
    "prose 100 KB",
    "escapes 10 KB",
    "hexadecimal 10 KB",
    "numbers 10 KB",
];

#[divan::bench(args = VALUES)]
fn no_rule(bencher: Bencher, name: &str) {
    run(bencher, generated(0), name);
}

#[divan::bench(args = VALUES)]
fn rules_1000(bencher: Bencher, name: &str) {
    run(bencher, generated(1_000), name);
}

#[divan::bench(args = VALUES)]
fn rules_20000(bencher: Bencher, name: &str) {
    run(bencher, generated(20_000), name);
}

#[divan::bench(args = VALUES)]
fn core_rule_set(bencher: Bencher, name: &str) {
    run(bencher, release().and_then(|folder| ruleset(Some(&folder)).ok()), name);
}

fn value(name: &str) -> String {
    let random = &mut Random::new(SEED);
    match name {
        "word" => "sturdy-backpack".to_owned(),
        "prose 100 B" => words::prose(random, 100),
        "prose 1 KB" => words::prose(random, 1_000),
        "prose 10 KB" => words::prose(random, 10_000),
        "prose 100 KB" => words::prose(random, 100_000),
        "escapes 10 KB" => "71% off & more + 5 m² ".repeat(450),
        "hexadecimal 10 KB" => random.hex(10_000),
        _ => "17, 4.25, -1; ".repeat(700),
    }
}

fn generated(count: usize) -> Option<Arc<Ruleset>> {
    let document =
        hop3_seclang::parse_str("rules.conf", &generated_rules::rules(SEED, count), &MemoryLoader::new());
    document.ok().and_then(|document| Ruleset::compile(&document).ok()).map(Arc::new)
}

/// A release of the Core Rule Set.
fn release() -> Option<PathBuf> {
    let data = || {
        env::var_os("HOP3_TEST_DATA")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from)
            .join("crs")
    };
    Some(env::var_os("CRS").map_or_else(data, PathBuf::from)).filter(|folder| folder.join("rules").is_dir())
}

/// The value as a field of a form; what is measured is the whole transaction.
fn run(bencher: Bencher, ruleset: Option<Arc<Ruleset>>, name: &str) {
    let Some(ruleset) = ruleset else { return };
    let value = value(name);
    let headers = [
        ("Host", "shop.example"),
        ("User-Agent", "Mozilla/5.0"),
        ("Accept", "*/*"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let request = Request {
        label: name.to_owned().into(),
        expect: Expect::Pass,
        method: "POST",
        target: "/search".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: format!("q={}", words::form_encoded(&value)).into_bytes(),
    };
    assert!(!refuses(&ruleset, &request), "{name} is refused");
    bencher.counter(BytesCount::of_str(&value)).bench_local(|| refuses(&ruleset, black_box(&request)));
}
