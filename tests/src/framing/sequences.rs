//! Several requests on a connection, `Expect`, upgrades: what one request may do to the next.

use crate::framing::{Message, Probe, get, got, post, posted};

/// All of them.
pub fn probes() -> Vec<Probe> {
    [pipelines(), expectations(), upgrades(), cuts()].concat()
}

fn pipelines() -> Vec<Probe> {
    let chunked = post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n");
    let known = post(b"Content-Length: 5\r\n", b"hello");
    let head = b"HEAD /probe HTTP/1.1\r\nHost: shop.test\r\n\r\n".to_vec();
    let requests: [(&str, &[u8], Message); 4] = [
        ("GET", &get(b""), got()),
        ("chunked POST", &chunked, posted(b"hello")),
        ("POST", &known, posted(b"hello")),
        ("HEAD", &head, Message::new("HEAD /probe HTTP/1.1", "")),
    ];
    let mut probes = Vec::new();
    for (first, first_bytes, first_seen) in &requests {
        for (second, second_bytes, second_seen) in &requests {
            for between in ["", "\r\n"] {
                let bytes = [first_bytes, between.as_bytes(), second_bytes].concat();
                let name =
                    format!("{first}, {}{second}", if between.is_empty() { "" } else { "an empty line, " });
                let seen = vec![first_seen.clone(), second_seen.clone(), Message::sentinel()];
                probes.push(Probe::sequence(name, bytes, &[200, 200, 200], seen));
            }
        }
        for (broken, bad, status) in [
            ("two empty lines", &b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"[..], 400),
            ("a bare LF", b"GET / HTTP/1.1\nHost: shop.test\n\n", 400),
            ("both lengths", b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("TRACE", b"TRACE / HTTP/1.1\r\nHost: shop.test\r\n\r\n", 405),
            ("a stray byte", b"XGET\0 / HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400),
            ("no version", b"GET /\r\n\r\n", 400),
        ] {
            let name = format!("{first}, then {broken}");
            probes.push(Probe::sequence(name, [first_bytes, bad].concat(), &[200, status], vec![first_seen.clone()]));
        }
        let closing =
            first_bytes.windows(2).position(|pair| pair == b"\r\n").map(|end| end + 2).unwrap_or_default();
        let bytes = [&first_bytes[..closing], b"Connection: close\r\n", &first_bytes[closing..]].concat();
        probes.push(Probe::last(format!("{first} that closes"), bytes, first_seen.clone()));
    }
    // A body with a length too small or too large by a few bytes turns into the start of the next request or eats it.
    let short = post(b"Content-Length: 3\r\n", b"hello");
    probes.push(Probe::sequence(
        "two bytes more than announced",
        short,
        &[200, 200],
        vec![posted(b"hel"), Message::new("loGET /sentinel HTTP/1.1", "")],
    ));
    probes
}

fn expectations() -> Vec<Probe> {
    let mut probes = Vec::new();
    for value in
        ["200-ok", "100-continue, x", "100-continue;x", "", "100 continue", "\"100-continue\"", "chunked"]
    {
        let lines = format!("Expect: {value}\r\nContent-Length: 5\r\n");
        probes.push(Probe::refused(format!("Expect: {value}"), post(lines.as_bytes(), b"hello"), 417));
    }
    let twice = "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n";
    probes.push(Probe::refused("Expect twice", post(twice.as_bytes(), b"hello"), 417));
    for (name, lines, body) in [
        ("Expect with length", &b"Expect: 100-continue\r\nContent-Length: 5\r\n"[..], &b"hello"[..]),
        (
            "Expect with chunks",
            b"Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
        ),
    ] {
        let seen = vec![posted(b"hello"), Message::sentinel()];
        probes.push(Probe::sequence(name, post(lines, body), &[100, 200, 200], seen));
    }
    probes.push(Probe::served("Expect without a body", get(b"Expect: 100-continue\r\n"), got()));
    let old =
        "POST /probe HTTP/1.0\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello";
    probes.push(Probe::last("Expect in HTTP/1.0", old, posted(b"hello")));
    probes
}

/// A back end that does not switch protocols must see the next bytes as a request, or not at all.
fn upgrades() -> Vec<Probe> {
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut probes = vec![
        Probe::served("an announced trailer that cannot come", get(b"Trailer: X\r\n"), got()),
        Probe::served("WebSocket that is not granted", get(websocket.as_bytes()), got()),
        Probe::served(
            "WebSocket with a body",
            post(format!("{websocket}Content-Length: 5\r\n").as_bytes(), b"hello"),
            posted(b"hello"),
        ),
    ];
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: \r\n",
        "Proxy-Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
        "TE: gzip, trailers\r\n",
        "Proxy-Authorization: Basic eDp5\r\n",
    ] {
        probes.push(Probe::served(
            format!("hop-by-hop {}", lines.escape_debug()),
            get(lines.as_bytes()),
            got(),
        ));
    }
    probes
}

/// Requests whose end never comes because the sentinel is taken for the rest of them.
fn cuts() -> Vec<Probe> {
    vec![
        Probe::sequence(
            "a chunk that swallows what follows",
            post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n10\r\n"),
            &[400],
            vec![],
        ),
        Probe::refused(
            "a head that runs into the next",
            "GET /probe HTTP/1.1\r\nHost: shop.test\r\nX: ",
            400,
        ),
        Probe::refused("a line that runs into the next", "GET /probe HTTP/1.1\r\nHost: shop.test\r\nX", 400),
    ]
}
