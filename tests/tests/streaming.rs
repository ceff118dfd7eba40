//! What must pass while it is under way: trailers, interim answers, early answers, event streams, clients that leave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

use std::sync::Arc;
use std::time::Duration;

use hop3_tests::front::{Front, protection};
use hop3_tests::http2_abuse::peer::{get, tls};
use hop3_tests::http2_abuse::{Frame, Kind, Peer, flags, hpack};
use hop3_tests::streaming::{PATIENCE, back_end, read_head, read_until};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Reads bodies and answers before they go on.
const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/plain text/event-stream\nSecResponseBodyLimit 500000";

/// Within this time something is noticed "at once": on a machine that is very slow, and still long before any limit on
/// answers (60 s) would have ended it.
const AT_ONCE: Duration = Duration::from_secs(20);

/// A back end that tells what it read, and answers with a trailer.
async fn trailing(told: mpsc::UnboundedSender<String>) -> std::net::SocketAddr {
    back_end(move |mut stream| {
        let told = told.clone();
        async move {
            let head = read_head(&mut stream).await;
            let mut all = head.clone();
            if head.contains("transfer-encoding: chunked") {
                all.push_str(&read_until(&mut stream, "0\r\n").await);
                // The trailers: at least the empty line.
                let mut last = String::new();
                while !last.ends_with("\r\n\r\n") && last != "\r\n" {
                    last.push(char::from(stream.read_u8().await?));
                }
                all.push_str(&last);
            }
            let _ = told.send(all);
            stream
                .write_all(
                    b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\nContent-Length: 7\r\n\r\n",
                )
                .await
        }
    })
    .await
}

#[tokio::test]
async fn trailers_pass_both_ways_over_http1() {
    let (told, mut seen) = mpsc::unbounded_channel();
    let front = Front::start(|_| {});
    front.lead_to(trailing(told).await);
    let request = "POST / HTTP/1.1\r\nHost: shop.test\r\nTE: trailers\r\nTrailer: X-Check\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\
        X-Check: 7\r\nHost: evil.test\r\nX_Y: z\r\n\r\n";
    let mut client = TcpStream::connect(front.http()).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "0\r\nX-Sum: 9\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\r\n2\r\nok\r\n"), "{answer}");
    assert!(answer.contains("\r\nTrailer: X-Sum\r\n"), "announced: {answer}");
    let seen = seen.recv().await.unwrap();
    assert!(seen.ends_with("2\r\nhi\r\n0\r\nX-Check: 7\r\n\r\n"), "{seen}");
    assert!(seen.contains("te: trailers\r\n") && seen.contains("\r\nTrailer: X-Check\r\n"), "{seen}");

    // Who did not say that he takes trailers gets none, but hears what there was (RFC 9110 section 6.6.2).
    client.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await.unwrap();
    let answer = read_until(&mut client, "0\r\n\r\n").await;
    assert!(!answer.contains("X-Sum: 9") && answer.contains("\r\nTrailer: X-Sum\r\n"), "{answer}");
}

#[tokio::test]
async fn trailers_pass_both_ways_between_http2_and_http1() {
    let (told, mut seen) = mpsc::unbounded_channel();
    let front = Front::start(|_| {});
    front.lead_to(trailing(told).await);
    let mut peer = Peer::connect(front.https(), "shop.test").await;
    let mut head = hpack::literals([(":method", "POST")]);
    head.extend(hpack::literals(get("/").into_iter().skip(1)));
    peer.send(&[
        Frame::headers(1, false, head),
        Frame::data(1, false, "hi"),
        Frame::headers(1, true, hpack::literals([("x-check", "7"), ("cookie", "a=b")])),
    ])
    .await
    .unwrap();
    let reply = peer.reply(1, PATIENCE).await;
    assert_eq!((reply.status(), &reply.body[..], reply.trailers), (Some(200), &b"ok"[..], true), "{reply:?}");
    let seen = seen.recv().await.unwrap();
    assert!(seen.ends_with("2\r\nhi\r\n0\r\nx-check: 7\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn trailers_do_not_pass_the_firewall_unseen() {
    let (told, mut seen) = mpsc::unbounded_channel();
    let front = Front::start(|_| {});
    for rules in [RULES, "SecRuleEngine On"] {
        front.lead_through(trailing(told.clone()).await, Some(&protection(rules)));
        let mut client = TcpStream::connect(front.http()).await.unwrap();
        let request = "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Check: 7\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut client, "ok").await;
        let seen = seen.recv().await.unwrap();
        assert!(!seen.to_ascii_lowercase().contains("x-check"), "{seen}");
    }
}

#[tokio::test]
async fn interim_answers_pass_as_they_come() {
    // Where the back end waits for leave to go on.
    static GATE: Semaphore = Semaphore::const_new(0);
    let front = Front::start(|_| {});
    let address = back_end(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\n\r\n").await?;
        GATE.acquire().await.expect("it is never closed").forget();
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await
    });
    front.lead_to(address.await);
    let mut client = TcpStream::connect(front.http()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await.unwrap();
    assert_eq!(read_head(&mut client).await, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    GATE.add_permits(1);
    assert_eq!(read_head(&mut client).await, "HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n");
    assert!(read_until(&mut client, "ok").await.starts_with("HTTP/1.1 200"));

    GATE.add_permits(2);
    let mut peer = Peer::connect(front.https(), "shop.test").await;
    let reply = peer.get(1, "/", PATIENCE).await;
    assert_eq!((reply.statuses, &reply.body[..]), (vec![103, 103, 200], &b"ok"[..]));

    let mut old = TcpStream::connect(front.http()).await.unwrap();
    old.write_all(b"GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n").await.unwrap();
    assert!(
        read_until(&mut old, "ok").await.starts_with("HTTP/1.1 200"),
        "HTTP/1.0 knows no interim answers"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let front = Front::start(|_| {});
    // Answers by the head alone and never reads the body.
    let address = back_end(|mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            .await?;
        std::future::pending().await
    });
    front.lead_to(address.await);
    let client = TcpStream::connect(front.http()).await.unwrap();
    let (mut reader, mut writer) = client.into_split();
    let sending = tokio::spawn(async move {
        writer
            .write_all(b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 40000000\r\n\r\n")
            .await
            .unwrap();
        let piece = vec![b'x'; 100_000];
        // It stops when the proxy does.
        while writer.write_all(&piece).await.is_ok() {}
    });
    let answer = read_until(&mut reader, "no").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    sending.abort();

    let mut peer = Peer::connect(front.https(), "shop.test").await;
    let mut head = hpack::literals([(":method", "POST")]);
    head.extend(hpack::literals(get("/").into_iter().skip(1)));
    peer.send(&[Frame::headers(1, false, head), Frame::data(1, false, vec![b'x'; 16_000])]).await.unwrap();
    let reply = peer.reply(1, PATIENCE).await;
    assert_eq!((reply.status(), &reply.body[..]), (Some(403), &b"no"[..]), "{reply:?}");
}

/// A back end that never answers, and tells when its connection ends.
async fn silent() -> (std::net::SocketAddr, mpsc::UnboundedReceiver<&'static str>) {
    let (told, seen) = mpsc::unbounded_channel();
    let address = back_end(move |mut stream| {
        let told = told.clone();
        async move {
            read_head(&mut stream).await;
            let _ = told.send("asked");
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            let _ = told.send("left");
            Ok(())
        }
    });
    (address.await, seen)
}

async fn ask_and_leave<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    seen: &mut mpsc::UnboundedReceiver<&'static str>,
) {
    stream.write_all(b"GET /poll HTTP/1.1\r\nHost: shop.test\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("asked"));
}

#[tokio::test]
async fn a_client_that_leaves_a_long_poll_is_noticed_at_once() {
    let front = Front::start(|_| {});
    for rules in [None, Some(protection(RULES))] {
        let (address, mut seen) = silent().await;
        front.lead_through(address, rules.as_ref());
        let left = async |what: &str, seen: &mut mpsc::UnboundedReceiver<&'static str>| {
            let noticed = timeout(AT_ONCE, seen.recv()).await;
            assert_eq!(noticed, Ok(Some("left")), "{what}");
        };
        let plain = TcpStream::connect(front.http()).await.unwrap();
        ask_and_leave(plain, &mut seen).await;
        left("plain", &mut seen).await;

        let secret = tls(front.https(), "shop.test", &[b"http/1.1"]).await.unwrap();
        ask_and_leave(secret, &mut seen).await;
        left("TLS", &mut seen).await;

        let mut peer = Peer::connect(front.https(), "shop.test").await;
        peer.send(&[Frame::headers(1, true, hpack::literals(get("/poll")))]).await.unwrap();
        assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("asked"));
        peer.send(&[Frame::reset(1, 8)]).await.unwrap();
        left("HTTP/2 reset", &mut seen).await;
        peer.send(&[Frame::headers(3, true, hpack::literals(get("/poll")))]).await.unwrap();
        assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("asked"));
        drop(peer);
        left("HTTP/2 connection", &mut seen).await;
        let mut records = Vec::new();
        let reading = async {
            while records.len() < 4 {
                records.extend(front.records());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, reading).await.expect("a record of each");
        assert_eq!(records.len(), 4);
        assert!(records.iter().all(|record| record.status == 499 && record.note.is_some()), "{records:?}");
    }
}

#[tokio::test]
async fn a_client_that_sends_its_next_request_has_not_left() {
    let front = Front::start(|_| {});
    let address = back_end(|mut stream| async move {
        for answer in ["one", "two"] {
            read_head(&mut stream).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{answer}").as_bytes())
                .await?;
        }
        Ok(())
    });
    front.lead_to(address.await);
    let mut client = TcpStream::connect(front.http()).await.unwrap();
    for _ in 0..2 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let both = read_until(&mut client, "two").await;
    assert!(both.contains("one"), "{both}");
}

/// An event now, the next one never: whoever waits for more gets nothing.
async fn events(content_type: &'static str) -> std::net::SocketAddr {
    back_end(move |mut stream| async move {
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n");
        stream.write_all(format!("{head}data: 1\n\n").as_bytes()).await?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn events_are_never_held_back() {
    let front = Front::start(|_| {});
    for (content_type, rules) in [
        ("text/event-stream", None),
        ("text/event-stream; charset=utf-8", Some(protection(RULES))),
        ("text/plain", None),
    ] {
        front.lead_through(events(content_type).await, rules.as_ref());
        let mut client = TcpStream::connect(front.http()).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await.unwrap();
        read_until(&mut client, "data: 1\n\n").await;
        let mut peer = Peer::connect(front.https(), "shop.test").await;
        peer.send(&[Frame::headers(1, true, hpack::literals(get("/")))]).await.unwrap();
        loop {
            let frame = peer.polite_frame(PATIENCE).await.unwrap().unwrap();
            if frame.is(Kind::Data) && frame.stream == 1 {
                assert_eq!((&frame.payload[..], frame.has(flags::END_STREAM)), (&b"data: 1\n\n"[..], false));
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_websocket_passes_through_the_firewall_and_is_not_held() {
    let front = Front::start(|_| {});
    let address = back_end(|mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello",
            )
            .await?;
        let (mut reader, mut writer) = stream.split();
        tokio::io::copy(&mut reader, &mut writer).await.map(drop)
    });
    let rules: Arc<_> = protection(RULES);
    front.lead_through(address.await, Some(&rules));
    let mut client = TcpStream::connect(front.http()).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    assert!(read_until(&mut client, "hello").await.starts_with("HTTP/1.1 101"));
    for message in ["ping", "pong"] {
        client.write_all(message.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut client, message).await, message);
    }
}
