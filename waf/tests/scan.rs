//! The scan against the plain walk over the same rules: whatever a request
//! holds, both tell the same.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use hop3_waf::{Interruption, RuleMatch, Ruleset, Strategy, Transaction, Verdict};

const ENGINE: &str = "SecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/plain text/html\n\
    SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
    \"id:'200000',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
    \"id:'200001',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";

fn setup(level: u8) -> String {
    format!(
        "SecAction \"id:900005,phase:1,nolog,pass,setvar:tx.blocking_paranoia_level={level},\
         setvar:tx.detection_paranoia_level={level},setvar:tx.crs_validate_utf8_encoding=1,\
         setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,setvar:tx.max_num_args=255\"\n"
    )
}

fn load(engine: &str, level: u8) -> Option<Arc<Ruleset>> {
    let document = support::crs(&format!("SecRuleEngine {engine}\n{ENGINE}"), &setup(level))?;
    Some(Arc::new(Ruleset::compile(&document).unwrap_or_else(|error| panic!("{error}"))))
}

/// Texts that rules were written for: the inputs of the ruleset's own tests, line by line.
fn fragments() -> Vec<Vec<u8>> {
    let mut found = BTreeSet::new();
    if let Some(folder) = support::test_data("crs/tests/regression/tests") {
        collect(&folder, &mut found);
    }
    found.into_iter().collect()
}

fn collect(folder: &Path, found: &mut BTreeSet<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if let Ok(text) = std::fs::read(&path) {
            for line in text.split(|byte| *byte == b'\n') {
                let line = line.trim_ascii();
                if let Some(colon) = line.iter().position(|byte| *byte == b':')
                    && line.len() > colon + 5
                {
                    let value = line[colon + 1..].trim_ascii();
                    found.insert(value.iter().copied().filter(|byte| *byte != b'"').collect());
                }
            }
        }
    }
}

fn percent_encoded(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect()
}

/// One request; how it is put together follows from the number.
struct Request {
    target: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    fn new(number: usize, fragment: &[u8], other: &[u8]) -> Self {
        let header = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
        let mut request = Self {
            target: b"/index.php".to_vec(),
            headers: vec![header("Host", b"shop.example.org")],
            body: Vec::new(),
        };
        request.headers.push(header("User-Agent", b"Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0"));
        let clean: Vec<u8> = fragment.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        match number % 9 {
            0 => {
                request.target =
                    [b"/a?x=", &percent_encoded(fragment)[..], b"&y=", &percent_encoded(other)].concat()
            }
            1 => request.target = [b"/", &clean[..]].concat(),
            2 => request.target = [b"/?", &clean[..]].concat(),
            3 => request.headers.push(header("Cookie", &[b"a=", &clean[..], b"; b=c"].concat())),
            4 => request
                .headers
                .push(header(["Referer", "User-Agent", "X-Other", "Accept", "Range"][number % 5], &clean)),
            5 => request.post(
                "application/x-www-form-urlencoded",
                [b"f=", &percent_encoded(fragment)[..], b"&", &clean].concat(),
            ),
            6 => {
                let text = serde_json::json!({"a": String::from_utf8_lossy(fragment), "b": [{"c": String::from_utf8_lossy(other)}, 1, null]});
                request.post("application/json", text.to_string().into_bytes());
            }
            7 => {
                let body = [
                    b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"",
                    &clean[..],
                    b"\"\r\nContent-Type: text/plain\r\n\r\n",
                    fragment,
                    b"\r\n--B\r\nContent-Disposition: form-data; name=\"g\"\r\n\r\n",
                    other,
                    b"\r\n--B--\r\n",
                ]
                .concat();
                request.post("multipart/form-data; boundary=B", body);
            }
            _ => {
                let body = [b"<a b=\"x\">", &clean[..], b"<c>", other, b"</c></a>"].concat();
                request.post("text/xml", body);
            }
        }
        request
    }

    fn post(&mut self, kind: &str, body: Vec<u8>) {
        self.headers.push((b"Content-Type".to_vec(), kind.as_bytes().to_vec()));
        self.headers.push((b"Content-Length".to_vec(), body.len().to_string().into_bytes()));
        self.body = body;
    }
}

/// What a transaction told, and what it left behind.
type Told = (Vec<RuleMatch>, Option<Interruption>, Vec<Option<Vec<u8>>>);

fn run(mut transaction: Transaction, request: &Request, answer: &[u8]) -> Told {
    let method: &[u8] = if request.body.is_empty() { b"GET" } else { b"POST" };
    transaction.set_request_line(method, &request.target, b"HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.add_request_header(name, value);
    }
    let mut verdict = transaction.process_request_headers();
    if verdict == Verdict::Pass {
        let _ = transaction.append_request_body(&request.body);
        verdict = transaction.process_request_body();
    }
    if verdict == Verdict::Pass {
        transaction.add_response_header(b"Content-Type", b"text/html");
        verdict = transaction.process_response_headers(200, b"HTTP/1.1");
    }
    if verdict == Verdict::Pass {
        let _ = transaction.append_response_body(answer);
        let _ = transaction.process_response_body();
    }
    transaction.process_logging();
    let told = transaction.matches().iter().filter(|found| found.logged || found.audit).cloned().collect();
    let variables = [
        "blocking_inbound_anomaly_score",
        "detection_inbound_anomaly_score",
        "sql_injection_score",
        "blocking_outbound_anomaly_score",
        "detection_paranoia_level",
        "crs_setup_version",
    ];
    let variables = variables.iter().map(|name| transaction.tx(name)).collect();
    (told, transaction.interruption().cloned(), variables)
}

/// Random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }

    /// A fragment, most often with something changed in it.
    fn mutant(&mut self, fragments: &[Vec<u8>]) -> Vec<u8> {
        const MARKS: &[u8] = b"\"'\\^,; \t\r\n\0%&+<>=/.()[]{}$|`#*!~\x80\xa0\xc2\xff";
        let mut text = fragments[self.below(fragments.len())].clone();
        for _ in 0..self.below(4) {
            let at = self.below(text.len() + 1);
            match self.below(6) {
                0 => text.insert(at, MARKS[self.below(MARKS.len())]),
                1 => text.truncate(at),
                2 => text.splice(at..at, std::iter::repeat_n(b'a', 1 + self.below(200))).for_each(drop),
                3 => text.make_ascii_uppercase(),
                4 => text.extend_from_within(at..),
                _ => text.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x20),
            }
        }
        text.truncate(1500);
        text
    }

    /// Many values in one body, some of them more than once.
    fn mixture(&mut self, fragments: &[Vec<u8>]) -> Request {
        let mut values: Vec<Vec<u8>> = Vec::new();
        for _ in 0..3 + self.below(50) {
            values.push(match self.below(3) {
                0 if !values.is_empty() => values[self.below(values.len())].clone(),
                1 => format!("{} word {}", self.below(90), self.below(5)).into_bytes(),
                _ => self.mutant(fragments),
            });
        }
        let mut request = Request::new(1, b"shop/cart.php", b"");
        match self.below(4) {
            0 => {
                let texts = values.iter().map(|value| String::from_utf8_lossy(value));
                let items = texts.map(|text| serde_json::json!({"sku": text, "n": [1, true]}));
                let body = serde_json::Value::from_iter(items);
                request.post("application/json", body.to_string().into_bytes());
            }
            1 => {
                let fields = values.iter().map(|value| [b"f=", &percent_encoded(value)[..], b"&"].concat());
                request.post("application/x-www-form-urlencoded", fields.collect::<Vec<_>>().concat());
            }
            2 => {
                let head = b"--B\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n";
                let parts = values.iter().map(|value| [&head[..], value, b"\r\n"].concat());
                let body = [&parts.collect::<Vec<_>>().concat()[..], b"--B--\r\n"].concat();
                request.post("multipart/form-data; boundary=B", body);
            }
            _ => {
                let elements = values.iter().map(|value| [b"<c d=\"x\">", &value[..], b"</c>"].concat());
                let body = [b"<a>", &elements.collect::<Vec<_>>().concat()[..], b"</a>"].concat();
                request.post("text/xml", body);
            }
        }
        request
    }
}

fn compare_mixtures(engine: &str, level: u8, count: usize) {
    let Some(ruleset) = load(engine, level) else { return };
    let fragments = fragments();
    if fragments.is_empty() {
        return;
    }
    let mut random = Random(u64::from(level));
    let mut matched = 0;
    for number in 0..count {
        let request = random.mixture(&fragments);
        let scanned = run(support::transaction(&ruleset), &request, b"");
        let walked = run(support::transaction(&ruleset).with_plain_evaluation(), &request, b"");
        matched += usize::from(!walked.0.is_empty());
        let body = request.body.escape_ascii();
        assert!(scanned == walked, "mixture {number}: {body}\nscan {scanned:#?}\nwalk {walked:#?}");
    }
    assert!(matched > count / 4, "only {matched} match");
}

fn compare(engine: &str, level: u8, step: usize) {
    let Some(ruleset) = load(engine, level) else { return };
    let fragments = fragments();
    let mut matched = 0;
    for number in (0..fragments.len()).step_by(step) {
        let (fragment, other) = (&fragments[number], &fragments[(number * 7 + 13) % fragments.len()]);
        let request = Request::new(number + number / 9, fragment, other);
        let scanned = run(support::transaction(&ruleset), &request, fragment);
        let walked = run(support::transaction(&ruleset).with_plain_evaluation(), &request, fragment);
        matched += usize::from(!walked.0.is_empty());
        assert!(
            scanned == walked,
            "request {number}: {}\n{:?}\nscan {scanned:#?}\nwalk {walked:#?}",
            request.target.escape_ascii(),
            String::from_utf8_lossy(fragment)
        );
    }
    println!("{engine} at {level}: {} requests, {matched} with matches", fragments.len() / step);
    assert!(fragments.is_empty() || matched > 100);
}

#[test]
fn detection_at_level_4() {
    compare("DetectionOnly", 4, 2);
}

#[test]
fn blocking_at_level_1() {
    compare("On", 1, 1);
}

#[test]
fn detection_at_level_3() {
    compare("DetectionOnly", 3, 7);
}

#[test]
fn blocking_at_level_4() {
    compare("On", 4, 5);
}

#[test]
fn mixtures() {
    compare_mixtures("On", 1, 150);
    compare_mixtures("DetectionOnly", 3, 60);
    compare_mixtures("On", 4, 60);
}

#[test]
fn blocking_at_level_2() {
    compare("On", 2, 3);
}

/// What a rule before them looks at does not matter, as long as it writes no TX variable.
#[test]
fn paths_with_named_parts_hinder_no_folding() {
    let rules = "SecAction \"id:1,phase:1,nolog,pass,setvar:tx.level=1\"\n\
                 SecRule TX:LEVEL \"@lt 2\" \"id:2,phase:1,pass,nolog,skipAfter:END\"\n\
                 SecRule ARGS \"@rx attack\" \"id:3,phase:1,deny\"\nSecMarker END\n";
    let path = "SecRule REQUEST_FILENAME \"@restpath /a/{id}\" \"id:4,phase:1,nolog,pass\"\n";
    let folded = |rules: &str| {
        let ruleset = support::ruleset(rules);
        ruleset.strategies().filter(|(_, strategy)| *strategy == Strategy::Folded).count()
    };
    assert_eq!(folded(&format!("{path}{rules}")), folded(rules));
    assert!(folded(rules) > 0);
}

/// Rules of which a scan, or what is worked out at load, could make something else than the walk does.
#[test]
fn unusual_rules_mean_what_they_mean_in_the_walk() {
    let long = "a".repeat(128);
    let of_long_name = format!("SecRule ARGS:{long} \"@contains evil\" \"id:3,phase:1,deny,log\"\n");
    let captures = "SecRule REQUEST_HEADERS_NAMES \"@rx ^.*$\" \"id:2,phase:1,deny,log,capture,\
        setvar:'tx.hq_%{tx.0}=/%{tx.0}/',chain\"\n  SecRule TX:/^hq_/ \"@within /proxy/\"\n";
    let reads = "SecRule TX:0 \"@streq Host\" \"id:3,phase:1,deny,log\"\n";
    let reads_later = "SecRule TX:0 \"@streq Host\" \"id:3,phase:2,deny,log\"\n";
    let skips = "SecRule REQUEST_URI \"@contains skip\" \"id:1,phase:1,pass,nolog,skipAfter:END\"\n";
    let removes = "SecRule REQUEST_URI \"@contains skip\" \"id:4,phase:1,pass,nolog,ctl:ruleRemoveById=2\"\n";
    let cases = [
        (of_long_name, format!("/?{long}=evil"), true),
        (
            "SecRule ARGS|!ARGS:foo \"@contains zzz\" \"id:1,phase:1,pass,nolog\"\n\
             SecRule ARGS:/(?-i)^Foo$/ \"@contains evil\" \"id:3,phase:1,deny,log\"\n"
                .to_owned(),
            "/?Foo=evil".to_owned(),
            true,
        ),
        (
            "SecRule ARGS:foo \"@contains zzz\" \"id:1,phase:1,pass,nolog\"\n\
             SecRule \"ARGS|!ARGS:/(?-i)^foo$/\" \"@contains evil\" \"id:3,phase:1,deny,log\"\n"
                .to_owned(),
            "/?FOO=evil".to_owned(),
            true,
        ),
        (
            "SecRule REQUEST_FILENAME \"@restpath /a/{id}\" \"id:1,phase:1,nolog,pass\"\n\
             SecAction \"id:2,phase:1,nolog,pass,setvar:tx.x=+1\"\n\
             SecRule TX:X \"@eq 1\" \"id:3,phase:1,deny,log\"\n"
                .to_owned(),
            "/a/5".to_owned(),
            true,
        ),
        (format!("{captures}{reads}"), "/".to_owned(), true),
        (format!("{skips}{captures}SecMarker END\n{reads}"), "/skip".to_owned(), false),
        (format!("{skips}{captures}SecMarker END\n{reads}"), "/".to_owned(), true),
        (format!("{removes}{captures}{reads}"), "/skip".to_owned(), false),
        (format!("{captures}{removes}{reads}"), "/skip".to_owned(), true),
        (format!("{captures}{reads_later}"), "/".to_owned(), true),
    ];
    for (rules, target, is_refused) in cases {
        let rules = format!("SecRuleEngine On\n{rules}");
        let ruleset = support::ruleset(&rules);
        let headers = vec![(b"Host".to_vec(), b"shop.example.org".to_vec())];
        let request = Request { target: target.clone().into_bytes(), headers, body: Vec::new() };
        let walked = run(support::transaction(&ruleset).with_plain_evaluation(), &request, b"");
        assert_eq!(walked.1.is_some(), is_refused, "{rules}{target}");
        assert_eq!(run(support::transaction(&ruleset), &request, b""), walked, "{rules}{target}");
    }
}

/// What browsers send is passed over only where no rule has anything to say about it.
#[test]
fn well_known_fields_are_seen_by_rules_that_want_them() {
    let rules = support::ruleset(
        "SecRuleEngine DetectionOnly\n\
         SecRule REQUEST_HEADERS:Connection \"@streq keep-alive\" \"id:1,phase:1,pass,log\"\n\
         SecRule REQUEST_HEADERS \"@contains NAVIGATE\" \"id:2,phase:1,pass,log,t:uppercase\"\n\
         SecRule REQUEST_HEADERS_NAMES \"@rx ^accept-\" \"id:3,phase:2,pass,log,t:lowercase\"\n\
         SecRule REQUEST_HEADERS|!REQUEST_HEADERS:DNT \"@rx ^1$\" \"id:4,phase:1,pass,log\"\n\
         SecRule REQUEST_HEADERS:Cache-Control \"!@streq no-cache\" \"id:5,phase:1,pass,log\"\n\
         SecRule &REQUEST_HEADERS:DNT \"@eq 1\" \"id:6,phase:1,pass,log\"\n\
         SecRule REQUEST_HEADERS:Sec-Fetch-Site \"@within none cross-site\" \"id:7,phase:1,pass,log\"\n",
    );
    let told = |fields: &[(&str, &str)]| {
        let mut transaction = support::transaction(&rules);
        transaction.set_request_line(b"GET", b"/", b"HTTP/1.1");
        for (name, value) in fields {
            transaction.add_request_header(name.as_bytes(), value.as_bytes());
        }
        let _ = transaction.process_request_headers();
        let _ = transaction.process_request_body();
        transaction.matches().iter().map(|found| found.rule_id).collect::<Vec<u64>>()
    };
    assert_eq!(told(&[("Connection", "keep-alive"), ("connection", "close")]), [1]);
    assert_eq!(told(&[("Keep-Alive", "keep-alive"), ("Sec-Fetch-Mode", "navigate")]), [2]);
    assert_eq!(told(&[("Accept-Language", "*"), ("Accept", "*/*")]), [3]);
    assert_eq!(told(&[("accept-encoding", "gzip, deflate, br")]), [3]);
    assert_eq!(told(&[("DNT", "1")]), [6]);
    assert_eq!(told(&[("Upgrade-Insecure-Requests", "1"), ("Sec-GPC", "1")]), [4]);
    assert_eq!(told(&[("Cache-Control", "max-age=0"), ("Pragma", "no-cache")]), [5]);
    assert_eq!(told(&[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "same-origin")]), [7]);
}
