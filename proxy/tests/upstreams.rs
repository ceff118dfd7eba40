//! What back ends may speak, on real sockets: FastCGI, uwsgi, HTTP/2 with and without TLS, and what they may not do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hop3_proxy::{
    Backend, Balancing, Endpoint, FastCgi, HashKey, HeaderRules, HealthCheck, Member, Policy, Pool, Protocol,
    ProxyConfig, Route, RouteLimits, RouteTable, ScriptFiles, ServerLimits, StickyCookie, UpstreamTls,
    UpstreamTlsOptions,
};
use support::{Client, Reply, TestProxy, backend, curl, get, ok, route, start, start_with};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

fn pool(protocol: Protocol, endpoints: impl IntoIterator<Item = Endpoint>) -> Pool {
    Pool::new(protocol, endpoints)
}

fn start_pool(pool: Pool) -> TestProxy {
    start(vec![route(Backend::Pool(Arc::new(pool)))])
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[1, kind, 0, 1, length[0], length[1], 0, 0][..], content].concat()
}

/// Reads one request; its parameters as text and its body.
async fn read_fastcgi(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let (mut parameters, mut body) = (Vec::new(), Vec::new());
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header).await.ok()?;
        assert_eq!((header[0], header[3]), (1, 1));
        let length = usize::from(u16::from_be_bytes([header[4], header[5]])) + usize::from(header[6]);
        let mut content = vec![0; length];
        stream.read_exact(&mut content).await.ok()?;
        match header[1] {
            1 => assert_eq!(content[..3], [0, 1, 1], "responder, connection kept"),
            4 => parameters.extend(content),
            5 if length == 0 => break,
            5 => body.extend(content),
            other => panic!("record type {other}"),
        }
    }
    let text = String::from_utf8_lossy(&parameters).into_owned();
    Some((text.replace(|character: char| character.is_control(), "|"), body))
}

/// A FastCGI application that keeps its connections; `answer` makes the records of an answer.
async fn fastcgi(answer: fn(&str, &[u8]) -> Vec<u8>) -> (Endpoint, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                while let Some((parameters, body)) = read_fastcgi(&mut stream).await {
                    if stream.write_all(&answer(&parameters, &body)).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (endpoint, connections)
}

const END: [u8; 16] = [1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[tokio::test]
async fn fastcgi_is_spoken_over_kept_connections() {
    let (endpoint, connections) = fastcgi(|parameters, body| {
        let head = "Status: 201 Created\r\nContent-Type: text/plain\r\nX-From: app\r\n\r\n";
        let text = format!("{parameters}#{}", String::from_utf8_lossy(body));
        let text: Vec<u8> = text.as_bytes().chunks(60_000).flat_map(|piece| record(6, piece)).collect();
        [record(7, b"a warning"), record(6, head.as_bytes()), text, record(6, b""), END.into()].concat()
    })
    .await;
    let proxy = start_pool(pool(Protocol::FastCgi(Arc::default()), [endpoint]));
    let mut client = Client::connect(proxy.http).await;
    for _ in 0..3 {
        let answer = client.request("POST", "/a%20b?c", "X-Name: v\r\n", b"hello").await;
        assert_eq!((answer.status, answer.header("x-from")), (201, Some("app")));
        let text = answer.text();
        for part in
            ["REQUEST_METHODPOST", "PATH_INFO/a b", "QUERY_STRINGc", "CONTENT_LENGTH5", "HTTP_X_NAMEv"]
        {
            let found = text.replace('|', "");
            assert!(found.contains(part), "{part}: {text}");
        }
        assert!(text.ends_with("#hello"), "{text}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1, "the connection is used again");
    // A chunked body is read whole first: CGI needs its length. A large one is sent in several records.
    let large = "x".repeat(200_000);
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send(format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len())).await;
    let answer = client.response(false).await.unwrap();
    assert!(answer.text().ends_with(&format!("#{large}")));
}

/// One process takes a connection, serves it until it is closed, and takes the next, as PHP-FPM's do.
#[tokio::test]
async fn a_kept_fastcgi_connection_keeps_nobody_from_its_process() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            while read_fastcgi(&mut stream).await.is_some() {
                let head = b"Status: 200 OK\r\n\r\nhello";
                let answer = [record(6, head), record(6, b""), END.into()].concat();
                stream.write_all(&answer).await.unwrap_or_default();
            }
        }
    });
    let application = pool(Protocol::FastCgi(Arc::default()), [endpoint]);
    let mut only = route(Backend::Pool(Arc::new(application)));
    // Shorter than a connection that is in use all the time would last.
    only.limits = RouteLimits { response_timeout: Duration::from_secs(15), ..RouteLimits::default() };
    let proxy = start(vec![only]);
    let address = proxy.http;
    let served = Arc::new(AtomicBool::default());
    let busy = tokio::spawn({
        let served = served.clone();
        async move {
            let mut client = Client::connect(address).await;
            while !served.load(Ordering::SeqCst) {
                assert_eq!(client.get("/").await.status, 200);
            }
        }
    });
    for _ in 0..5 {
        assert_eq!(get(address, "/").await.status, 200);
    }
    served.store(true, Ordering::SeqCst);
    busy.await.unwrap();
}

#[tokio::test]
async fn lying_fastcgi_applications_get_502_and_are_dropped() {
    let (endpoint, connections) = fastcgi(|parameters, _| {
        let output = |text: &str| record(6, text.as_bytes());
        let is = |name: &str| parameters.contains(name);
        if is("/short") {
            [output("Content-Length: 9\r\n\r\nabc"), END.into()].concat()
        } else if is("/long") {
            [output("Content-Length: 2\r\n\r\nabc"), END.into()].concat()
        } else if is("/id") {
            let mut record = output("A: b\r\n\r\n");
            record[3] = 7;
            record
        } else if is("/version") {
            b"HTTP/1.1 200 OK\r\n\r\n".to_vec()
        } else if is("/head") {
            (0..3).flat_map(|_| output(&format!("A: {}\r\n", "b".repeat(60_000)))).collect()
        } else if is("/split") {
            [output("A: b\r\rSet-Cookie: c\r\n\r\n"), END.into()].concat()
        } else if is("/overloaded") {
            [&END[..12], &[2, 0, 0, 0]].concat()
        } else {
            [output("A: b\r\n\r\nfine"), END.into()].concat()
        }
    })
    .await;
    let proxy = start_pool(pool(Protocol::FastCgi(Arc::default()), [endpoint]));
    for path in ["/short", "/long", "/id", "/version", "/head", "/split", "/overloaded"] {
        let before = connections.load(Ordering::SeqCst);
        let answer = get(proxy.http, path).await;
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
        assert_eq!(get(proxy.http, "/fine").await.text(), "fine", "after {path}");
        assert!(connections.load(Ordering::SeqCst) > before, "the connection of {path} was used again");
    }
}

#[tokio::test]
async fn a_uwsgi_answer_longer_than_it_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut packet = vec![0; 4096];
            let length = stream.read(&mut packet).await.unwrap();
            let text = String::from_utf8_lossy(&packet[..length]).into_owned();
            let body = if text.contains("/long") { "abcdef" } else { "abc" };
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    let proxy = start_pool(pool(Protocol::Uwsgi, [Endpoint::Unix(path)]));
    assert_eq!(get(proxy.http, "/").await.text(), "abc");
    assert_eq!(get(proxy.http, "/long").await.status, 502);
}

#[tokio::test]
async fn php_scripts_files_and_the_front_controller() {
    let (endpoint, _) = fastcgi(|parameters, _| {
        [record(6, b"Content-Type: text/plain\r\n\r\n"), record(6, parameters.as_bytes()), END.into()]
            .concat()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in
        [("index.php", "<?php"), ("a.php", "<?php"), ("style.css", "body{}"), ("x.php.txt", "text")]
    {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let scripts = ScriptFiles::new(folder.path());
    let application = FastCgi { scripts: Some(scripts) };
    let backend = Backend::Pool(Arc::new(pool(Protocol::FastCgi(Arc::new(application)), [endpoint])));
    let proxy = start(vec![route(backend.clone())]);
    let script = |name: &str| format!("SCRIPT_FILENAME{}", folder.path().join(name).display());
    for (path, part) in
        [("/", "index.php"), ("/a.php/rest?q", "a.php"), ("/nice/url", "index.php"), ("/no.css", "index.php")]
    {
        let answer = get(proxy.http, path).await;
        assert!(answer.text().replace('|', "").contains(&script(part)), "{path}: {}", answer.text());
    }
    let style = get(proxy.http, "/style.css").await;
    assert_eq!((style.status, style.text().as_str()), (200, "body{}"));
    assert_eq!(get(proxy.http, "/missing.php").await.status, 404);
    assert_eq!(get(proxy.http, "/style.css/x.php").await.status, 404);
    let policy = Some(Arc::new(Policy { strip_prefix: true, ..Policy::default() }));
    let below = Route { path_prefix: "/app".into(), policy, ..route(backend) };
    proxy.handle.publish(RouteTable::new(vec![below]).unwrap());
    let style = get(proxy.http, "/app/style.css").await;
    assert_eq!(
        (style.status, style.text().as_str()),
        (200, "body{}"),
        "files and scripts lie below one folder"
    );
    assert!(get(proxy.http, "/app/a.php").await.text().replace('|', "").contains(&script("a.php")));
}

/// An HTTP/2 server: answers with what it saw and with trailers.
async fn http2_server<T>(stream: T, seen: Arc<Mutex<Vec<String>>>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let seen = seen.clone();
        tokio::spawn(async move {
            let (parts, mut stream) = request.into_parts();
            let fields: Vec<String> = parts
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            let line = format!("{} {} {}", parts.method, parts.uri, fields.join(", "));
            seen.lock().unwrap().push(line);
            let mut body = Vec::new();
            while let Some(Ok(piece)) = stream.data().await {
                stream.flow_control().release_capacity(piece.len()).unwrap();
                body.extend_from_slice(&piece);
            }
            if parts.uri.path() == "/reset" {
                respond.send_reset(h2::Reason::INTERNAL_ERROR);
                return;
            }
            let grpc = parts
                .headers
                .get("content-type")
                .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
            let kind = if grpc { "application/grpc" } else { "text/plain" };
            let head = http::Response::builder().status(200).header("content-type", kind).body(()).unwrap();
            let mut sending = respond.send_response(head, false).unwrap();
            sending.send_data(Bytes::from(body), false).unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let _ = sending.send_trailers(trailers);
        });
    }
}

#[tokio::test]
async fn http2_without_tls_shares_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (log, counter) = (seen.clone(), connections.clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(http2_server(stream, log.clone()));
        }
    });
    let proxy = start_pool(pool(Protocol::H2c, [endpoint.clone()]));
    let mut clients = Vec::new();
    for number in 0..20 {
        clients.push(tokio::spawn(async move {
            let body = format!("{number}").repeat(50_000);
            let answer = Client::connect(proxy.http).await.request("POST", "/x?y", "", body.as_bytes()).await;
            assert_eq!(answer.status, 200);
            assert!(answer.body == body.as_bytes());
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    assert!(connections.load(Ordering::SeqCst) <= 20);
    let before = connections.load(Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(get(proxy.http, "/").await.status, 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), before, "connections are shared");
    let line = seen.lock().unwrap()[0].clone();
    assert!(line.starts_with("POST http://shop.test/x?y "), "{line}");
    assert!(line.contains("x-forwarded-for: 127.0.0.1") && !line.contains(" host: "), "{line}");
    // The scheme is that of the connection, whatever the client's was: back ends may check it.
    let port = proxy.https.port();
    let (resolve, url) = (format!("shop.test:{port}:127.0.0.1"), format!("https://shop.test:{port}/tls"));
    curl(&["--insecure", "--resolve", &resolve, &url]).await;
    let line = seen.lock().unwrap().last().cloned().unwrap();
    assert!(line.starts_with(&format!("GET http://shop.test:{port}/tls ")), "{line}");
    assert!(line.contains("x-forwarded-proto: https"), "{line}");
    assert_eq!(get(proxy.http, "/reset").await.status, 502);
    // No upgrade over HTTP/2: the wish for one is ignored, as RFC 9110 section 7.8 allows.
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n";
    let answer = Client::connect(proxy.http).await.request("GET", "/", upgrade, b"").await;
    assert_eq!((answer.status, answer.header("upgrade")), (200, None));

    let mut request_headers = HeaderRules::default();
    request_headers.set_host("legacy.test:8080").unwrap();
    let policy = Some(Arc::new(Policy { request_headers, ..Policy::default() }));
    let behind = route(Backend::Pool(Arc::new(pool(Protocol::H2c, [endpoint]))));
    let proxy = start(vec![Route { policy, ..behind }]);
    assert_eq!(get(proxy.http, "/other").await.status, 200);
    let line = seen.lock().unwrap().last().unwrap().clone();
    assert!(line.starts_with("GET http://legacy.test:8080/other ") && !line.contains(" host: "), "{line}");
    assert!(line.contains("x-forwarded-host: shop.test"), "{line}");
}

/// The head of its answer may come only with the first message, so nobody may wait for that to let the client be silent.
#[tokio::test]
async fn a_grpc_stream_may_be_silent_before_it_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(http2_server(stream, Arc::default()));
        }
    });
    let patience = Duration::from_secs(1);
    let limits = ServerLimits { rate_grace: patience, body_timeout: patience, ..ServerLimits::default() };
    let backend = Backend::Pool(Arc::new(pool(Protocol::H2c, [endpoint])));
    let proxy = start_with(ProxyConfig { limits, ..ProxyConfig::default() }, vec![route(backend)]);
    for (kind, status) in [("application/grpc", 200), ("text/plain", 408)] {
        let mut client = Client::connect(proxy.http).await;
        let head = format!("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Type: {kind}\r\n");
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")).await;
        if status == 200 {
            tokio::time::sleep(patience * 2).await;
            client.send("1\r\nb\r\n0\r\n\r\n").await;
        }
        assert_eq!(client.response(false).await.unwrap().status, status, "{kind}");
    }
}

#[tokio::test]
async fn tls_checks_the_certificate_and_chooses_the_protocol() {
    let identity = rcgen::generate_simple_self_signed(vec!["app.internal".to_owned()]).unwrap();
    let pem = identity.cert.pem().into_bytes();
    let key = rustls::pki_types::PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, log) = (acceptor.clone(), log.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    return http2_server(stream, log).await;
                }
                let mut head = [0; 4096];
                while stream.read(&mut head).await.is_ok_and(|length| length > 0) {
                    stream.write_all(&ok("over http/1.1")).await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
    let status = async |options: UpstreamTlsOptions| {
        let mut pool = pool(Protocol::Http, [endpoint.clone()]);
        pool.tls = Some(Arc::new(UpstreamTls::new(&options).unwrap()));
        pool.health_check = Some(HealthCheck { path: "/well".into(), ..HealthCheck::default() });
        let proxy = start_pool(pool);
        let first = get(proxy.http, "/").await;
        assert_eq!(get(proxy.http, "/").await.status, first.status);
        (first.status, first.text())
    };
    let trusting = |name: &str| UpstreamTlsOptions {
        authorities: Some(pem.clone()),
        server_name: Some(name.to_owned()),
        ..UpstreamTlsOptions::default()
    };
    assert_eq!(status(trusting("app.internal")).await.0, 200);
    // Asked by the client without TLS, and by the checks on no client's account.
    let asked = async |url: &str| {
        let line = format!("GET {url} ");
        while !seen.lock().unwrap().iter().any(|seen| seen.starts_with(&line)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    for url in ["https://shop.test/", "https://localhost/well"] {
        let asked = tokio::time::timeout(support::PATIENCE, asked(url)).await;
        assert!(asked.is_ok(), "no {url} in {:?}", seen.lock().unwrap());
    }
    let http1 = UpstreamTlsOptions { http2: false, ..trusting("app.internal") };
    assert_eq!(status(http1).await, (200, "over http/1.1".to_owned()));
    assert_eq!(status(trusting("other.internal")).await.0, 502, "another name");
    let system =
        UpstreamTlsOptions { server_name: Some("app.internal".into()), ..UpstreamTlsOptions::default() };
    assert_eq!(status(system).await.0, 502, "an unknown authority");
    assert_eq!(status(UpstreamTlsOptions { verify: false, ..UpstreamTlsOptions::default() }).await.0, 200);
}

fn hello(_: &support::Received) -> Reply {
    Reply::Keep(ok("hello"))
}

#[tokio::test]
async fn keys_and_cookies_tie_clients_to_instances() {
    let backends = [backend(hello).await, backend(hello).await, backend(hello).await];
    let endpoints = || backends.iter().map(|backend| Endpoint::Tcp(backend.address));
    let counts = || backends.iter().map(support::TestBackend::count).collect::<Vec<_>>();
    let mut hashed = pool(Protocol::Http, endpoints());
    hashed.balancing = Balancing::Hash(HashKey::Header("x-user".into()));
    let proxy = start_pool(hashed);
    let mut client = Client::connect(proxy.http).await;
    for user in 0..30 {
        for _ in 0..3 {
            client.request("GET", "/", &format!("X-User: {user}\r\n"), b"").await;
        }
    }
    assert!(counts().iter().all(|count| count % 3 == 0 && *count > 0), "{:?}", counts());
    let mut sticky = pool(Protocol::Http, endpoints());
    sticky.sticky = Some(StickyCookie { name: "seat".into(), max_age: Some(Duration::from_secs(60)) });
    let proxy = start_pool(sticky);
    let mut client = Client::connect(proxy.http).await;
    let answer = client.get("/").await;
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    assert!(
        cookie.starts_with("seat=") && cookie.contains("HttpOnly") && cookie.contains("Max-Age=60"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    let before = counts();
    for _ in 0..10 {
        let answer = client.request("GET", "/", &format!("Cookie: a=b; {pair}\r\n"), b"").await;
        assert_eq!(answer.header("set-cookie"), None);
    }
    let moved: Vec<_> = counts().iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(moved.iter().filter(|count| **count > 0).count(), 1, "{moved:?}");
}

#[tokio::test]
async fn a_sick_instance_is_found_by_checks_and_comes_back() {
    fn answer(request: &support::Received) -> Reply {
        static SICK: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
        match request.line().split(' ').nth(1).unwrap() {
            "/fall" => SICK.store(true, Ordering::SeqCst),
            "/rise" => SICK.store(false, Ordering::SeqCst),
            "/health" if SICK.load(Ordering::SeqCst) => {
                return Reply::Keep(support::response("500 Internal Server Error", "", ""));
            }
            _ => {}
        }
        Reply::Keep(ok("sick"))
    }
    let (sick, well) = (backend(answer).await, backend(hello).await);
    let mut pool = pool(Protocol::Http, [Endpoint::Tcp(sick.address), Endpoint::Tcp(well.address)]);
    let check = HealthCheck {
        path: "/health".into(),
        interval: Duration::from_millis(50),
        fall: 2,
        rise: 2,
        ..HealthCheck::default()
    };
    pool.health_check = Some(check);
    let mut unchecked = pool.clone();
    let proxy = start_pool(pool);
    let metric = format!("hop3_upstream_up{{app=\"shop\",endpoint=\"{}\"}}", sick.address);
    let state = async |value: u8| {
        for _ in 0..1200 {
            if proxy.handle.metrics().contains(&format!("{metric} {value}")) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    };
    assert!(state(1).await);
    Client::connect(sick.address).await.get("/fall").await;
    assert!(state(0).await, "{}", proxy.handle.metrics());
    for _ in 0..10 {
        assert_eq!(get(proxy.http, "/").await.text(), "hello");
    }
    Client::connect(sick.address).await.get("/rise").await;
    assert!(state(1).await);
    Client::connect(sick.address).await.get("/fall").await;
    assert!(state(0).await);
    unchecked.health_check = None;
    proxy.handle.publish(RouteTable::new(vec![route(Backend::Pool(Arc::new(unchecked)))]).unwrap());
    assert!(state(1).await, "what an earlier check found does not outlive it");
}

#[tokio::test]
async fn instances_are_given_no_more_than_they_may_have_and_weights_count() {
    static GATE: Semaphore = Semaphore::const_new(0);
    fn held(_: &support::Received) -> Reply {
        Reply::Held(vec![], &GATE, ok("slow"))
    }
    let (first, second) = (backend(held).await, backend(held).await);
    let mut pool = pool(Protocol::Http, []);
    pool.members = vec![
        Member { endpoint: Endpoint::Tcp(first.address), weight: 3 },
        Member { endpoint: Endpoint::Tcp(second.address), weight: 1 },
    ];
    pool.max_connections = 3;
    let proxy = start_pool(pool);
    let mut asking: JoinSet<u16> = (0..8).map(|_| async move { get(proxy.http, "/").await.status }).collect();
    // Two are refused while six are under way; then those are answered.
    for _ in 0..2 {
        assert_eq!(asking.join_next().await.unwrap().unwrap(), 503);
    }
    GATE.add_permits(6);
    assert_eq!(asking.join_all().await, [200; 6]);
    assert_eq!((first.count(), second.count()), (3, 3));
}

#[tokio::test]
async fn a_back_end_that_takes_no_bytes_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await.unwrap());
        }
    });
    let mut stuck = route(Backend::http([endpoint]));
    let short = Duration::from_millis(300);
    // That the answer may take a minute is another matter.
    stuck.limits = RouteLimits { write_timeout: short, ..RouteLimits::default() };
    let proxy = start(vec![stuck]);
    let mut client = Client::connect(proxy.http).await;
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 40000000\r\n\r\n").await;
    let (mut reader, mut writer) = client.stream.into_split();
    let upload = tokio::spawn(async move {
        let _ = writer.write_all(&vec![b'x'; 40_000_000]).await;
    });
    let mut head = [0; 12];
    tokio::time::timeout(Duration::from_secs(60), reader.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(&head, b"HTTP/1.1 504");
    upload.abort();
}
