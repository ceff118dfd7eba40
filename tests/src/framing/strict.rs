//! Reading what reached a back end by the letter of RFC 9112 and by our own promises: nothing is tolerated that
//! two servers might read in two ways.

use crate::framing::Message;

/// What the bytes at the front of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// A complete request of this many bytes.
    Complete(Message, usize),
    /// The beginning of one.
    Incomplete,
    /// No request that a proxy may send.
    Malformed(String),
}

/// Reads the request at the front of `bytes`.
pub fn read(bytes: &[u8]) -> Read {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return match bytes.iter().find(|byte| **byte == 0) {
            Some(_) => Read::Malformed("NUL in a head".to_owned()),
            None => Read::Incomplete,
        };
    };
    let head = match Head::read(&bytes[..end + 2]) {
        Ok(head) => head,
        Err(why) => return Read::Malformed(why),
    };
    let start = end + 4;
    match head.framing {
        Framing::Length(length) => match bytes.get(start..start + length) {
            Some(body) => Read::Complete(Message::new(head.line, body), start + length),
            None => Read::Incomplete,
        },
        Framing::Chunked => match read_chunks(&bytes[start..]) {
            Ok(Some((body, length))) => Read::Complete(Message::new(head.line, body), start + length),
            Ok(None) => Read::Incomplete,
            Err(why) => Read::Malformed(why),
        },
    }
}

enum Framing {
    Length(usize),
    Chunked,
}

struct Head {
    line: String,
    framing: Framing,
}

/// Fields that end at a proxy (RFC 9110 sections 7.6.1 and 11.7). `Trailer` does not: it goes on even where the trailers
/// themselves are left out (section 6.6.2).
const HOP_BY_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate"];

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while let Some(end) = find(rest, b"\r\n") {
            lines.push(&rest[..end]);
            rest = &rest[end + 2..];
        }
        let (line, fields) = lines.split_first().ok_or("no request line")?;
        let line = request_line(line)?;
        let mut hosts = Vec::new();
        let (mut lengths, mut encodings) = (Vec::new(), Vec::new());
        let (mut upgrade, mut trailers) = ((false, false), (false, false));
        for field in fields {
            let (name, value) = field_line(field)?;
            match &name[..] {
                "host" => hosts.push(value),
                "content-length" => lengths.push(value),
                "transfer-encoding" => encodings.push(value),
                "connection" if value.eq_ignore_ascii_case("upgrade") => upgrade.0 = true,
                "connection" if value.eq_ignore_ascii_case("te") => trailers.0 = true,
                "connection" => return Err(format!("Connection: {value}")),
                "upgrade" if value.eq_ignore_ascii_case("websocket") => upgrade.1 = true,
                "upgrade" => return Err(format!("Upgrade: {value}")),
                "te" if value == "trailers" => trailers.1 = true,
                "te" => return Err(format!("TE: {value}")),
                hop if HOP_BY_HOP.contains(&hop) => return Err(format!("hop-by-hop field {hop}")),
                _ => {}
            }
        }
        if upgrade.0 != upgrade.1 {
            return Err("half an upgrade".to_owned());
        }
        // Whoever sends TE names it (RFC 9110 section 10.1.4).
        if trailers.0 != trailers.1 {
            return Err("TE or its mention alone".to_owned());
        }
        match &hosts[..] {
            [host] if !host.is_empty() => {}
            _ => return Err(format!("Host: {hosts:?}")),
        }
        let framing = match (&lengths[..], &encodings[..]) {
            ([], []) => Framing::Length(0),
            ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                Framing::Length(length.parse().map_err(|_| format!("Content-Length: {length}"))?)
            }
            ([], [encoding]) if encoding == "chunked" => Framing::Chunked,
            _ => return Err(format!("Content-Length {lengths:?} and Transfer-Encoding {encodings:?}")),
        };
        Ok(Self { line, framing })
    }
}

fn request_line(line: &[u8]) -> Result<String, String> {
    let malformed = || format!("request line {}", line.escape_ascii());
    let text = std::str::from_utf8(line).map_err(|_| malformed())?;
    let parts: Vec<&str> = text.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else { return Err(malformed()) };
    // RFC 3986: unreserved, sub-delims, `:@/?`, `%`; square brackets are common in queries and harmless.
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte);
    let form = target == "*" || target.starts_with('/');
    if method.is_empty() || !method.bytes().all(is_token) || !form || !target.bytes().all(legal) {
        return Err(malformed());
    }
    Ok(text.to_owned())
}

/// The name in lower case, and the value.
fn field_line(line: &[u8]) -> Result<(String, String), String> {
    let malformed = || format!("header line {}", line.escape_ascii());
    let colon = line.iter().position(|byte| *byte == b':').ok_or_else(malformed)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let value = value.strip_prefix(b" ").unwrap_or(value);
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let legal = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    // Underscores: see `request_headers`, which must leave such names out.
    let named = !name.is_empty() && name.iter().all(|byte| is_token(*byte) && *byte != b'_');
    if !named || blank(value.first()) || blank(value.last()) || !value.iter().all(|byte| legal(*byte)) {
        return Err(malformed());
    }
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()))
}

/// The body and the length of its coding, trailers included.
fn read_chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line = &bytes[at..at + end];
        at += end + 2;
        let digits = std::str::from_utf8(line).ok().filter(|line| {
            !line.is_empty() && line.len() <= 15 && line.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        let size = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let size = size.ok_or_else(|| format!("chunk size {}", line.escape_ascii()))?;
        if size == 0 {
            break;
        }
        let Some(data) = bytes.get(at..at + size + 2) else { return Ok(None) };
        if !data.ends_with(b"\r\n") {
            return Err(format!("chunk end {}", data[size..].escape_ascii()));
        }
        body.extend_from_slice(&data[..size]);
        at += size + 2;
    }
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line = &bytes[at..at + end];
        at += end + 2;
        if line.is_empty() {
            return Ok(Some((body, at)));
        }
        let (name, _) = field_line(line)?;
        if ["host", "content-length", "transfer-encoding", "authorization", "cookie"].contains(&&name[..]) {
            return Err(format!("trailer {name}"));
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sound_is_read() {
        let sound: [(&[u8], &[u8]); 3] = [
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b""),
            (b"POST /a?b=%20 HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\nhi", b"hi"),
            (
                b"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\nX: y\r\n\r\n",
                b"hi",
            ),
        ];
        for (bytes, body) in sound {
            let Read::Complete(message, length) = read(&[bytes, b"GET"].concat()) else {
                panic!("{}", bytes.escape_ascii())
            };
            assert_eq!((&message.body[..], length), (body, bytes.len()));
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), Read::Incomplete, "{}", bytes[..cut].escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_not_sound_is_told() {
        for lines in [
            "GET  / HTTP/1.1\r\nHost: a\r\n",
            "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n",
            "GET /<> HTTP/1.1\r\nHost: a\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\n",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nHost: \r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA_b: c\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\nc: d\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\0\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n",
        ] {
            let bytes = format!("{lines}\r\n");
            assert!(matches!(read(bytes.as_bytes()), Read::Malformed(_)), "{}", bytes.escape_debug());
        }
        for chunks in
            ["g\r\n", "1;x\r\na\r\n", "1\r\nab\r\n", " 1\r\n", "0\r\nhost: a\r\n\r\n", "0\r\nx\r\n\r\n"]
        {
            assert!(read_chunks(chunks.as_bytes()).is_err(), "{}", chunks.escape_debug());
        }
    }
}
