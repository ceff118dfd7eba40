//! What changes in a head on its way through: hop-by-hop fields go (RFC 9110 section 7.6.1), forwarding fields come.

use std::net::IpAddr;
use std::num::NonZeroU16;

use bytes::Bytes;

use crate::config::ProxyConfig;
use crate::conn::ConnectionInfo;
use crate::forwarded::{self, node};
use crate::headers::{Header, Headers, NameSet, elements, is_name};
use crate::http1::target::Scheme;
use crate::request::Request;
use crate::trace_context::traceparent;

/// Fields that concern one connection only (RFC 9110 section 7.6.1). `Trailer` is not among them: it announces, and tells
/// the next recipient what was lost where trailers did not pass (section 6.6.2).
static HOP_BY_HOP: NameSet = NameSet::new(&[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
]);

/// Fields that only we may tell a back end.
static OURS: NameSet = NameSet::new(&[
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
]);

/// Other names by which a proxy tells where a request comes from, how and for what: back ends that believe them must hear
/// them from trusted proxies alone. So must they every name that begins with `x-forwarded-`.
static OF_PROXIES: NameSet = NameSet::new(&[
    "cf-connecting-ip",
    "fastly-client-ip",
    "forwarded-for",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-url-scheme",
]);

/// Fields of a trace.
static TRACE: NameSet = NameSet::new(&["traceparent", "tracestate"]);

/// What `Connection` cannot declare to be hop-by-hop.
static PROTECTED: NameSet = NameSet::new(&["host", "content-length", "content-type", "close", "keep-alive"]);

fn is_of_proxies(name: &[u8]) -> bool {
    let start = b"x-forwarded-";
    let forwarded = name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    forwarded || OF_PROXIES.contains(name)
}

/// The client behind the peer: the rightmost hop that the forwarding fields tell and that is no trusted proxy.
pub fn client_address(peer: IpAddr, headers: &Headers, config: &ProxyConfig) -> IpAddr {
    let mut client = peer.to_canonical();
    if !config.trusts(client) {
        return client;
    }
    if !config.forwarding.x_forwarded() {
        return origin(client, headers, config).0;
    }
    let values: Vec<_> = headers.all("x-forwarded-for").collect();
    let hops = values.iter().flat_map(|value| elements(value)).collect::<Vec<_>>();
    for hop in hops.iter().rev() {
        let Some(address) = std::str::from_utf8(hop).ok().and_then(node) else { break };
        client = address.to_canonical();
        if !config.trusts(client) {
            break;
        }
    }
    client
}

/// The client by `Forwarded`, behind a trusted peer, and the protocol it spoke, where its element tells.
fn origin<'h>(peer: IpAddr, headers: &'h Headers, config: &ProxyConfig) -> (IpAddr, Option<&'h [u8]>) {
    let (mut client, mut protocol) = (peer, None);
    for element in forwarded::elements(headers).iter().rev() {
        let Some(address) = element.client else { break };
        (client, protocol) = (address.to_canonical(), element.protocol);
        if !config.trusts(client) {
            break;
        }
    }
    (client, protocol)
}

/// The port of the URL that the client used: what a trusted proxy tells, else the configured one, else that of the host it
/// asked for, else that of the scheme.
fn public_port(request: &Request, config: &ProxyConfig, told: impl Fn(&str) -> Option<Bytes>) -> Bytes {
    let is_port =
        |text: &Bytes| std::str::from_utf8(text).is_ok_and(|text| text.parse::<NonZeroU16>().is_ok());
    if let Some(port) = told("x-forwarded-port").filter(is_port) {
        return port;
    }
    let secure = match told("x-forwarded-proto") {
        Some(protocol) => is_name(&protocol, "https"),
        None => request.scheme == Scheme::Https,
    };
    if let Some(port) = config.public_https.filter(|_| secure && told("x-forwarded-host").is_none()) {
        return port.to_string().into();
    }
    let host = told("x-forwarded-host").unwrap_or_else(|| request.authority.clone());
    let after = host.iter().rposition(|byte| *byte == b':').map(|colon| host.slice(colon + 1..));
    if let Some(port) = after.filter(is_port) {
        return port;
    }
    Bytes::from_static(if secure { b"443" } else { b"80" })
}

/// The fields for a back end, `Host` first.
///
/// Names with an underscore are left out: a CGI-like back end could not tell
/// them from the same name with a hyphen, which we may have checked or set.
pub fn request_headers(
    request: &Request,
    connection: &ConnectionInfo,
    config: &ProxyConfig,
    id: &str,
    identity_only: bool,
) -> Headers {
    let nominated = nominated(&request.headers);
    let mut headers = Headers::with_capacity(request.headers.len() + 8);
    let trace = traceparent(&request.headers);
    headers.push("Host", host(request, connection));
    let believed = config.trusts(connection.client.ip().to_canonical()) && config.forwarding.x_forwarded();
    for field in request.headers.iter() {
        let dropped = HOP_BY_HOP.contains(&field.name)
            || OURS.contains(&field.name)
            || is_name(&field.name, "host")
            || (!believed && is_of_proxies(&field.name))
            // Without a valid parent the state means nothing.
            || (trace.is_none() && TRACE.contains(&field.name))
            || field.name.contains(&b'_')
            || nominated.iter().any(|name| name.eq_ignore_ascii_case(&field.name))
            || (identity_only && is_name(&field.name, "accept-encoding"));
        if !dropped {
            headers.push(field.name.clone(), field.value.clone());
        }
    }
    if request.headers.has_token("te", "trailers") {
        headers.push("te", "trailers");
    }
    if identity_only {
        headers.push("accept-encoding", "identity");
    }
    add_forwarding(&mut headers, request, connection, config);
    headers.push("x-request-id", id.to_owned());
    headers
}

/// The client's `Host`; our own address where HTTP/1.0 brought none, since a back end must get one.
fn host(request: &Request, connection: &ConnectionInfo) -> Bytes {
    if request.authority.is_empty() {
        return Bytes::from(connection.server.to_string());
    }
    request.authority.clone()
}

/// Fields that mean something only before a body (RFC 9110 section 6.5.1), or that a back end may merge into what
/// was checked before.
static NOT_IN_TRAILERS: NameSet = NameSet::new(&[
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "trailer",
    "vary",
    "www-authenticate",
]);

/// Whether a trailer may be sent on after a body.
pub fn passes_in_trailers(field: &Header) -> bool {
    !(HOP_BY_HOP.contains(&field.name)
        || OURS.contains(&field.name)
        || is_of_proxies(&field.name)
        || NOT_IN_TRAILERS.contains(&field.name)
        || field.name.contains(&b'_'))
}

fn add_forwarding(
    headers: &mut Headers,
    request: &Request,
    connection: &ConnectionInfo,
    config: &ProxyConfig,
) {
    let peer = connection.client.ip().to_canonical();
    let trusted = config.trusts(peer);
    let scheme = request.scheme.as_str();
    if config.forwarding.x_forwarded() {
        let earlier = |name: &str| if trusted { request.headers.get(name).cloned() } else { None };
        headers.push("x-forwarded-for", appended(request, trusted, "x-forwarded-for", written(peer)));
        headers.push("x-forwarded-proto", earlier("x-forwarded-proto").unwrap_or_else(|| scheme.into()));
        let host = earlier("x-forwarded-host").unwrap_or_else(|| request.authority.clone());
        headers.push("x-forwarded-host", host);
        headers.push("x-forwarded-port", public_port(request, config, earlier));
        headers.push("x-real-ip", written(client_address(peer, &request.headers, config)));
    }
    if config.forwarding.forwarded() {
        let element = forwarded::element(peer, &String::from_utf8_lossy(&request.authority), scheme);
        // What was not believed is not passed on either.
        let believed = trusted && !config.forwarding.x_forwarded();
        headers.push("forwarded", appended(request, believed, "forwarded", element));
    }
}

/// The address as text; IPv4 without the machinery of formatting, since every request has one.
fn written(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let digits = |octet: u8| 1 + usize::from(octet > 9) + usize::from(octet > 99);
    // Exactly as long as it is, so that it becomes a field without being copied.
    let mut text = String::with_capacity(address.octets().map(digits).iter().sum::<usize>() + 3);
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least {
                text.push(char::from(b'0' + octet / unit % 10));
            }
        }
    }
    text
}

/// The list that a trusted peer sent, with our own element behind it.
fn appended(request: &Request, trusted: bool, name: &str, own: String) -> Vec<u8> {
    if !trusted {
        return own.into_bytes();
    }
    let earlier = request.headers.all(name).map(|value| &value[..]);
    earlier.chain([own.as_bytes()]).collect::<Vec<_>>().join(&b", "[..])
}

/// Whether the client used TLS, as far as a trusted proxy or the connection tells.
pub fn is_secure(request: &Request, connection: &ConnectionInfo, config: &ProxyConfig) -> bool {
    let peer = connection.client.ip().to_canonical();
    request.scheme == Scheme::Https || (config.trusts(peer) && told_secure(peer, request, config))
}

fn told_secure(peer: IpAddr, request: &Request, config: &ProxyConfig) -> bool {
    let protocol = if config.forwarding.x_forwarded() {
        request.headers.get("x-forwarded-proto").map(|value| &value[..])
    } else {
        origin(peer, &request.headers, config).1
    };
    protocol.is_some_and(|protocol| is_name(protocol, "https"))
}

/// Removes from a response what concerns the back end's connection only.
pub fn strip_response(headers: &mut Headers, upgrade: bool) {
    let nominated = nominated(headers);
    headers.retain(|field| {
        let kept_upgrade = upgrade && is_name(&field.name, "upgrade");
        kept_upgrade
            || !(HOP_BY_HOP.contains(&field.name)
                || nominated.iter().any(|name| name.eq_ignore_ascii_case(&field.name)))
    });
}

/// The names that `Connection` declares to be hop-by-hop. Framing and routing cannot be declared away.
pub(crate) fn nominated(headers: &Headers) -> Vec<Vec<u8>> {
    let protected = |name: &&[u8]| !PROTECTED.contains(name);
    let values = headers.all("connection");
    values
        .flat_map(|value| elements(value).filter(protected).map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ForwardingFields::{self, Both, Forwarded, XForwarded};

    fn request(lines: &str) -> Request {
        let head = format!("GET /a HTTP/1.1\r\nHost: Shop.org:81\r\n{lines}\r\n");
        crate::http1::request::parse_request(Bytes::from(head), Scheme::Http, 100).unwrap()
    }

    fn connection(client: &str) -> ConnectionInfo {
        let server = "127.0.0.1:80".parse().unwrap();
        let client = client.parse().unwrap();
        ConnectionInfo {
            client,
            server,
            scheme: Scheme::Http,
            server_name: None,
            client_certificate: None,
            asked_for_certificate: false,
            budget: crate::budget::Budget::of_server(0),
        }
    }

    fn config(trusted: &[&str], forwarding: ForwardingFields) -> ProxyConfig {
        let trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        ProxyConfig { trusted_proxies, forwarding, ..ProxyConfig::default() }
    }

    fn forwarded(lines: &str, trusted: &[&str], fields: ForwardingFields) -> Vec<String> {
        let config = config(trusted, fields);
        let headers = request_headers(&request(lines), &connection("10.0.0.1:5"), &config, "ID", false);
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        headers.iter().map(|field| format!("{}: {}", text(&field.name), text(&field.value))).collect()
    }

    #[test]
    fn hop_by_hop_and_forged_fields_are_replaced() {
        let lines = "Connection: close, X-Secret, host\r\nX-Secret: 1\r\nX-Kept: 2\r\nx_twin: 3\r\nTE: gzip\r\nTrailer: X-Sum\r\n\
            Upgrade: h2c\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-proto: https\r\nX-Request-Id: forged\r\n\
            Client-Cert: :AAAA:\r\nForwarded: for=6.6.6.6\r\nExpect: 100-continue\r\nKeep-Alive: 3\r\nProxy-Connection: x\r\n";
        let expected = [
            "Host: Shop.org:81",
            "X-Kept: 2",
            "Trailer: X-Sum",
            "x-forwarded-for: 10.0.0.1",
            "x-forwarded-proto: http",
            "x-forwarded-host: Shop.org:81",
            "x-forwarded-port: 81",
            "x-real-ip: 10.0.0.1",
            "x-request-id: ID",
        ];
        assert_eq!(forwarded(lines, &[], XForwarded), expected);
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let lines = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\n";
        let found = forwarded(lines, &["10.0.0.0/8"], XForwarded);
        assert!(found.contains(&"x-forwarded-for: 6.6.6.6, 7.7.7.7, 10.0.0.1".to_owned()), "{found:?}");
        assert!(found.contains(&"x-forwarded-proto: https".to_owned()), "{found:?}");
    }

    #[test]
    fn the_client_and_the_port_of_its_url_are_told() {
        let told = |lines: &str, trusted: &[&str]| {
            let found = forwarded(lines, trusted, XForwarded);
            let value = |name: &str| {
                let mut values = found.iter().filter_map(|line| line.strip_prefix(name));
                let only = values.next().unwrap().to_owned();
                assert_eq!(values.next(), None, "{found:?}");
                only
            };
            (value("x-real-ip: "), value("x-forwarded-port: "))
        };
        let trusted: &[&str] = &["10.0.0.0/8"];
        let forged = "X-Real-IP: 6.6.6.6\r\nX-Forwarded-Port: 9\r\n";
        let cases: [(&str, &[&str], (&str, &str)); 9] = [
            ("", &[], ("10.0.0.1", "81")),
            (forged, &[], ("10.0.0.1", "81")),
            // What the proxy tells of the client is in `X-Forwarded-For`; many pass the client's own `X-Real-IP` on.
            (forged, trusted, ("10.0.0.1", "9")),
            ("X-Forwarded-For: 7.7.7.7, 10.0.0.3\r\n", trusted, ("7.7.7.7", "81")),
            ("X-Forwarded-Host: a.org:8443\r\nX-Forwarded-Proto: https\r\n", trusted, ("10.0.0.1", "8443")),
            ("X-Forwarded-Host: a.org\r\nX-Forwarded-Proto: https\r\n", trusted, ("10.0.0.1", "443")),
            ("X-Forwarded-Host: [2001:db8::1]\r\n", trusted, ("10.0.0.1", "80")),
            ("X-Forwarded-Port: 0\r\n", trusted, ("10.0.0.1", "81")),
            ("X-Forwarded-Port: 80, 81\r\n", trusted, ("10.0.0.1", "81")),
        ];
        for (lines, trusted, (client, port)) in cases {
            assert_eq!(told(lines, trusted), (client.to_owned(), port.to_owned()), "{lines} {trusted:?}");
        }
    }

    #[test]
    fn what_only_proxies_say_is_heard_from_trusted_ones_alone() {
        let names = [
            "X-Forwarded-Prefix",
            "X-FORWARDED-SSL",
            "x-forwarded-user",
            "X-Scheme",
            "True-Client-IP",
            "X-Original-URL",
        ];
        let lines: String = names.iter().map(|name| format!("{name}: forged\r\n")).collect();
        let passed = |trusted: &[&str], fields| {
            let found = forwarded(&lines, trusted, fields);
            found.iter().filter(|line| line.ends_with(": forged")).count()
        };
        assert_eq!(passed(&[], XForwarded), 0);
        assert_eq!(passed(&["10.0.0.0/8"], XForwarded), names.len());
        assert_eq!(passed(&["10.0.0.0/8"], Forwarded), 0, "what was not believed is not passed on either");
    }

    #[test]
    fn the_client_is_the_last_untrusted_hop() {
        let config = config(&["10.0.0.0/8"], XForwarded);
        let cases = [
            ("1.1.1.1", "6.6.6.6", "1.1.1.1"),
            ("10.0.0.1", "6.6.6.6", "6.6.6.6"),
            ("10.0.0.1", "6.6.6.6, 7.7.7.7, 10.0.0.2", "7.7.7.7"),
            ("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.1"),
            ("10.0.0.1", "6.6.6.6:4711", "6.6.6.6"),
            ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("::ffff:10.0.0.1", "6.6.6.6", "6.6.6.6"),
        ];
        for (peer, hops, client) in cases {
            let mut headers = Headers::default();
            headers.push("X-Forwarded-For", hops);
            let found = client_address(peer.parse().unwrap(), &headers, &config);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {hops}");
        }
    }

    #[test]
    fn forwarded_is_believed_and_written_where_it_is_in_use() {
        let lines = "Forwarded: for=6.6.6.6;proto=https, for=7.7.7.7;proto=http, for=10.0.0.2;proto=https\r\n\
            X-Forwarded-For: 8.8.8.8\r\nX-Forwarded-Proto: https\r\n";
        let own = "for=10.0.0.1;host=\"Shop.org:81\";proto=http";
        let trusted = ["10.0.0.0/8"];
        let earlier = "for=6.6.6.6;proto=https, for=7.7.7.7;proto=http, for=10.0.0.2;proto=https";
        assert_eq!(
            forwarded(lines, &trusted, Forwarded)[1..2],
            [format!("forwarded: {earlier}, {own}")],
            "a trusted proxy's elements stay"
        );
        assert_eq!(forwarded(lines, &[], Forwarded)[1..2], [format!("forwarded: {own}")]);
        let both = forwarded(lines, &trusted, Both);
        assert!(both.contains(&"x-forwarded-for: 8.8.8.8, 10.0.0.1".to_owned()), "{both:?}");
        assert!(both.contains(&format!("forwarded: {own}")), "not believed, not passed on: {both:?}");
        let (request, config) = (request(lines), config(&trusted, Forwarded));
        let client = client_address("10.0.0.1".parse().unwrap(), &request.headers, &config);
        assert_eq!(client.to_string(), "7.7.7.7");
        assert!(!is_secure(&request, &connection("10.0.0.1:5"), &config), "by the client's own element");
    }

    #[test]
    fn addresses_are_written_as_ever() {
        for text in ["0.9.10.99", "100.101.199.255", "127.0.0.1", "::1", "2001:db8::7"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(written(address), text);
            // As is told beside it, of addresses of version 4.
            assert!(address.is_ipv6() || written(address).capacity() == text.len());
        }
    }

    #[test]
    fn a_trace_goes_on_and_a_broken_one_does_not() {
        let valid = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
        let kept = forwarded(&format!("{valid}tracestate: a=b\r\n"), &[], XForwarded);
        assert!(
            kept.iter().any(|line| line == valid.trim_end()) && kept.contains(&"tracestate: a=b".to_owned())
        );
        let dropped = forwarded("traceparent: 00-x\r\ntracestate: a=b\r\n", &[], XForwarded);
        assert!(!dropped.iter().any(|line| line.starts_with("trace")), "{dropped:?}");
    }

    #[test]
    fn trailers_lose_what_frames_routes_or_authorizes() {
        let mut trailers = Headers::default();
        for name in [
            "grpc-status",
            "Content-Length",
            "Host",
            "Authorization",
            "x_y",
            "X-Forwarded-For",
            "te",
            "trailer",
            "etag",
        ] {
            trailers.push(name, "1");
        }
        trailers.retain(passes_in_trailers);
        assert_eq!(
            trailers.iter().map(|field| &field.name[..]).collect::<Vec<_>>(),
            [&b"grpc-status"[..], b"etag"]
        );
    }

    #[test]
    fn a_back_end_always_gets_a_host() {
        let head = Bytes::from_static(b"GET / HTTP/1.0\r\n\r\n");
        let old = crate::http1::request::parse_request(head, Scheme::Http, 100).unwrap();
        let headers = request_headers(&old, &connection("10.0.0.1:5"), &ProxyConfig::default(), "ID", false);
        assert_eq!(headers.get("host").map(|value| &value[..]), Some(&b"127.0.0.1:80"[..]));
    }

    #[test]
    fn responses_lose_hop_by_hop_fields() {
        let mut headers = Headers::default();
        for (name, value) in
            [("Connection", "X-A"), ("X-A", "1"), ("Upgrade", "websocket"), ("Trailer", "X-Sum")]
        {
            headers.push(name, value);
        }
        let mut upgraded = headers.clone();
        strip_response(&mut headers, false);
        assert_eq!(headers.iter().map(|field| field.name.clone()).collect::<Vec<_>>(), ["Trailer"]);
        upgraded.remove("connection");
        strip_response(&mut upgraded, true);
        assert!(upgraded.contains("upgrade"));
    }
}
