//! Request targets (RFC 9112 section 3.2) and authorities (RFC 3986 section 3.2): checking, splitting, and the
//! spellings used for routing and forwarding.

use std::borrow::Cow;

use bytes::Bytes;

/// The parts of a checked request target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Path and query, starting with `/`; `*` for `OPTIONS *`.
    pub path_and_query: Bytes,
    /// Scheme and authority of the absolute form.
    pub absolute: Option<(Scheme, Bytes)>,
}

/// The scheme of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Reads origin form, absolute form, or the asterisk of OPTIONS. `None` for everything else.
///
/// Characters that RFC 3986 does not allow but clients send (`"<>` and bytes
/// above 127, for instance) are let through, because the firewall has to see them;
/// [`forwardable`] escapes them before they go on.
pub fn parse_target(target: &Bytes, method: &[u8]) -> Option<Target> {
    if target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f || *byte == b'#') {
        return None;
    }
    match target.first()? {
        b'/' => Some(Target { path_and_query: target.clone(), absolute: None }),
        b'*' if target.len() == 1 && method == b"OPTIONS" => {
            Some(Target { path_and_query: target.clone(), absolute: None })
        }
        _ => parse_absolute(target, method),
    }
}

fn parse_absolute(target: &Bytes, method: &[u8]) -> Option<Target> {
    let (scheme, start) = if prefix_ignoring_case(target, b"http://") {
        (Scheme::Http, 7)
    } else if prefix_ignoring_case(target, b"https://") {
        (Scheme::Https, 8)
    } else {
        return None;
    };
    let rest = target.slice(start..);
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = rest.slice(..end);
    host_of(&authority)?;
    let path_and_query = match rest.get(end) {
        Some(b'/') => rest.slice(end..),
        Some(_) => [b"/", &rest[end..]].concat().into(),
        None if method == b"OPTIONS" => Bytes::from_static(b"*"),
        None => Bytes::from_static(b"/"),
    };
    Some(Target { path_and_query, absolute: Some((scheme, authority)) })
}

fn prefix_ignoring_case(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The host of `host[:port]` in lower case, without a trailing dot; `None` when the authority is malformed.
///
/// User information is refused: nobody sends it in good faith (RFC 9110 section 4.2.4).
pub fn host_of(authority: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(authority).ok()?;
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (&text[..address.len() + 2], after.strip_prefix(':').or_else(|| after.is_empty().then_some(""))?)
        }
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            if !host.bytes().all(legal) || host.starts_with('.') || host.contains("..") {
                return None;
            }
            (host, port)
        }
    };
    let port_is_legal =
        port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let host = host.strip_suffix('.').unwrap_or(host);
    (port_is_legal && !host.is_empty() && host.len() <= 255).then(|| host.to_ascii_lowercase())
}

/// Whether the target is `host:port` (RFC 9112 section 3.2.3).
pub fn is_authority_form(target: &[u8]) -> bool {
    host_of(target).is_some() && target.last().is_some_and(u8::is_ascii_digit) && has_port(target)
}

fn has_port(authority: &[u8]) -> bool {
    let after_address = authority.iter().rposition(|byte| *byte == b']').map_or(0, |end| end + 1);
    authority[after_address..].contains(&b':')
}

/// The target with every byte escaped that RFC 3986 forbids, so that no back end meets a spelling it may read
/// differently than we did.
pub fn forwardable(path_and_query: &[u8]) -> Cow<'_, [u8]> {
    let forbidden = |byte: u8| {
        !(0x21..0x7f).contains(&byte)
            || matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    if !path_and_query.iter().any(|byte| forbidden(*byte)) {
        return Cow::Borrowed(path_and_query);
    }
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut escaped = Vec::with_capacity(path_and_query.len() + 32);
    for byte in path_and_query {
        if forbidden(*byte) {
            escaped.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else {
            escaped.push(*byte);
        }
    }
    Cow::Owned(escaped)
}

/// The path as routes and files see it: without the query, percent-decoded once, dot segments and double slashes
/// removed (RFC 3986 section 5.2.4). So `/public/..%2fadmin` cannot borrow the route of `/public`.
pub fn normalized_path(path_and_query: &[u8]) -> Cow<'_, [u8]> {
    let path = path_and_query.split(|byte| *byte == b'?').next().unwrap_or_default();
    let plain = !path.contains(&b'%')
        && !path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
        && !path.contains(&b'\\');
    if plain {
        return Cow::Borrowed(path);
    }
    let decoded = percent_decoded(path);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut parts = decoded.split(|byte| matches!(byte, b'/' | b'\\')).peekable();
    let mut directory = true;
    while let Some(part) = parts.next() {
        directory = matches!(part, b"" | b"." | b"..");
        match part {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            name => segments.push(name),
        }
        if parts.peek().is_none() {
            break;
        }
    }
    let mut normalized = Vec::with_capacity(decoded.len() + 1);
    for segment in &segments {
        normalized.push(b'/');
        normalized.extend_from_slice(segment);
    }
    if directory || normalized.is_empty() {
        normalized.push(b'/');
    }
    Cow::Owned(normalized)
}

/// Every `%XX` decoded once; what is no such escape stays.
pub fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let pair = bytes.get(index + 1..index + 3).filter(|_| bytes[index] == b'%');
        match pair.and_then(|pair| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?)) {
            Some(byte) => {
                decoded.push(byte);
                index += 3;
            }
            None => {
                decoded.push(bytes[index]);
                index += 1;
            }
        }
    }
    decoded
}

/// The value of one hexadecimal digit.
pub const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let good = [
            ("Example.ORG", "example.org"),
            ("example.org:8080", "example.org"),
            ("example.org.", "example.org"),
            ("example.org:", "example.org"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("a_b.c", "a_b.c"),
        ];
        for (authority, host) in good {
            assert_eq!(host_of(authority.as_bytes()).as_deref(), Some(host), "{authority}");
        }
        for bad in [
            "", ":80", "a b", "a@b", "a:b", "a:70000", "a:1:2", "a/b", "[::1", "[x]", "[::1]x", "..", ".a",
            "a..b", "a,b", "ä",
        ] {
            assert_eq!(host_of(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn authority_forms() {
        for good in ["a:443", "1.2.3.4:80", "[::1]:443"] {
            assert!(is_authority_form(good.as_bytes()), "{good}");
        }
        for bad in ["a", "a:", "1.2.3.4", "[::1]", "[::1]:", "a:b", "a:99999", "http://a:80", "/", ""] {
            assert!(!is_authority_form(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn targets() {
        let parse = |target: &'static str, method: &str| {
            parse_target(&Bytes::from_static(target.as_bytes()), method.as_bytes())
        };
        let path = |target, method| {
            parse(target, method).map(|parsed| String::from_utf8(parsed.path_and_query.to_vec()).unwrap())
        };
        assert_eq!(path("/a?b", "GET").as_deref(), Some("/a?b"));
        assert_eq!(path("http://h/a?b", "GET").as_deref(), Some("/a?b"));
        assert_eq!(path("HTTPS://h", "GET").as_deref(), Some("/"));
        assert_eq!(path("http://h?x", "GET").as_deref(), Some("/?x"));
        assert_eq!(path("http://h", "OPTIONS").as_deref(), Some("*"));
        assert_eq!(path("*", "OPTIONS").as_deref(), Some("*"));
        for bad in
            ["*", "foo", "\\x", "?a", "", "ftp://h/", "http:///", "http://u@h/", "/a#b", "http:/x", "//\u{1}"]
        {
            assert_eq!(parse(bad, "GET"), None, "{bad}");
        }
        assert_eq!(parse("**", "OPTIONS"), None);
    }

    #[test]
    fn odd_bytes_are_escaped_when_forwarded() {
        assert_eq!(&forwardable(b"/a?b=%20[x]")[..], b"/a?b=%20[x]");
        assert_eq!(&forwardable(b"/<\"\xff{|}\\^`>")[..], b"/%3C%22%FF%7B%7C%7D%5C%5E%60%3E");
    }

    #[test]
    fn paths_are_normalized_for_routing() {
        let cases = [
            ("/", "/"),
            ("/a/b?c=/../", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/..%2fb", "/b"),
            ("/a\\..\\b", "/b"),
            ("/a/..%5cb", "/b"),
            ("//a//b/", "/a/b/"),
            ("/../../x", "/x"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a%zz", "/a%zz"),
            ("/%61", "/a"),
        ];
        for (path, expected) in cases {
            assert_eq!(normalized_path(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }
}
