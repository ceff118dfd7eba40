//! The processors against the plainest reading of what they promise, byte by
//! byte and line by line, over random input.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use hop3_bodies::{Argument, Limits, Text, cookies, form, multipart};

/// Xorshift: reproducible, and enough to shuffle tokens with.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn text(&mut self, tokens: &[&[u8]], most: usize) -> Vec<u8> {
        (0..self.below(most)).flat_map(|_| tokens[self.below(tokens.len())].to_vec()).collect()
    }
}

type Pair = (Vec<u8>, Vec<u8>);

fn pairs(arguments: &[Argument<'_>]) -> Vec<Pair> {
    arguments.iter().map(|pair| (pair.name.to_vec(), pair.value.to_vec())).collect()
}

/// Name and value around the first `=`.
fn around_equals(pair: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = pair.splitn(2, |byte| *byte == b'=');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn decoded(text: &[u8], invalid: &mut bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (text[at], digits) {
            (b'+', _) => out.push(b' '),
            (b'%', Some(digits)) => {
                out.push(u8::from_str_radix(digits, 16).unwrap());
                at += 2;
            }
            (b'%', None) => {
                *invalid = true;
                out.push(b'%');
            }
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    out
}

#[test]
fn forms() {
    const TOKENS: &[&[u8]] =
        &[b"a", b"=", b"&", b"&&", b";", b"%", b"%4", b"%41", b"%zZ", b"+", b"long name or value", b"\xff"];
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    for _ in 0..50_000 {
        let input = random.text(TOKENS, 14);
        let separator = [b'&', b';'][random.below(2)];
        let limits = Limits { arguments: [3, 1000][random.below(2)], ..Limits::default() };
        let form = form::parse(&input, separator, &limits);
        let all = input.split(|byte| *byte == separator).filter(|pair| !pair.is_empty());
        let mut invalid = false;
        let mut expected: Vec<Pair> = all
            .map(around_equals)
            .map(|(name, value)| (decoded(name, &mut invalid), decoded(value, &mut invalid)))
            .collect();
        assert_eq!(form.over_limit, expected.len() > limits.arguments);
        expected.truncate(limits.arguments);
        assert_eq!(pairs(&form.arguments), expected, "{:?}", String::from_utf8_lossy(&input));
        assert_eq!(form.invalid_encoding, invalid, "{:?}", String::from_utf8_lossy(&input));
    }
}

#[test]
fn cookie_headers() {
    const TOKENS: &[&[u8]] = &[b"a", b"bc", b"=", b";", b"; ", b" ", b"\t", b"\x0b", b"\"", b"%41"];
    let is_space = |byte: &u8| matches!(*byte, b' ' | b'\t'..=b'\r');
    let mut random = Random(42);
    for _ in 0..50_000 {
        let header = random.text(TOKENS, 16);
        let end = header.iter().rposition(|byte| !is_space(byte)).map_or(0, |last| last + 1);
        let expected: Vec<Pair> = header[..end]
            .split(|byte| *byte == b';')
            .map(|pair| {
                let (name, value) = around_equals(pair);
                (name.iter().copied().skip_while(is_space).collect::<Vec<_>>(), value.to_vec())
            })
            .filter(|(name, _)| !name.is_empty())
            .collect();
        assert_eq!(pairs(&cookies::parse(&header)), expected, "{:?}", String::from_utf8_lossy(&header));
        // With a limit nothing is lost: the last value goes on to the end.
        let most = random.below(4);
        let mut limited = Vec::new();
        cookies::read(&header, most, |name, value| {
            limited.push([name, value].map(|text: Text<'_>| text.bytes(&header).to_vec()));
        });
        assert_eq!(limited.len(), expected.len().min(most + 1));
        for (index, [name, value]) in limited.iter().enumerate() {
            assert_eq!(*name, expected[index].0);
            assert!(if index < most { *value == expected[index].1 } else { header[..end].ends_with(value) });
        }
    }
}

const HEAD: &[u8] = b"Content-Disposition: form-data; name=\"a\"\r\n\r\n";

/// What the data of parts amounts to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Data {
    contents: Vec<Vec<u8>>,
    invalid_part: bool,
    unmatched: usize,
    fatal: bool,
}

/// Reads line by line; `None` when a boundary is not followed by [`HEAD`].
fn data_of_parts(boundary: &str, quoted: bool, body: &[u8]) -> Option<Data> {
    let delimiter = format!("--{boundary}");
    let delimiter = delimiter.as_bytes();
    let contains = |line: &[u8]| line.windows(delimiter.len()).any(|window| window == delimiter);
    let first = [delimiter, b"\r\n", HEAD].concat();
    let mut rest = body.strip_prefix(&*first)?;
    let mut data = Data::default();
    'part: loop {
        let mut at = 0;
        for line in rest.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let dashed = line.strip_prefix(b"--");
            let text = dashed.map(|dashed| dashed.trim_ascii_start());
            if line.starts_with(delimiter) && at == 0 {
                data.invalid_part = true;
            } else if line.starts_with(delimiter) {
                let content = &rest[..at];
                let content = content.strip_suffix(b"\n").unwrap();
                data.contents.push(content.strip_suffix(b"\r").unwrap_or(content).to_vec());
                data.unmatched = 2;
                match &line[delimiter.len()..] {
                    b"--\r\n" | b"--\n" => return Some(data),
                    b"\r\n" | b"\n" => {}
                    _ => {
                        data.fatal = true;
                        return Some(data);
                    }
                }
                rest = rest[at + line.len()..].strip_prefix(HEAD)?;
                continue 'part;
            } else if quoted
                && dashed.is_some_and(|line| line.starts_with(format!("\"{boundary}").as_bytes()))
                || dashed.is_some() && text != dashed && text?.starts_with(boundary.as_bytes())
            {
                data.fatal = true;
                let content = &rest[..at];
                let content = content.strip_suffix(b"\n").unwrap_or(content);
                data.contents.push(content.strip_suffix(b"\r").unwrap_or(content).to_vec());
                // What follows up to the boundary is only asked for other boundaries.
                for line in rest[at..].split_inclusive(|byte| *byte == b'\n') {
                    if line.starts_with(delimiter) || !line.ends_with(b"\n") {
                        break;
                    }
                    data.unmatched = if contains(line) { 1 } else { data.unmatched };
                }
                return Some(data);
            } else if dashed.is_some_and(|dashed| dashed.len() > 1) || contains(line) {
                data.unmatched = 1;
            }
            at += line.len();
        }
        return None;
    }
}

#[test]
fn data_of_multipart_parts() {
    const TOKENS: &[&[u8]] = &[
        b"a",
        b"-",
        b"--",
        b"---",
        b"\n",
        b"\r\n",
        b"\n--",
        b"--B-",
        b"\n--B-",
        b"\n--\"B-",
        b"\n-- B-",
        b"B-",
        b" ",
        b"\r\n--B-\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n",
    ];
    let mut random = Random(0x9E37_79B9);
    let (mut parts, mut fatal) = (0, 0);
    for _ in 0..100_000 {
        let quoted = random.below(4) == 0;
        let kind = if quoted { "boundary=\"B-\"" } else { "boundary=B-" };
        let text = random.text(TOKENS, 16);
        let body = [b"--B-\r\n", HEAD, &text, b"\r\n--B---\r\n"].concat();
        let Some(expected) = data_of_parts("B-", quoted, &body) else { continue };
        let parsed =
            multipart::parse(format!("multipart/form-data; {kind}").as_bytes(), &body, &Limits::default());
        let found = Data {
            contents: parsed.parts.iter().map(|part| part.content.to_vec()).collect(),
            invalid_part: parsed.flags.invalid_part,
            unmatched: parsed.unmatched_boundary as usize,
            fatal: parsed.error.is_some(),
        };
        assert_eq!(found, expected, "{:?} quoted: {quoted}", String::from_utf8_lossy(&body));
        parts += expected.contents.len();
        fatal += usize::from(expected.fatal);
    }
    assert!(parts > 100_000 && fatal > 1_000, "{parts} parts, {fatal} fatal");
}
