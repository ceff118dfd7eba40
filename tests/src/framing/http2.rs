//! Probes for HTTP/2: fields that would mean something else in HTTP/1.1, and frames that contradict them (RFC 9113
//! section 8).

use crate::framing::{Message, shown};
use crate::http2_abuse::{Frame, Kind, flags, hpack};

/// One probe: frames for stream 1.
#[derive(Clone, Debug)]
pub struct StreamProbe {
    /// Unique among the probes.
    pub name: String,
    /// What the client sends.
    pub frames: Vec<Frame>,
    /// What must become of it.
    pub expected: Expected,
}

/// What must become of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A status from 400 to 499, a reset, or a GOAWAY; the back end sees no complete request.
    Refused,
    /// Answered with this status by the proxy itself.
    Status(u16),
    /// Forwarded as this and answered.
    Served(Message),
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// All of them.
pub fn probes() -> Vec<StreamProbe> {
    [
        pseudo_fields(),
        names(),
        values(),
        connection_fields(),
        authorities(),
        paths(),
        lengths(),
        blocks(),
        trailers(),
    ]
    .concat()
}

fn fields(changed: &[(&str, &str)]) -> Fields {
    let own = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let usual = [(":method", "GET"), (":scheme", "https"), (":authority", "shop.test"), (":path", "/probe")];
    let kept = usual.iter().filter(|(name, _)| !changed.iter().any(|(changed, _)| changed == name));
    // Pseudo fields come first, whoever brings them.
    let (pseudo, plain): (Vec<_>, Vec<_>) =
        kept.chain(changed).map(own).partition(|(name, _)| name.starts_with(b":"));
    [pseudo, plain].concat()
}

fn without(dropped: &str) -> Fields {
    fields(&[]).into_iter().filter(|(name, _)| name != dropped.as_bytes()).collect()
}

fn probe(name: impl Into<String>, fields: &Fields, expected: Expected) -> StreamProbe {
    let block = hpack::literals(fields.iter().map(|(name, value)| (name, value)));
    StreamProbe { name: name.into(), frames: vec![Frame::headers(1, true, block)], expected }
}

fn with_body(name: impl Into<String>, fields: &Fields, data: &[Frame], expected: Expected) -> StreamProbe {
    let block = hpack::literals(fields.iter().map(|(name, value)| (name, value)));
    let frames = [&[Frame::headers(1, false, block)], data].concat();
    StreamProbe { name: name.into(), frames, expected }
}

fn got() -> Expected {
    Expected::Served(crate::framing::got())
}

fn posted(body: &[u8]) -> Expected {
    Expected::Served(crate::framing::posted(body))
}

fn pseudo_fields() -> Vec<StreamProbe> {
    let mut probes = vec![probe("plain GET", &fields(&[]), got())];
    for name in [":method", ":scheme", ":path"] {
        probes.push(probe(format!("without {name}"), &without(name), Expected::Refused));
        probes.push(probe(format!("{name} empty"), &fields(&[(name, "")]), Expected::Refused));
    }
    for name in [":method", ":scheme", ":path", ":authority"] {
        let mut twice = fields(&[]);
        let again = twice.iter().find(|(found, _)| found == name.as_bytes()).cloned();
        twice.splice(0..0, again);
        probes.push(probe(format!("{name} twice"), &twice, Expected::Refused));
        let mut late = without(name);
        late.push((b"x".to_vec(), b"y".to_vec()));
        late.extend(fields(&[]).into_iter().filter(|(found, _)| found == name.as_bytes()));
        probes.push(probe(format!("{name} after a field"), &late, Expected::Refused));
    }
    for name in [":status", ":protocol", ":unknown", ":", ":Method", ":host"] {
        probes.push(probe(format!("pseudo field {name}"), &fields(&[(name, "200")]), Expected::Refused));
    }
    for scheme in ["http", "ftp", "https x", "https\0", "https://evil.test/", "HTTPS\r\n", "h\u{e4}"] {
        probes.push(probe(
            format!("scheme {}", scheme.escape_debug()),
            &fields(&[(":scheme", scheme)]),
            Expected::Refused,
        ));
    }
    for method in [
        "G ET",
        "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\nGET",
        "GE\0T",
        "GET\n",
        " GET",
        "G(T",
        "\u{e4}",
    ] {
        probes.push(probe(
            format!("method {}", method.escape_debug()),
            &fields(&[(":method", method)]),
            Expected::Refused,
        ));
    }
    for method in ["TRACE", "CONNECT"] {
        probes.push(probe(format!("method {method}"), &fields(&[(":method", method)]), Expected::Refused));
    }
    probes
}

fn names() -> Vec<StreamProbe> {
    let mut probes = Vec::new();
    for byte in (0..=0x20).chain(*b"\"(),/:;<=>?@[\\]{}AZ").chain([0x7f, 0x80, 0xff]) {
        let mut bent = fields(&[]);
        bent.push(([b"x", &[byte][..], b"y"].concat(), b"z".to_vec()));
        probes.push(probe(format!("{} in a name", shown(&[byte])), &bent, Expected::Refused));
    }
    for name in [
        "",
        "Content-Length",
        "x: y\r\nz",
        "transfer-encoding: chunked\r\nx",
        "x\r\n\r\nGET /smuggled HTTP/1.1\r\nhost",
    ] {
        probes.push(probe(
            format!("name {}", name.escape_debug()),
            &fields(&[(name, "5")]),
            Expected::Refused,
        ));
    }
    probes.push(probe("an underscore in a name", &fields(&[("content_length", "5")]), got()));
    probes
}

fn values() -> Vec<StreamProbe> {
    let mut probes = Vec::new();
    for byte in (0..0x20).filter(|byte| *byte != b'\t').chain([0x7f]) {
        let mut bent = fields(&[]);
        bent.push((b"x".to_vec(), [b"a", &[byte][..], b"b"].concat()));
        probes.push(probe(format!("{} in a value", shown(&[byte])), &bent, Expected::Refused));
    }
    for value in [
        "a\r\nTransfer-Encoding: chunked",
        "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        " a",
        "a ",
        "\ta",
        "a\t",
        " ",
    ] {
        probes.push(probe(
            format!("value {}", value.escape_debug()),
            &fields(&[("x", value)]),
            Expected::Refused,
        ));
    }
    for value in ["", "a b", "a\tb", "\u{e4}"] {
        probes.push(probe(format!("value {}", value.escape_debug()), &fields(&[("x", value)]), got()));
    }
    probes
}

fn connection_fields() -> Vec<StreamProbe> {
    let mut probes = Vec::new();
    for (name, value) in [
        ("connection", "close"),
        ("connection", "transfer-encoding"),
        ("keep-alive", "5"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("transfer-encoding", ""),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", "chunked"),
    ] {
        probes.push(probe(format!("{name}: {value}"), &fields(&[(name, value)]), Expected::Refused));
    }
    probes.push(probe("te: trailers", &fields(&[("te", "trailers")]), got()));
    probes.push(probe("expect", &fields(&[("expect", "100-continue")]), got()));
    probes
}

fn authorities() -> Vec<StreamProbe> {
    let mut probes = Vec::new();
    for authority in [
        "",
        "user@shop.test",
        "shop.test/x",
        "shop.test?x",
        "shop.test#x",
        "shop.test x",
        "shop.test\0",
        "shop.test\r\nX: y",
        "shop.test:x",
        "shop.test:99999",
        "[::1",
        "..",
        "shop..test",
        "shop.test,evil.test",
        "sh\u{f6}p.test",
        "shop.test%00",
        "\"shop.test\"",
        "http://shop.test",
        "shop.test\\x",
    ] {
        let name = format!("authority {}", authority.escape_debug());
        probes.push(probe(name, &fields(&[(":authority", authority)]), Expected::Refused));
    }
    for hosts in [
        &["evil.test"][..],
        &["shop.test", "shop.test"],
        &["shop.test", "evil.test"],
        &[""],
        &["shop.test/"],
        &["shop.test:443"],
    ] {
        let mut both = fields(&[]);
        both.extend(hosts.iter().map(|host| (b"host".to_vec(), host.as_bytes().to_vec())));
        probes.push(probe(format!("authority and host {hosts:?}"), &both, Expected::Status(400)));
    }
    let mut alone = without(":authority");
    probes.push(probe("neither authority nor host", &alone, Expected::Refused));
    alone.push((b"host".to_vec(), b"shop.test".to_vec()));
    probes.push(probe("host alone", &alone, got()));
    probes.push(probe("authority and the same host", &fields(&[("host", "SHOP.test")]), got()));
    // SNI said shop.test, which is another app's than evil.test's.
    probes.push(probe("another app's host", &fields(&[(":authority", "evil.test")]), Expected::Status(421)));
    probes
}

fn paths() -> Vec<StreamProbe> {
    let mut probes = Vec::new();
    for path in [
        "probe",
        "*",
        "?x",
        "http://shop.test/probe",
        "https://shop.test/",
        "https://evil.test/",
        "/a b",
        "/a HTTP/1.1\r\nHost: x\r\n\r\n",
        "/a\r\nX: y",
        "/a\0",
        "/a\tb",
        "/a\nb",
        "/a\u{7f}",
        " /a",
        "/a ",
        "..",
        "\\a",
    ] {
        probes.push(probe(
            format!("path {}", path.escape_debug()),
            &fields(&[(":path", path)]),
            Expected::Refused,
        ));
    }
    for path in ["/", "//evil.test/", "/a?b=c?d", "/%2e%2e/", "/a;b", "/%00", "/[x]"] {
        let seen = Message::new(format!("GET {path} HTTP/1.1"), "");
        probes.push(probe(format!("path {path}"), &fields(&[(":path", path)]), Expected::Served(seen)));
    }
    // The library cuts a fragment off before anybody sees it; nothing of it goes anywhere.
    let cut = Expected::Served(Message::new("GET /a HTTP/1.1", ""));
    probes.push(probe("path with a fragment", &fields(&[(":path", "/a#b")]), cut));
    let asterisk = Expected::Served(Message::new("OPTIONS * HTTP/1.1", ""));
    probes.push(probe("OPTIONS *", &fields(&[(":method", "OPTIONS"), (":path", "*")]), asterisk));
    probes
}

fn lengths() -> Vec<StreamProbe> {
    let post = |length: &str| fields(&[(":method", "POST"), ("content-length", length)]);
    let mut probes = Vec::new();
    for length in ["4", "6", "0", "+5", "-5", "5, 5", "0x5", "5 ", " 5", "", "18446744073709551621", "5\0"] {
        let name = format!("length {} for five bytes", length.escape_debug());
        probes.push(with_body(name, &post(length), &[Frame::data(1, true, "hello")], Expected::Refused));
    }
    let mut twice = post("5");
    twice.push((b"content-length".to_vec(), b"5".to_vec()));
    probes.push(with_body("length twice", &twice, &[Frame::data(1, true, "hello")], Expected::Refused));
    probes.push(probe("length 5 without a body", &post("5"), Expected::Refused));
    probes.push(with_body("length 5", &post("5"), &[Frame::data(1, true, "hello")], posted(b"hello")));
    let pieces = [
        Frame::data(1, false, "he"),
        Frame::data(1, false, ""),
        Frame::data(1, false, "llo"),
        Frame::data(1, true, ""),
    ];
    probes.push(with_body("length 5 in pieces", &post("5"), &pieces, posted(b"hello")));
    let open = fields(&[(":method", "POST")]);
    // The end of the stream in an empty frame must not end the chunked body twice.
    probes.push(with_body("an empty last frame", &open, &pieces, posted(b"hello")));
    probes.push(with_body("only an empty frame", &open, &[Frame::data(1, true, "")], posted(b"")));
    probes.push(with_body(
        "length 0 and an empty frame",
        &post("0"),
        &[Frame::data(1, true, "")],
        posted(b""),
    ));
    let inner = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    probes.push(with_body(
        "a chunk end as a body",
        &open,
        &[Frame::data(1, true, inner)],
        posted(inner.as_bytes()),
    ));
    let cut = [Frame::data(1, false, "hel"), Frame::reset(1, 8)];
    probes.push(with_body("a body that is cut", &open, &cut, Expected::Refused));
    let padded = Frame::new(Kind::Data, flags::PADDED | flags::END_STREAM, 1, b"\x03hello\0\0\0".to_vec());
    probes.push(with_body("padding", &post("5"), &[padded], posted(b"hello")));
    let overpadded = Frame::new(Kind::Data, flags::PADDED | flags::END_STREAM, 1, b"\x09hello".to_vec());
    probes.push(with_body("more padding than frame", &post("5"), &[overpadded], Expected::Refused));
    probes
}

/// Header blocks that are cut in odd places or broken.
fn blocks() -> Vec<StreamProbe> {
    let whole = hpack::literals(fields(&[("cookie", "a=b")]));
    let mut probes = Vec::new();
    let mut push = |name: &str, frames: Vec<Frame>, expected| {
        probes.push(StreamProbe { name: name.to_owned(), frames, expected })
    };
    let start = |payload: &[u8]| Frame::new(Kind::Headers, flags::END_STREAM, 1, payload);
    let more = |flag, stream, payload: &[u8]| Frame::new(Kind::Continuation, flag, stream, payload);
    for cut in [0, 1, 9, whole.len() / 2, whole.len()] {
        let frames = vec![start(&whole[..cut]), more(flags::END_HEADERS, 1, &whole[cut..])];
        push(&format!("a block cut after {cut} bytes"), frames, got());
    }
    let (one, two) = whole.split_at(20);
    push(
        "a frame between two parts",
        vec![start(one), Frame::window(0, 1), more(flags::END_HEADERS, 1, two)],
        Expected::Refused,
    );
    push("a part for another stream", vec![start(one), more(flags::END_HEADERS, 3, two)], Expected::Refused);
    push("a part without a start", vec![more(flags::END_HEADERS, 1, &whole)], Expected::Refused);
    push("half a block", vec![Frame::headers(1, true, &whole[..whole.len() - 3])], Expected::Refused);
    push(
        "an index that is not there",
        vec![Frame::headers(1, true, [&whole[..], &[0xfe]].concat())],
        Expected::Refused,
    );
    push("index zero", vec![Frame::headers(1, true, [&whole[..], &[0x80]].concat())], Expected::Refused);
    push(
        "an endless integer",
        vec![Frame::headers(1, true, [&whole[..], &[0xff; 12]].concat())],
        Expected::Refused,
    );
    push(
        "a table that is too large",
        vec![Frame::headers(1, true, [&[0x3f, 0xff, 0xff, 0x7f], &whole[..]].concat())],
        Expected::Refused,
    );
    let huffman = [&whole[..], &[0x00, 0x01, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]].concat();
    push("Huffman's end within a text", vec![Frame::headers(1, true, huffman)], Expected::Refused);
    let crumbs = fields(&[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")]);
    push("cookie crumbs", vec![Frame::headers(1, true, hpack::literals(crumbs))], got());
    push("an even stream", vec![Frame::headers(2, true, &whole[..])], Expected::Refused);
    push("stream 0", vec![Frame::headers(0, true, &whole[..])], Expected::Refused);
    push(
        "a push",
        vec![Frame::new(Kind::PushPromise, flags::END_HEADERS, 1, [&[0, 0, 0, 2], &whole[..]].concat())],
        Expected::Refused,
    );
    push(
        "an unknown frame first",
        vec![
            Frame { kind: 0x42, flags: 0xff, stream: 1, payload: vec![1, 2, 3] },
            Frame::headers(1, true, &whole[..]),
        ],
        got(),
    );
    probes
}

fn trailers() -> Vec<StreamProbe> {
    let open = fields(&[(":method", "POST")]);
    let mut probes = Vec::new();
    let mut push = |name: &str, trailer: &[(&str, &str)], end: bool, expected| {
        let frames =
            [Frame::data(1, false, "hello"), Frame::headers(1, end, hpack::literals(trailer.to_vec()))];
        probes.push(with_body(name, &open, &frames, expected));
    };
    push("a trailer", &[("x", "y")], true, posted(b"hello"));
    push("a trailer that frames", &[("content-length", "9")], true, posted(b"hello"));
    push("a trailer that routes", &[("host", "evil.test")], true, posted(b"hello"));
    // The library drops it before anybody sees it.
    push("a trailer with a pseudo field", &[(":path", "/smuggled")], true, posted(b"hello"));
    push("a trailer with CR LF", &[("x", "y\r\n\r\nGET /smuggled HTTP/1.1")], true, Expected::Refused);
    push("a trailer with a capital", &[("X", "y")], true, Expected::Refused);
    push("a trailer with connection", &[("connection", "close")], true, Expected::Refused);
    push("a trailer with transfer-encoding", &[("transfer-encoding", "chunked")], true, Expected::Refused);
    push("a trailer with white space around its value", &[("x", " y")], true, Expected::Refused);
    push("a trailer with a quote in its name", &[("x\"y", "z")], true, Expected::Refused);
    push("a trailer that does not end", &[("x", "y")], false, Expected::Refused);
    probes
}
