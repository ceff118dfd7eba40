//! Clients that people use, through the proxy, to servers that people write: curl, a browser, Python, Go, WebSocket,
//! gRPC. And a Prometheus that reads the metrics.
//!
//! What `tests/setup/install test` could not install is told and skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use hop3_proxy::{Backend, Endpoint, Pool, Protocol};
use hop3_tests::clients::{BackEnd, Ran, installed, on_path, python, run};
use hop3_tests::front::{Front, protection};
use hop3_tests::report::Report;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The cases of gRPC's interoperability suite that need nothing but a server.
const GRPC_CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
];

/// A proxy before back ends of one program.
struct Scene {
    front: Front,
    folder: TempDir,
    _back_end: BackEnd,
}

impl Scene {
    async fn of_python() -> Self {
        let back_end = BackEnd::start(python("back_end.py", [""; 0])).await;
        let hosts = [("shop.test", "http", Protocol::Http), ("sockets.test", "websocket", Protocol::Http)];
        Self::new(back_end, hosts)
    }

    async fn of_go(program: &PathBuf) -> Self {
        let mut command = Command::new(program);
        command.arg("serve");
        let back_end = BackEnd::start(command).await;
        let hosts = [
            ("shop.test", "http", Protocol::Http),
            ("inner.test", "h2c", Protocol::H2c),
            ("calls.test", "grpc", Protocol::H2c),
        ];
        Self::new(back_end, hosts)
    }

    /// Hosts for those services that the back end has.
    fn new<const N: usize>(back_end: BackEnd, hosts: [(&'static str, &str, Protocol); N]) -> Self {
        let front = Front::start(|_| {});
        let found = hosts.into_iter().filter_map(|(host, service, protocol)| {
            let pool = Pool::new(protocol, [Endpoint::Tcp(back_end.address(service)?)]);
            Some((host, Backend::Pool(Arc::new(pool))))
        });
        let found: Vec<_> = found.collect();
        let names: Vec<&str> = found.iter().map(|(host, _)| *host).collect();
        front.lead_hosts(found);
        let folder = tempfile::tempdir().unwrap();
        let certificates: String = names.into_iter().map(|host| front.certificate(host).chain).collect();
        std::fs::write(folder.path().join("trusted.pem"), certificates).unwrap();
        Self { front, folder, _back_end: back_end }
    }

    /// A file with all hosts' certificates.
    fn trusted(&self) -> String {
        self.folder.path().join("trusted.pem").to_str().unwrap().to_owned()
    }

    fn https(&self) -> SocketAddr {
        self.front.https()
    }
}

fn conclude(report: &Report) {
    report.print();
    assert!(report.failed().is_empty(), "{:?}", report.failed());
}

async fn curl(scene: &Scene, arguments: &[&str], path: &str) -> Ran {
    let port = scene.https().port();
    let mut command = Command::new("curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "60",
            "--noproxy",
            "*",
            "--cacert",
            &scene.trusted(),
        ])
        .args(["--resolve", &format!("shop.test:{port}:127.0.0.1")])
        .args(arguments)
        .arg(format!("https://shop.test:{port}{path}"));
    run(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_is_served() {
    let mut report = Report::new("client-curl");
    if on_path("curl").is_none() {
        report.skip("all", "curl is not installed");
        return report.print();
    }
    let scene = Scene::of_python().await;
    let file = scene.folder.path().join("upload");
    std::fs::write(&file, vec![b'u'; 3_000_000]).unwrap();
    let upload = file.to_str().unwrap();
    let part = format!("file=@{}", scene.trusted());
    // (what, further arguments, path, what the answer holds, status)
    let cases: [(&str, &[&str], &str, &str, u16); 9] = [
        ("GET", &[], "/echo?a=b", "\"target\": \"/echo?a=b\"", 200),
        ("HEAD", &["--head"], "/large?bytes=4321", "content-length: 4321", 200),
        ("upload of known length", &["--upload-file", upload], "/echo", "\"length\": 3000000", 200),
        (
            "upload in chunks",
            &["--upload-file", upload, "--header", "Transfer-Encoding: chunked"],
            "/echo",
            "\"length\": 3000000",
            200,
        ),
        ("form", &["--form", "a=b", "--form", &part], "/echo", "multipart/form-data", 200),
        ("Expect", &["--header", "Expect: 100-continue", "--data", "abc"], "/echo", "\"length\": 3", 200),
        ("compressed", &["--compressed"], "/pieces", "piece 99", 200),
        ("an answer that ends with its connection", &[], "/old", "until the end", 200),
        ("not found", &[], "/missing", "error response", 404),
    ];
    for (version, flag) in [("1.1", "--http1.1"), ("2", "--http2")] {
        for (name, arguments, path, expected, status) in cases {
            let ran = curl(
                &scene,
                &[&[flag, "--write-out", "\n%{http_version} %{http_code}"], arguments].concat(),
                path,
            )
            .await;
            let text = ran.output.to_lowercase();
            let right = text.contains(expected) && text.ends_with(&format!("\n{version} {status}"));
            let name = format!("{name} over HTTP/{version}");
            if right && ran.succeeded { report.pass() } else { report.fail(name, format!("{ran:?}")) }
        }
    }
    conclude(&report);
}

/// What the page told, which is JSON within the printed document.
fn told_by_the_page(document: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    let text = document.split("id=\"result\">").nth(1)?.split("</p>").next()?;
    serde_json::from_str(&text.replace("&quot;", "\"").replace("&amp;", "&")).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_served() {
    let mut report = Report::new("client-browser");
    let Some(chromium) = on_path("chromium") else {
        report.skip("all", "chromium is not installed");
        return report.print();
    };
    let scene = Scene::of_python().await;
    let port = scene.https().port();
    let mut command = Command::new(chromium);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--no-proxy-server"])
        .args(["--ignore-certificate-errors", "--timeout=90000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", scene.folder.path().join("profile").display()))
        .arg(format!("--host-resolver-rules=MAP * 127.0.0.1:{port}"))
        .arg("https://shop.test/page");
    let ran = run(command).await;
    match told_by_the_page(&ran.output) {
        Some(results) => {
            for (name, result) in &results {
                if result == "ok" { report.pass() } else { report.fail(name, result.to_string()) }
            }
            if results.len() < 8 {
                report.fail("all", format!("only {} results", results.len()));
            }
        }
        None => report.fail("all", format!("{ran:?}")),
    }
    conclude(&report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_is_served() {
    let mut report = Report::new("client-python");
    let scene = Scene::of_python().await;
    let arguments = [scene.https().port().to_string(), scene.trusted()];
    run(python("client.py", arguments)).await.enter(&mut report);
    assert!(report.passed() + report.failed().len() >= 2, "the checks of the standard library ran");
    conclude(&report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_is_served() {
    let mut report = Report::new("client-go");
    let Some(program) = installed("test-clients") else {
        report.skip("all", "there is no Go to build it with");
        return report.print();
    };
    let scene = Scene::of_go(&program).await;
    let address = scene.https().to_string();
    // A back end that speaks HTTP/1.1, and one that speaks HTTP/2, where WebSocket is another protocol (RFC 8441).
    for (checks, host, count) in
        [("http", "shop.test", 20), ("http", "inner.test", 20), ("websocket", "shop.test", 1)]
    {
        let mut command = Command::new(&program);
        command.args([checks, &address, &scene.trusted(), host]);
        let before = report.judged();
        run(command).await.enter(&mut report);
        assert_eq!(report.judged(), before + count, "all checks ran for {host}");
    }
    conclude(&report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_passes() {
    let mut report = Report::new("client-grpc");
    let Some(program) = installed("test-clients") else {
        report.skip("all", "there is no Go to build it with");
        return report.print();
    };
    let scene = Scene::of_go(&program).await;
    for case in GRPC_CASES {
        let mut command = Command::new(&program);
        command.args(["grpc", &scene.https().to_string(), &scene.trusted(), "calls.test", case]);
        let ran = run(command).await;
        if ran.succeeded { report.pass() } else { report.fail(case, ran.errors) }
    }
    conclude(&report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_is_what_prometheus_expects() {
    let mut report = Report::new("client-prometheus");
    let Some(promtool) = installed("promtool") else {
        report.skip("all", "promtool is not installed");
        return report.print();
    };
    let front = Front::start(|config| config.listen.admin = Some("127.0.0.1:0".parse().unwrap()));
    let back_end = BackEnd::start(python("back_end.py", [""; 0])).await;
    let address = back_end.address("http").unwrap();
    front.lead_through(
        address,
        Some(&protection("SecRuleEngine On\nSecRule ARGS \"@contains attack\" \"id:1,deny\"")),
    );
    // Something to count: served, blocked, malformed, unknown to the back end.
    for path in ["/echo?a=b", "/echo?a=attack", "/missing", "/a\0b"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
        let mut stream = tokio::net::TcpStream::connect(front.http()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap();
    }
    let admin = front.handle.addresses().admin.unwrap();
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--fail", "--noproxy", "*", "--include"])
        .arg(format!("http://{admin}/metrics"));
    let scrape = run(command).await;
    let (head, metrics) = scrape.output.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(metrics.lines().filter(|line| !line.starts_with('#')).count() > 20, "{metrics}");
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(metrics.as_bytes()).await.unwrap();
    let output = check.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    // Its advice on names and types counts as well.
    if output.status.success() && said.is_empty() {
        report.pass();
    } else {
        report.fail("promtool check metrics", String::from_utf8_lossy(&said));
    }
    conclude(&report);
}
