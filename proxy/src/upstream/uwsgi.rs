//! The uwsgi protocol: a request head as one packet of variables; uWSGI answers with an ordinary HTTP response.
//! Source: uwsgi-docs, "The uwsgi (lowercase) Protocol".

use bytes::{BufMut, BytesMut};

use crate::http1::framing::BodyLength;
use crate::http1::target::normalized_path;
use crate::upstream::http::ForwardedRequest;

/// A request head that does not fit into a packet (64 KiB of variables).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request head does not fit into a uwsgi packet of 65535 bytes")]
pub struct PacketTooLarge;

/// The packet: modifier 0, size in little endian, modifier 0, then length-prefixed names and values (CGI, RFC 3875).
pub fn packet(request: &ForwardedRequest) -> Result<BytesMut, PacketTooLarge> {
    let mut packet = BytesMut::with_capacity(1024);
    packet.put_slice(&[0, 0, 0, 0]);
    let mut put = |name: &[u8], value: &[u8]| -> Result<(), PacketTooLarge> {
        for part in [name, value] {
            packet.put_u16_le(u16::try_from(part.len()).map_err(|_| PacketTooLarge)?);
            packet.put_slice(part);
        }
        Ok(())
    };
    let target = crate::http1::target::forwardable(&request.path_and_query);
    let query = memchr::memchr(b'?', &target).map_or(&b""[..], |mark| &target[mark + 1..]);
    put(b"REQUEST_METHOD", &request.method)?;
    put(b"REQUEST_URI", &target)?;
    put(b"PATH_INFO", &normalized_path(&request.path_and_query))?;
    put(b"QUERY_STRING", query)?;
    put(b"SCRIPT_NAME", b"")?;
    put(b"SERVER_PROTOCOL", request.protocol.as_bytes())?;
    put(b"REQUEST_SCHEME", if request.tls { b"https" } else { b"http" })?;
    if request.tls {
        put(b"HTTPS", b"on")?;
    }
    put(b"REMOTE_ADDR", request.client.to_string().as_bytes())?;
    put(b"SERVER_PORT", request.server.port().to_string().as_bytes())?;
    let host = request.headers.get("host").cloned().unwrap_or_default();
    let name = crate::http1::target::host_of(&host).unwrap_or_else(|| request.server.ip().to_string());
    put(b"SERVER_NAME", name.as_bytes())?;
    match request.body {
        BodyLength::Known(length) => put(b"CONTENT_LENGTH", length.to_string().as_bytes())?,
        _ => put(b"CONTENT_LENGTH", b"")?,
    }
    put(b"CONTENT_TYPE", request.headers.get("content-type").map_or(&b""[..], |value| value))?;
    let mut written: Vec<Vec<u8>> = Vec::new();
    for field in request.headers.iter() {
        let name = variable_name(&field.name);
        // `Proxy` would become HTTP_PROXY, which clients of other servers obey (httpoxy).
        if matches!(&name[..], b"HTTP_CONTENT_TYPE" | b"HTTP_CONTENT_LENGTH" | b"HTTP_PROXY")
            || written.contains(&name)
        {
            continue;
        }
        let text = std::str::from_utf8(&field.name).unwrap_or_default();
        let separator: &[u8] = if name == b"HTTP_COOKIE" { b"; " } else { b", " };
        let values: Vec<_> = request.headers.all(text).map(|value| &value[..]).collect();
        put(&name, &values.join(separator))?;
        written.push(name);
    }
    let size = u16::try_from(packet.len() - 4).map_err(|_| PacketTooLarge)?;
    packet[1..3].copy_from_slice(&size.to_le_bytes());
    Ok(packet)
}

fn variable_name(name: &[u8]) -> Vec<u8> {
    let upper = name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() });
    b"HTTP_".iter().copied().chain(upper).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Headers;
    use std::collections::BTreeMap;

    fn request() -> ForwardedRequest {
        let mut headers = Headers::default();
        headers.push("Host", "shop.org:81");
        headers.push("Accept", "a");
        headers.push("accept", "b");
        headers.push("Proxy", "evil");
        headers.push("Content-Type", "text/plain");
        ForwardedRequest {
            method: "POST".into(),
            path_and_query: "/a/%2e%2e/b%20c?x=%20y".into(),
            headers,
            body: BodyLength::Known(5),
            websocket: false,
            client: [1, 2, 3, 4].into(),
            tls: true,
            server: ([127, 0, 0, 1], 443).into(),
            protocol: "HTTP/2.0",
        }
    }

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
