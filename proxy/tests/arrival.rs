//! Whose connection it is: PROXY protocol, forwarding fields, the address in logs and towards back ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use hop3_proxy::{Event, ForwardingFields, HeaderRules, Policy, ProxyConfig, Route, RouteTable};
use support::{Client, Reply, TestProxy, backend, ok, response, start_with, to};
use tokio::io::AsyncWriteExt;

fn hello(_: &support::Received) -> Reply {
    Reply::Keep(ok("hello"))
}

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb";

fn balanced() -> ProxyConfig {
    ProxyConfig { proxy_protocol: vec!["127.0.0.0/8".parse().unwrap()], ..ProxyConfig::default() }
}

async fn logged(proxy: &mut TestProxy) -> String {
    loop {
        if let Event::Access(record) = proxy.events.recv().await.expect("a record") {
            return record.client.to_string();
        }
    }
}

#[tokio::test]
async fn a_load_balancer_tells_the_client_by_either_version() {
    let backend = backend(hello).await;
    let mut proxy = start_with(balanced(), vec![to(&backend)]);
    for (header, client) in [
        (&b"PROXY TCP4 192.0.2.7 192.0.2.8 56324 443\r\n"[..], "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::8 56324 443\r\n", "2001:db8::7"),
        (V2, "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "127.0.0.1"),
    ] {
        let mut connection = Client::connect(proxy.http).await;
        // In two pieces, the second with the request behind it.
        connection.send(&header[..5]).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        connection.send([&header[5..], b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"].concat()).await;
        assert_eq!(connection.response(false).await.unwrap().status, 200);
        assert_eq!(logged(&mut proxy).await, client);
        assert_eq!(backend.last().header("x-forwarded-for"), Some(client));
    }
}

#[tokio::test]
async fn who_must_tell_the_client_and_does_not_is_closed() {
    let backend = backend(hello).await;
    let proxy = start_with(balanced(), vec![to(&backend)]);
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"[..],
        b"PROXY TCP4 x\r\n\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ] {
        let mut connection = Client::connect(proxy.http).await;
        connection.send(bytes).await;
        assert!(connection.is_closed().await, "{}", bytes.escape_ascii());
    }
    assert_eq!(backend.count(), 0);
    assert!(proxy.handle.metrics().contains("hop3_http_rejected_total{reason=\"proxy_protocol\"} 3"));

    // And nobody else may: to a client of its own accord the header is a malformed request.
    let open = start_with(ProxyConfig::default(), vec![to(&backend)]);
    let mut connection = Client::connect(open.http).await;
    connection
        .send(b"PROXY TCP4 192.0.2.7 192.0.2.8 56324 443\r\nGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    assert_eq!(connection.response(false).await.unwrap().status, 400);
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let backend = backend(hello).await;
    let mut proxy = start_with(balanced(), vec![to(&backend)]);
    // A relay in front of the proxy, as a load balancer that passes TLS through.
    let relay = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, https) = (relay.local_addr().unwrap().port(), proxy.https);
    tokio::spawn(async move {
        let (mut client, _) = relay.accept().await.unwrap();
        let mut server = tokio::net::TcpStream::connect(https).await.unwrap();
        server.write_all(V2).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    let resolve = format!("shop.test:{port}:127.0.0.1");
    let url = format!("https://shop.test:{port}/");
    let text = support::curl(&["--insecure", "--resolve", &resolve, &url]).await;
    assert_eq!(text, "hello");
    assert_eq!(logged(&mut proxy).await, "192.0.2.7");
}

#[tokio::test]
async fn forwarding_fields_are_believed_of_trusted_peers_only() {
    let backend = backend(hello).await;
    let fields = "X-Forwarded-For: 192.0.2.1, 192.0.2.7\r\nForwarded: for=192.0.2.9;proto=https\r\n";
    let trusted = || vec!["127.0.0.0/8".parse().unwrap()];
    for (config, client) in [
        (ProxyConfig::default(), "127.0.0.1"),
        (ProxyConfig { trusted_proxies: trusted(), ..ProxyConfig::default() }, "192.0.2.7"),
        (
            ProxyConfig {
                trusted_proxies: trusted(),
                forwarding: ForwardingFields::Forwarded,
                ..ProxyConfig::default()
            },
            "192.0.2.9",
        ),
    ] {
        let mut proxy = start_with(config, vec![to(&backend)]);
        let answer = Client::connect(proxy.http).await.request("GET", "/", fields, b"").await;
        assert_eq!(answer.status, 200);
        assert_eq!(logged(&mut proxy).await, client);
    }
}

#[tokio::test]
async fn traces_go_on_and_new_ones_begin_on_demand() {
    let backend = backend(hello).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let proxy = start_with(ProxyConfig { new_traces: true, ..ProxyConfig::default() }, vec![to(&backend)]);
    let mut client = Client::connect(proxy.http).await;
    client.request("GET", "/", &format!("traceparent: {parent}\r\ntracestate: a=b\r\n"), b"").await;
    assert_eq!(backend.last().header("traceparent"), Some(parent));
    assert_eq!(backend.last().header("tracestate"), Some("a=b"));
    client.request("GET", "/", "traceparent: 00-forged\r\ntracestate: a=b\r\n", b"").await;
    let new = backend.last().header("traceparent").unwrap().to_owned();
    assert!(new.len() == 55 && new.starts_with("00-") && new.ends_with("-00"), "{new}");
    assert_eq!(backend.last().header("tracestate"), None);
}

#[tokio::test]
async fn an_id_is_taken_over_from_trusted_proxies_only() {
    let backend = backend(|_| Reply::Keep(response("200 OK", "X-Request-Id: of the app\r\n", "hello"))).await;
    let sent = "0af7651916cd43dd8448eb211c80319c";
    for (trusted, name, taken_over) in [
        (vec!["127.0.0.0/8".parse().unwrap()], sent, true),
        (vec!["127.0.0.0/8".parse().unwrap()], "../../../../../etc/passwd", false),
        (vec![], sent, false),
    ] {
        let config = ProxyConfig { trusted_proxies: trusted, ..ProxyConfig::default() };
        let mut proxy = start_with(config, vec![to(&backend)]);
        let mut client = Client::connect(proxy.http).await;
        let answer = client.request("GET", "/", &format!("X-Request-ID: {name}\r\n"), b"").await;
        let told = answer.header("x-request-id").unwrap();
        assert_eq!(told == name, taken_over, "{told}");
        assert_eq!(answer.head.to_ascii_lowercase().matches("x-request-id").count(), 1, "{}", answer.head);
        assert_eq!(backend.last().header("x-request-id"), Some(told));
        let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no access record") };
        assert_eq!(record.id, told);
    }
}

#[tokio::test]
async fn every_answer_names_its_request_unless_the_app_does_not_want_it() {
    let backend = backend(hello).await;
    let proxy = start_with(ProxyConfig::default(), vec![to(&backend)]);
    let address = proxy.http;
    let request = async |bytes: &str| {
        let mut client = Client::connect(address).await;
        client.send(bytes).await;
        client.response(false).await.unwrap()
    };
    for (status, bytes) in [
        (404, "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: +1\r\n\r\n"),
    ] {
        let page = request(bytes).await;
        let id = page.header("x-request-id").unwrap();
        assert!(page.status == status && page.text().contains(id), "{page:?}");
    }
    let mut rules = HeaderRules::default();
    rules.remove("X-Request-Id").unwrap();
    let policy = Some(Arc::new(Policy { response_headers: rules, ..Policy::default() }));
    proxy.handle.publish(RouteTable::new(vec![Route { policy, ..to(&backend) }]).unwrap());
    let answer = request("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("x-request-id")), (200, None));
    assert!(backend.last().header("x-request-id").is_some());
}
