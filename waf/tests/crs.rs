//! The Core Rule Set as a whole: it loads, lets ordinary requests pass and
//! refuses attacks.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hop3_waf::{Ruleset, Transaction, Verdict};

const ENGINE: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecDefaultAction \"phase:1,log,auditlog,pass\"\nSecDefaultAction \"phase:2,log,auditlog,pass\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
    \"id:'200001',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";

fn load() -> Option<Arc<Ruleset>> {
    let began = Instant::now();
    let document = support::crs(ENGINE, "")?;
    let parsed = began.elapsed();
    let ruleset = Ruleset::compile(&document).unwrap_or_else(|error| panic!("{error}"));
    let total = began.elapsed();
    println!("rules={} parse={parsed:?} compile={:?}", ruleset.rule_count(), total - parsed);
    Some(Arc::new(ruleset))
}

fn request(ruleset: &Arc<Ruleset>, target: &str, body: Option<(&str, &str)>) -> (Verdict, Transaction) {
    let mut transaction = support::transaction(ruleset);
    let method = if body.is_some() { "POST" } else { "GET" };
    transaction.set_request_line(method.as_bytes(), target.as_bytes(), b"HTTP/1.1");
    for (name, value) in [
        ("Host", "shop.example.org"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "en-US,en;q=0.5"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Connection", "keep-alive"),
    ] {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    if let Some((kind, body)) = body {
        transaction.add_request_header(b"Content-Type", kind.as_bytes());
        transaction.add_request_header(b"Content-Length", body.len().to_string().as_bytes());
    }
    let mut verdict = transaction.process_request_headers();
    if let Some((_, body)) = body {
        let _ = transaction.append_request_body(body.as_bytes());
    }
    if verdict == Verdict::Pass {
        verdict = transaction.process_request_body();
    }
    (verdict, transaction)
}

#[test]
fn ordinary_requests_pass_and_attacks_do_not() {
    let Some(ruleset) = load() else { return };
    assert!(ruleset.rule_count() > 0);
    for target in ["/", "/index.html", "/shop/item?id=42&name=blue+shoes&sort=price", "/search?q=caf%C3%A9"] {
        let (verdict, transaction) = request(&ruleset, target, None);
        let logged: Vec<_> = transaction.matches().iter().filter(|m| m.logged).collect();
        assert_eq!(verdict, Verdict::Pass, "{target}: {logged:#?}");
    }
    let json = r#"{"user":{"name":"Ann","tags":["a","b"]},"n":3}"#;
    assert_eq!(request(&ruleset, "/api", Some(("application/json", json))).0, Verdict::Pass);
    for (target, id) in [
        ("/?id=1%20UNION%20SELECT%20password%20FROM%20users--", 942_100),
        ("/?q=%3Cscript%3Ealert(1)%3C/script%3E", 941_100),
        ("/?f=../../../../etc/passwd", 930_120),
        ("/?c=;cat%20/etc/passwd", 932_160),
    ] {
        if !ruleset.rule_ids().any(|known| known == id) {
            println!("skipped: this release has no rule {id}");
            continue;
        }
        let (verdict, mut transaction) = request(&ruleset, target, None);
        let Verdict::Interrupt(interruption) = verdict else { panic!("{target} passed") };
        assert_eq!((interruption.rule_id, interruption.status, interruption.phase), (949_110, 403, 2));
        let ids: Vec<u64> = transaction.matches().iter().map(|m| m.rule_id).collect();
        assert!(ids.contains(&id), "{target}: {ids:?}");
        transaction.process_logging();
        let context = transaction.log_context();
        let lines: Vec<String> =
            transaction.matches().iter().filter(|m| m.logged).map(|m| m.log_line(&context)).collect();
        assert!(lines.iter().any(|line| line.contains(&format!("[id \"{id}\"]"))), "{lines:#?}");
    }
    let attack = r#"{"a":["x",{"b":"1' or '1'='1"}]}"#;
    assert_ne!(request(&ruleset, "/api", Some(("application/json", attack))).0, Verdict::Pass);
}

/// Resident memory of this process in KiB, on Linux.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

/// CPU time of this thread on Linux, else the time that went by.
fn cpu_time(began: Instant) -> Duration {
    let on_cpu = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = on_cpu.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| began.elapsed(), Duration::from_nanos)
}

#[test]
fn timing() {
    let before = resident();
    let Some(ruleset) = load() else { return };
    let loaded = resident();
    let json = |bytes: usize| {
        let item = r#"{"sku":"A-1043","name":"blue shoes","price":"49.90","tags":["summer","sale"]},"#;
        format!("[{}1]", item.repeat(bytes / item.len()))
    };
    let (small, large) = (json(1024), json(10 * 1024));
    let form = "name=Ann+Smith&city=Paris&note=hello+world%21&n=7";
    for (label, target, body) in [
        ("short GET", "/index.html?id=42", None),
        ("form POST", "/form", Some(("application/x-www-form-urlencoded", form))),
        ("JSON 1 KB", "/api", Some(("application/json", small.as_str()))),
        ("JSON 10 KB", "/api", Some(("application/json", large.as_str()))),
    ] {
        assert_eq!(request(&ruleset, target, body).0, Verdict::Pass, "{label}");
        const ROUNDS: u32 = 100;
        let began = Instant::now();
        let before = cpu_time(began);
        for _ in 0..ROUNDS {
            let _ = request(&ruleset, target, body);
        }
        println!("{label}: {:?} of CPU a request", (cpu_time(began) - before) / ROUNDS);
    }
    println!("resident: {before:?} KiB, loaded {loaded:?}, after requests {:?}", resident());
}
