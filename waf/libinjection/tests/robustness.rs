//! No input makes the crate panic, and time stays linear in the length of the input.
#![allow(clippy::disallowed_methods, reason = "the engine has no clock; what measures it does")]

use std::time::{Duration, Instant};

use hop3_libinjection::{
    Context, Dialect, Html5Start, Html5Tokens, Quote, Value, fold, is_sqli, is_xss, tokens,
};

/// What tokens of SQL and HTML are made of, so that random inputs get far into both.
#[rustfmt::skip]
const PIECES: [&str; 64] = [
    "'", "\"", "`", "\\", "\\N", "/*", "*/", "/*!", "--", "-- ", "#", "\n", "\0", "$", "$$", "$a$", "@",
    "@@", "[", "]", "{", "}", "(", ")", ",", ";", ".", "::", ":=", "<=>", "||", "&&", "0x", "0b1", "1e",
    "1.5f", "b'", "x'", "e'", "nq'(", "q'", "u&'", "in.", "union", "select", "not ", "like", "collate", "_",
    "user(", "<", ">", "</", "<!--", "-->", "<%", "<![CDATA[", "<script", "onload=", "href=", "java", "&#",
    "&#x6a;", "sp_password",
];

/// A small generator of pseudo-random numbers (splitmix64), so that failures repeat.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Up to thirty pieces, among them random bytes.
    fn input(&mut self) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..self.below(30) {
            match self.below(4) {
                0 => input.push(self.next() as u8),
                _ => input.extend(PIECES[self.below(PIECES.len())].bytes()),
            }
        }
        input
    }
}

#[test]
fn random_inputs_are_read_to_their_end() {
    let mut random = Random(1);
    for _ in 0..60_000 {
        let input = random.input();
        let _ = is_xss(&input);
        if let Some(fingerprint) = is_sqli(&input) {
            assert!((1..=5).contains(&fingerprint.as_str().len()), "{}", input.escape_ascii());
        }
        for quote in [Quote::None, Quote::Single, Quote::Double] {
            for dialect in [Dialect::Ansi, Dialect::MySql] {
                let context = Context { quote, dialect };
                // Each token takes at least one byte; only that of a surrounding quote may take none.
                let count = tokens(&input, context).count();
                assert!(count <= input.len() + 1, "{}", input.escape_ascii());
                let folded = fold(&input, context);
                assert!(folded.tokens().len() <= count.min(6), "{}", input.escape_ascii());
                assert!(folded.tokens().iter().all(|token| token.value().len() <= Value::CAPACITY));
            }
        }
        for start in [
            Html5Start::Data,
            Html5Start::Tag,
            Html5Start::SingleQuoted,
            Html5Start::DoubleQuoted,
            Html5Start::BackQuoted,
        ] {
            let markup = Html5Tokens::new(&input, start);
            assert!(markup.count() <= 2 * input.len() + 1, "{}", input.escape_ascii());
        }
    }
}

/// Parts of tokens which, again and again, have the most to seek, to skip or to fold.
#[rustfmt::skip]
const PATTERNS: [&str; 96] = [
    "'", "\"", "`", "''\\", "\\", "\\'", "'\\\\", "/*", "/*/", "*/", "/**/", "--", "-", "-- \n", "#", "#\n", "(", ")",
    "{", "{a", "}", "[", "[]", ".", "a.", "in.", "in`", "select.", "a", "a ", "\u{e0}", "$", "$$", "$a$", "$a",
    "$a$b$", "$.", "@", "@a", "0x", "0b'", "b'0", "x'0'", "q'(", "nq'!", "u&'", "1", "1e", "1,", "1+", "1,-",
    "a::int ", "int ", "not ", "+", "\\%", ";", "if;", "like", "\0", "\x7f", "<", "<a", "</>", "</", "</a ", "<!",
    "<!--", "<!--\0", "-\0", "--!", "<%", "%", "<![CDATA[", "]", "]]", "<a/", "/", "/ ", "=", "a=", "a='",
    "<a b=c ", "&#", "&#0", "<a href=&#", "href=\"&#0;", "=\"", "\0=", ">", "\"><a href=", "=&#x", "{``", "in in ",
    "union all ", "\n-- ",
];

#[test]
fn time_is_linear_in_the_length() {
    for pattern in PATTERNS {
        // The shorter first, so that what is quadratic fails before it takes minutes.
        assert_linear("", pattern, 64 * 1024);
        assert_linear("", pattern, 1024 * 1024);
    }
}

#[test]
fn time_is_linear_whatever_comes_before() {
    for prefix in ["'", "1 ", "<a ", "<!--", "<a href='&#", "=&#", "$tag$", "/*", "<a \0"] {
        for pattern in PATTERNS {
            assert_linear(prefix, pattern, 64 * 1024);
        }
    }
}

/// Sixteen times the input takes about sixteen times the time; a quadratic reading takes 256 times
/// as long. The bound lies between them with room on both sides. Below a floor no ratio is formed: a
/// linear reading stays far under it even where the machine is busy, which would distort the ratio,
/// and a quadratic one far above. And only what is slow several times is slow.
fn assert_linear(prefix: &str, pattern: &str, length: usize) {
    const TIMES: u32 = 80;
    let floor = Duration::from_nanos(4_000) * length as u32;
    let (short, long) = (repeat(prefix, pattern, length / 16), repeat(prefix, pattern, length));
    let mut measured = (Duration::ZERO, Duration::ZERO);
    for _ in 0..5 {
        let long_time = time_to_read(&long);
        if long_time < floor {
            return;
        }
        let short_time = time_to_read(&short);
        if long_time < short_time * TIMES {
            return;
        }
        measured = (short_time, long_time);
    }
    panic!("{prefix:?} and {pattern:?} again and again: {measured:?} for {length} / 16 and {length} bytes");
}

fn repeat(prefix: &str, pattern: &str, length: usize) -> Vec<u8> {
    let mut input = prefix.as_bytes().to_vec();
    input.extend(pattern.bytes().cycle().take(length));
    input
}

fn time_to_read(input: &[u8]) -> Duration {
    let start = Instant::now();
    std::hint::black_box((is_sqli(input), is_xss(input)));
    // More than the questions read, which know enough after five tokens.
    std::hint::black_box((
        tokens(input, Context::default()).count(),
        Html5Tokens::new(input, Html5Start::Data).count(),
    ));
    std::hint::black_box(fold(input, Context { quote: Quote::Single, dialect: Dialect::MySql }));
    std::hint::black_box(Html5Tokens::new(input, Html5Start::Tag).count());
    start.elapsed()
}
