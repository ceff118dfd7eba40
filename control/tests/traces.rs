//! Spans of sampled traces at a collector: over plain HTTP, over TLS, and where it never answers.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use server::{Server, executable, folder};

const PATIENCE: Duration = Duration::from_secs(60);

/// A collector of traces that answers its first export with 503. What it got, and how often it was asked.
fn collector(tls: Option<Arc<ServerConfig>>) -> (SocketAddr, mpsc::Receiver<(u16, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, got) = mpsc::channel();
    std::thread::spawn(move || {
        // Exports whose handshake failed do not count.
        let mut number = 0;
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut stream: Box<dyn Peer> = match &tls {
                None => Box::new(stream),
                Some(tls) => Box::new(StreamOwned::new(ServerConnection::new(tls.clone()).unwrap(), stream)),
            };
            let Some(spans) = export(&mut stream) else { continue };
            let status = if number == 0 { 503 } else { 200 };
            number += 1;
            stream
                .write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\n{}", "{}").as_bytes())
                .unwrap();
            if sender.send((status, spans)).is_err() {
                return;
            }
        }
    });
    (address, got)
}

trait Peer: Read + Write {}

impl<P: Read + Write> Peer for P {}

/// Reads one export; `None` when the peer gives up before.
fn export(stream: &mut impl Read) -> Option<Value> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
        let last = head.lines().last().unwrap_or_default().to_ascii_lowercase();
        if let Some(value) = last.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json") && head.contains("x-tenant: t1"), "{head}");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Some(serde_json::from_slice(&body).unwrap())
}

#[test]
fn sampled_traces_reach_the_collector() {
    let (collector, got) = collector(None);
    let site = folder(&[("index.html", "shop")]);
    let settings = format!(
        "[server.traces]\nendpoint = 'http://{collector}'\nheaders = {{ X-Tenant = 't1' }}\n\
         [[route]]\nhosts = ['shop.test']\nstatic = '{}'\n",
        site.path().display()
    );
    let server = Server::start_with(&settings, executable());
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = |flags: &str| format!("traceparent: 00-{trace}-b7ad6b7169203331-{flags}\r\n");
    assert_eq!(server.get_with("shop.test", "/?secret=1", &parent("00")).0, 200);
    assert_eq!(server.get("shop.test", "/").0, 200);
    assert_eq!(server.get_with("shop.test", "/missing?secret=1", &parent("01")).0, 404);
    let (status, first) = got.recv_timeout(PATIENCE).unwrap();
    assert_eq!(status, 503);
    let (status, second) = got.recv_timeout(PATIENCE).unwrap();
    assert_eq!((status, &second), (200, &first), "what was not taken is sent again");
    let scope = &second["resourceSpans"][0];
    assert_eq!(scope["resource"]["attributes"][0]["value"]["stringValue"], "hop3");
    let spans = scope["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 1, "what is not sampled is not exported: {spans:?}");
    let span = &spans[0];
    assert_eq!((&span["traceId"], &span["parentSpanId"]), (&trace.into(), &"b7ad6b7169203331".into()));
    assert_eq!((span["spanId"].as_str().unwrap().len(), &span["kind"]), (16, &2.into()));
    let attribute = |key: &str| {
        let all = span["attributes"].as_array().unwrap();
        all.iter().find(|one| one["key"] == key).unwrap_or_else(|| panic!("no {key}"))["value"].clone()
    };
    assert_eq!(attribute("url.path")["stringValue"], "/missing");
    assert_eq!(attribute("http.response.status_code")["intValue"], "404");
    assert_eq!(span["status"], serde_json::json!({}), "a client's mistake is no error of the server's");
    assert_eq!(attribute("server.address")["stringValue"], "shop.test");
    assert!(!second.to_string().contains("secret"), "{second}");
    let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    assert!(time("endTimeUnixNano") >= time("startTimeUnixNano"));
}

#[test]
fn spans_go_over_tls_to_a_collector_that_can_be_trusted() {
    let authority = || {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (authority, other) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let tls = tls.with_no_client_auth().with_single_cert(vec![own.der().clone()], key).unwrap();
    let (collector, got) = collector(Some(Arc::new(tls)));
    let site = folder(&[("index.html", "shop"), ("ca.pem", &authority.pem()), ("other.pem", &other.pem())]);
    let settings = |host: &str, ca: &str| {
        format!(
            "[server.traces]\nendpoint = 'https://{host}:{}'\nca = '{}'\nsample = 1\nheaders = {{ X-Tenant = 't1' }}\n\
             [[route]]\nhosts = ['shop.test']\nstatic = '{}'\n",
            collector.port(),
            site.path().join(ca).display(),
            site.path().display()
        )
    };
    // Nothing is told to whom another authority vouches for, nor under another name.
    for (host, ca) in [("localhost", "other.pem"), ("127.0.0.1", "ca.pem")] {
        let server = Server::start_with(&settings(host, ca), executable());
        assert_eq!(server.get("shop.test", "/").0, 200);
        server.eventually(|| server.log().contains("spans cannot be exported").then_some(()));
        assert!(server.log().contains("invalid peer certificate"), "{}", server.log());
    }
    assert!(got.try_recv().is_err(), "nothing was told to somebody else");
    let server = Server::start_with(&settings("localhost", "ca.pem"), executable());
    assert_eq!(server.get("shop.test", "/").0, 200);
    let (first, second) = (got.recv_timeout(PATIENCE).unwrap(), got.recv_timeout(PATIENCE).unwrap());
    assert_eq!((first.0, second.0, &second.1), (503, 200, &first.1));
    assert_eq!(second.1["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len(), 1);
}

#[test]
fn a_collector_without_a_usable_authority_is_refused() {
    let site = folder(&[("ca.pem", "no certificate")]);
    for (settings, message) in [
        ("endpoint = 'https://localhost'\nca = 'ca.pem'", "no usable certificate"),
        ("endpoint = 'https://localhost'\nca = 'none.pem'", "none.pem"),
        ("endpoint = 'http://localhost'\nca = 'ca.pem'", "https://"),
    ] {
        fs::write(site.path().join("hop3-server.toml"), format!("[server.traces]\n{settings}\n")).unwrap();
        let ended = server::run(&["serve", "--data", site.path().to_str().unwrap()]);
        assert!(ended.code == 2 && ended.stderr.contains(message), "{ended:?}");
    }
}

#[test]
fn a_collector_that_never_answers_costs_no_request() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = folder(&[("index.html", "shop")]);
    let settings = format!(
        "[server.traces]\nendpoint = 'http://{}'\nsample = 1\n[[route]]\nhosts = ['shop.test']\nstatic = '{}'\n",
        silent.local_addr().unwrap(),
        site.path().display()
    );
    let mut server = Server::start_with(&settings, executable());
    for _ in 0..200 {
        assert_eq!(server.get("shop.test", "/").0, 200);
    }
    // Nor does it keep the server from ending.
    server.restart(server::End::Terminate);
    assert_eq!(server.get("shop.test", "/").0, 200);
}
