//! The `Forwarded` field (RFC 7239): reading what trusted proxies wrote, and writing our own element.

use std::net::{IpAddr, SocketAddr};

use crate::headers::{Headers, is_name};

/// What one element tells, as far as we use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Element<'v> {
    /// `for`, where it is an address (`unknown` and obfuscated names are not).
    pub client: Option<IpAddr>,
    /// `proto`.
    pub protocol: Option<&'v [u8]>,
}

/// The elements of all `Forwarded` fields, in order. A malformed one tells nothing.
pub fn elements(headers: &Headers) -> Vec<Element<'_>> {
    let values = headers.all("forwarded").flat_map(|value| split(value, b','));
    values.filter(|element| !element.trim_ascii().is_empty()).map(read).collect()
}

fn read(element: &[u8]) -> Element<'_> {
    let mut told = Element::default();
    for pair in split(element, b';') {
        let Some(equals) = memchr::memchr(b'=', pair) else { continue };
        let (name, value) = (pair[..equals].trim_ascii(), unquoted(pair[equals + 1..].trim_ascii()));
        if is_name(name, "for") {
            told.client = std::str::from_utf8(value).ok().and_then(node);
        } else if is_name(name, "proto") {
            told.protocol = Some(value);
        }
    }
    told
}

/// An address with or without port, IPv6 in brackets or (as some write it) bare.
pub fn node(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

/// Our element: the peer, the host it asked for and how it came.
pub fn element(peer: IpAddr, host: &str, protocol: &str) -> String {
    match peer {
        IpAddr::V4(address) => format!("for={address};host=\"{host}\";proto={protocol}"),
        IpAddr::V6(address) => format!("for=\"[{address}]\";host=\"{host}\";proto={protocol}"),
    }
}

/// Splits at a separator outside quoted strings.
fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match byte {
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte => return *byte == separator && !quoted,
        }
        false
    })
}

/// Without quotes. No value that we use has escapes.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_across_fields_and_quotes() {
        let mut headers = Headers::default();
        headers.push(
            "Forwarded",
            "for=192.0.2.43, For=\"[2001:db8:cafe::17]:4711\";Proto=https ; by=203.0.113.43",
        );
        headers.push(
            "forwarded",
            "for=unknown;host=\"a,b;for=6.6.6.6\\\"\", , for=\"_hidden\", for=198.51.100.17:80",
        );
        let found: Vec<_> = elements(&headers)
            .iter()
            .map(|element| element.client.map(|client| client.to_string()))
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(found, [text("192.0.2.43"), text("2001:db8:cafe::17"), None, None, text("198.51.100.17")]);
        assert_eq!(elements(&headers)[1].protocol, Some(&b"https"[..]));
    }

    #[test]
    fn our_element_is_read_back() {
        for peer in ["10.0.0.1", "2001:db8::1"] {
            let peer: IpAddr = peer.parse().unwrap();
            let mut headers = Headers::default();
            headers.push("forwarded", element(peer, "shop.test:81", "https"));
            assert_eq!(elements(&headers), [Element { client: Some(peer), protocol: Some(b"https") }]);
        }
    }
}
