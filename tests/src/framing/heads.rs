//! Request lines, line ends, field names and field values, each bent at every place.

use crate::framing::{Message, Probe, get, got, shown};

/// Bytes that end no line although some server once thought so.
const LINE_ENDS: [&[u8]; 12] = [
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\n\r",
    b"\0\r\n",
    b"\x0b",
    b"\x0c",
    b"\x85",
    b"\xe2\x80\xa8",
    b"\r\0\n",
    b"\r \n",
    b"\n\n",
];

/// All of them.
pub fn probes() -> Vec<Probe> {
    [line_ends(), methods(), versions(), names(), values(), folds(), sizes()].concat()
}

/// Each wrong line end at each of the four places where a line ends.
fn line_ends() -> Vec<Probe> {
    let mut probes = Vec::new();
    for end in LINE_ENDS {
        for place in 0..4 {
            let ends: Vec<&[u8]> = (0..4).map(|at| if at == place { end } else { &b"\r\n"[..] }).collect();
            let bytes =
                [b"GET /probe HTTP/1.1", ends[0], b"Host: shop.test", ends[1], b"X: y", ends[2], ends[3]]
                    .concat();
            let name = format!("line end {} at {place}", shown(end));
            // A high byte at the end of a value is a part of it: the head ends as it should.
            if end[0] >= 0x80 && place == 2 {
                probes.push(Probe::served(name, [&bytes[..], b"\r\n"].concat(), got()));
            } else {
                probes.push(Probe::refused(name, bytes, 400));
            }
        }
    }
    probes.push(Probe::served("one empty line first", [b"\r\n", &get(b"")[..]].concat(), got()));
    for (name, first) in
        [("two empty lines", &b"\r\n\r\n"[..]), ("LF", b"\n"), ("space", b" "), ("NUL", b"\0")]
    {
        probes.push(Probe::refused(format!("{name} first"), [first, &get(b"")[..]].concat(), 400));
    }
    probes
}

fn with_line(line: &[u8]) -> Vec<u8> {
    [line, b"\r\nHost: shop.test\r\n\r\n"].concat()
}

fn methods() -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut refused = |method: &[u8], status| {
        let bytes = with_line(&[method, b" /probe HTTP/1.1"].concat());
        probes.push(Probe::refused(format!("method {}", shown(method)), bytes, status));
    };
    for byte in (0..=b' ').chain(*b"\"(),/:;<=>?@[\\]{}").chain([0x7f, 0x80, 0xff]) {
        refused(&[b'G', byte, b'T'], 400);
    }
    refused(b"", 400);
    refused(&[b'G'; 33], 400);
    refused(b"TRACE", 405);
    refused(b"CONNECT", 400);
    refused(b"\xd0\x93ET", 400);
    for method in ["get", "G", "M-SEARCH", "PROPFIND", "!#$%&'*+-.^_`|~", &"G".repeat(32)] {
        let line = format!("{method} /probe HTTP/1.1");
        probes.push(Probe::served(
            format!("method {method}"),
            with_line(line.as_bytes()),
            Message::new(line, ""),
        ));
    }
    probes
}

fn versions() -> Vec<Probe> {
    let mut probes = Vec::new();
    for version in [
        "HTTP/1.1 ",
        "HTTP/1.1\t",
        "HTTP/1.1x",
        "http/1.1",
        "Http/1.1",
        "HTTP /1.1",
        "HTTP/ 1.1",
        "HTTP/1,1",
        "HTTP/11",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/01.1",
        "HTTP/1.01",
        "HTTP/1.1.1",
        "HTTP/+1.1",
        "HTTP/-1.1",
        "HTTPS/1.1",
        "HTTP\\1.1",
        "HTTP/1.\u{661}",
        "HTTP/0.9",
        "HTTP/1.1\0",
        "ICAP/1.0",
        "",
    ] {
        let line = format!("GET /probe {version}");
        probes.push(Probe::refused(
            format!("version {}", version.escape_debug()),
            with_line(line.as_bytes()),
            400,
        ));
    }
    for version in ["HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
        let line = format!("GET /probe {version}");
        probes.push(Probe::refused(format!("version {version}"), with_line(line.as_bytes()), 505));
    }
    for line in [
        "GET /probe",
        "GET",
        "/probe HTTP/1.1",
        "GET  /probe HTTP/1.1",
        "GET /probe  HTTP/1.1",
        "GET\t/probe HTTP/1.1",
        "GET /probe\tHTTP/1.1",
        "GET\u{b}/probe HTTP/1.1",
        " GET /probe HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /probe HTTP/1.1 HTTP/1.1",
    ] {
        let name = format!("request line {}", line.escape_debug());
        probes.push(Probe::refused(name, with_line(line.as_bytes()), 400));
    }
    let old = |lines: &str| format!("GET /probe HTTP/1.0\r\nHost: shop.test\r\n{lines}\r\n");
    probes.push(Probe::last("HTTP/1.0 closes", old(""), got()));
    probes.push(Probe::served("HTTP/1.0 keeps on demand", old("Connection: keep-alive\r\n"), got()));
    probes.push(Probe::last("HTTP/1.0 without Host", "GET /probe HTTP/1.0\r\n\r\n", got()));
    probes
}

/// Every byte that is no token character, at three places of a field name that matters.
fn names() -> Vec<Probe> {
    let mut probes = Vec::new();
    let outside: Vec<u8> = (0..=0x20).chain(*b"\"(),/;<=>?@[\\]{}").chain([0x7f, 0x80, 0xa0, 0xff]).collect();
    for byte in outside {
        for (place, line) in [
            ("before", [&[byte], &b"Content-Length: 5\r\n"[..]].concat()),
            ("within", [&b"Content"[..], &[byte], b"Length: 5\r\n"].concat()),
            ("after", [&b"Content-Length"[..], &[byte], b": 5\r\n"].concat()),
        ] {
            // An LF ends a line and a CR LF may come of a CR: the line ends have probes of their own.
            let name = format!("{} {place} a name", shown(&[byte]));
            probes.push(Probe::refused(name, get(&[b"A: b\r\n", &line[..]].concat()), 400));
        }
    }
    for line in ["no colon\r\n", "nocolon\r\n", ": empty\r\n", ":\r\n", "A\r\n"] {
        probes.push(Probe::refused(format!("line {}", line.escape_debug()), get(line.as_bytes()), 400));
    }
    for line in [
        "!#$%&'*+-.^`|~: x\r\n",
        "A_B: dropped\r\n",
        "Content_Length: 5\r\n",
        "Transfer_Encoding: chunked\r\n",
    ] {
        probes.push(Probe::served(format!("line {}", line.escape_debug()), get(line.as_bytes()), got()));
    }
    probes
}

fn values() -> Vec<Probe> {
    let mut probes = Vec::new();
    for byte in (0..0x20).filter(|byte| *byte != b'\t').chain([0x7f]) {
        let line = [&b"X: a"[..], &[byte], b"b\r\n"].concat();
        probes.push(Probe::refused(format!("{} in a value", shown(&[byte])), get(&line), 400));
    }
    for value in [
        &b""[..],
        b" ",
        b"\t",
        b" \t x \t ",
        b"a\tb",
        b"\x80",
        b"\xff",
        b"\xc3\xa4",
        b":",
        b"a: b",
        b"\"\\\"",
    ] {
        let line = [b"X:", value, b"\r\n"].concat();
        probes.push(Probe::served(format!("value {}", shown(value)), get(&line), got()));
    }
    probes
}

/// Folded lines (RFC 9112 section 5.2) after each field that frames or routes.
fn folds() -> Vec<Probe> {
    let mut probes = Vec::new();
    for before in
        ["Host: shop.test", "Content-Length: 0", "Content-Length:", "Transfer-Encoding:", "X: y", "X:"]
    {
        for fold in [" z", "\tz", " ", "\t", " Transfer-Encoding: chunked", " chunked", " 5"] {
            let bytes = format!("GET /probe HTTP/1.1\r\n{before}\r\n{fold}\r\nY: z\r\n\r\n");
            let name = format!("{} folded by {}", before, fold.escape_debug());
            probes.push(Probe::refused(name, bytes, 400));
        }
    }
    probes.push(Probe::refused(
        "fold before any field",
        "GET /probe HTTP/1.1\r\n Host: shop.test\r\n\r\n",
        400,
    ));
    probes
}

fn sizes() -> Vec<Probe> {
    let target = format!("GET /{} HTTP/1.1", "a".repeat(33_000));
    let fields = |count| "A: b\r\n".repeat(count);
    vec![
        Probe::refused("target of 33 kB", with_line(target.as_bytes()), 414),
        Probe::refused("head of 70 kB", get(format!("A: {}\r\n", "a".repeat(70_000)).as_bytes()), 431),
        Probe::refused("128 fields beside Host", get(fields(128).as_bytes()), 431),
        Probe::served("127 fields beside Host", get(fields(127).as_bytes()), got()),
        Probe::served("field of 30 kB", get(format!("A: {}\r\n", "a".repeat(30_000)).as_bytes()), got()),
    ]
}
