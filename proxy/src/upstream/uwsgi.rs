//! The uwsgi protocol: a request head as one packet of variables; uWSGI answers with an ordinary HTTP response and
//! closes: the protocol has no way to use a connection again.
//! Source: uwsgi-docs, "The uwsgi (lowercase) Protocol".

use bytes::{BufMut, BytesMut};

use crate::upstream::cgi::variables;
use crate::upstream::http::ForwardedRequest;

/// A request head that does not fit into a packet (64 KiB of variables).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request head does not fit into a uwsgi packet of 65535 bytes")]
pub struct PacketTooLarge;

/// The packet: modifier 0, size in little endian, modifier 0, then length-prefixed names and values (CGI, RFC 3875).
pub fn packet(request: &ForwardedRequest) -> Result<BytesMut, PacketTooLarge> {
    let mut packet = BytesMut::with_capacity(1024);
    packet.put_slice(&[0, 0, 0, 0]);
    let put = |name: &[u8], value: &[u8]| -> Result<(), PacketTooLarge> {
        for part in [name, value] {
            packet.put_u16_le(u16::try_from(part.len()).map_err(|_| PacketTooLarge)?);
            packet.put_slice(part);
        }
        Ok(())
    };
    variables(request, None, put)?;
    let size = u16::try_from(packet.len() - 4).map_err(|_| PacketTooLarge)?;
    packet[1..3].copy_from_slice(&size.to_le_bytes());
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::cgi::tests::request;
    use std::collections::BTreeMap;

    fn variables(packet: &[u8]) -> BTreeMap<String, String> {
        let mut rest = &packet[4..];
        let mut text = || {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (text, after) = after.split_at(usize::from(u16::from_le_bytes(*length)));
            rest = after;
            Some(String::from_utf8(text.to_vec()).unwrap())
        };
        let mut variables = BTreeMap::new();
        while let Some(name) = text() {
            variables.insert(name, text().unwrap());
        }
        variables
    }

    #[test]
    fn a_packet_holds_the_cgi_variables() {
        let packet = packet(&request()).unwrap();
        assert_eq!(usize::from(u16::from_le_bytes([packet[1], packet[2]])), packet.len() - 4);
        let variables = variables(&packet);
        for (name, value) in [
            ("REQUEST_METHOD", "POST"),
            ("REQUEST_URI", "/a/%2e%2e/b%20c?x=%20y"),
            ("PATH_INFO", "/b c"),
            ("QUERY_STRING", "x=%20y"),
            ("CONTENT_LENGTH", "5"),
            ("CONTENT_TYPE", "text/plain"),
            ("HTTP_ACCEPT", "a, b"),
            ("HTTP_HOST", "shop.org:81"),
            ("SERVER_NAME", "shop.org"),
            ("REMOTE_ADDR", "1.2.3.4"),
            ("HTTPS", "on"),
        ] {
            assert_eq!(variables.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!variables.contains_key("HTTP_PROXY"));
    }

    #[test]
    fn a_head_beyond_64_kib_does_not_fit() {
        let mut large = request();
        for number in 0..10 {
            large.headers.push(format!("X-{number}"), "a".repeat(7000));
        }
        assert_eq!(packet(&large), Err(PacketTooLarge));
    }
}
