//! What changes in a head on its way through: hop-by-hop fields go (RFC 9110 section 7.6.1), forwarding fields come.

use std::net::IpAddr;

use crate::config::Network;
use crate::conn::ConnectionInfo;
use crate::headers::{Headers, elements, is_name};
use crate::http1::target::Scheme;
use crate::request::Request;

/// Fields that concern one connection only.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that only we may tell a back end.
const OURS: [&str; 11] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-real-ip",
    "x-request-id",
    "forwarded",
    "client-cert",
    "client-cert-chain",
    "expect",
    "content-length",
];

/// The client behind the peer: the rightmost address of `X-Forwarded-For` that is no trusted proxy.
pub fn client_address(peer: IpAddr, headers: &Headers, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let values: Vec<_> = headers.all("x-forwarded-for").collect();
    let hops = values.iter().flat_map(|value| elements(value)).collect::<Vec<_>>();
    for hop in hops.iter().rev() {
        let Some(address) = std::str::from_utf8(hop).ok().and_then(|hop| hop.parse::<IpAddr>().ok()) else {
            break;
        };
        client = address.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// The fields for a back end, `Host` first.
///
/// Names with an underscore are left out: a CGI-like back end could not tell
/// them from the same name with a hyphen, which we may have checked or set.
pub fn request_headers(
    request: &Request,
    connection: &ConnectionInfo,
    trusted: &[Network],
    id: &str,
    identity_only: bool,
) -> Headers {
    let nominated = nominated(&request.headers);
    let peer_is_trusted = trusted.iter().any(|network| network.contains(connection.client.ip()));
    let mut headers = Headers::with_capacity(request.headers.len() + 6);
    headers.push("Host", request.authority.clone());
    for field in request.headers.iter() {
        let dropped = is_one_of(&field.name, &HOP_BY_HOP)
            || is_one_of(&field.name, &OURS)
            || is_name(&field.name, "host")
            || field.name.contains(&b'_')
            || nominated.iter().any(|name| name.eq_ignore_ascii_case(&field.name))
            || (identity_only && is_name(&field.name, "accept-encoding"));
        if !dropped {
            headers.push(field.name.clone(), field.value.clone());
        }
    }
    if request.is_grpc() && request.headers.has_token("te", "trailers") {
        headers.push("te", "trailers");
    }
    if identity_only {
        headers.push("accept-encoding", "identity");
    }
    add_forwarding(&mut headers, request, connection, peer_is_trusted);
    if let Some(certificate) = &connection.client_certificate {
        headers.push("client-cert", certificate.field().to_owned());
    }
    headers.push("x-request-id", id.to_owned());
    headers
}

fn add_forwarding(
    headers: &mut Headers,
    request: &Request,
    connection: &ConnectionInfo,
    peer_is_trusted: bool,
) {
    let peer = connection.client.ip().to_canonical().to_string();
    let earlier = |name: &str| if peer_is_trusted { request.headers.get(name).cloned() } else { None };
    let hops = if peer_is_trusted {
        let earlier: Vec<_> = request.headers.all("x-forwarded-for").map(|value| &value[..]).collect();
        earlier.into_iter().chain([peer.as_bytes()]).collect::<Vec<_>>().join(&b", "[..])
    } else {
        peer.into_bytes()
    };
    headers.push("x-forwarded-for", hops);
    let scheme = request.scheme.as_str();
    headers.push("x-forwarded-proto", earlier("x-forwarded-proto").unwrap_or_else(|| scheme.into()));
    headers
        .push("x-forwarded-host", earlier("x-forwarded-host").unwrap_or_else(|| request.authority.clone()));
}

/// Whether the client used TLS, as far as a trusted proxy or the connection tells.
pub fn is_secure(request: &Request, connection: &ConnectionInfo, trusted: &[Network]) -> bool {
    let told = || request.headers.get("x-forwarded-proto").is_some_and(|value| is_name(value, "https"));
    request.scheme == Scheme::Https
        || (trusted.iter().any(|network| network.contains(connection.client.ip())) && told())
}

/// Removes from a response what concerns the back end's connection only.
pub fn strip_response(headers: &mut Headers, upgrade: bool) {
    let nominated = nominated(headers);
    headers.retain(|field| {
        let kept_upgrade = upgrade && is_name(&field.name, "upgrade");
        kept_upgrade
            || !(is_one_of(&field.name, &HOP_BY_HOP)
                || nominated.iter().any(|name| name.eq_ignore_ascii_case(&field.name)))
    });
}

/// The names that `Connection` declares to be hop-by-hop. Framing and routing cannot be declared away.
fn nominated(headers: &Headers) -> Vec<Vec<u8>> {
    let protected =
        |name: &&[u8]| !is_one_of(name, &["host", "content-length", "content-type", "close", "keep-alive"]);
    let values = headers.all("connection");
    values
        .flat_map(|value| elements(value).filter(protected).map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect()
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|known| is_name(name, known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn request(lines: &str) -> Request {
        let head = format!("GET /a HTTP/1.1\r\nHost: Shop.org:81\r\n{lines}\r\n");
        crate::http1::request::parse_request(Bytes::from(head), Scheme::Http, 100).unwrap()
    }

    fn connection(client: &str) -> ConnectionInfo {
        let server = "127.0.0.1:80".parse().unwrap();
        let client = client.parse().unwrap();
        ConnectionInfo { client, server, scheme: Scheme::Http, server_name: None, client_certificate: None }
    }

    fn forwarded(lines: &str, trusted: &[&str]) -> Vec<String> {
        let trusted: Vec<Network> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let headers = request_headers(&request(lines), &connection("10.0.0.1:5"), &trusted, "ID", false);
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        headers.iter().map(|field| format!("{}: {}", text(&field.name), text(&field.value))).collect()
    }

    #[test]
    fn hop_by_hop_and_forged_fields_are_replaced() {
        let lines = "Connection: close, X-Secret, host\r\nX-Secret: 1\r\nX-Kept: 2\r\nx_twin: 3\r\nTE: gzip\r\n\
            Upgrade: h2c\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-proto: https\r\nX-Request-Id: forged\r\n\
            Client-Cert: :AAAA:\r\nForwarded: for=6.6.6.6\r\nExpect: 100-continue\r\nKeep-Alive: 3\r\nProxy-Connection: x\r\n";
        let expected = [
            "Host: Shop.org:81",
            "X-Kept: 2",
            "x-forwarded-for: 10.0.0.1",
            "x-forwarded-proto: http",
            "x-forwarded-host: Shop.org:81",
            "x-request-id: ID",
        ];
        assert_eq!(forwarded(lines, &[]), expected);
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let lines = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\n";
        let found = forwarded(lines, &["10.0.0.0/8"]);
        assert!(found.contains(&"x-forwarded-for: 6.6.6.6, 7.7.7.7, 10.0.0.1".to_owned()), "{found:?}");
        assert!(found.contains(&"x-forwarded-proto: https".to_owned()), "{found:?}");
    }

    #[test]
    fn the_client_is_the_last_untrusted_hop() {
        let trusted: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap()];
        let cases = [
            ("1.1.1.1", "6.6.6.6", "1.1.1.1"),
            ("10.0.0.1", "6.6.6.6", "6.6.6.6"),
            ("10.0.0.1", "6.6.6.6, 7.7.7.7, 10.0.0.2", "7.7.7.7"),
            ("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("::ffff:10.0.0.1", "6.6.6.6", "6.6.6.6"),
        ];
        for (peer, hops, client) in cases {
            let mut headers = Headers::default();
            headers.push("X-Forwarded-For", hops);
            let found = client_address(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {hops}");
        }
    }

    #[test]
    fn responses_lose_hop_by_hop_fields() {
        let mut headers = Headers::default();
        for (name, value) in [("Connection", "X-A"), ("X-A", "1"), ("Upgrade", "websocket"), ("ETag", "e")] {
            headers.push(name, value);
        }
        let mut upgraded = headers.clone();
        strip_response(&mut headers, false);
        assert_eq!(headers.iter().map(|field| field.name.clone()).collect::<Vec<_>>(), ["ETag"]);
        upgraded.remove("connection");
        strip_response(&mut upgraded, true);
        assert!(upgraded.contains("upgrade"));
    }
}
