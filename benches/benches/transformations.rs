//! Each transformation on values as they come: nothing to do, and much to do.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hop3_benches::corpus::random::Random;
use hop3_benches::corpus::{SEED, words};
use hop3_transformations::{Context, Transformation};

/// The ones that the Core Rule Set's rules of phases 1 and 2 use most.
const NAMES: &[&str] = &[
    "urlDecodeUni",
    "lowercase",
    "htmlEntityDecode",
    "jsDecode",
    "cssDecode",
    "utf8toUnicode",
    "removeNulls",
    "compressWhitespace",
    "removeWhitespace",
    "replaceComments",
    "cmdLine",
    "normalizePath",
    "normalizePathWin",
    "escapeSeqDecode",
    "base64Decode",
    "sha1",
    "hexEncode",
];

fn main() {
    divan::main();
}

#[divan::bench(args = NAMES)]
fn word(bencher: Bencher, name: &str) {
    run(bencher, name, b"sturdy-backpack");
}

#[divan::bench(args = NAMES)]
fn prose_1k(bencher: Bencher, name: &str) {
    run(bencher, name, words::prose(&mut Random::new(SEED), 1_000).as_bytes());
}

#[divan::bench(args = NAMES)]
fn escapes_1k(bencher: Bencher, name: &str) {
    let text = "%41%u0042 &lt;B&gt; \\x41\\u0042 /*c*/ ..\\..//a/./b  C:\\D^\"e\" \u{e9}\0".repeat(16);
    run(bencher, name, text.as_bytes());
}

fn run(bencher: Bencher, name: &str, input: &[u8]) {
    let Some(transformation) = Transformation::from_name(name) else { return };
    let context = Context::default();
    let mut output = Vec::with_capacity(4 * input.len());
    bencher.counter(BytesCount::of_slice(input)).bench_local(|| {
        output.clear();
        transformation.apply(black_box(input), &mut output, &context)
    });
}
