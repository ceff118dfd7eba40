//! What flattening yields, case by case.

use super::*;

fn flat(body: &[u8], naming: Naming) -> (Vec<String>, Option<Reason>) {
    let json = parse(body, &Options { naming, ..Options::default() });
    let leaves: Vec<_> = json
        .arguments()
        .map(|a| format!("{}={}", String::from_utf8_lossy(&a.name), String::from_utf8_lossy(&a.value)))
        .collect();
    assert_eq!(leaves.len(), json.len());
    assert_eq!(leaves.is_empty(), json.is_empty());
    (leaves, json.error.map(|e| e.reason))
}

#[test]
fn flattens_well_formed_text() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("{}", &[]),
        (" [ ] ", &[]),
        ("\"top\"", &["json=top"]),
        ("-12.5e+3", &["json=-12.5e+3"]),
        ("0", &["json=0"]),
        ("true", &["json=true"]),
        (r#"{"foo":"bar","mod":"sec"}"#, &["json.foo=bar", "json.mod=sec"]),
        (r#"{"a":{"b":"c"},"d":1}"#, &["json.a.b=c", "json.d=1"]),
        (
            r#"{"a":[1,[],{},[2,3],{"x":4}],"b":5}"#,
            &["json.a.0=1", "json.a.3.0=2", "json.a.3.1=3", "json.a.4.x=4", "json.b=5"],
        ),
        (r#"[[["deep"]],"next"]"#, &["json.0.0.0=deep", "json.1=next"]),
        (r#"{"a":1,"a":2}"#, &["json.a=1", "json.a=2"]),
        (
            r#"{"":"x","n":null,"t":true,"f":false}"#,
            &["json.=x", "json.n=null", "json.t=true", "json.f=false"],
        ),
        (r#"{"a\u002eb\n":"c\"d"}"#, &["json.a.b\n=c\"d"]),
        ("\t{\r\n\"k\" :\n1 }\n", &["json.k=1"]),
        (r#"["",""]"#, &["json.0=", "json.1="]),
    ];
    for (body, expected) in cases {
        let (leaves, error) = flat(body.as_bytes(), Naming::Plain);
        assert_eq!((leaves, error), (strings(expected), None), "{body}");
    }
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[test]
fn names_as_modsecurity_v3_does() {
    let body = br#"{"a":[1,{"":2},[3]],"":null,"b":{"c":4}}"#;
    let (leaves, error) = flat(body, Naming::ModSecurity3);
    assert_eq!(error, None);
    assert_eq!(
        leaves,
        [
            "json.a.array_0=1",
            "json.a.array_1.empty-key=2",
            "json.a.array_2.array_0=3",
            "json.empty-key=",
            "json.b.c=4",
        ]
    );
    assert_eq!(flat(b"[7]", Naming::ModSecurity3).0, ["json.array_0=7"]);
}

#[test]
fn keeps_what_came_before_an_error() {
    use Reason::*;
    let cases: &[(&[u8], &[&str], Reason)] = &[
        (b" ", &[], PrematureEnd),
        (b"a", &[], UnexpectedByte),
        (b"\xEF\xBB\xBF{}", &[], UnexpectedByte),
        (b"{\"a\":1", &["json.a=1"], PrematureEnd),
        (b"{\"a\":\"<scr", &["json.a=<scr"], PrematureEnd),
        (b"{\"a\\\"", &["json.a\"="], PrematureEnd),
        (b"{\"a\":1}x", &["json.a=1"], TrailingText),
        (b"1 2", &["json=1"], TrailingText),
        (b"[1 2]", &["json.0=1"], ArraySeparator),
        (b"[1}", &["json.0=1"], ArraySeparator),
        (b"[1,]", &["json.0=1"], UnexpectedByte),
        (b"{\"a\":1]", &["json.a=1"], ObjectSeparator),
        (b"{\"a\":1,}", &["json.a=1"], ObjectKey),
        (b"{a:1}", &[], ObjectKey),
        (b"{\"a\" 1}", &[], KeySeparator),
        (b"{\"a\":}", &[], UnexpectedByte),
        (b"[tru]", &[], UnknownWord),
        (b"[tru", &[], PrematureEnd),
        (b"[01]", &["json.0=0"], ArraySeparator),
        (b"[-]", &[], Number),
        (b"[1.]", &[], Number),
        (b"[1e]", &[], Number),
        (b"[+1]", &[], UnexpectedByte),
        (b"['a']", &[], UnexpectedByte),
        (b"[1,/*c*/2]", &["json.0=1"], UnexpectedByte),
        // Faults inside strings do not hide what follows.
        (b"[\"a\nb\",1]", &["json.0=a\nb", "json.1=1"], ControlCharacter),
        (b"[\"a\\x41\",1]", &["json.0=a\\x41", "json.1=1"], InvalidEscape),
        (b"[\"\\u00zz\",1]", &["json.0=\\u00zz", "json.1=1"], InvalidUnicodeEscape),
        (b"{\"\\q\":1}", &["json.\\q=1"], InvalidEscape),
    ];
    for (body, expected, reason) in cases {
        let (leaves, error) = flat(body, Naming::Plain);
        let shown = String::from_utf8_lossy(body);
        assert_eq!((leaves, error), (strings(expected), Some(*reason)), "{shown}");
    }
}

#[test]
fn invalid_utf8_is_kept_and_reported_where_it_is() {
    let json = parse(b"[\"ok\",\"a\xFFb\",\"next\"]", &Options::default());
    assert_eq!(json.error, Some(Error { reason: Reason::InvalidUtf8, offset: 8 }));
    let values: Vec<_> = json.arguments().map(|a| a.value.into_owned()).collect();
    assert_eq!(values, [b"ok".to_vec(), b"a\xFFb".to_vec(), b"next".to_vec()]);
    assert_eq!(parse("[\"héllo wörld €\"]".as_bytes(), &Options::default()).error, None);
    let behind_escape = parse(b"[\"\\\xFF\"]", &Options::default());
    assert_eq!(behind_escape.error.map(|e| e.reason), Some(Reason::InvalidUtf8));
}

#[test]
fn limits_end_the_parsing_with_an_error() {
    let limited = |limits| Options { limits, ..Options::default() };
    let nested = br#"{"k1":{"k2":{"k3":{"k4":{"k5":"v"}}}}}"#;
    let five = parse(nested, &limited(Limits { depth: 5, ..Limits::default() }));
    assert_eq!((five.len(), five.error), (1, None));
    let four = parse(nested, &limited(Limits { depth: 4, ..Limits::default() }));
    assert_eq!(four.error.map(|e| e.reason), Some(Reason::Depth(4)));

    let body = b"[1,2,3,4,5]";
    let five = parse(body, &limited(Limits { arguments: 5, ..Limits::default() }));
    assert_eq!((five.len(), five.error), (5, None));
    let four = parse(body, &limited(Limits { arguments: 4, ..Limits::default() }));
    assert_eq!((four.len(), four.error.map(|e| e.reason)), (4, Some(Reason::Arguments(4))));

    let names = parse(b"{\"long\":[1,2]}", &limited(Limits { name_bytes: 12, ..Limits::default() }));
    assert_eq!((names.len(), names.error.map(|e| e.reason)), (1, Some(Reason::NameBytes(12))));
}

#[test]
fn error_text_says_what_and_where() {
    let error = parse(b"{\"a\":1", &Options::default()).error.unwrap();
    assert_eq!(error.to_string(), "JSON parsing error: parse error: premature EOF (at byte 6)");
}
