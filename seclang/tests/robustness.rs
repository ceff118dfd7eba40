//! Hostile input: nothing panics, and time grows with the length of the text only.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "../../tests/src/processor_time.rs"]
mod processor_time;

use std::time::Duration;

use hop3_seclang::loader::MemoryLoader;
use hop3_seclang::{format, parse_str};

/// Most time of a processor for a mebibyte of anything, generous for slow builds.
const LIMIT: Duration = Duration::from_secs(4);

/// A small generator of numbers (xorshift64*), so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }
}

/// All files of `tests/cases`.
fn seeds() -> Vec<Vec<u8>> {
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = ["valid", "invalid"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(cases.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn mutate(text: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    const BYTES: &[u8] = b"\"'\\\n\r ,:|/!&@%{}=#;.<>`\x00\xff\x80aA1";
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(text.len() + 1);
        match numbers.below(5) {
            0 => text.insert(at, BYTES[numbers.below(BYTES.len())]),
            1 if at < text.len() => text[at] = BYTES[numbers.below(BYTES.len())],
            2 => text.truncate(at),
            3 => {
                let end = (at + numbers.below(12)).min(text.len());
                text.drain(at..end);
            }
            _ => {
                let start = numbers.below(other.len() + 1);
                let end = (start + numbers.below(40)).min(other.len());
                text.splice(at..at, other[start..end].iter().copied());
            }
        }
    }
}

#[test]
fn mutated_files_never_panic() {
    let seeds = seeds();
    assert!(seeds.len() > 90, "{}", seeds.len());
    let mut numbers = Numbers(0x5eed);
    let loader = MemoryLoader::new().with("words.data", "one\ntwo\n").with("extra.conf", "SecMarker X");
    let (mut good, mut bad, mut changed) = (0, 0, Vec::new());
    for round in 0..20_000 {
        let mut text = seeds[round % seeds.len()].clone();
        let other = &seeds[numbers.below(seeds.len())];
        mutate(&mut text, other, &mut numbers);
        let mut parser = hop3_seclang::Parser::new(&loader);
        parser.text("mutated.conf", &text);
        match parser.finish() {
            Ok(document) => {
                good += 1;
                let formatted = format::format(&document);
                // The formatter makes text, so it cannot keep what is not UTF-8.
                let readable = std::str::from_utf8(&text).is_ok();
                match parse_str("formatted.conf", &formatted, &loader) {
                    Ok(again) if again == document || !readable => {}
                    Ok(_) => changed.push(formatted),
                    Err(errors) => changed.push(format!("{formatted}\n{errors}")),
                }
                document.warnings.iter().for_each(|warning| drop(warning.render(&document.sources)));
            }
            Err(errors) => {
                bad += 1;
                assert!(errors.errors().count() > 0);
                assert!(
                    errors.to_string().starts_with("error: ") || errors.to_string().starts_with("warning: ")
                );
            }
        }
    }
    assert!(
        changed.is_empty(),
        "{} of {good} changed by formatting:\n{}",
        changed.len(),
        changed[..changed.len().min(12)].join("\n----\n")
    );
    println!("{good} loaded, {bad} refused");
    assert!(good > 500 && bad > 5000, "{good} {bad}");
}

#[test]
fn a_mebibyte_of_anything_is_read_in_linear_time() {
    const SIZE: usize = 1 << 20;
    let read = |text: &str| {
        let result = parse_str("nasty.conf", text, &MemoryLoader::new());
        result.map_or_else(|error| error.to_string(), |document| format::format(&document))
    };
    let cost = |limit: Duration, text: &str| processor_time::of(limit, || drop(read(text)));
    let mut slowest = Duration::ZERO;
    for (text, eighth) in nasty(SIZE).iter().zip(nasty(SIZE / 8)) {
        let took = cost(LIMIT, text);
        slowest = slowest.max(took);
        let alone = |text: &str| cost(Duration::MAX, text);
        if took >= LIMIT && !processor_time::is_linear(|| alone(&eighth), || alone(text)) {
            let rendered = read(text);
            panic!("{took:?} for {:?}…, {}", &text[..60], &rendered[..rendered.len().min(200)]);
        }
    }
    println!("slowest: {slowest:?}");
}

/// Texts of about this size that repeat what a careless parser reads again and again.
fn nasty(size: usize) -> Vec<String> {
    let fill = |unit: &str| unit.repeat(size / unit.len());
    let inside = |start: &str, unit: &str, end: &str| format!("{start}{}{end}", fill(unit));
    vec![
        fill("\\\n"),
        fill("\\"),
        fill("#\\\n"),
        fill("\""),
        fill("'"),
        fill("\n"),
        fill("a "),
        fill("SecRule "),
        fill("SecMarker x\n"),
        fill("SecRule ARGS x id:1\n"),
        fill("<IfModule x>\n"),
        fill("SecRule ARGS \"x\" \"id:1,chain\"\n"),
        inside("SecRule ARGS \"@contains ", "%{", "\" \"id:1\""),
        inside("SecRule ARGS \"@contains ", "%{a.", "}\" \"id:1\""),
        inside("SecRule ARGS \"@contains ", "%{nope}", "\" \"id:1\""),
        inside("SecRule ARGS \"@rx ", "\\\\", "\" \"id:1\""),
        inside("SecRule ARGS \"@rx ", "\\\"", "\" \"id:1\""),
        inside("SecRule \"", "ARGS:/a|", "\" \"x\" \"id:1\""),
        inside("SecRule \"", "ARGS:'/a|", "\" \"x\" \"id:1\""),
        inside("SecRule \"", "ARGS|", "ARGS\" \"x\" \"id:1\""),
        inside("SecRule \"", "ARGS:/a/ ", "\" \"x\" \"id:1\""),
        inside("SecRule \"ARGS:/", "/ ", "\" \"x\" \"id:1\""),
        inside("SecRule ARGS x \"id:1,", ",", "\""),
        inside("SecRule ARGS x \"id:1,", "tag:'a',", "pass\""),
        inside("SecRule ARGS x \"id:1,", "msg:'\\'", "\""),
        inside("SecRule ARGS x \"id:1,", "ctl:ruleRemoveTargetById=1;ARGS:/a,", "\""),
        inside("SecRule ARGS x \"id:1,", "ctl:ruleRemoveTargetById=1;ARGS:'a,", "\""),
        inside("SecRule ARGS x \"id:1,ctl:ruleRemoveTargetById=1;ARGS", ":/", "\""),
        inside("SecRule ARGS x \"id:1,setvar:tx.", "a=", "\""),
        inside("SecRule ARGS \"@ipMatch ", "1.2.3.4,", "\" \"id:1\""),
        inside("SecRuleRemoveById ", "1-2 ", ""),
        inside("SecDataset x `", "a\n", ""),
        fill("SecRule ARGS \"@rx %{MULTIPART_STRICT_ERRO}\" \"id:1\"\n"),
        inside("SecRule ARGS \"@contains ", "%{MULTIPART_STRICT_ERRO}", "\" \"id:1\""),
        (0..size / 60)
            .map(|id| format!("SecRule ARGS \"a\" \"id:{}\"\nSecRuleRemoveById 1-9999999\n", id + 1))
            .collect(),
        (0..size / 40).map(|id| format!("SecRule ARGS \"a\" \"id:{},deny\"\n", id + 1)).collect(),
    ]
}

#[test]
fn includes_are_bounded() {
    // Each file includes the next one twice: 2^40 without a bound.
    let mut loader = MemoryLoader::new();
    for level in 0..40 {
        let next = level + 1;
        loader = loader.with(format!("{level}.conf"), format!("Include {next}.conf\nInclude {next}.conf\n"));
    }
    let took = processor_time::of(LIMIT, || drop(hop3_seclang::parse("0.conf", &loader)));
    assert!(took < LIMIT, "{took:?}");
    let errors = hop3_seclang::parse("0.conf", &loader).unwrap_err();
    assert!(errors.errors().count() <= 101);
    assert!(errors.to_string().contains("files deep"));
}
