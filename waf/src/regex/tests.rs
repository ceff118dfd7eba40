//! Both engines against answers of PCRE2.

use super::{Flags, LimitExceeded, Pattern, PcreConstruct, Spans};

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
