//! Requests through the proxy to HTTP back ends, over plain HTTP/1.1.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hop3_proxy::{Backend, Endpoint, Event, ProxyConfig, Route, RouteTable, ServerLimits};
use support::{Client, PATIENCE, Reply, backend, get, ok, response, route, start, start_with, to};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

fn hello(_: &support::Received) -> Reply {
    Reply::Keep(ok("hello"))
}

fn length_of_body(request: &support::Received) -> Reply {
    let sum = request.body.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    Reply::Keep(ok(format!("{} {sum}", request.body.len())))
}

#[tokio::test]
async fn a_request_reaches_the_back_end_and_its_answer_the_client() {
    let backend = backend(hello).await;
    let mut proxy = start(vec![to(&backend)]);
    let answer =
        Client::connect(proxy.http).await.request("GET", "/a?b=%20c", "X-A: 1\r\nx_b: 2\r\n", b"").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert!(answer.header("date").is_some());
    let seen = backend.last();
    assert_eq!(seen.line(), "GET /a?b=%20c HTTP/1.1");
    assert_eq!(seen.header("host"), Some("shop.test"));
    assert_eq!(seen.header("x-a"), Some("1"));
    assert_eq!(seen.header("x_b"), None);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.test"));
    assert_eq!((seen.header("x-forwarded-port"), seen.header("x-real-ip")), (Some("80"), Some("127.0.0.1")));
    let id = seen.header("x-request-id").unwrap();
    assert!(id.len() >= 20);
    assert_eq!(answer.header("x-request-id"), Some(id));
    let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no access record") };
    assert_eq!((record.id.as_str(), record.status, record.sent, &*record.app), (id, 200, 5, "shop"));
    assert!(record.upstream.is_some());
}

#[tokio::test]
async fn the_proxy_is_a_span_of_sampled_traces() {
    let backend = backend(hello).await;
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let parent = |flags: &str| Some(format!("00-{TRACE}-b7ad6b7169203331-{flags}"));
    // Spans, one of how many new traces, what the client sends; whether there is a span, and where it belongs.
    let cases = [
        (true, 1, None, true, None),
        (true, 0, None, false, None),
        (true, 1, Some("rubbish".to_owned()), true, None),
        (true, 0, parent("01"), true, Some(0xb7ad_6b71_6920_3331)),
        (true, 1, parent("00"), false, None),
        (false, 1, parent("01"), false, None),
        (false, 1, None, false, None),
    ];
    for (spans, sample_new_traces, sent, expected, parent) in cases {
        let config = ProxyConfig { spans, sample_new_traces, ..ProxyConfig::default() };
        let mut proxy = start_with(config, vec![to(&backend)]);
        let field = sent.as_ref().map(|sent| format!("traceparent: {sent}\r\n")).unwrap_or_default();
        Client::connect(proxy.http).await.request("GET", "/", &field, b"").await;
        let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no access record") };
        let (seen, case) = (backend.last(), format!("{spans} {sample_new_traces} {sent:?}"));
        let told = seen.header("traceparent");
        assert_eq!(record.trace.is_some(), expected, "{case}");
        let Some(span) = record.trace else {
            assert_eq!(told, sent.as_deref(), "{case}");
            continue;
        };
        assert_eq!(told, Some(&*format!("00-{:032x}-{:016x}-01", span.trace, span.span)), "{case}");
        assert_eq!(span.parent, parent, "{case}");
        assert_eq!(parent.is_some(), format!("{:032x}", span.trace) == TRACE, "{case}");
    }
}

#[tokio::test]
async fn connections_are_reused_on_both_sides() {
    let backend = backend(hello).await;
    let proxy = start(vec![to(&backend)]);
    let mut client = Client::connect(proxy.http).await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(backend.connections.load(Ordering::SeqCst), 1);
    // Pipelined requests are answered in order.
    client.send("GET /1 HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    assert_eq!(client.response(false).await.unwrap().status, 200);
    assert_eq!(client.response(false).await.unwrap().status, 200);
    assert_eq!(backend.last().line(), "GET /2 HTTP/1.1");
    let last = client.request("GET", "/", "Connection: close\r\n", b"").await;
    assert_eq!(last.header("connection"), Some("close"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn bodies_arrive_whole() {
    let backend = backend(length_of_body).await;
    let proxy = start(vec![to(&backend)]);
    let mut client = Client::connect(proxy.http).await;
    let large: Vec<u8> = (0..5_000_000_u32).map(|number| number as u8).collect();
    let sum: u64 = large.iter().map(|byte| u64::from(*byte)).sum();
    for (body, expected) in [(&b"abc"[..], "3 294".to_owned()), (&large[..], format!("5000000 {sum}"))] {
        let answer = client.request("POST", "/", "", body).await;
        assert_eq!(answer.text(), expected);
    }
    let chunked = "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nTrailer: x\r\n\r\n";
    for byte in chunked.as_bytes().chunks(7) {
        client.send(byte).await;
    }
    assert_eq!(client.response(false).await.unwrap().text(), "3 294");
    let seen = backend.last();
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    assert!(!seen.head.contains("Trailer"));
    let empty = client.request("POST", "/", "Content-Length: 0\r\n", b"").await;
    assert_eq!(empty.text(), "0 0");
    assert_eq!(backend.last().header("content-length"), Some("0"));
}

#[tokio::test]
async fn head_and_bodiless_answers() {
    fn answer(request: &support::Received) -> Reply {
        Reply::Keep(match request.line().split(' ').nth(1).unwrap() {
            "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            "/304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 7\r\n\r\n".to_vec(),
            "/early" => {
                b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                    .to_vec()
            }
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n".to_vec(),
        })
    }
    let backend = backend(answer).await;
    let proxy = start(vec![to(&backend)]);
    let mut client = Client::connect(proxy.http).await;
    let head = client.request("HEAD", "/", "", b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("1234")));
    assert_eq!(client.get("/204").await.status, 204);
    assert_eq!(client.get("/304").await.header("content-length"), Some("7"));
    let early = client.get("/early").await;
    assert_eq!((early.status, early.header("link")), (103, Some("x")));
    assert_eq!(client.response(false).await.unwrap().text(), "ok");
    assert_eq!(backend.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answers_of_unknown_length_are_streamed() {
    fn answer(request: &support::Received) -> Reply {
        match request.line() {
            "GET /close HTTP/1.1" => Reply::Close(b"HTTP/1.0 200 OK\r\n\r\nuntil close".to_vec()),
            "GET /chunked HTTP/1.1" => {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                Reply::Slowly(Duration::ZERO, vec![head, b"3\r\nabc\r\n".to_vec(), b"0\r\n\r\n".to_vec()])
            }
            // An event now, the next one never.
            _ => {
                let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
                Reply::Held([&head[..], b"data: x\n\n"].concat(), &NEVER, Vec::new())
            }
        }
    }
    static NEVER: Semaphore = Semaphore::const_new(0);
    let backend = backend(answer).await;
    let proxy = start(vec![to(&backend)]);
    let mut client = Client::connect(proxy.http).await;
    let closed = client.get("/close").await;
    assert_eq!(
        (closed.text().as_str(), closed.header("transfer-encoding")),
        ("until close", Some("chunked"))
    );
    assert_eq!(client.get("/chunked").await.text(), "abc");
    // The head and the first event arrive although the answer never ends.
    client.send("GET /events HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    client.head().await.unwrap();
    let event = async {
        while !client.buffer.windows(9).any(|window| window == b"data: x\n\n") {
            assert!(client.stream.read_buf(&mut client.buffer).await.unwrap() > 0, "{:?}", client.buffer);
        }
    };
    timeout(PATIENCE, event).await.expect("the event is not held back");
    // HTTP/1.0 clients get the end by closing.
    let mut old = Client::connect(proxy.http).await;
    old.send("GET /chunked HTTP/1.0\r\nHost: shop.test\r\n\r\n").await;
    let answer = old.response(false).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.header("transfer-encoding")), ("abc", None));
}

#[tokio::test]
async fn an_answer_that_breaks_off_looks_incomplete_to_old_clients() {
    let backend = backend(|_| {
        let begun = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9000\r\n"[..], &[b'x'; 0x9000]];
        Reply::Close([&begun.concat()[..], b"\r\n"].concat())
    })
    .await;
    let proxy = start(vec![to(&backend)]);
    let mut old = Client::connect(proxy.http).await;
    old.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n").await;
    assert!(old.is_reset().await, "the end of the connection would be the end of the answer");
}

#[tokio::test]
async fn expectations_are_met_by_the_proxy() {
    let backend = backend(length_of_body).await;
    let proxy = start(vec![to(&backend)]);
    let mut client = Client::connect(proxy.http).await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        .await;
    assert_eq!(client.head().await.unwrap().status, 100);
    client.send("abc").await;
    assert_eq!(client.response(false).await.unwrap().text(), "3 294");
    assert_eq!(backend.last().header("expect"), None);
}

#[tokio::test]
async fn websockets_pass() {
    fn answer(request: &support::Received) -> Reply {
        assert_eq!(request.header("upgrade"), Some("websocket"));
        assert_eq!(request.header("connection"), Some("Upgrade"));
        assert_eq!(request.header("sec-websocket-key"), Some("k"));
        Reply::Echo(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n".to_vec())
    }
    let backend = backend(answer).await;
    let mut proxy = start(vec![to(&backend)]);
    let mut client = Client::connect(proxy.http).await;
    client.send("GET /ws HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n").await;
    let head = client.head().await.unwrap();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-accept"), Some("a"));
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!(head.header("connection"), Some("Upgrade"));
    for message in ["one", "two"] {
        client.send(message).await;
        let mut echo = vec![0; 3];
        client.stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, message.as_bytes());
    }
    client.stream.shutdown().await.unwrap();
    assert!(client.is_closed().await);
    let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no access record") };
    assert_eq!((record.status, record.received, record.sent), (101, 6, 6));
}

#[tokio::test]
async fn a_websocket_that_is_cut_is_written_down_with_what_it_carried() {
    fn answer(_: &support::Received) -> Reply {
        Reply::Echo(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n".to_vec())
    }
    let backend = backend(answer).await;
    let mut proxy = start(vec![to(&backend)]);
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(proxy.http).await;
        client.send("GET /ws HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n").await;
        assert_eq!(client.head().await.unwrap().status, 101);
        client.send("hello").await;
        client.stream.read_exact(&mut [0; 5]).await.unwrap();
        clients.push(client);
    }
    let reset = clients.pop().unwrap();
    reset.stream.set_zero_linger().unwrap();
    drop(reset);
    let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no access record") };
    assert_eq!((record.status, record.received, record.sent), (101, 5, 5), "after a reset");
    assert!(!proxy.handle.shutdown(Duration::from_millis(10)).await);
    let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no access record") };
    assert_eq!((record.status, record.received, record.sent), (101, 5, 5), "after a shutdown");
}

#[tokio::test]
async fn other_upgrades_are_stripped() {
    let backend = backend(hello).await;
    let proxy = start(vec![to(&backend)]);
    let lines = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n";
    assert_eq!(Client::connect(proxy.http).await.request("GET", "/", lines, b"").await.status, 200);
    let seen = backend.last();
    assert!(!seen.head.to_lowercase().contains("upgrade"), "{}", seen.head);
    assert!(!seen.head.to_lowercase().contains("http2-settings"), "{}", seen.head);
}

#[tokio::test]
async fn an_early_answer_to_a_large_upload_arrives() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 20];
        stream.read_exact(&mut head).await.unwrap();
        let answer = response("403 Forbidden", "", vec![b'x'; 8_000_000]);
        stream.write_all(&answer).await.unwrap();
        // The request body is never read.
        std::future::pending::<()>().await;
    });
    let proxy = start(vec![route(Backend::http([Endpoint::Tcp(address)]))]);
    let client = Client::connect(proxy.http).await;
    let (mut reader, mut writer) = client.stream.into_split();
    let upload = tokio::spawn(async move {
        let head = b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 30000000\r\n\r\n";
        let _ = writer.write_all(head).await;
        let _ = writer.write_all(&vec![b'y'; 30_000_000]).await;
    });
    let mut answer = vec![0; 8_000_000];
    let read = reader.read_exact(&mut answer);
    timeout(PATIENCE, read).await.expect("no deadlock").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 403 Forbidden\r\n"));
    upload.abort();
}

/// As for a bidirectional stream: it lasts while either side speaks.
#[tokio::test]
async fn who_is_answered_already_may_be_silent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .await
            .unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"0\r\n\r\n") {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
        }
        stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").await.unwrap();
    });
    let patience = Duration::from_secs(2);
    let limits = ServerLimits { rate_grace: patience, body_timeout: patience, ..ServerLimits::default() };
    let config = ProxyConfig { limits, ..ProxyConfig::default() };
    let proxy = start_with(config, vec![route(Backend::http([endpoint]))]);
    let mut client = Client::connect(proxy.http).await;
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
    let head = client.head().await.unwrap();
    assert_eq!(head.status, 200);
    tokio::time::sleep(patience + patience / 4).await;
    client.send("1\r\nb\r\n0\r\n\r\n").await;
    let mut rest = Vec::new();
    while !rest.ends_with(b"0\r\n\r\n") {
        let read = timeout(PATIENCE, client.stream.read_buf(&mut rest)).await;
        assert!(read.expect("in time").is_ok_and(|read| read > 0), "{:?}", String::from_utf8_lossy(&rest));
    }
    assert!(String::from_utf8_lossy(&rest).contains("last"));
}

#[tokio::test]
async fn an_upload_that_grows_too_large_ends_its_answer_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut route = route(Backend::http([Endpoint::Tcp(listener.local_addr().unwrap())]));
    route.limits.max_body = 100;
    // Longer than any test takes.
    route.limits.read_timeout = Duration::from_secs(3600);
    let mut proxy = start(vec![route]);
    let part = format!("3c\r\n{}\r\n", "x".repeat(60));
    for answered in [true, false] {
        let mut client = Client::connect(proxy.http).await;
        let head = "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{part}")).await;
        let mut backend = Client::over(listener.accept().await.unwrap().0);
        backend.until(&part).await;
        if answered {
            let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
            backend.send(begun).await;
            assert_eq!(client.head().await.unwrap().status, 200);
            assert_eq!(client.until("first\r\n").await, "5\r\nfirst\r\n");
        }
        client.send(&part).await;
        if answered {
            assert!(client.is_closed().await, "{:?}", String::from_utf8_lossy(&client.buffer));
        } else {
            assert_eq!(client.response(false).await.unwrap().status, 413);
        }
        assert!(backend.is_closed().await, "{:?}", String::from_utf8_lossy(&backend.buffer));
        let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no access record") };
        assert_eq!(record.note.as_deref(), Some("request body too large"));
        assert_eq!(record.status, if answered { 200 } else { 413 });
    }
}

#[tokio::test]
async fn an_interim_answer_does_not_stop_an_upload() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = vec![0; 64 * 1024];
        let mut total = 0;
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        while total < 6_000_000 {
            total += stream.read(&mut received).await.unwrap();
        }
        stream.write_all(&ok("all of it")).await.unwrap();
    });
    let proxy = start(vec![route(Backend::http([Endpoint::Tcp(address)]))]);
    let answer = Client::connect(proxy.http).await.request("POST", "/", "", &vec![b'x'; 6_000_000]).await;
    assert_eq!(answer.text(), "all of it");
}

#[tokio::test]
async fn limits_and_failures_have_their_status() {
    fn answer(request: &support::Received) -> Reply {
        match request.line().split(' ').nth(1).unwrap() {
            "/garbage" => Reply::Close(b"nonsense\r\n\r\n".to_vec()),
            "/lengths" => {
                Reply::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec())
            }
            "/nothing" => Reply::Close(Vec::new()),
            "/silent" => Reply::Slowly(Duration::from_secs(300), vec![ok("late")]),
            "/short" => Reply::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec()),
            _ => Reply::Keep(ok("fine")),
        }
    }
    let backend = backend(answer).await;
    let mut shop = to(&backend);
    shop.limits.max_body = 10;
    // The others answer at once, but who knows when the machine gets to it.
    let mut silent = Route { path_prefix: "/silent".into(), ..to(&backend) };
    silent.limits.response_timeout = Duration::from_millis(300);
    let closed = Route::new(
        "closed",
        vec!["closed.test".parse().unwrap()],
        Backend::http(["127.0.0.1:1".parse().unwrap()]),
    );
    let unavailable = Backend::Unavailable { reason: "deploying".into() };
    let gone = Route::new("gone", vec!["gone.test".parse().unwrap()], unavailable);
    let proxy = start(vec![shop, silent, closed, gone]);
    for (target, status) in
        [("/garbage", 502), ("/lengths", 502), ("/nothing", 502), ("/silent", 504), ("/", 200)]
    {
        assert_eq!(get(proxy.http, target).await.status, status, "{target}");
    }
    // A body that is too short is a 502 when its end comes with its head, and an incomplete answer otherwise.
    let short = get(proxy.http, "/short").await.status;
    assert!(matches!(short, 0 | 502), "{short}");
    let mut client = Client::connect(proxy.http).await;
    for (host, status) in [("closed.test", 502), ("gone.test", 503), ("unknown.test", 404)] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let answer = client.response(false).await.unwrap();
        assert_eq!(answer.status, status, "{host}");
        assert!(
            !answer.text().contains("deploying") && !answer.text().contains("127.0.0.1"),
            "{}",
            answer.text()
        );
    }
    let before = backend.count();
    let answer = Client::connect(proxy.http).await.request("POST", "/", "", &[b'a'; 11]).await;
    assert_eq!(answer.status, 413);
    assert_eq!(backend.count(), before);
    let mut client = Client::connect(proxy.http).await;
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n").await;
    client.send("a".repeat(32)).await;
    assert_eq!(client.response(false).await.unwrap().status, 413);
}

#[tokio::test]
async fn instances_share_the_load_and_a_dead_one_costs_nothing() {
    let (first, second) = (backend(hello).await, backend(hello).await);
    let endpoints =
        vec![Endpoint::Tcp(first.address), "127.0.0.1:1".parse().unwrap(), Endpoint::Tcp(second.address)];
    let proxy = start(vec![route(Backend::http(endpoints))]);
    let mut client = Client::connect(proxy.http).await;
    for _ in 0..60 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert!(first.count() >= 20 && second.count() >= 20, "{} {}", first.count(), second.count());
    // Its pause may be over between a request and the look.
    let told = async {
        let down = "hop3_upstream_up{app=\"shop\",endpoint=\"127.0.0.1:1\"} 0";
        while !proxy.handle.metrics().contains(down) {
            assert_eq!(client.get("/").await.status, 200);
        }
    };
    timeout(PATIENCE, told).await.expect("the dead one is known as dead");
}

#[tokio::test]
async fn a_safe_request_is_tried_again_and_an_unsafe_one_is_not() {
    fn answer(request: &support::Received) -> Reply {
        if request.line().contains("/fail") { Reply::Close(Vec::new()) } else { Reply::Keep(ok("fine")) }
    }
    let backend = backend(answer).await;
    let proxy = start(vec![to(&backend)]);
    assert_eq!(get(proxy.http, "/fail").await.status, 502);
    assert_eq!(backend.count(), 2);
    let answer = Client::connect(proxy.http).await.request("POST", "/fail", "", b"x").await;
    assert_eq!((answer.status, backend.count()), (502, 3));
}

#[tokio::test]
async fn unix_sockets_and_trusted_proxies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let count = stream.read(&mut head).await.unwrap();
        stream.write_all(&ok(&head[..count])).await.unwrap();
    });
    let config =
        ProxyConfig { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..ProxyConfig::default() };
    let mut proxy = start_with(config, vec![route(Backend::http([Endpoint::Unix(path)]))]);
    let lines = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n";
    let answer = Client::connect(proxy.http).await.request("GET", "/", lines, b"").await;
    assert!(answer.text().contains("x-forwarded-for: 6.6.6.6, 127.0.0.1\r\n"), "{}", answer.text());
    assert!(answer.text().contains("x-forwarded-proto: https\r\n"), "{}", answer.text());
    let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no access record") };
    assert_eq!(record.client.to_string(), "6.6.6.6");
}

#[tokio::test]
async fn publishing_under_load_fails_no_request() {
    fn one(_: &support::Received) -> Reply {
        Reply::Keep(ok("one"))
    }
    fn two(_: &support::Received) -> Reply {
        Reply::Keep(ok("two"))
    }
    let backends = [backend(one).await, backend(two).await];
    let proxy = start(vec![to(&backends[0])]);
    let (answered, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, answered, over) = (proxy.http, answered.clone(), over.clone());
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let mut seen = [0, 0];
                while !over.load(Ordering::SeqCst) {
                    let answer = client.get("/").await;
                    assert_eq!(answer.status, 200);
                    seen[usize::from(answer.text() == "two")] += 1;
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                seen
            })
        })
        .collect();
    for round in 1..=100 {
        proxy.handle.publish(RouteTable::new(vec![to(&backends[round % 2])]).unwrap());
        let before = answered.load(Ordering::SeqCst);
        while answered.load(Ordering::SeqCst) < before + 5
            && clients.iter().any(|client| !client.is_finished())
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    over.store(true, Ordering::SeqCst);
    let mut total = [0, 0];
    for client in clients {
        let seen = client.await.unwrap();
        total = [total[0] + seen[0], total[1] + seen[1]];
    }
    assert!(total[0] > 0 && total[1] > 0 && total[0] + total[1] >= 500, "{total:?}");
    assert_eq!(proxy.handle.routes().routes().len(), 1);
}

#[tokio::test]
async fn shutdown_finishes_what_is_under_way() {
    fn answer(request: &support::Received) -> Reply {
        match request.line().contains("/slow") {
            true => Reply::Slowly(Duration::from_millis(400), vec![ok("done")]),
            false => Reply::Keep(ok("fast")),
        }
    }
    let backend = backend(answer).await;
    let proxy = start(vec![to(&backend)]);
    let mut idle = Client::connect(proxy.http).await;
    assert_eq!(idle.get("/").await.status, 200);
    let mut slow = Client::connect(proxy.http).await;
    slow.send("GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    backend.reached(2).await;
    let address = proxy.http;
    let shutdown = tokio::spawn(proxy.handle.shutdown(PATIENCE));
    assert!(idle.is_closed().await);
    let answer = slow.response(false).await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert!(shutdown.await.unwrap(), "everything ended by itself");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_end() {
    static NEVER: Semaphore = Semaphore::const_new(0);
    fn answer(_: &support::Received) -> Reply {
        Reply::Held(Vec::new(), &NEVER, ok("never"))
    }
    let backend = backend(answer).await;
    let proxy = start(vec![to(&backend)]);
    let mut slow = Client::connect(proxy.http).await;
    slow.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    backend.reached(1).await;
    let shutdown = timeout(PATIENCE, proxy.handle.shutdown(Duration::from_millis(200)));
    assert!(!shutdown.await.expect("it ends"));
    assert!(slow.is_closed().await);
}

#[tokio::test]
async fn slow_heads_are_cut_by_a_total_deadline() {
    let backend = backend(hello).await;
    let limits = ServerLimits { head_timeout: Duration::from_millis(300), ..ServerLimits::default() };
    let proxy = start_with(ProxyConfig { limits, ..ProxyConfig::default() }, vec![to(&backend)]);
    let (mut reader, mut writer) = Client::connect(proxy.http).await.stream.into_split();
    // Goes on with it for as long as it can.
    let drip = async {
        for byte in b"GET / HTTP/1.1\r\nHost: shop.test\r\nX: ".iter().chain(std::iter::repeat(&b'a')) {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    let mut answer = [0; 12];
    let cut = async { tokio::join!(reader.read_exact(&mut answer), drip) };
    timeout(PATIENCE, cut).await.expect("an end").0.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn a_busy_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listen = hop3_proxy::ListenConfig { http: Some(address), ..hop3_proxy::ListenConfig::default() };
    let services = hop3_proxy::Services {
        certificates: std::sync::Arc::new(hop3_proxy::MemoryCertificates::default()),
        events: hop3_proxy::EventSender::disabled(),
    };
    let error =
        hop3_proxy::Proxy::start(ProxyConfig { listen, ..ProxyConfig::default() }, services).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
}
