//! Whatever bytes arrive, in whatever order: no panic, no loss of the verdict,
//! and time in proportion to the size.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "../../tests/src/processor_time.rs"]
mod processor_time;
mod support;

use std::time::Duration;

use hop3_waf::Verdict;

const ENGINE: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecDefaultAction \"phase:1,log,auditlog,pass\"\nSecDefaultAction \"phase:2,log,auditlog,pass\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"xml\" \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"json\" \"id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";

const TYPES: [&str; 6] = [
    "application/x-www-form-urlencoded",
    "application/json",
    "text/xml",
    "multipart/form-data; boundary=B",
    "text/plain",
    "",
];

/// A small generator (xorshift64*), so that failures repeat.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Bytes that parsers and rules care about, mixed with any others.
    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        const SPICE: &[&[u8]] = &[
            b"%",
            b"&",
            b"=",
            b"\r\n",
            b"--B",
            b"\"",
            b"{\"a\":[",
            b"]}",
            b"<a b='",
            b"</a>",
            b"' or 1=1--",
            b"<script>",
            b"../",
            b"%u0041",
            b"\xc0\xaf",
            b"\0",
            b";",
            b"union select",
            b"${",
            b"\\x41",
        ];
        let mut out = Vec::new();
        for _ in 0..self.below(longest / 2 + 1) {
            match self.below(3) {
                0 => out.extend_from_slice(SPICE[self.below(SPICE.len())]),
                1 => out.push(self.next() as u8),
                _ => out.push(b'a' + self.below(26) as u8),
            }
        }
        out
    }
}

#[test]
fn random_requests_in_random_order() {
    let Some(document) = support::crs(ENGINE, "") else { return };
    let ruleset = std::sync::Arc::new(hop3_waf::Ruleset::compile(&document).unwrap());
    let mut random = Random(0x5eed);
    for _ in 0..400 {
        let mut transaction = support::transaction(&ruleset);
        for _ in 0..random.below(12) {
            match random.below(9) {
                0 => {
                    let (method, target) = (random.bytes(8), random.bytes(100));
                    transaction.set_request_line(&method, &target, b"HTTP/1.1");
                }
                1 => transaction.add_request_header(&random.bytes(10), &random.bytes(60)),
                2 => transaction
                    .add_request_header(b"Content-Type", TYPES[random.below(TYPES.len())].as_bytes()),
                3 => drop(transaction.process_request_headers()),
                4 => drop(transaction.append_request_body(&random.bytes(400))),
                5 => drop(transaction.process_request_body()),
                6 => {
                    transaction.add_response_header(b"Content-Type", b"text/html");
                    drop(transaction.process_response_headers(random.below(600) as u16, b"HTTP/1.1"));
                }
                7 => drop(transaction.append_response_body(&random.bytes(400))),
                _ => drop(transaction.process_response_body()),
            }
        }
        let before = transaction.interruption().cloned();
        transaction.process_logging();
        transaction.process_logging();
        assert_eq!(transaction.interruption().cloned(), before, "logging changed the verdict");
        let context = transaction.log_context();
        assert!(transaction.matches().iter().all(|m| m.log_line(&context).len() < 32_768));
    }
}

#[test]
fn transactions_move_between_threads() {
    fn sendable<T: Send>() {}
    fn shareable<T: Send + Sync>() {}
    sendable::<hop3_waf::Transaction>();
    shareable::<hop3_waf::Ruleset>();
}

#[test]
fn an_interruption_is_repeated_by_every_later_phase() {
    let ruleset = support::ruleset(
        "SecRuleEngine On\nSecAction \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:3,pass\"\n",
    );
    let mut transaction = support::transaction(&ruleset);
    // The headers were never evaluated: phase 1 is made up for.
    let Verdict::Interrupt(first) = transaction.process_request_body() else { panic!("passed") };
    assert_eq!(first.rule_id, 1);
    assert_eq!(transaction.process_request_headers(), Verdict::Interrupt(first.clone()));
    assert_eq!(transaction.process_response_headers(200, b"HTTP/1.1"), Verdict::Interrupt(first));
    assert_eq!(transaction.matches().len(), 1);
}

/// Bodies made to be slow, 128 KiB each, must stay within a bound that only
/// something worse than linear breaks (this profile is hardly optimised).
#[test]
fn large_hostile_bodies_take_linear_time() {
    const LIMIT: Duration = Duration::from_secs(5);
    let Some(document) = support::crs(ENGINE, "") else { return };
    let ruleset = std::sync::Arc::new(hop3_waf::Ruleset::compile(&document).unwrap());
    let cost = |kind: &str, body: &str| {
        let mut transaction = support::transaction(&ruleset);
        transaction.set_request_line(b"POST", b"/", b"HTTP/1.1");
        transaction.add_request_header(b"Content-Type", kind.as_bytes());
        let _ = transaction.process_request_headers();
        let _ = transaction.append_request_body(body.as_bytes());
        let began = processor_time::now();
        let _ = transaction.process_request_body();
        processor_time::now() - began
    };
    for ((kind, body), (_, eighth)) in hostile(1 << 17).iter().zip(hostile(1 << 14)) {
        let took = processor_time::least(LIMIT, || cost(kind, body));
        println!("{kind:33} {:?}… {} KiB: {took:?}", &body[..12], body.len() / 1024);
        let linear = || processor_time::is_linear(|| cost(kind, &eighth), || cost(kind, body));
        assert!(took < LIMIT || linear(), "{kind} took {took:?}");
    }
}

/// Bodies of about this size, each with its type.
fn hostile(size: usize) -> [(&'static str, String); 7] {
    let fill = |unit: &str| unit.repeat(size / unit.len());
    [
        (TYPES[0], fill("a=%25&")),
        (TYPES[0], format!("a={}", fill("select "))),
        (TYPES[0], format!("a={}", fill("/*!"))),
        (TYPES[0], format!("a={}", fill("<a "))),
        (TYPES[1], format!("[{}1]", fill("\"x' or 1=1\","))),
        (TYPES[2], format!("<r>{}</r>", fill("<a b='c'/>"))),
        (TYPES[3], fill("--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n")),
    ]
}
