//! HTTPS with self-signed certificates, HTTP/2, redirects; curl is the client.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use hop3_proxy::{Backend, Event, HttpsRedirect, ProxyConfig, Route};
use support::{Reply, TestProxy, backend, curl, ok, start, start_with, to};

fn describe(request: &support::Received) -> Reply {
    let cookie = request.header("cookie").unwrap_or("-");
    let proto = request.header("x-forwarded-proto").unwrap_or("-");
    Reply::Keep(ok(format!("{} {proto} {cookie} {}", request.line(), request.body.len())))
}

/// Arguments that make curl find the proxy under a host name.
fn resolve(proxy: &TestProxy, host: &str) -> (String, String) {
    let port = proxy.https.port();
    (format!("{host}:{port}:127.0.0.1"), format!("https://{host}:{port}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http1_and_http2_over_tls() {
    let backend = backend(describe).await;
    let mut proxy = start(vec![to(&backend)]);
    let (at, url) = resolve(&proxy, "shop.test");
    for (version, code) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let write = "\n%{http_version} %{http_code}";
        let page = format!("{url}/a?b");
        let printed = curl(&["-k", version, "--resolve", &at, "-w", write, &page]).await;
        assert_eq!(printed, format!("GET /a?b HTTP/1.1 https - 0\n{code} 200"));
        let posted = curl(&["-k", version, "--resolve", &at, "-d", &"x".repeat(9000), &page]).await;
        assert_eq!(posted, "POST /a?b HTTP/1.1 https - 9000");
        let head = curl(&["-k", version, "--resolve", &at, "-I", &page]).await;
        assert!(head.to_lowercase().contains("content-length: "), "{head}");
        let streamed = curl(&[
            "-k",
            version,
            "--resolve",
            &at,
            "-T",
            "/dev/null",
            "-H",
            "Transfer-Encoding: chunked",
            &page,
        ])
        .await;
        assert_eq!(streamed, "PUT /a?b HTTP/1.1 https - 0");
    }
    let crumbs =
        curl(&["-k", "--http2", "--resolve", &at, "-H", "Cookie: a=1", "-H", "Cookie: b=2", &url]).await;
    assert_eq!(crumbs, "GET / HTTP/1.1 https a=1; b=2 0");
    let Some(Event::Access(record)) = proxy.events.recv().await else { panic!("no record") };
    assert_eq!(record.protocol, "HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_and_many_streams_over_http2() {
    fn large(_: &support::Received) -> Reply {
        Reply::Keep(ok(vec![b'z'; 3_000_000]))
    }
    let backend = backend(large).await;
    let proxy = start(vec![to(&backend)]);
    let (at, url) = resolve(&proxy, "shop.test");
    let folder = tempfile::tempdir().unwrap();
    let upload = folder.path().join("upload");
    std::fs::write(&upload, vec![b'u'; 4_000_000]).unwrap();
    let data = format!("@{}", upload.display());
    let size = curl(&[
        "-k",
        "--http2",
        "--resolve",
        &at,
        "--data-binary",
        &data,
        "-o",
        "/dev/null",
        "-w",
        "%{size_download}",
        &url,
    ])
    .await;
    assert_eq!(size, "3000000");
    assert_eq!(backend.last().body.len(), 4_000_000);
    let many = format!("{url}/[1-30]");
    let codes = curl(&[
        "-k",
        "--http2",
        "--resolve",
        &at,
        "--parallel",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} ",
        &many,
    ])
    .await;
    assert_eq!(codes.split_whitespace().filter(|code| *code == "200").count(), 30, "{codes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_follow_the_host() {
    let backend = backend(describe).await;
    let mut wild = to(&backend);
    wild.hosts = vec!["*.wild.test".parse().unwrap(), "shop.test".parse().unwrap()];
    let proxy = start(vec![wild]);
    for (host, name) in
        [("shop.test", "shop.test"), ("a.wild.test", "*.wild.test"), ("unknown.test", "localhost")]
    {
        let (at, url) = resolve(&proxy, host);
        let printed = curl(&["-k", "-v", "--stderr", "-", "--resolve", &at, "-o", "/dev/null", &url]).await;
        assert!(printed.contains(&format!("CN={name} (self-signed)")), "{host}: {printed}");
        assert!(printed.contains("TLSv1.3"), "{printed}");
    }
    let (at, url) = resolve(&proxy, "shop.test");
    let printed =
        curl(&["-k", "--tls-max", "1.2", "--resolve", &at, "-w", "%{http_code}", "-o", "/dev/null", &url])
            .await;
    assert_eq!(printed, "200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_of_other_apps_are_misdirected_and_http_redirects() {
    let backend = backend(describe).await;
    let mut shop = to(&backend);
    shop.redirect_https = HttpsRedirect::Covered;
    shop.hosts.push("www.shop.test".parse().unwrap());
    shop.hosts.push("*.wild.test".parse().unwrap());
    let other = Backend::Unavailable { reason: "x".into() };
    let other = Route::new("other", vec!["other.test".parse().unwrap()], other);
    let proxy = start(vec![shop, other]);
    let (at, url) = resolve(&proxy, "other.test");
    for version in ["--http1.1", "--http2"] {
        for (host, code) in [("shop.test", "421"), ("other.test", "503")] {
            let header = format!("Host: {host}");
            let printed = curl(&[
                "-k",
                version,
                "--resolve",
                &at,
                "-H",
                &header,
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                &url,
            ])
            .await;
            assert_eq!(printed, code, "{version} {host}");
        }
    }
    let (at, url) = resolve(&proxy, "shop.test");
    let printed = curl(&[
        "-k",
        "--resolve",
        &at,
        "-H",
        "Host: www.shop.test",
        "-w",
        "%{http_code}",
        "-o",
        "/dev/null",
        &url,
    ])
    .await;
    assert_eq!(printed, "200");
    let answer = support::get(proxy.http, "/a?b=\"c").await;
    let expected = format!("https://shop.test:{}/a?b=%22c", proxy.https.port());
    assert_eq!((answer.status, answer.header("location")), (301, Some(expected.as_str())));
    let answer = support::Client::connect(proxy.http).await.request("POST", "/", "", b"x").await;
    assert_eq!(answer.status, 308);
    // A wildcard covers one label: what lies deeper is served as it is asked for.
    for (host, status) in [("a.wild.test", 301), ("b.a.wild.test", 200)] {
        let mut client = support::Client::connect(proxy.http).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(client.response(false).await.unwrap().status, status, "{host}");
    }
}

#[tokio::test]
async fn redirects_name_the_port_that_clients_use() {
    let backend = backend(describe).await;
    for (public_https, authority) in [(443, "shop.test"), (8443, "shop.test:8443")] {
        let shop = Route { redirect_https: HttpsRedirect::Always, ..to(&backend) };
        let config = ProxyConfig { public_https: Some(public_https), ..ProxyConfig::default() };
        let proxy = start_with(config, vec![shop]);
        let answer = support::get(proxy.http, "/a").await;
        let expected = format!("https://{authority}/a");
        assert_eq!((answer.status, answer.header("location")), (301, Some(expected.as_str())));
        let at = format!("shop.test:{}:127.0.0.1", proxy.https.port());
        let url = format!("https://shop.test:{}/", proxy.https.port());
        curl(&["-k", "--resolve", &at, &url]).await;
        let told = public_https.to_string();
        assert_eq!(backend.last().header("x-forwarded-port"), Some(told.as_str()), "over HTTPS");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_streams_finish_at_shutdown() {
    fn slow(_: &support::Received) -> Reply {
        Reply::Slowly(Duration::from_millis(500), vec![ok("done")])
    }
    let backend = backend(slow).await;
    let proxy = start(vec![to(&backend)]);
    let (at, url) = resolve(&proxy, "shop.test");
    let request = tokio::spawn(async move { curl(&["-k", "--http2", "--resolve", &at, &url]).await });
    while backend.count() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(proxy.handle.shutdown(support::PATIENCE).await);
    assert_eq!(request.await.unwrap(), "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_frees_the_back_end_and_is_recorded() {
    fn slow(_: &support::Received) -> Reply {
        Reply::Slowly(Duration::from_secs(300), vec![ok("late")])
    }
    let backend = backend(slow).await;
    let mut proxy = start(vec![to(&backend)]);
    let (at, url) = resolve(&proxy, "shop.test");
    let mut client = tokio::process::Command::new("curl")
        .args(["-s", "-k", "--http2", "--resolve", &at, &url])
        .spawn()
        .unwrap();
    while backend.count() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.kill().await.unwrap();
    let record = tokio::time::timeout(support::PATIENCE, proxy.events.recv()).await.unwrap();
    let Some(Event::Access(record)) = record else { panic!("no record") };
    assert_eq!((record.status, &*record.app), (499, "shop"));
    assert!(proxy.handle.shutdown(support::PATIENCE).await);
}
