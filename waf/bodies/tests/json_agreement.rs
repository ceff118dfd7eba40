//! Our JSON parser against serde_json: both accept the same texts and find the
//! same values in them.

use hop3_bodies::{Limits, json};
use serde_json::Value;

/// Xorshift: reproducible, and enough to shuffle tokens with.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

const SCALARS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-1",
    "12.50",
    "-0.5e3",
    "7E-2",
    "\"\"",
    "\"a\"",
    "\"long enough for two words\"",
    "\"\\n\\\"\\\\\\/\"",
    "\"\\u00e9\\ud83d\\ude00\"",
    "\"é€😀\"",
    "\"\\u0000\"",
];
const NOISE: &[&str] = &[
    "[", "]", "{", "}", ",", ":", "\"", "\\", " ", "\n", "0", ".", "e", "-", "\u{1}", "\"k\":", "nul", "/*",
];

/// A random document; keys are numbered, so that none repeats.
fn document(random: &mut Random, depth: usize, keys: &mut usize, out: &mut String) {
    let blank = [" ", "", "\n\t", ""][random.below(4)];
    out.push_str(blank);
    match random.below(if depth == 0 { 1 } else { 3 }) {
        0 => out.push_str(SCALARS[random.below(SCALARS.len())]),
        kind => {
            out.push(if kind == 1 { '[' } else { '{' });
            for member in 0..random.below(5) {
                if member > 0 {
                    out.push(',');
                }
                if kind == 2 {
                    *keys += 1;
                    out.push_str(&format!("\"k\\u0041{keys}\" :"));
                }
                document(random, depth - 1, keys, out);
            }
            out.push(if kind == 1 { ']' } else { '}' });
        }
    }
    out.push_str(blank);
}

/// The leaves as we name them.
fn flatten(value: &Value, name: &str, leaves: &mut Vec<(String, Option<String>)>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten(item, &format!("{name}.{index}"), leaves);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                flatten(member, &format!("{name}.{key}"), leaves);
            }
        }
        Value::String(text) => leaves.push((name.to_owned(), Some(text.clone()))),
        // Numbers are kept as written, which serde_json does not tell.
        Value::Number(_) => leaves.push((name.to_owned(), None)),
        other => leaves.push((name.to_owned(), Some(other.to_string()))),
    }
}

fn options() -> json::Options {
    json::Options {
        limits: Limits { arguments: usize::MAX, ..Limits::default() },
        ..json::Options::default()
    }
}

#[test]
fn finds_the_same_values() {
    let mut random = Random(0xDEAD_BEEF_CAFE);
    for _ in 0..5_000 {
        let mut text = String::new();
        document(&mut random, 5, &mut 0, &mut text);
        let mut expected = Vec::new();
        let value: Value = serde_json::from_str(&text).unwrap();
        flatten(&value, "json", &mut expected);
        let parsed = json::parse(text.as_bytes(), &options());
        assert_eq!(parsed.error, None, "{text}");
        let mut found: Vec<_> = parsed
            .arguments()
            .map(|a| {
                (
                    String::from_utf8(a.name.into_owned()).unwrap(),
                    String::from_utf8(a.value.into_owned()).unwrap(),
                )
            })
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found.len(), expected.len(), "{text}");
        for ((name, value), (expected_name, expected_value)) in found.iter().zip(&expected) {
            assert_eq!(name, expected_name, "{text}");
            match expected_value {
                Some(expected) => assert_eq!(value, expected, "{text}"),
                None => assert!(SCALARS.contains(&value.as_str()), "{text}"),
            }
        }
    }
}

#[test]
fn accepts_the_same_texts() {
    let mut random = Random(0x1234_5678_9ABC);
    let (mut accepted, mut refused) = (0, 0);
    while accepted + refused < 60_000 {
        let mut text = String::new();
        document(&mut random, 3, &mut 0, &mut text);
        let mut bytes = text.into_bytes();
        for _ in 0..random.below(3) {
            let at = random.below(bytes.len() + 1);
            match random.below(3) {
                0 => drop(bytes.splice(at..at, NOISE[random.below(NOISE.len())].bytes())),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] = [b'"', b'\\', b',', 0x80, b'1', b'u'][random.below(6)],
                _ => {}
            }
        }
        let theirs = serde_json::from_slice::<Value>(&bytes);
        // What serde_json refuses for reasons of its own: half of a surrogate
        // pair, and numbers that do not fit its types.
        if theirs.as_ref().is_err_and(|e| {
            e.to_string().contains("surrogate")
                || e.to_string().contains("out of range")
                || e.to_string().contains("unexpected end of hex")
        }) {
            continue;
        }
        let ours = json::parse(&bytes, &options());
        // No bytes at all are no error for us, as for ModSecurity.
        let agrees = ours.error.is_none() == theirs.is_ok() || bytes.is_empty();
        assert!(agrees, "{:?}: ours {:?}, theirs {theirs:?}", String::from_utf8_lossy(&bytes), ours.error);
        if theirs.is_ok() { accepted += 1 } else { refused += 1 }
    }
    assert!(accepted > 10_000 && refused > 10_000, "{accepted} accepted, {refused} refused");
}
