//! Both engines against answers of PCRE2.

use super::{Flags, LimitExceeded, Pattern, PcreConstruct, Spans};
use super::{GROUPS, automaton, backtrack, parse};

const BUDGET: u64 = 100_000;

fn find(pattern: &str, value: &[u8]) -> Option<(usize, usize)> {
    let pattern = Pattern::new(pattern.as_bytes(), Flags::default()).unwrap();
    let mut spans = Spans::default();
    let found = pattern.captures(value, 0, BUDGET, &mut spans).unwrap();
    assert_eq!(found, pattern.is_match(value, BUDGET).unwrap());
    spans[0]
}

#[test]
fn dialect() {
    type Case<'a> = (&'a str, &'a [u8], Option<(usize, usize)>);
    let cases: &[Case<'_>] = &[
        ("a.c", b"xa\ncx", Some((1, 4))),
        ("(?-s)a.c", b"a\nc", None),
        ("^b", b"a\nb", None),
        ("(?m)^b", b"a\nb", Some((2, 3))),
        ("a$", b"a\n", None),
        ("a\\Z", b"a\n", Some((0, 1))),
        ("\\x{bc}", b"\xbc", Some((0, 1))),
        ("\\x{bc}", "\u{bc}".as_bytes(), Some((1, 2))),
        ("é+", "éé".as_bytes(), Some((0, 2))),
        ("\\<", b"<", Some((0, 1))),
        ("[[&&a]", b"[", Some((0, 1))),
        ("[+--]", b",", Some((0, 1))),
        ("[\\w-.]", b"-", Some((0, 1))),
        ("[]a]+", b"a]", Some((0, 2))),
        ("[^]a]", b"]b", Some((1, 2))),
        ("[[:alpha:]_]+", b"9ab_9", Some((1, 4))),
        ("a{,3}", b"a{,3}", Some((0, 5))),
        ("a{2}", b"aaa", Some((0, 2))),
        ("x{", b"x{", Some((0, 2))),
        ("(?i)STRASSE", b"strasse", Some((0, 7))),
        ("a(?i)b|c", b"C", Some((0, 1))),
        ("(?i:a)b", b"AB", None),
        ("(?x) a b # c\n c", b"abc", Some((0, 3))),
        ("\\Qa.b\\E+", b"a.bb", Some((0, 4))),
        ("\\101\\x4", b"A\x04", Some((0, 2))),
        ("\\v", b"\r", Some((0, 1))),
        ("[\\s\\x0b]", b"\x0b", Some((0, 1))),
        ("\\s", b"\x0b", Some((0, 1))),
        ("a/\\/\\-\\_\\%", b"a//-_%", Some((0, 6))),
        ("<\\?(?!xml)", b"<?php", Some((0, 2))),
        ("<\\?(?!xml)", b"<?xml", None),
        ("(?<=a|bc)d", b"xbcd", Some((3, 4))),
        ("(?<!a)d", b"ad", None),
        ("(a+)\\1$", b"aaaa", Some((0, 4))),
        ("(['\"])x\\1", b"'x\" \"x\"", Some((4, 7))),
        ("a++a", b"aaa", None),
        ("(?>a|ab)c", b"abc", None),
        ("(a|b)*+c", b"abac", Some((0, 4))),
        ("(?=(a+))a*b\\1", b"baaabac", Some((3, 6))),
        ("(?:)*x", b"x", Some((0, 1))),
        ("(?!)|(a*)*\\1b", b"aab", Some((0, 3))),
    ];
    for (pattern, value, expected) in cases {
        assert_eq!(find(pattern, value), *expected, "{pattern} on {value:?}");
    }
}

#[test]
fn groups_and_engines() {
    let pattern = Pattern::new(b"(a)(b)?(c)", Flags::default()).unwrap();
    let mut spans = Spans::default();
    assert!(pattern.captures(b"xac", 0, BUDGET, &mut spans).unwrap());
    assert_eq!(spans[..4], [Some((1, 3)), Some((1, 2)), None, Some((2, 3))]);
    assert_eq!(pattern.pcre_only(), None);
    let pattern = Pattern::new(b"(?=a)a", Flags::default()).unwrap();
    assert_eq!(pattern.pcre_only(), Some(PcreConstruct::LookAround));
}

#[test]
fn refused() {
    for pattern in
        ["(", ")", "[a", "a\\", "*a", "(?P>n)", "\\p{L}", "[z-a]", "a{3,2}", "(?<=a*)b", "\\2(a)", "\\x{100}"]
    {
        assert!(Pattern::new(pattern.as_bytes(), Flags::default()).is_err(), "{pattern}");
    }
    let deep = [b"(".repeat(5000), b")".repeat(5000)].concat();
    assert!(Pattern::new(&deep, Flags::default()).is_err());
}

#[test]
fn the_budget_ends_catastrophes() {
    let pattern = Pattern::new(b"(?=a)(a+)+$", Flags::default()).unwrap();
    let value = [b"a".repeat(40), b"!".to_vec()].concat();
    assert_eq!(pattern.is_match(&value, BUDGET), Err(LimitExceeded));
    assert_eq!(pattern.is_match(&b"a".repeat(40), BUDGET), Ok(true));
}

/// A small generator (xorshift64*), so that failures repeat.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// A pattern that both engines understand.
    fn pattern(&mut self, depth: usize) -> String {
        let mut out = String::new();
        for _ in 0..=self.below(3) {
            match self.below(if depth == 0 { 3 } else { 6 }) {
                0..=2 => {
                    out.push_str(self.pick(&["a", "b", "c", ".", "[ab]", "[^a]", "\\w", "^", "$", "\\b"]))
                }
                3 => out.push_str(&format!("({})", self.pattern(depth - 1))),
                4 => out.push_str(&format!("(?:{}|{})", self.pattern(depth - 1), self.pattern(depth - 1))),
                _ => out.push_str(&format!("(?i:{})", self.pattern(depth - 1))),
            }
            if !out.ends_with(['^', '$']) && !out.ends_with("\\b") {
                out.push_str(self.pick(&["", "", "", "*", "+", "?", "*?", "+?", "{2}", "{1,2}"]));
            }
        }
        out
    }
}

/// The two engines are two readings of one tree: they must find a match at the
/// same place. Where it ends may differ after a loop whose body can be empty:
/// PCRE leaves the loop after an empty turn, automata try other turns first.
#[test]
fn both_engines_agree() {
    let mut random = Random(0x1234_5678);
    let mut compared = 0;
    for _ in 0..4000 {
        let text = random.pattern(2);
        let Ok(syntax) = parse::parse(text.as_bytes(), Flags::default()) else { continue };
        let automaton = automaton::compile(&syntax.root).unwrap();
        let program = backtrack::compile(&syntax.root, syntax.groups).unwrap();
        let exact = !syntax.root.loops_over_nothing();
        for _ in 0..5 {
            let value: Vec<u8> = (0..random.below(7)).map(|_| b"aAbc \n"[random.below(6)]).collect();
            let expected = automaton.find(&value).map(|found| (found.start(), found.end()));
            let mut spans = [None; GROUPS];
            let visible = (syntax.groups as usize + 1).min(GROUPS);
            // Some of these patterns are catastrophes even on six bytes.
            let Ok(found) = program.find(&value, 0, BUDGET, &mut spans[..visible]) else { continue };
            compared += 1;
            let shown = String::from_utf8_lossy(&value);
            assert_eq!(found, expected.is_some(), "{text} on {shown:?}");
            assert_eq!(spans[0].map(|span| span.0), expected.map(|span| span.0), "{text} on {shown:?}");
            if exact {
                assert_eq!(spans[0], expected, "{text} on {shown:?}");
            }
        }
    }
    assert!(compared > 15_000, "only {compared} comparisons");
}

#[test]
fn a_last_repetition_that_is_empty_counts() {
    // As PCRE2 10.42 answers.
    let cases: &[(&str, &str, &[Option<&str>])] = &[
        ("(a??)*b", "aab", &[Some("aab"), Some("")]),
        ("()*=|(a??)*b", "aab", &[Some("aab"), None, Some("")]),
        ("(a|b*)*c", "abc", &[Some("abc"), Some("")]),
        ("(?:(a)|b*)*c", "abc", &[Some("abc"), Some("a")]),
        ("(a*)+", "xaa", &[Some(""), Some("")]),
        ("(a?){2,3}b", "ab", &[Some("ab"), Some("")]),
        ("x(a*)+(b)", "xaab", &[Some("xaab"), Some(""), Some("b")]),
    ];
    for (text, value, expected) in cases {
        let pattern = Pattern::new(text.as_bytes(), Flags::default()).unwrap();
        assert_eq!(pattern.pcre_only(), None);
        let mut spans = Spans::default();
        assert_eq!(pattern.captures(value.as_bytes(), 0, 1000, &mut spans), Ok(true), "{text}");
        let found: Vec<_> = spans.iter().map(|span| span.map(|(start, end)| &value[start..end])).collect();
        assert_eq!(&found[..expected.len()], *expected, "{text}");
    }
    // When the budget is too small the automaton's groups stand.
    let pattern = Pattern::new(b"((a?)*)*b", Flags::default()).unwrap();
    let value = format!("{}b", "a".repeat(5000));
    assert_eq!(pattern.captures(value.as_bytes(), 0, 0, &mut Spans::default()), Ok(true));
}

#[test]
fn no_pattern_panics() {
    let mut random = Random(0x9e37_79b9);
    let pieces = [
        "(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "\\", "^", "-", ":", "a", "1", ",", "<", "=", "!",
        "P", "x", "Q", "E", "k", "g", "#", " ", "(?", "(?<", "[:", "\\x{", "é",
    ];
    for _ in 0..20_000 {
        let text: String = (0..random.below(12)).map(|_| random.pick(&pieces)).collect();
        if let Ok(pattern) = Pattern::new(text.as_bytes(), Flags::default()) {
            let _ = pattern.is_match(b"a1-x (", 1000);
        }
    }
}
