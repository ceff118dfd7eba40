//! `Content-Length` and `Transfer-Encoding`: values, repeats, spellings, and every pair of them.

use crate::framing::{Probe, get, got, post, posted, shown};

/// All of them.
pub fn probes() -> Vec<Probe> {
    [length_values(), length_repeats(), encoding_values(), encoding_names(), pairs(), bodies()].concat()
}

fn length_values() -> Vec<Probe> {
    let mut probes = Vec::new();
    for value in [
        "+5",
        "-5",
        "-0",
        "0x5",
        "5x",
        "5.0",
        "5e0",
        "5 5",
        "5, 5",
        "5,5",
        "5,",
        ",5",
        "5;",
        "5;q=1",
        "\"5\"",
        "'5'",
        "five",
        "\u{665}",
        "\u{ff15}",
        "5\u{a0}",
        "5_0",
        "5\u{b}",
        "5\0",
        "\u{c}5",
        "18446744073709551616",
        "18446744073709551621",
        "9999999999999999999",
        "00000000000000000005",
        "NaN",
        "",
        "0,",
        "0 0",
        "%35",
        "5\t5",
        "(5)",
        "5h",
    ] {
        let line = format!("Content-Length: {value}\r\n");
        probes.push(Probe::refused(
            format!("length {}", value.escape_debug()),
            post(line.as_bytes(), b"hello"),
            400,
        ));
    }
    for line in ["Content-Length: 5", "Content-Length:5", "content-length: \t5 \t", "CONTENT-LENGTH: 0005"] {
        let bytes = post(format!("{line}\r\n").as_bytes(), b"hello");
        probes.push(Probe::served(line.escape_debug().to_string(), bytes, posted(b"hello")));
    }
    probes.push(Probe::served("length 0", post(b"Content-Length: 0\r\n", b""), posted(b"")));
    probes.push(Probe::served("POST without length", post(b"", b""), posted(b"")));
    probes.push(Probe::served(
        "GET with a body",
        [get(b"Content-Length: 2\r\n"), b"hi".to_vec()].concat(),
        crate::framing::Message::new("GET /probe HTTP/1.1", "hi"),
    ));
    probes.push(Probe::refused(
        "length beyond the limit",
        post(b"Content-Length: 999999999999\r\n", b""),
        413,
    ));
    probes
}

fn length_repeats() -> Vec<Probe> {
    let mut probes = Vec::new();
    for (first, second) in
        [("5", "5"), ("5", "0"), ("0", "5"), ("0", "0"), ("5", ""), ("", "5"), ("5", "x"), ("05", "5")]
    {
        for (one, other) in [
            ("Content-Length", "Content-Length"),
            ("Content-Length", "content-length"),
            ("CONTENT-LENGTH", "Content-Length"),
        ] {
            for between in ["", "X: y\r\n"] {
                let lines = format!("{one}: {first}\r\n{between}{other}: {second}\r\n");
                let name = format!("repeated {}", lines.escape_debug());
                probes.push(Probe::refused(name, post(lines.as_bytes(), b"hello"), 400));
            }
        }
    }
    probes
}

/// Values of `Transfer-Encoding` that are not exactly `chunked`.
const ENCODINGS: [&[u8]; 36] = [
    b"",
    b"chunk",
    b"chunke",
    b"chunkedd",
    b"xchunked",
    b"x-chunked",
    b"chunked-x",
    b"chunked,",
    b",chunked",
    b", chunked",
    b"chunked;",
    b"chunked;q=0",
    b"chunked; x=y",
    b"chunked chunked",
    b"chunked,chunked",
    b"chunked, chunked",
    b"chunked, identity",
    b"identity, chunked",
    b"identity",
    b"gzip",
    b"gzip, chunked",
    b"chunked, gzip",
    b"deflate",
    b"compress, chunked",
    b"\"chunked\"",
    b"'chunked'",
    b"\x0bchunked",
    b"chunked\x0b",
    b"chunked\x0c",
    b"\0chunked",
    b"chunked\0",
    b"ch\xc3\xbcnked",
    b"\xefchunked",
    b"c hunked",
    b"trailers",
    b"%63hunked",
];

fn encoding_values() -> Vec<Probe> {
    let mut probes = Vec::new();
    for value in ENCODINGS {
        let line = [b"Transfer-Encoding: ", value, b"\r\n"].concat();
        let name = format!("encoding {}", shown(value));
        probes.push(Probe::refused(name, post(&line, b"5\r\nhello\r\n0\r\n\r\n"), 400));
    }
    for value in ["chunked", "Chunked", "CHUNKED", " \tchunked \t"] {
        let bytes = post(format!("Transfer-Encoding:{value}\r\n").as_bytes(), b"5\r\nhello\r\n0\r\n\r\n");
        probes.push(Probe::served(format!("encoding {}", value.escape_debug()), bytes, posted(b"hello")));
    }
    for (first, second) in [
        ("chunked", "chunked"),
        ("chunked", "identity"),
        ("identity", "chunked"),
        ("", "chunked"),
        ("chunked", "x"),
    ] {
        let lines = format!("Transfer-Encoding: {first}\r\nTransfer-Encoding: {second}\r\n");
        probes.push(Probe::refused(
            format!("two encodings, {first} and {second}"),
            post(lines.as_bytes(), b"5\r\nhello\r\n0\r\n\r\n"),
            400,
        ));
    }
    probes
}

/// Names that some server takes for `Transfer-Encoding`. With a `Content-Length` that a body of the one meaning fits.
fn encoding_names() -> Vec<Probe> {
    let mut probes = Vec::new();
    for name in [
        &b"Transfer-Encoding "[..],
        b"Transfer-Encoding\t",
        b"Transfer-Encoding\x0b",
        b"Transfer-Encoding\0",
        b" Transfer-Encoding",
        b"\tTransfer-Encoding",
        b"\0Transfer-Encoding",
        b"Transfer\0-Encoding",
        b"Transfer Encoding",
        b"Transfer-Encoding\r",
        b"Transfer-Enc\xc3\xb6ding",
        b"\"Transfer-Encoding\"",
        b"Transfer-Encoding\xa0",
        b"Transfer-Encoding;",
    ] {
        for length in [&b"Content-Length: 5\r\n"[..], b""] {
            let lines = [length, b"X: y\r\n", name, b": chunked\r\n"].concat();
            let probe = format!("name {} beside {} bytes of length", shown(name), length.len());
            probes.push(Probe::refused(probe, post(&lines, b"0\r\n\r\n"), 400));
        }
    }
    for name in [
        "Transfer_Encoding",
        "TransferEncoding",
        "X-Transfer-Encoding",
        "Transfer-Encodings",
        "TE",
        "Transfer--Encoding",
    ] {
        let lines = format!("Content-Length: 5\r\n{name}: chunked\r\n");
        let bytes = post(lines.as_bytes(), b"0\r\n\r\n");
        probes.push(Probe::served(format!("name {name}"), bytes, posted(b"0\r\n\r\n")));
    }
    probes
}

/// Each length beside each encoding, in both orders.
fn pairs() -> Vec<Probe> {
    let mut probes = Vec::new();
    for length in ["0", "5", "6", "", "x"] {
        for encoding in ["chunked", "identity", "", "gzip", "xchunked", "Chunked"] {
            let (length, encoding) =
                (format!("Content-Length: {length}\r\n"), format!("Transfer-Encoding: {encoding}\r\n"));
            for lines in [format!("{length}{encoding}"), format!("{encoding}{length}")] {
                let name = format!("both {}", lines.escape_debug());
                probes.push(Probe::refused(name, post(lines.as_bytes(), b"0\r\n\r\nX"), 400));
            }
        }
    }
    for version in ["HTTP/1.0"] {
        for lines in [
            "Transfer-Encoding: chunked\r\n",
            "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: x\r\n",
        ] {
            let bytes = format!("POST /probe {version}\r\nHost: shop.test\r\n{lines}\r\n0\r\n\r\n");
            probes.push(Probe::refused(format!("{version} {}", lines.escape_debug()), bytes, 400));
        }
    }
    // Nobody may declare the framing to be hop-by-hop.
    for nominated in ["content-length", "Content-Length, close", "host", "transfer-encoding"] {
        let lines = format!("Connection: {nominated}\r\nContent-Length: 5\r\n");
        let bytes = post(lines.as_bytes(), b"hello");
        let closing = nominated.contains("close");
        let name = format!("Connection: {nominated}");
        probes.push(if closing {
            Probe::last(name, bytes, posted(b"hello"))
        } else {
            Probe::served(name, bytes, posted(b"hello"))
        });
    }
    let lines = b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n";
    probes.push(Probe::served(
        "Connection: transfer-encoding, chunked",
        post(lines, b"5\r\nhello\r\n0\r\n\r\n"),
        posted(b"hello"),
    ));
    probes
}

/// Bodies that look like requests, by either framing.
fn bodies() -> Vec<Probe> {
    let inner = b"GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    let known = post(format!("Content-Length: {}\r\n", inner.len()).as_bytes(), inner);
    let chunk = [format!("{:x}\r\n", inner.len()).as_bytes(), inner, b"\r\n0\r\n\r\n"].concat();
    let odd = "HEAD /probe HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello";
    vec![
        Probe::served("a request as a body of known length", known, posted(inner)),
        Probe::served("a request as a chunk", post(b"Transfer-Encoding: chunked\r\n", &chunk), posted(inner)),
        Probe::served("GET with length 0", get(b"Content-Length: 0\r\n"), got()),
        Probe::served("HEAD with a body", odd, crate::framing::Message::new("HEAD /probe HTTP/1.1", "hello")),
    ]
}
