//! Malformed requests: answered with 4xx, logged, counted, the connection closed; the back end sees none of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use hop3_proxy::Event;
use support::{Client, Reply, backend, ok, start, to};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn hello(_: &support::Received) -> Reply {
    Reply::Keep(ok("hello"))
}

/// A request that must never reach the back end, hidden behind the malformed one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";

#[tokio::test]
async fn malformed_heads_reach_no_back_end() {
    let backend = backend(hello).await;
    let mut proxy = start(vec![to(&backend)]);
    let post = |lines: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: shop.test\r\n{lines}\r\n{body}");
    let huge = format!("GET / HTTP/1.1\r\nHost: shop.test\r\nA: {}\r\n\r\n", "a".repeat(70_000));
    let cases = [
        (post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400),
        (post("Content-Length: 0\r\nContent-Length: 44\r\n", ""), 400),
        (post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400),
        (post("Content-Length: 5, 5\r\n", "hello"), 400),
        (post("Content-Length: +5\r\n", "hello"), 400),
        (post("Content-Length: 5 \x0b\r\n", "hello"), 400),
        (post("Content-Length : 5\r\n", "hello"), 400),
        (post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400),
        (post("X: a\r\n b\r\n", ""), 400),
        (post("X: a\rY: b\r\n", ""), 400),
        (post("X: a\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
        (post("X: a\0\r\n", ""), 400),
        (post("X Y: a\r\n", ""), 400),
        (post("Host: other.test\r\n", ""), 400),
        ("POST / HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET http://other.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\nHost: shop.test\n\n".to_owned(), 400),
        ("GET /\r\n\r\n".to_owned(), 400),
        ("GET foo HTTP/1.1\r\nHost: shop.test\r\n\r\n".to_owned(), 400),
        ("GET \\x HTTP/1.1\r\nHost: shop.test\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: shop.test/x\r\n\r\n".to_owned(), 400),
        ("TRACE / HTTP/1.1\r\nHost: shop.test\r\n\r\n".to_owned(), 405),
        ("CONNECT shop.test:80 HTTP/1.1\r\nHost: shop.test:80\r\n\r\n".to_owned(), 405),
        ("GET / HTTP/3.0\r\nHost: shop.test\r\n\r\n".to_owned(), 505),
        ("\x16\x03\x01\x02\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        (huge, 431),
    ];
    let count = cases.len();
    for (request, status) in cases {
        let mut client = Client::connect(proxy.http).await;
        client.send(format!("{request}{SMUGGLED}")).await;
        let answer =
            client.response(false).await.unwrap_or_else(|| panic!("no answer to {}", request.escape_debug()));
        let shown: String = request.chars().take(120).collect();
        assert_eq!(answer.status, status, "{}", shown.escape_debug());
        assert_eq!(answer.header("connection"), Some("close"), "{}", shown.escape_debug());
        assert!(client.is_closed().await, "{} left the connection open", shown.escape_debug());
        let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no record") };
        assert_eq!(record.status, status);
        let app = if record.host.is_empty() { "unrouted" } else { "shop" };
        assert_eq!(&*record.app, app, "{}", shown.escape_debug());
        assert!(record.note.is_some() && !record.target.contains('\n'));
        assert!(answer.text().contains(&record.id));
    }
    assert_eq!(backend.count(), 0, "{:?}", backend.requests.lock().unwrap());
    let rejected: f64 = proxy
        .handle
        .metrics()
        .lines()
        .filter(|line| line.starts_with("hop3_http_rejected_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(rejected, count as f64);
}

#[tokio::test]
async fn malformed_chunked_bodies_never_complete_at_the_back_end() {
    let backend = backend(hello).await;
    let proxy = start(vec![to(&backend)]);
    for body in [
        "x\r\n",
        "-1\r\n",
        "5\r\nhelloX",
        "5\nhello\r\n",
        "5 \r\nhello\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "ffffffffffffffff1\r\n",
    ] {
        let mut client = Client::connect(proxy.http).await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}"
            ))
            .await;
        let answer = client.response(false).await.unwrap();
        assert_eq!(answer.status, 400, "{}", body.escape_debug());
        assert!(client.is_closed().await);
    }
    assert_eq!(backend.count(), 0);
    assert!(proxy.handle.metrics().contains("hop3_http_rejected_total{reason=\"chunked_body\"} 7"));
}

#[tokio::test]
async fn odd_but_legal_requests_are_served() {
    let backend = backend(hello).await;
    let proxy = start(vec![to(&backend)]);
    for request in [
        "\r\nGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET http://shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:SHOP.test:8080\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: shop.test.\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "PATCH /%00 HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n",
    ] {
        let mut client = Client::connect(proxy.http).await;
        client.send(request).await;
        assert_eq!(client.response(false).await.unwrap().status, 200, "{}", request.escape_debug());
    }
    let mut client = Client::connect(proxy.http).await;
    client.send(b"GET /a?b=<\"\xff> HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    assert_eq!(client.response(false).await.unwrap().status, 200);
    assert_eq!(backend.last().line(), "GET /a?b=%3C%22%FF%3E HTTP/1.1");
}

/// What the HTTP/2 library refuses before anybody hears of it is seen all the same, and ends the connection in time.
#[tokio::test]
async fn malformed_http2_streams_are_counted_and_logged() {
    let backend = backend(hello).await;
    let mut proxy = start(vec![to(&backend)]);
    let mut stream = support::http2::shake_hands(proxy.https).await;
    let path = b"/?q=<script>";
    let mut fields = vec![0x82, 0x87, 0x41, 9];
    fields.extend_from_slice(b"shop.test");
    fields.extend_from_slice(&[0x44, path.len() as u8]);
    fields.extend_from_slice(path);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for id in (1..=79_u8).step_by(2) {
        bytes.extend_from_slice(&[0, 0, fields.len() as u8, 1, 5, 0, 0, 0, id]);
        bytes.extend_from_slice(&fields);
    }
    stream.write_all(&bytes).await.unwrap();
    let mut seen = Vec::new();
    let ended = tokio::time::timeout(support::PATIENCE, stream.read_to_end(&mut seen)).await;
    let _reset = ended.expect("the end of the connection");
    for _ in 0..32 {
        let event = tokio::time::timeout(support::PATIENCE, proxy.events.recv()).await.expect("a record");
        let Some(Event::Access(record)) = event else { panic!("no access record") };
        assert_eq!((&*record.app, record.status, record.protocol), ("shop", 499, "HTTP/2.0"));
        assert_eq!(record.note.as_deref(), Some("the HTTP/2 stream was reset as malformed"));
    }
    let metrics = proxy.handle.metrics();
    let count = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{metrics}"));
        line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    assert!(count("hop3_http_rejected_total{reason=\"http2_stream\"}") >= 32);
    assert!(count("hop3_ban_offences_total{reason=\"malformed\"}") >= 32);
    assert_eq!(backend.count(), 0);
}
