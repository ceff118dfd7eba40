//! The chunked coding (RFC 9112 section 7.1): sizes, extensions, ends, trailers.

use crate::framing::{Probe, post, posted, shown};

/// All of them.
pub fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    let chunked = |body: &[u8]| post(b"Transfer-Encoding: chunked\r\n", body);
    for size in [
        &b"g"[..],
        b"5g",
        b"-5",
        b"+5",
        b"0x5",
        b"0X5",
        b" 5",
        b"5 ",
        b"\t5",
        b"5\t",
        b"5 ;x",
        b"5\0",
        b"\x005",
        b"5,",
        b"5.",
        b"5h",
        b"",
        b";",
        b";x",
        b"0000000000000005",
        b"ffffffffffffffff",
        b"10000000000000005",
        b"\xd9\xa5",
        b"5\x0b",
        b"\"5\"",
        b"5;\0",
        b"5;a\rb",
        b"5;a\x7f",
        b"5\r",
        b"%35",
        b"five",
        b"5;\x01",
        b"5=x",
    ] {
        let body = [size, b"\r\nhello\r\n0\r\n\r\n"].concat();
        probes.push(Probe::refused(format!("chunk size {}", shown(size)), chunked(&body), 400));
    }
    for size in
        [&b"5"[..], b"05", b"005", b"5;", b"5;x", b"5;x=y", b"5;x=\"y\"", b"5; x", b"5;x;y=z", b"5;\t"]
    {
        let body = [size, b"\r\nhello\r\n0\r\n\r\n"].concat();
        probes.push(Probe::served(format!("chunk size {}", shown(size)), chunked(&body), posted(b"hello")));
    }
    let long = [b"5;", &[b'x'; 300][..]].concat();
    let body = [&long[..], b"\r\nhello\r\n0\r\n\r\n"].concat();
    probes.push(Probe::refused("chunk extension of 300 bytes", chunked(&body), 400));
    let ends: [&[u8]; 9] = [b"\n", b"\r", b"", b"\r\r\n", b"\n\r", b" \r\n", b"X\r\n", b"\0\r\n", b"\r\0\n"];
    for end in ends {
        for (place, body) in [
            ("the size", [b"5", end, b"hello\r\n0\r\n\r\n"].concat()),
            ("the data", [b"5\r\nhello", end, b"0\r\n\r\n"].concat()),
            ("the last size", [b"5\r\nhello\r\n0", end, b"\r\n"].concat()),
            ("the trailers", [b"5\r\nhello\r\n0\r\n", end].concat()),
        ] {
            probes.push(Probe::refused(format!("{} after {place}", shown(end)), chunked(&body), 400));
        }
    }
    for (name, body) in [
        ("one byte too many", &b"5\r\nhello!\r\n0\r\n\r\n"[..]),
        ("one byte too few", b"6\r\nhello\r\n0\r\n\r\n"),
        ("a negative zero", b"-0\r\n\r\n"),
        ("a trailer without colon", b"0\r\nX\r\n\r\n"),
        ("a trailer with a space in its name", b"0\r\nX Y: z\r\n\r\n"),
        ("a trailer with a space before its colon", b"0\r\nX : z\r\n\r\n"),
        ("a folded trailer", b"0\r\nX: y\r\n z\r\n\r\n"),
        ("a trailer that starts with a space", b"0\r\n X: y\r\n\r\n"),
        ("a trailer with NUL", b"0\r\nX: \0\r\n\r\n"),
        ("a trailer with a bare LF", b"0\r\nX: y\n\r\n"),
        ("a trailer with a bare CR", b"0\r\nX: y\rZ: a\r\n\r\n"),
        ("a trailer without a name", b"0\r\n: y\r\n\r\n"),
        ("a request line as a trailer", b"0\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
    ] {
        probes.push(Probe::refused(name, chunked(body), 400));
    }
    let many = [b"0\r\n".as_slice(), &b"A: b\r\n".repeat(2000), b"\r\n"].concat();
    probes.push(Probe::refused("12 kB of trailers", chunked(&many), 400));
    for trailer in [
        "X: y",
        "X:",
        "X: \u{e4}",
        "Content-Length: 99",
        "Transfer-Encoding: chunked",
        "Host: evil.test",
        "X_Y: z",
        "Cookie: a=b",
    ] {
        let body = format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n");
        probes.push(Probe::served(format!("trailer {trailer}"), chunked(body.as_bytes()), posted(b"hello")));
    }
    let single: Vec<u8> =
        b"hello".iter().flat_map(|byte| [b'1', b'\r', b'\n', *byte, b'\r', b'\n']).collect();
    probes.push(Probe::served(
        "chunks of one byte",
        chunked(&[&single[..], b"0\r\n\r\n"].concat()),
        posted(b"hello"),
    ));
    probes.push(Probe::served("only the last chunk", chunked(b"0\r\n\r\n"), posted(b"")));
    probes.push(Probe::served("several zeros", chunked(b"5\r\nhello\r\n000\r\n\r\n"), posted(b"hello")));
    probes
}
