//! SQL and script injection detection on ordinary, suspicious and hostile values.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hop3_benches::corpus::random::Random;
use hop3_benches::corpus::{SEED, words};

const VALUES: &[&str] = &["word", "number", "uuid", "attack", "prose 1 KB", "quotes 8 KB", "tags 8 KB"];

fn main() {
    divan::main();
}

fn value(name: &str) -> Vec<u8> {
    let random = &mut Random::new(SEED);
    match name {
        "word" => "backpack".into(),
        "number" => "4711".into(),
        "uuid" => random.uuid().into(),
        "attack" => "1' UNION SELECT password FROM users-- <script>alert(1)</script>".into(),
        "prose 1 KB" => words::prose(random, 1_000).into(),
        "quotes 8 KB" => "'\"` or 1=1 /* ".repeat(600).into(),
        _ => "<a b=c d='e' onclic=f>g</a ".repeat(300).into(),
    }
}

#[divan::bench(args = VALUES)]
fn is_sqli(bencher: Bencher, name: &str) {
    let value = value(name);
    bencher
        .counter(BytesCount::of_slice(&value))
        .bench_local(|| hop3_libinjection::is_sqli(black_box(&value)).is_some());
}

#[divan::bench(args = VALUES)]
fn is_xss(bencher: Bencher, name: &str) {
    let value = value(name);
    bencher
        .counter(BytesCount::of_slice(&value))
        .bench_local(|| hop3_libinjection::is_xss(black_box(&value)));
}
