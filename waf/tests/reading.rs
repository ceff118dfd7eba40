//! What reading a request costs when there are hardly any rules: the transaction's set-up, its line,
//! headers, cookies, query and body, up to the variables.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart};

/// Rounds of which the fastest counts.
const ROUNDS: usize = 400;

/// How a proxy hands in a body: piece by piece.
const CHUNK: usize = 16 << 10;

struct Request {
    label: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

#[test]
#[ignore = "a measurement: cargo test -p hop3-waf --test reading -- --ignored --nocapture"]
fn what_reading_costs() {
    let engine = "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyNoFilesLimit 2097152\n";
    let plain = support::ruleset(engine);
    let json = support::ruleset(&format!(
        "{engine}SecAction \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
    ));
    for request in requests() {
        let ruleset = if request.label.starts_with("JSON") { &json } else { &plain };
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            let batch = if request.body.len() > 50_000 { 1 } else { 20 };
            let starts: Vec<_> = (0..batch).map(|_| start()).collect();
            let began = Instant::now();
            for start in starts {
                run(ruleset, start, black_box(&request));
            }
            best = best.min(began.elapsed() / batch);
        }
        println!("{:26} {:>9.3} µs", request.label, best.as_nanos() as f64 / 1e3);
    }
}

fn start() -> TransactionStart {
    TransactionStart { id: "0123456789abcdef".into(), unix_time: Duration::from_secs(1), entropy: 1 }
}

fn run(ruleset: &Arc<Ruleset>, start: TransactionStart, request: &Request) {
    let connection =
        Connection { client: ([203, 0, 113, 77], 51_234).into(), server: ([10, 0, 0, 1], 443).into() };
    let mut transaction = Transaction::new(Arc::clone(ruleset), start, connection);
    let method = if request.body.is_empty() { "GET" } else { "POST" };
    transaction.set_request_line(method.as_bytes(), request.target.as_bytes(), b"HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    let _ = transaction.process_request_headers();
    for chunk in request.body.chunks(CHUNK) {
        let _ = transaction.append_request_body(chunk);
    }
    assert_eq!(transaction.process_request_body(), hop3_waf::Verdict::Pass);
    transaction.process_logging();
}

fn requests() -> Vec<Request> {
    let mut many = get("many headers and cookies", "/account");
    for n in 0..20 {
        many.headers.push((format!("X-Header-{n}"), format!("value {n} of many, as proxies add them")));
    }
    let cookies: Vec<String> = (0..30).map(|n| format!("cookie{n}=0123456789abcdef{n}")).collect();
    many.headers.push(("Cookie".into(), cookies.join("; ")));
    let form = "name=Ann+Miller&email=ann.miller%40example.org&street=Station+Road+1&city=Springfield&postcode=12345\
        &phone=%2B44+20+7946+0911&message=Hello%2C+could+you+please+send+me+the+price+list+for+this+year+and+tell+me+\
        whether+the+blue+model+is+still+available%3F+I+would+need+three+of+them+before+the+end+of+the+month.\
        +Thank+you+very+much+in+advance%2C+kind+regards%2C+Ann&newsletter=yes&terms=accepted&channel=search&campaign=autumn";
    let mut file = b"--B0undary\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHolidays\r\n\
        --B0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"
        .to_vec();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    file.extend((0..1 << 20).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    }));
    file.extend_from_slice(b"\r\n--B0undary--\r\n");
    vec![
        get("nothing", "/"),
        get("short GET", "/products?page=1"),
        get(
            "GET, 10 arguments",
            "/search?q=red+shoes&size=42&colour=blue&brand=acme&sort=price&order=asc&page=1&limit=20&lang=en&currency=EUR",
        ),
        many,
        post("form POST, 0.5 KB", "application/x-www-form-urlencoded", form.into()),
        post("JSON 1 KB", "application/json", rows(1 << 10, 1)),
        post("JSON 10 KB", "application/json", rows(10 << 10, 1)),
        post("JSON 100 KB", "application/json", rows(100 << 10, 9)),
        post("multipart 1 MB", "multipart/form-data; boundary=B0undary", file),
    ]
}

/// Rows of an order, `size` bytes of them; the texts are `long` times as long.
fn rows(size: usize, long: usize) -> Vec<u8> {
    let mut out = "{\"order\":{\"items\":[".to_owned();
    for n in 0.. {
        let text = "A plain description of the item. ".repeat(long);
        let _ = write!(
            out,
            "{{\"id\":{n},\"name\":\"item {n}\",\"price\":{n}.50,\"inStock\":true,\"text\":\"{text}\"}}"
        );
        if out.len() >= size {
            break;
        }
        out.push(',');
    }
    out.push_str("]}}");
    out.into_bytes()
}

fn get(label: &'static str, target: &str) -> Request {
    let headers = [
        ("Host", "shop.example.org"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "en-GB,en;q=0.5"),
        ("Accept-Encoding", "gzip, deflate, br"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Request { label, target: target.to_owned(), headers, body: Vec::new() }
}

fn post(label: &'static str, content_type: &str, body: Vec<u8>) -> Request {
    let mut request = Request { body, ..get(label, "/contact") };
    request.headers.push(("Content-Type".to_owned(), content_type.to_owned()));
    request.headers.push(("Content-Length".to_owned(), request.body.len().to_string()));
    request
}
