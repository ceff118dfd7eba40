//! What a route does besides forwarding, on real sockets: each feature once as it is meant and once as it may be abused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::{
    AddressRules, Backend, BasicAuth, Canary, Compression, ConcurrencyLimit, Cors, Endpoint, ErrorPages,
    Event, HeaderRules, Maintenance, Policy, Pool, Protocol, RateKey, RateLimit, Redirect, Route,
    RouteLimits, RouteTable, StaticFiles,
};
use support::{
    Client, PATIENCE, Received, Reply, TestProxy, backend, behind_a_proxy, get, ok, response, route, start,
    to, with,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

fn hello(_: &Received) -> Reply {
    Reply::Keep(ok("hello"))
}

async fn from(proxy: &TestProxy, address: &str) -> support::Response {
    Client::connect(proxy.http)
        .await
        .request("GET", "/", &format!("X-Forwarded-For: {address}\r\n"), b"")
        .await
}

#[tokio::test]
async fn addresses_are_let_in_or_not() {
    let backend = backend(hello).await;
    let addresses = AddressRules {
        allow: vec!["10.0.0.0/8".parse().unwrap()],
        deny: vec!["10.6.6.0/24".parse().unwrap()],
    };
    let proxy = behind_a_proxy(vec![with(&backend, Policy { addresses, ..Policy::default() })]);
    for (address, status) in [("10.1.1.1", 200), ("10.6.6.6", 403), ("8.8.8.8", 403)] {
        assert_eq!(from(&proxy, address).await.status, status, "{address}");
    }
    assert_eq!(backend.count(), 1);
    assert!(proxy.handle.metrics().contains("hop3_http_limited_total{app=\"shop\",reason=\"address\"} 2"));
}

#[tokio::test]
async fn maintenance_shows_a_page_except_to_the_maintainers() {
    let backend = backend(hello).await;
    let maintenance = Maintenance {
        page: Some("<h1>Back soon</h1>".into()),
        retry_after: Some(Duration::from_secs(90)),
        allow: vec!["10.0.0.1".parse().unwrap()],
    };
    let route = with(&backend, Policy { maintenance: Some(maintenance), ..Policy::default() });
    let proxy = behind_a_proxy(vec![route]);
    let answer = from(&proxy, "8.8.8.8").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("90")));
    assert_eq!(answer.text(), "<h1>Back soon</h1>");
    assert_eq!(from(&proxy, "10.0.0.1").await.text(), "hello");
    proxy.handle.publish(RouteTable::new(vec![to(&backend)]).unwrap());
    assert_eq!(from(&proxy, "8.8.8.8").await.text(), "hello", "without a restart");
}

#[tokio::test]
async fn rates_are_limited_per_client_and_survive_a_new_table() {
    let backend = backend(hello).await;
    let rate_limit =
        RateLimit { requests: 3, period: Duration::from_secs(60), burst: 2, key: RateKey::Client };
    let route = || with(&backend, Policy { rate_limit: Some(rate_limit.clone()), ..Policy::default() });
    let proxy = behind_a_proxy(vec![route()]);
    for _ in 0..5 {
        assert_eq!(from(&proxy, "1.1.1.1").await.status, 200);
    }
    let answer = from(&proxy, "1.1.1.1").await;
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(answer.status, 429);
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(from(&proxy, "2.2.2.2").await.status, 200);
    proxy.handle.publish(RouteTable::new(vec![route()]).unwrap());
    assert_eq!(from(&proxy, "1.1.1.1").await.status, 429);
    assert_eq!(backend.count(), 6);
}

#[tokio::test]
async fn routes_count_together_what_was_written_for_the_app() {
    let backend = backend(hello).await;
    let limit = |requests| {
        let key = RateKey::Client;
        Some(RateLimit { requests, period: Duration::from_secs(3600), burst: 0, key })
    };
    let below = |prefix: &str, policy: Policy| Route { path_prefix: prefix.into(), ..with(&backend, policy) };
    let inherits = || Policy { rate_limit: limit(3), ..Policy::default() };
    let own = || Policy { rate_limit_of: Some("/own".into()), ..inherits() };
    let other = Policy { rate_limit: limit(1), rate_limit_of: Some("/other".into()), ..Policy::default() };
    let routes =
        [("/", inherits()), ("/up", inherits()), ("/dl", inherits()), ("/own", own()), ("/other", other)];
    let routes: Vec<_> = routes.into_iter().map(|(prefix, policy)| below(prefix, policy)).collect();
    let proxy = start(routes.clone());
    let mut client = Client::connect(proxy.http).await;
    for (target, status) in
        [("/", 200), ("/up/1", 200), ("/dl", 200), ("/", 429), ("/up", 429), ("/dl/2", 429)]
    {
        assert_eq!(client.get(target).await.status, status, "{target}");
    }
    for (target, status) in [("/own", 200), ("/own", 200), ("/own", 200), ("/own", 429), ("/other", 200)] {
        assert_eq!(client.get(target).await.status, status, "{target}");
    }
    // Also when the path that counted first has gone.
    proxy.handle.publish(RouteTable::new(routes[1..].to_vec()).unwrap());
    for (target, status) in [("/up", 429), ("/own", 429), ("/other", 429)] {
        assert_eq!(client.get(target).await.status, status, "{target}");
    }
}

#[tokio::test]
async fn paths_and_hosts_are_redirected() {
    let backend = backend(hello).await;
    let redirects = vec![
        Redirect::new("/old/*", "/new", None).unwrap(),
        Redirect::new("www.shop.test", "https://shop.test", Some(302)).unwrap(),
    ];
    let mut route = with(&backend, Policy { redirects, ..Policy::default() });
    route.hosts.push("www.shop.test".parse().unwrap());
    let proxy = start(vec![route]);
    let answer = get(proxy.http, "/old/a?b=c").await;
    assert_eq!((answer.status, answer.header("location")), (301, Some("/new/a?b=c")));
    let mut client = Client::connect(proxy.http).await;
    client.send("GET /x?y HTTP/1.1\r\nHost: www.shop.test\r\n\r\n").await;
    let answer = client.response(false).await.unwrap();
    assert_eq!((answer.status, answer.header("location")), (302, Some("https://shop.test/x?y")));
    assert_eq!(backend.count(), 0);
    assert_eq!(get(proxy.http, "/older").await.status, 200);
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let backend = backend(hello).await;
    // The prefix of `htpasswd -nbB`.
    let hash = bcrypt::hash("secret", 4).unwrap().replace("$2b$", "$2y$");
    let auth = BasicAuth::new("The shop", [("ann".to_owned(), hash)]).unwrap();
    let proxy = start(vec![with(&backend, Policy { basic_auth: Some(auth), ..Policy::default() })]);
    let answer = get(proxy.http, "/").await;
    let challenge = "Basic realm=\"The shop\", charset=\"UTF-8\"";
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some(challenge)));
    let wrong = Client::connect(proxy.http)
        .await
        .request("GET", "/", "Authorization: Basic YW5uOndyb25n\r\n", b"")
        .await;
    assert_eq!(wrong.status, 401);
    assert_eq!(backend.count(), 0);
    for _ in 0..3 {
        let mut client = Client::connect(proxy.http).await;
        let right = client.request("GET", "/", "Authorization: Basic YW5uOnNlY3JldA==\r\n", b"").await;
        assert_eq!(right.text(), "hello");
    }
}

#[tokio::test]
async fn cross_origin_rules_answer_preflights_and_mark_answers() {
    fn answer(_: &Received) -> Reply {
        Reply::Keep(response("200 OK", "Access-Control-Allow-Origin: *\r\n", "x"))
    }
    let backend = backend(answer).await;
    let cors = Cors { origins: vec!["https://app.test".into()], max_age: 60, ..Cors::default() };
    let mut proxy = start(vec![with(&backend, Policy { cors: Some(cors), ..Policy::default() })]);
    let mut client = Client::connect(proxy.http).await;
    let ask = "Origin: https://app.test\r\nAccess-Control-Request-Method: POST\r\n";
    let answer = client.request("OPTIONS", "/", ask, b"").await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (204, Some("https://app.test"))
    );
    assert_eq!(backend.count(), 0);
    let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no access record") };
    assert_eq!((record.status, record.note), (204, None), "it is a request that went well");
    let answer = client.request("GET", "/", "Origin: https://app.test\r\n", b"").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.test"));
    let answer = client.request("GET", "/", "Origin: https://evil.test\r\n", b"").await;
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), (None, Some("Origin")));
}

/// Whatever the app says itself, the rule holds.
#[tokio::test]
async fn an_app_cannot_switch_the_rule_for_origins_off() {
    let backend = backend(|_| {
        let own = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET\r\n";
        Reply::Keep(response("200 OK", own, ""))
    })
    .await;
    let cors = Cors { origins: vec!["https://app.test".into()], ..Cors::default() };
    let proxy = start(vec![with(&backend, Policy { cors: Some(cors), ..Policy::default() })]);
    let mut client = Client::connect(proxy.http).await;
    for (origin, allowed) in [("https://evil.test", None), ("https://app.test", Some("https://app.test"))] {
        let answer = client.request("GET", "/", &format!("Origin: {origin}\r\n"), b"").await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert_eq!(answer.header("access-control-allow-methods"), None);
    }
}

#[tokio::test]
async fn paths_that_have_other_rules_in_another_reading_are_refused() {
    let backend = backend(|request| Reply::Keep(ok(request.line()))).await;
    let closed = AddressRules { deny: vec!["127.0.0.0/8".parse().unwrap()], ..AddressRules::default() };
    let policy = Policy { addresses: closed, ..Policy::default() };
    let admin = || Route { path_prefix: "/admin".into(), ..with(&backend, policy.clone()) };
    let proxy = start(vec![to(&backend), admin()]);
    for (path, status) in [
        ("/admin/../pub", 400),
        ("/admin/..%2fpub", 400),
        ("/admin%2f..%2fpub", 400),
        ("/admin/.//..//x", 400),
        ("/pub/../admin", 400),
        ("/admin;x", 400),
        ("//admin", 403),
        ("/%61dmin", 403),
        ("/admin/x/../y", 403),
    ] {
        assert_eq!(get(proxy.http, path).await.status, status, "{path}");
    }
    assert_eq!(backend.count(), 0);
    for path in ["/files/a%2Fb;c", "/x/../y", "//x"] {
        assert_eq!(get(proxy.http, path).await.text(), format!("GET {path} HTTP/1.1"));
    }
    // Where the same rules hold for all paths, they go on as they are.
    let proxy = start(vec![to(&backend)]);
    assert_eq!(get(proxy.http, "/admin/..%2fpub").await.text(), "GET /admin/..%2fpub HTTP/1.1");
}

/// What a route removes from or replaces in a header does not come in, or get out, behind the body.
#[tokio::test]
async fn header_rules_hold_for_trailers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.windows(3).any(|three| three == b"0\r\n") || !seen.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
        }
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = format!("{head}1\r\na\r\n0\r\nX-Inner: 1\r\nX-Sum: 1\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(seen).unwrap().to_ascii_lowercase()
    });
    let (mut request_headers, mut response_headers) = (HeaderRules::default(), HeaderRules::default());
    request_headers.remove("X-Admin").unwrap();
    request_headers.set("X-App", "shop").unwrap();
    response_headers.remove("X-Inner").unwrap();
    let policy = Policy { request_headers, response_headers, ..Policy::default() };
    let behind = route(Backend::http([endpoint]));
    let proxy = start(vec![Route { policy: Some(Arc::new(policy)), ..behind }]);
    let mut client = Client::connect(proxy.http).await;
    let head = "POST / HTTP/1.1\r\nHost: shop.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nConnection: close, TE\r\n\r\n";
    let trailers = "X-Admin: 1\r\nx-app: forged\r\nX-Forwarded-Prefix: /evil\r\nX-Check: 7\r\n";
    client.send(format!("{head}1\r\na\r\n0\r\n{trailers}\r\n")).await;
    let mut answer = String::new();
    timeout(PATIENCE, client.stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (answer, seen) = (answer.to_ascii_lowercase(), seen.await.unwrap());
    assert!(seen.contains("x-check: 7") && seen.contains("x-app: shop"), "{seen}");
    for name in ["x-admin", "forged", "x-forwarded-prefix"] {
        assert!(!seen.contains(name), "{seen}");
    }
    // The field belongs to one connection, which its sender has to say.
    assert!(seen.contains("te: trailers\r\n") && seen.contains("connection: te\r\n"), "{seen}");
    assert!(answer.contains("x-sum: 1") && !answer.contains("x-inner"), "{answer}");
}

#[tokio::test]
async fn headers_are_changed_both_ways_and_prefixes_taken_off() {
    fn answer(request: &Received) -> Reply {
        Reply::Keep(response("200 OK", "Server: secret/1.0\r\nX-Frame-Options: ALLOW\r\n", &request.head))
    }
    let backend = backend(answer).await;
    let (mut request_headers, mut response_headers) = (HeaderRules::default(), HeaderRules::default());
    request_headers.set("X-App", "shop").unwrap();
    request_headers.remove("Cookie").unwrap();
    response_headers.remove("Server").unwrap();
    response_headers.set("X-Frame-Options", "DENY").unwrap();
    let policy = Policy { request_headers, response_headers, strip_prefix: true, ..Policy::default() };
    let proxy = start(vec![Route { path_prefix: "/api".into(), ..with(&backend, policy) }]);
    let mut client = Client::connect(proxy.http).await;
    for (path, seen) in [
        ("/api/x?y", "GET /x?y "),
        ("/api", "GET / "),
        ("/api?q", "GET /?q "),
        ("/%61pi/a%20b", "GET /a%20b "),
        ("//api//x", "GET /x "),
        ("/api/%2e%2e/api/x", "GET /x "),
    ] {
        let forged = "Cookie: a=b\r\nX-App: forged\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-Ssl: on\r\n";
        let answer = client.request("GET", path, forged, b"").await;
        assert_eq!((answer.header("server"), answer.header("x-frame-options")), (None, Some("DENY")));
        let head = backend.last();
        assert!(head.head.starts_with(seen), "{path}: {}", head.head);
        assert_eq!((head.header("x-app"), head.header("cookie")), (Some("shop"), None));
        let prefixes = head.head.to_ascii_lowercase().matches("x-forwarded-prefix: ").count();
        assert_eq!((head.header("x-forwarded-prefix"), prefixes), (Some("/api"), 1));
        assert_eq!(head.header("x-forwarded-ssl"), None);
    }
    let missing = get(proxy.http, "/other").await;
    assert_eq!(missing.status, 404);

    let mut request_headers = HeaderRules::default();
    request_headers.set_host("legacy.test:8080").unwrap();
    let proxy = start(vec![with(&backend, Policy { request_headers, ..Policy::default() })]);
    assert_eq!(get(proxy.http, "/").await.status, 200);
    let seen = backend.last();
    assert!(seen.head.contains("\r\nHost: legacy.test:8080\r\n"), "{}", seen.head);
    assert_eq!(seen.head.to_ascii_lowercase().matches("\r\nhost: ").count(), 1);
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.test"));
}

#[tokio::test]
async fn header_rules_hold_for_interim_answers() {
    let backend = backend(|_| {
        let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nServer: secret/1.0\r\n\r\n";
        Reply::Keep([&hints[..], &ok("done")].concat())
    })
    .await;
    let mut response_headers = HeaderRules::default();
    response_headers.remove("Server").unwrap();
    let proxy = start(vec![with(&backend, Policy { response_headers, ..Policy::default() })]);
    let mut client = Client::connect(proxy.http).await;
    let hints = client.get("/").await;
    assert_eq!((hints.status, hints.header("link"), hints.header("server")), (103, Some("</a.css>"), None));
    assert_eq!(client.response(false).await.unwrap().text(), "done");
}

#[tokio::test]
async fn answers_are_compressed_and_streams_stay_streams() {
    static GATE: Semaphore = Semaphore::const_new(0);
    fn answer(request: &Received) -> Reply {
        let page = "The quick brown fox jumps over the lazy dog. ".repeat(2000);
        if request.line().contains("/slow") {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
            let first = [&head[..], b"5\r\nfirst\r\n"].concat();
            return Reply::Held(first, &GATE, b"4\r\nlast\r\n0\r\n\r\n".to_vec());
        }
        let kind = if request.line().contains("/png") { "image/png" } else { "text/html; charset=utf-8" };
        Reply::Keep(response("200 OK", &format!("Content-Type: {kind}\r\nETag: \"v1\"\r\n"), page))
    }
    let backend = backend(answer).await;
    let compression = Some(Compression::default());
    let proxy = start(vec![with(&backend, Policy { compression, ..Policy::default() })]);
    let mut client = Client::connect(proxy.http).await;
    let plain = client.get("/").await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("Accept-Encoding")));
    for coding in ["gzip", "br", "zstd"] {
        let packed = client.request("GET", "/", &format!("Accept-Encoding: {coding}\r\n"), b"").await;
        assert_eq!(packed.header("content-encoding"), Some(coding));
        assert_eq!((packed.header("etag"), packed.header("content-length")), (Some("W/\"v1\""), None));
        assert!(packed.body.len() * 10 < plain.body.len(), "{coding}: {}", packed.body.len());
        let mut text = Vec::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut text),
            "br" => brotli::Decompressor::new(&packed.body[..], 4096).read_to_end(&mut text),
            _ => zstd::stream::read::Decoder::new(&packed.body[..]).unwrap().read_to_end(&mut text),
        }
        .unwrap();
        assert!(text == plain.body, "{coding}");
    }
    assert_eq!(
        client.request("GET", "/png", "Accept-Encoding: gzip\r\n", b"").await.header("content-encoding"),
        None
    );
    // The first part arrives, and the second is sent only then.
    client.send("GET /slow HTTP/1.1\r\nHost: shop.test\r\nAccept-Encoding: gzip\r\n\r\n").await;
    let head = client.head().await.unwrap();
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    let mut first = [0; 5];
    let reading = async {
        while flate2::read::GzDecoder::new(&dechunked(&client.buffer)[..]).read_exact(&mut first).is_err() {
            let read = client.stream.read_buf(&mut client.buffer).await.unwrap();
            assert!(read > 0, "{:?}", client.buffer);
        }
    };
    timeout(PATIENCE, reading).await.expect("the first part is not held back");
    assert_eq!(&first, b"first");
    GATE.add_permits(1);
    let end = async {
        while !client.buffer.ends_with(b"0\r\n\r\n") {
            assert!(client.stream.read_buf(&mut client.buffer).await.unwrap() > 0, "{:?}", client.buffer);
        }
    };
    timeout(PATIENCE, end).await.expect("the end comes");
}

#[tokio::test]
async fn answers_without_a_body_are_marked_as_those_with_one() {
    fn answer(request: &Received) -> Reply {
        let tag = "ETag: \"v1\"\r\n";
        if request.header("if-none-match").is_some() {
            return Reply::Keep(format!("HTTP/1.1 304 Not Modified\r\n{tag}\r\n").into_bytes());
        }
        let kind = if request.line().contains("/png") { "image/png" } else { "text/html" };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{tag}Content-Length: 90000\r\n\r\n");
        let body = if request.line().starts_with("HEAD") { Vec::new() } else { vec![b'x'; 90_000] };
        Reply::Keep([head.into_bytes(), body].concat())
    }
    let backend = backend(answer).await;
    let compression = Some(Compression::default());
    let proxy = start(vec![with(&backend, Policy { compression, ..Policy::default() })]);
    let mut client = Client::connect(proxy.http).await;
    for path in ["/", "/png"] {
        for lines in ["Accept-Encoding: gzip\r\n", "Accept-Encoding: GZIP;Q=0\r\n"] {
            let whole = client.request("GET", path, lines, b"").await;
            let head = client.request("HEAD", path, lines, b"").await;
            for name in ["content-encoding", "content-length", "content-type", "etag", "vary"] {
                assert_eq!(head.header(name), whole.header(name), "{name} of {path} with {lines}");
            }
        }
    }
    for (known, tag) in [("W/\"v1\"", "W/\"v1\""), ("\"v1\"", "\"v1\"")] {
        let answer = client.request("GET", "/", &format!("If-None-Match: {known}\r\n"), b"").await;
        assert_eq!((answer.status, answer.header("vary")), (304, Some("Accept-Encoding")));
        assert_eq!(answer.header("etag"), Some(tag), "what the client has stays what it is");
    }
}

/// What the whole chunks at the start hold.
fn dechunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        let Some(chunk) = bytes.get(line + 2..line + 2 + size) else { break };
        body.extend_from_slice(chunk);
        bytes = bytes.get(line + 4 + size..).unwrap_or_default();
    }
    body
}

#[tokio::test]
async fn the_proxys_own_errors_have_the_apps_pages() {
    let mut error_pages = ErrorPages::default();
    error_pages.classes.push((5, "<p>broken {status} {id}</p>".into()));
    let mut response_headers = HeaderRules::default();
    response_headers.set("X-Robots-Tag", "none").unwrap();
    let policy = Policy { error_pages, response_headers, ..Policy::default() };
    let gone = route(Backend::http(["127.0.0.1:1".parse().unwrap()]));
    let proxy = start(vec![Route { policy: Some(Arc::new(policy)), ..gone }]);
    let answer = get(proxy.http, "/").await;
    assert_eq!((answer.status, answer.header("x-robots-tag")), (502, Some("none")));
    assert!(answer.text().starts_with("<p>broken 502 "), "{}", answer.text());
}

#[tokio::test]
async fn some_requests_run_some_wait_and_the_rest_is_sent_away() {
    static GATE: Semaphore = Semaphore::const_new(0);
    fn held(_: &Received) -> Reply {
        Reply::Held(Vec::new(), &GATE, ok("done"))
    }
    let backend = backend(held).await;
    let concurrency = Some(ConcurrencyLimit { requests: 2, queue: 2, patience: PATIENCE });
    let proxy = start(vec![with(&backend, Policy { concurrency, ..Policy::default() })]);
    let address = proxy.http;
    let mut asking: JoinSet<_> = (0..6).map(|_| async move { get(address, "/").await }).collect();
    // Two are sent away while the others run or wait.
    for _ in 0..2 {
        let refused = asking.join_next().await.unwrap().unwrap();
        assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true));
    }
    backend.reached(2).await;
    GATE.add_permits(5);
    for answer in asking.join_all().await {
        assert_eq!(answer.status, 200);
    }
    assert_eq!(get(address, "/").await.status, 200, "every place was given back");
}

#[tokio::test]
async fn requests_wait_while_an_app_restarts() {
    let hold = Some(PATIENCE);
    let policy = Some(Arc::new(Policy { hold, ..Policy::default() }));
    let restarting = route(Backend::Unavailable { reason: "restarting".into() });
    let refusing = route(Backend::http(["127.0.0.1:1".parse().unwrap()]));
    for absent in [restarting, refusing] {
        let proxy = start(vec![Route { policy: policy.clone(), ..absent }]);
        let address = proxy.http;
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                tokio::spawn(
                    async move { Client::connect(address).await.request("POST", "/", "", b"kept").await },
                )
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(waiting.iter().all(|request| !request.is_finished()), "requests wait");
        let backend = backend(hello).await;
        proxy
            .handle
            .publish(RouteTable::new(vec![Route { policy: policy.clone(), ..to(&backend) }]).unwrap());
        for request in waiting {
            assert_eq!(request.await.unwrap().text(), "hello");
        }
        assert!(backend.requests.lock().unwrap().iter().all(|request| request.body == b"kept"));
    }
    let short = Some(Arc::new(Policy { hold: Some(Duration::from_millis(300)), ..Policy::default() }));
    let absent = route(Backend::Unavailable { reason: "gone".into() });
    let proxy = start(vec![Route { policy: short, ..absent }]);
    assert_eq!(get(proxy.http, "/").await.status, 503, "patience ends");
}

/// What the new route asks of others it asks of those who waited, too.
#[tokio::test]
async fn requests_that_waited_are_admitted_by_the_rules_of_the_new_route() {
    let open = Policy { hold: Some(PATIENCE), ..Policy::default() };
    let hash = bcrypt::hash("secret", 4).unwrap();
    let basic_auth = Some(BasicAuth::new("a", [("ann".to_owned(), hash)]).unwrap());
    let local = vec!["127.0.0.0/8".parse().unwrap()];
    let limit = RateLimit { requests: 2, period: Duration::from_secs(3600), burst: 0, key: RateKey::Route };
    let policies = [
        (open.clone(), 200),
        (Policy { basic_auth, ..open.clone() }, 401),
        (Policy { addresses: AddressRules { deny: local, ..AddressRules::default() }, ..open.clone() }, 403),
        (Policy { maintenance: Some(Maintenance::default()), ..open.clone() }, 503),
        (Policy { rate_limit: Some(RateLimit { requests: 1, ..limit.clone() }), ..open.clone() }, 200),
    ];
    let absent = || {
        [
            route(Backend::Unavailable { reason: "restarting".into() }),
            route(Backend::http(["127.0.0.1:1".parse().unwrap()])),
        ]
    };
    for (policy, status) in policies {
        for route in absent() {
            let policy = Some(Arc::new(policy.clone()));
            let proxy = start(vec![Route { policy: Some(Arc::new(open.clone())), ..route }]);
            let address = proxy.http;
            let held = tokio::spawn(async move {
                Client::connect(address).await.request("POST", "/", "", b"kept").await
            });
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(!held.is_finished(), "it waits");
            let backend = backend(hello).await;
            let limits = RouteLimits { max_body: 4, ..RouteLimits::default() };
            proxy.handle.publish(RouteTable::new(vec![Route { policy, limits, ..to(&backend) }]).unwrap());
            let answer = held.await.unwrap();
            assert_eq!((answer.status, backend.count()), (status, usize::from(status == 200)));
        }
    }
    // Other limits of the new route, and what is not counted twice.
    for (body, status) in [("k", 200), ("kept", 413)] {
        let policy = Some(Arc::new(Policy { rate_limit: Some(limit.clone()), ..open.clone() }));
        let proxy = start(vec![Route {
            policy: policy.clone(),
            ..route(Backend::Unavailable { reason: "gone".into() })
        }]);
        let address = proxy.http;
        let held = tokio::spawn(async move {
            Client::connect(address).await.request("POST", "/", "", body.as_bytes()).await
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let backend = backend(hello).await;
        let limits = RouteLimits { max_body: 1, ..RouteLimits::default() };
        proxy.handle.publish(RouteTable::new(vec![Route { policy, limits, ..to(&backend) }]).unwrap());
        assert_eq!(held.await.unwrap().status, status, "{body}");
        assert_eq!(get(address, "/").await.status, 200, "of two requests one is left");
        assert_eq!(get(address, "/").await.status, 429);
    }
}

#[tokio::test]
async fn a_canary_gets_its_part() {
    let (ordinary, new) = (backend(hello).await, backend(hello).await);
    let pool = Arc::new(Pool::new(Protocol::Http, [Endpoint::Tcp(new.address)]));
    let canary = Some(Canary { pool, percent: 20, header: Some(("x-canary".into(), "yes".into())) });
    let policy = Some(Arc::new(Policy { canary, ..Policy::default() }));
    let proxy = behind_a_proxy(vec![Route { policy: policy.clone(), ..to(&ordinary) }]);
    for number in 0..1000 {
        let address = format!("10.0.{}.{}", number / 100, number % 100 + 1);
        assert_eq!(from(&proxy, &address).await.status, 200);
    }
    let share = new.count();
    assert!((120..=290).contains(&share), "{share} of 1000");
    assert_eq!(ordinary.count() + share, 1000);
    for _ in 0..5 {
        Client::connect(proxy.http).await.request("GET", "/", "X-Canary: yes\r\n", b"").await;
    }
    assert_eq!(new.count(), share + 5);
    let absent = Backend::Unavailable { reason: "stopped".into() };
    proxy.handle.publish(RouteTable::new(vec![Route { policy, ..route(absent) }]).unwrap());
    let mut client = Client::connect(proxy.http).await;
    assert_eq!(client.request("GET", "/", "X-Canary: yes\r\n", b"").await.status, 200);
    assert_eq!(client.get("/?not").await.status, 503, "whom the canary does not take waits for the app");
}

#[tokio::test]
async fn rules_hold_for_files_too_and_change_without_a_failed_request() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "page ".repeat(1000)).unwrap();
    let files = || Backend::Static(StaticFiles::new(folder.path()));
    let compressing = Policy { compression: Some(Compression::default()), ..Policy::default() };
    let proxy = start(vec![Route { policy: Some(Arc::new(compressing)), ..route(files()) }]);
    let mut client = Client::connect(proxy.http).await;
    let answer = client.request("GET", "/", "Accept-Encoding: gzip\r\n", b"").await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let posted = client.request("POST", "/", "", b"x").await;
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
    let address = proxy.http;
    let asking = tokio::spawn(async move {
        let mut client = Client::connect(address).await;
        for _ in 0..500 {
            assert_eq!(client.get("/").await.status, 200);
        }
    });
    let rules = [
        Policy::default(),
        Policy { strip_prefix: true, ..Policy::default() },
        Policy { compression: Some(Compression::default()), ..Policy::default() },
    ];
    for number in 0..100 {
        let policy = Some(Arc::new(rules[number % 3].clone()));
        proxy.handle.publish(RouteTable::new(vec![Route { policy, ..route(files()) }]).unwrap());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    asking.await.unwrap();
}
