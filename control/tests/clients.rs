//! Who asks and who answers, through the real executable: clients behind proxies, instances chosen by hash, canaries,
//! HTTP/2 without TLS, folders as they are shown, requests as they are logged.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use server::{Server, executable, folder, free_port};

const PATIENCE: Duration = Duration::from_secs(180);
const ATTACK: &str = "/?id=1%20UNION%20SELECT%20password%20FROM%20users--";

/// Answers with its name and the header fields it saw.
const ECHO: &str = r#"
import os, http.server as h
class H(h.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{os.environ['APP']} {self.path} {self.headers}".encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
class S(h.ThreadingHTTPServer):
    request_queue_size = 128
S(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()
"#;

/// An instance that ends with the test.
struct Instance {
    port: u16,
    child: Child,
}

impl Instance {
    fn start(name: &str) -> Instance {
        let port = free_port();
        let mut command = Command::new("python3");
        command.args(["-c", ECHO]).env("APP", name).env("PORT", port.to_string()).stdin(Stdio::null());
        Instance { port, child: command.spawn().unwrap() }
    }

    fn wait(&self, server: &Server) {
        server.eventually(|| TcpStream::connect(("127.0.0.1", self.port)).ok());
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Sends bytes as they are and reads until the end, or until the connection is reset.
fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address("http")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _end = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(host: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: t\r\nAccept: */*\r\n{headers}Connection: close\r\n\r\n").into()
}

/// The requests that were logged, once a line holds `last`.
fn logged(server: &Server, last: &str) -> Vec<Value> {
    let text = server.eventually(|| {
        let text = fs::read_to_string(server.data().join("requests.log")).ok()?;
        text.lines().any(|line| line.contains(last)).then_some(text)
    });
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_proxy_header_names_the_client_in_every_log() {
    let settings = "[server.clients]\nproxy-protocol = ['127.0.0.1']\n\
        [server.log.requests]\nfile = 'requests.log'\nformat = 'json'\n";
    let server = Server::start_with(settings, executable());
    let shop = folder(&[]);
    fs::create_dir(shop.path().join("public")).unwrap();
    fs::write(shop.path().join("public/index.html"), "shop").unwrap();
    server.ok(&["deploy", "shop", shop.path().to_str().unwrap()]);
    let version_1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n".to_vec();
    // TCP over IPv6, 36 bytes of addresses and ports.
    let mut version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".to_vec();
    for address in ["2001:db8::7", "2001:db8::1"] {
        version_2.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    version_2.extend([0x12, 0x67, 0, 80]);
    for (header, client) in [(version_1, "203.0.113.7"), (version_2, "2001:db8::7")] {
        for (target, status) in [("/", "200"), (ATTACK, "403")] {
            let answer = exchange(&server, &[header.clone(), request("shop.localhost", target, "")].concat());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
        let of_client = |line: &Value| line["client"] == client;
        server.eventually(|| {
            (logged(&server, client).into_iter().filter(of_client).count() == 2).then_some(())
        });
        server.eventually(|| {
            let events = server.ok(&["waf", "logs", "shop", "--json"]);
            let events: Value = serde_json::from_str(&events).unwrap();
            events.as_array()?.iter().any(of_client).then_some(())
        });
    }
    assert!(exchange(&server, &request("shop.localhost", "/", "")).is_empty(), "the header has to be there");
}

/// HAProxy in front of a server, with a port for each way to say who the client is.
struct Haproxy {
    child: Child,
    ports: [u16; 2],
    _folder: tempfile::TempDir,
}

impl Haproxy {
    /// None where it is not installed.
    fn start(server: &Server) -> Option<Haproxy> {
        let ports = [(); 2].map(|()| free_port());
        let listen = |(port, version): (u16, &str)| {
            format!(
                "listen {version}\n    bind 127.0.0.1:{port}\n    server hop3 {} {version} check check-send-proxy inter 500ms\n",
                server.address("http")
            )
        };
        let both: String = ports.into_iter().zip(["send-proxy", "send-proxy-v2"]).map(listen).collect();
        let limits =
            "timeout connect 60s\n    timeout check 60s\n    timeout client 180s\n    timeout server 180s";
        let text = format!("global\n    maxconn 64\ndefaults\n    mode tcp\n    {limits}\n{both}");
        let folder = folder(&[("haproxy.cfg", &text)]);
        let mut command = Command::new("haproxy");
        command.args(["-q", "-db", "-f", "haproxy.cfg"]).current_dir(folder.path()).stdin(Stdio::null());
        match command.spawn() {
            Ok(child) => Some(Haproxy { child, ports, _folder: folder }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("SKIP HAProxy: it is not installed; run tests/setup/install test");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[test]
fn haproxy_says_who_the_client_is_in_both_versions() {
    let site = folder(&[("index.html", "shop")]);
    let settings = format!(
        "[server.clients]\nproxy-protocol = ['127.0.0.1']\n[server.log.requests]\nfile = 'requests.log'\n\
         [[route]]\nhosts = ['shop.test']\nstatic = '{}'\n",
        site.path().display()
    );
    let server = Server::start_with(&settings, executable());
    let Some(haproxy) = Haproxy::start(&server) else { return };
    for (port, client) in haproxy.ports.into_iter().zip(["127.0.0.31", "127.0.0.32"]) {
        let (url, target) = (format!("http://127.0.0.1:{port}/"), format!("/of-{client}"));
        let ask = |target: &str| {
            let mut curl = Command::new("curl");
            curl.args([
                "-sS",
                "--max-time",
                "120",
                "--interface",
                client,
                "-H",
                "Host: shop.test",
                "-w",
                " %{http_code}",
            ]);
            String::from_utf8(
                curl.arg(format!("{}{}", url.trim_end_matches('/'), target)).output().unwrap().stdout,
            )
            .unwrap()
        };
        // It may still be starting, or asking whether we are there.
        server.eventually(|| (ask("/") == "shop 200").then_some(()));
        assert!(ask(&target).ends_with(" 404"));
        let lines = logged(&server, &target);
        let told: BTreeSet<_> = lines
            .iter()
            .filter(|line| line["target"] == *target)
            .collect::<Vec<_>>()
            .iter()
            .map(|line| line["client"].to_string())
            .collect();
        assert_eq!(told, BTreeSet::from([format!("\"{client}\"")]));
    }
    // Its own questions name nobody, and are no requests.
    assert!(logged(&server, "shop.test").iter().all(|line| line["client"] != "127.0.0.1"));
}

#[test]
fn trusted_proxies_name_the_client_and_successes_are_sampled() {
    let echo = Instance::start("echo");
    let settings = format!(
        "[server.clients]\ntrusted-proxies = ['127.0.0.1']\nforwarding = 'forwarded'\n\
         [server.log.requests]\nfile = 'requests.log'\nformat = 'json'\nsample = 5\n\
         [[route]]\nhosts = ['shop.test']\nupstream = '127.0.0.1:{}'\n",
        echo.port
    );
    let server = Server::start_with(&settings, executable());
    echo.wait(&server);
    let headers = "Forwarded: for=198.51.100.1, for=203.0.113.7;proto=https\r\nX-Forwarded-For: 6.6.6.6\r\n\
        X-Forwarded-Prefix: /evil\r\n";
    for _ in 0..20 {
        let (status, seen) = server.get_with("shop.test", "/", headers);
        let seen = seen.to_ascii_lowercase();
        assert_eq!(status, 200);
        assert!(
            seen.contains("forwarded: for=198.51.100.1, for=203.0.113.7;proto=https, for=127.0.0.1;"),
            "{seen}"
        );
        // Another kind of field than the one that is believed.
        assert!(!seen.contains("6.6.6.6") && !seen.contains("x-forwarded"), "{seen}");
    }
    for _ in 0..3 {
        assert_eq!(server.get_with("other.test", "/last", headers).0, 404);
    }
    let count = |lines: &[Value], status: u16| lines.iter().filter(|line| line["status"] == status).count();
    server.eventually(|| (count(&logged(&server, "/last"), 404) == 3).then_some(()));
    let lines = logged(&server, "/last");
    assert_eq!(count(&lines, 200), 4, "one of five");
    assert!(lines.iter().all(|line| line["client"] == "203.0.113.7"), "{lines:?}");
}

#[test]
fn the_servers_own_log_takes_its_sample_of_requests() {
    let site = folder(&[("index.html", "shop")]);
    let settings = format!(
        "[server.log.requests]\nsample = 5\n[[route]]\nhosts = ['shop.test']\nstatic = '{}'\n",
        site.path().display()
    );
    let server = Server::start_with(&settings, executable());
    for number in 0..20 {
        assert_eq!(server.get("shop.test", &format!("/?q={number}")).0, 200);
    }
    for _ in 0..3 {
        assert_eq!(server.get("shop.test", "/missing").0, 404);
    }
    assert_eq!(server.get("shop.test", "/last").0, 404);
    let log = server.eventually(|| Some(server.log()).filter(|log| log.contains("\"/last\"")));
    let requests: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["target"] == "access")
        .collect();
    let count = |status: u16| requests.iter().filter(|line| line["status"] == status).count();
    assert_eq!((count(200), count(404)), (4, 4), "one of five that went well, and all others: {requests:#?}");
}

/// Who answered a client at this address.
fn served(server: &Server, host: &str, client: usize, target: &str, headers: &str) -> String {
    let headers = format!("X-Forwarded-For: 203.0.113.{client}\r\n{headers}");
    let (status, text) = server.get_with(host, target, &headers);
    assert_eq!(status, 200, "{text}");
    text.split(' ').next().unwrap().to_owned()
}

#[test]
fn hashes_and_percentages_decide_who_answers() {
    let [one, two] = ["one", "two"].map(Instance::start);
    let both = format!("upstream = ['127.0.0.1:{}', '127.0.0.1:{}']", one.port, two.port);
    let hashed = |kind: &str| {
        let host = kind.replace(':', "-");
        format!(
            "[[route]]\nhosts = ['{host}.test']\n{both}\n[route.proxy.balancing]\nmethod = 'hash-{kind}'\n"
        )
    };
    let canary = |percent: u8| {
        format!(
            "[[route]]\nhosts = ['canary{percent}.test']\nupstream = '127.0.0.1:{}'\n\
             [route.proxy]\ncanary = {{ percent = {percent}, upstream = '127.0.0.1:{}' }}\n",
            one.port, two.port
        )
    };
    let routes =
        [hashed("client"), hashed("target"), hashed("cookie:seat"), canary(0), canary(40), canary(100)];
    let settings = format!("[server.clients]\ntrusted-proxies = ['127.0.0.1']\n{}", routes.concat());
    let server = Server::start_with(&settings, executable());
    one.wait(&server);
    two.wait(&server);

    // The same for the same key whatever else differs, and not the same for all.
    let cookie = |seat: usize| format!("Cookie: a=b; seat={seat}\r\n");
    type By<'k> = &'k dyn Fn(usize, usize) -> String;
    let by_client: By<'_> = &|key, other| served(&server, "client.test", key, &format!("/{other}"), "");
    let by_target: By<'_> = &|key, other| served(&server, "target.test", other, &format!("/{key}?q"), "");
    let by_cookie: By<'_> =
        &|key, other| served(&server, "cookie-seat.test", other, &format!("/{other}"), &cookie(key));
    for (kind, who) in [("client", by_client), ("target", by_target), ("cookie", by_cookie)] {
        let mut chosen = BTreeSet::new();
        for key in 1..=20 {
            let first = who(key, 1);
            assert_eq!(who(key, 2), first, "{kind} {key}");
            chosen.insert(first);
        }
        assert_eq!(chosen.len(), 2, "{kind}");
    }

    let of_canary = |percent: u8, clients: usize| {
        let host = format!("canary{percent}.test");
        let who = |client| served(&server, &host, client, "/", "");
        (1..=clients).filter(|client| who(*client) == "two").collect::<Vec<_>>()
    };
    assert_eq!((of_canary(0, 10).len(), of_canary(100, 10).len()), (0, 10));
    let some = of_canary(40, 50);
    assert!((5..=35).contains(&some.len()), "{}", some.len());
    assert_eq!(of_canary(40, 50), some, "the same clients again");
}

/// An HTTP/2 server without TLS that answers with the target, until the runtime ends.
fn h2c(runtime: &tokio::runtime::Runtime) -> u16 {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let Ok(mut body) = respond.send_response(http::Response::new(()), false) else { return };
                    let text = format!("{:?} {}", request.version(), request.uri());
                    let _sent = body.send_data(text.into(), true);
                }
            });
        }
    });
    port
}

#[test]
fn instances_may_speak_http2_without_tls() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let port = h2c(&runtime);
    let route = format!(
        "[[route]]\nhosts = ['grpc.test']\nupstream = '127.0.0.1:{port}'\n[route.proxy]\nprotocol = 'h2c'\n\
         [route.waf]\nenabled = false\n"
    );
    let server = Server::start_with(&route, executable());
    assert_eq!(server.get("grpc.test", "/a?b"), (200, "HTTP/2.0 http://grpc.test/a?b".to_owned()));
    // Escaped, it is longer than HTTP/2 as we speak it can say; that takes the instance from nobody.
    let long = format!("/?{}", "<".repeat(25_000));
    for _ in 0..25 {
        assert_eq!(server.get("grpc.test", &long).0, 414);
    }
    assert_eq!(server.get("grpc.test", "/").0, 200);
}

#[test]
fn folders_are_listed_packed_files_preferred_and_missing_ones_replaced() {
    let site = folder(&[("index.html", "start"), ("style.css", "plain"), ("style.css.gz", "packed")]);
    fs::create_dir(site.path().join("docs")).unwrap();
    fs::write(site.path().join("docs/a<b.txt"), "text").unwrap();
    let route = |host: &str, files: &str| {
        format!(
            "[[route]]\nhosts = ['{host}']\nstatic = '{}'\n[route.proxy.files]\n{files}\n",
            site.path().display()
        )
    };
    let routes = [
        route("plain.test", "precompressed = false"),
        route("listing.test", "listing = true"),
        route("fallback.test", "fallback = 'index.html'"),
    ];
    let server = Server::start_with(&routes.concat(), executable());
    let gzip = "Accept-Encoding: gzip\r\n";
    assert_eq!(server.get("plain.test", "/docs/").0, 404);
    assert_eq!(server.get("plain.test", "/none").0, 404);
    assert_eq!(server.get_with("plain.test", "/style.css", gzip), (200, "plain".to_owned()));
    assert_eq!(server.get("listing.test", "/"), (200, "start".to_owned()));
    let (status, page) = server.get("listing.test", "/docs/");
    assert!(status == 200 && page.contains("a&lt;b.txt") && !page.contains("a<b"), "{status} {page}");
    let packed = server.raw("listing.test", "/style.css", gzip);
    assert!(
        packed.ends_with("packed") && packed.to_ascii_lowercase().contains("content-encoding: gzip"),
        "{packed}"
    );
    assert_eq!(server.get("listing.test", "/style.css"), (200, "plain".to_owned()));
    assert_eq!(server.get("fallback.test", "/some/view"), (200, "start".to_owned()));
    assert_eq!(server.get("fallback.test", "/style.css"), (200, "plain".to_owned()));
}
