//! Static sites, and the admin listener.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::{Backend, Endpoint, Maintenance, Policy, ProtectionMode, Route, StaticFiles};
use support::{Client, Reply, backend, curl, get, ok, protect, route, start, to};

#[tokio::test]
async fn a_site_is_served() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "<h1>home</h1>").unwrap();
    std::fs::write(folder.path().join("big.bin"), vec![7; 1_000_000]).unwrap();
    std::fs::write(folder.path().join(".env"), "secret").unwrap();
    let proxy = start(vec![route(Backend::Static(StaticFiles::new(folder.path())))]);
    let mut client = Client::connect(proxy.http).await;
    let home = client.get("/").await;
    assert_eq!((home.status, home.text().as_str()), (200, "<h1>home</h1>"));
    assert_eq!(home.header("content-type"), Some("text/html; charset=utf-8"));
    let tag = format!("If-None-Match: {}\r\n", home.header("etag").unwrap());
    assert_eq!(client.request("GET", "/", &tag, b"").await.status, 304);
    let big = client.get("/big.bin").await;
    assert!(big.body == vec![7; 1_000_000]);
    let part = client.request("GET", "/big.bin", "Range: bytes=10-19\r\n", b"").await;
    assert_eq!(
        (part.status, part.body.len(), part.header("content-range")),
        (206, 10, Some("bytes 10-19/1000000"))
    );
    let head = client.request("HEAD", "/big.bin", "", b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("1000000")));
    for (method, target, status) in
        [("GET", "/.env", 404), ("GET", "/../Cargo.toml", 404), ("GET", "/none", 404), ("POST", "/", 405)]
    {
        let answer = client.request(method, target, "", b"").await;
        assert_eq!(answer.status, status, "{method} {target}");
    }
}

#[tokio::test]
async fn the_admin_listener_tells_health_and_metrics() {
    let backend = backend(|_| Reply::Keep(ok("fine"))).await;
    let proxy = start(vec![to(&backend)]);
    support::get(proxy.http, "/").await;
    let admin = |target: &'static str| async move { Client::connect(proxy.admin).await.get(target).await };
    assert_eq!(admin("/healthz").await.status, 200);
    assert_eq!(admin("/readyz").await.status, 503);
    proxy.handle.set_ready(true);
    assert_eq!(admin("/readyz").await.status, 200);
    assert_eq!(admin("/other").await.status, 404);
    let metrics = admin("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = metrics.text();
    for start in [
        "hop3_http_requests_total{app=\"shop\",code=\"200\",method=\"GET\"} 1",
        "hop3_upstream_duration_seconds_count{app=\"shop\"} 1",
        &format!("hop3_upstream_up{{app=\"shop\",endpoint=\"{}\"}} 1", backend.address),
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_max_fds ",
        "process_start_time_seconds ",
        "hop3_build_info{version=",
        "hop3_events_dropped_total 0",
    ] {
        assert!(text.lines().any(|line| line.starts_with(start)), "{start} is missing in\n{text}");
    }
    let start: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix("process_start_time_seconds "))
        .unwrap()
        .parse()
        .unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 3600.0..now + 5.0).contains(&start), "{start} is not about {now}");
}

#[tokio::test]
async fn a_scrape_under_way_is_answered_before_the_end() {
    let backend = backend(|_| Reply::Keep(ok(""))).await;
    let proxy = start(vec![to(&backend)]);
    let mut scraper = Client::connect(proxy.admin).await;
    scraper.send("GET /healthz HTTP/1.1\r\n").await;
    // Whoever is answered came later: so the first one has been accepted.
    assert_eq!(curl(&[&format!("http://{}/healthz", proxy.admin)]).await, "ok\n");
    let admin = proxy.admin;
    let ending = tokio::spawn(proxy.handle.shutdown(Duration::ZERO));
    while tokio::net::TcpStream::connect(admin).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    scraper.send("Host: x\r\n\r\n").await;
    assert_eq!(scraper.response(false).await.map(|answer| answer.text()).as_deref(), Some("ok\n"));
    ending.await.unwrap();
}

/// What a scrape tells, as rows of the reference: name, type, labels, meaning.
fn families(scrape: &str) -> Vec<String> {
    let mut rows: Vec<(String, String, String, BTreeSet<String>)> = Vec::new();
    for line in scrape.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, meaning) = help.split_once(' ').unwrap();
            rows.push((name.to_owned(), String::new(), meaning.to_owned(), BTreeSet::new()));
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            rows.last_mut().unwrap().1 = kind.split_once(' ').unwrap().1.to_owned();
        } else if let Some((_, labels)) = line.split_once('{') {
            let (labels, _) = labels.rsplit_once('}').unwrap();
            let names = labels.split("\",").map(|label| label.split_once('=').unwrap().0);
            // That of every histogram.
            let names = names.filter(|name| *name != "le").map(str::to_owned);
            rows.last_mut().unwrap().3.extend(names);
        }
    }
    let row = |(name, kind, meaning, labels): (String, String, String, BTreeSet<String>)| {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{name}` | {kind} | {} | {meaning} |", labels.join(", "))
    };
    rows.into_iter().map(row).collect()
}

#[tokio::test]
async fn the_reference_names_every_family_of_a_scrape() {
    let backend = backend(|_| Reply::Keep(ok("x"))).await;
    let rule = "SecRuleEngine On\nSecAction \"id:1,phase:1,pass,log\"\n";
    let kept = protect(support::keeping(&backend), rule, ProtectionMode::Block);
    let mut closed = Route { path_prefix: "/closed".into(), ..to(&backend) };
    let maintenance = Some(Maintenance { page: None, retry_after: None, allow: Vec::new() });
    closed.policy = Some(Arc::new(Policy { maintenance, ..Policy::default() }));
    let proxy = start(vec![kept, closed]);
    let mut client = Client::connect(proxy.http).await;
    for (target, status) in [("/", 200), ("/closed", 503)] {
        assert_eq!(client.get(target).await.status, status, "{target}");
    }
    client.send("GET / HTTP/1.1\nHost: shop.test\n\n").await;
    assert_eq!(client.response(false).await.map(|answer| answer.status), Some(400));
    // A request is counted when its answer is out.
    let mut scrape = get(proxy.admin, "/metrics").await.text();
    for _ in 0..1000 {
        if scrape.contains("hop3_waf_rule_matches_total{") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        scrape = get(proxy.admin, "/metrics").await.text();
    }
    let (reference, _) = include_str!("../METRICS.md").split_once("| label |").unwrap();
    let written: Vec<_> = reference.lines().filter(|line| line.starts_with("| `")).collect();
    let told = families(&scrape);
    assert_eq!(written, told, "proxy/METRICS.md should say\n{}", told.join("\n"));
}

#[tokio::test]
async fn uwsgi_is_spoken() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut header = [0; 4];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut header).await.unwrap();
            let size = u16::from_le_bytes([header[1], header[2]]);
            let mut variables = vec![0; usize::from(size)];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut variables).await.unwrap();
            let mut body = [0; 3];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut body).await.unwrap();
            let text =
                String::from_utf8_lossy(&variables).replace(|character: char| character.is_control(), "|");
            let page = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{text} {}",
                String::from_utf8_lossy(&body)
            );
            tokio::io::AsyncWriteExt::write_all(&mut stream, page.as_bytes()).await.unwrap();
        }
    });
    let proxy = start(vec![route(Backend::uwsgi([Endpoint::Tcp(address)]))]);
    let mut client = Client::connect(proxy.http).await;
    let answer = client.request("POST", "/a?b", "", b"abc").await;
    assert_eq!(answer.status, 200);
    for part in ["REQUEST_METHOD||POST", "PATH_INFO||/a", "QUERY_STRING||b", "CONTENT_LENGTH||3", " abc"] {
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
    }
    // A chunked body is read whole first: uwsgi needs its length.
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n")
        .await;
    let answer = client.response(false).await.unwrap();
    assert!(
        answer.text().contains("CONTENT_LENGTH||3") && answer.text().ends_with(" xyz"),
        "{}",
        answer.text()
    );
}
