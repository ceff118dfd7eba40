//! The dynamic firewall on real sockets: who offends is turned away, and nobody else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine;
use hop3_proxy::{
    Ban, BanRules, BanSettings, BasicAuth, Policy, Protection, ProtectionMode, ProxyConfig, RateKey,
    RateLimit, Reason, Route, RouteTable,
};
use hop3_seclang::loader::MemoryLoader;
use hop3_waf::Ruleset;
use support::{
    Client, Received, Reply, TestBackend, TestProxy, backend, curl, ok, response, start, start_with, to,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const RULES: &str = "SecRuleEngine On\n\
    SecRule REQUEST_URI \"@contains attack\" \"id:1,phase:1,deny,status:403\"\n\
    SecRule RESPONSE_HEADERS:X-Secret \"@unconditionalMatch\" \"id:2,phase:3,deny,status:502\"\n";

fn answer(request: &Received) -> Reply {
    Reply::Keep(match request.line().split(' ').nth(1).unwrap() {
        "/missing" => response("404 Not Found", "", ""),
        "/login" => response("401 Unauthorized", "", ""),
        "/secret" => response("200 OK", "X-Secret: 1\r\n", ""),
        _ => ok("hello"),
    })
}

fn rules(threshold: u32) -> Option<Arc<BanRules>> {
    let hour = Duration::from_secs(3600);
    Some(Arc::new(BanRules { threshold, window: hour, duration: hour }))
}

fn protected(backend: &TestBackend, mode: ProtectionMode) -> Route {
    let document = hop3_seclang::parse_str("test.conf", RULES, &MemoryLoader::new()).unwrap();
    let ruleset = Arc::new(Ruleset::compile(&document).unwrap());
    let waf = Some(Arc::new(Protection { mode, ..Protection::new(ruleset) }));
    Route { waf, bans: rules(3), ..to(backend) }
}

/// A connection from another loopback address.
async fn connect_from(address: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::from(address), 0))?;
    socket.connect(to).await
}

/// The status of one request from an address; `None` when the connection is refused, reset or closed.
async fn status(address: [u8; 4], to: SocketAddr, target: &str, headers: &str) -> Option<u16> {
    let mut stream = connect_from(address, to).await.ok()?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut text = Vec::new();
    let read = tokio::time::timeout(support::PATIENCE, stream.read_to_end(&mut text)).await;
    let _reset = read.expect("an end within 20 s");
    String::from_utf8_lossy(&text).split(' ').nth(1)?.parse().ok()
}

const ANN: [u8; 4] = [127, 0, 0, 1];
const BOB: [u8; 4] = [127, 0, 0, 2];

#[tokio::test]
async fn attackers_are_turned_away_before_tls_and_nobody_else() {
    let backend = backend(answer).await;
    let proxy = start(vec![protected(&backend, ProtectionMode::Block)]);
    let mut kept = Client::connect(proxy.http).await;
    assert_eq!(kept.get("/").await.status, 200);
    for _ in 0..3 {
        assert_eq!(status(ANN, proxy.http, "/attack", "").await, Some(403));
    }
    assert_eq!(status(ANN, proxy.http, "/", "").await, None);
    assert_eq!(status(BOB, proxy.http, "/", "").await, Some(200));
    // A connection from before the ban ends with its next request.
    kept.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000000\r\n\r\nand so on").await;
    assert!(kept.is_reset().await, "at once: nobody waits for what it sends");
    // No byte of TLS is answered.
    let mut tls = connect_from(ANN, proxy.https).await.unwrap();
    let mut byte = [0];
    assert!(matches!(tls.read(&mut byte).await, Ok(0) | Err(_)));
    // Operators are not locked out of the metrics.
    let metrics = proxy.handle.metrics();
    for line in [
        "hop3_bans 1",
        "hop3_bans_total{reason=\"firewall\"} 1",
        "hop3_ban_offences_total{reason=\"firewall\"} 3",
        "hop3_ban_turned_away_total{met=\"connection\"} 2",
        "hop3_ban_turned_away_total{met=\"request\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
    let shown = curl(&[&format!("http://{}/healthz", proxy.admin)]).await;
    assert_eq!(shown, "ok\n");

    let bans = proxy.handle.bans();
    let ban = bans.list(SystemTime::now()).remove(0);
    assert_eq!((ban.prefix.to_string().as_str(), ban.app.as_deref()), ("127.0.0.1", Some("shop")));
    assert!(!ban.note.is_empty(), "the transaction is named");
    bans.lift(&ban.prefix).unwrap();
    assert_eq!(status(ANN, proxy.http, "/", "").await, Some(200));
}

#[tokio::test]
async fn only_what_the_client_did_counts() {
    let backend = backend(answer).await;
    let proxy = start(vec![protected(&backend, ProtectionMode::Block)]);
    for _ in 0..5 {
        // The app's answer was held back: not the client's doing.
        assert_eq!(status(ANN, proxy.http, "/secret", "").await, Some(502));
        assert_eq!(status(ANN, proxy.http, "/login", "").await, Some(401), "nobody showed credentials");
    }
    let detecting = protected(&backend, ProtectionMode::Detect);
    proxy.handle.publish(RouteTable::new(vec![detecting]).unwrap());
    for _ in 0..5 {
        assert_eq!(status(ANN, proxy.http, "/attack", "").await, Some(200));
    }
    proxy.handle.publish(
        RouteTable::new(vec![Route { bans: None, ..protected(&backend, ProtectionMode::Block) }]).unwrap(),
    );
    for _ in 0..5 {
        assert_eq!(status(ANN, proxy.http, "/attack", "").await, Some(403));
    }
    assert!(proxy.handle.bans().list(SystemTime::now()).is_empty());
}

#[tokio::test]
async fn every_kind_of_offence_leads_to_a_ban() {
    let backend = backend(answer).await;
    let hash = bcrypt::hash("s3cret", 4).unwrap();
    let guarded = Policy {
        basic_auth: Some(BasicAuth::new("shop", [("ann".to_owned(), hash)]).unwrap()),
        ..Policy::default()
    };
    let limited = Policy {
        rate_limit: Some(RateLimit {
            requests: 1,
            period: Duration::from_secs(3600),
            burst: 0,
            key: RateKey::Client,
        }),
        ..Policy::default()
    };
    let wrong = base64::engine::general_purpose::STANDARD.encode("ann:wrong");
    let wrong = format!("Authorization: Basic {wrong}\r\n");
    let cases: [(&str, Policy, &str, String, u16, usize); 5] = [
        ("authentication", guarded, "/", wrong.clone(), 401, 1),
        ("authentication", Policy::default(), "/login", wrong, 401, 1),
        ("not-found", Policy::default(), "/missing", String::new(), 404, 10),
        ("rate-limit", limited, "/", String::new(), 429, 5),
        ("malformed", Policy::default(), "/", "A : b\r\n".to_owned(), 400, 1),
    ];
    for (reason, policy, target, headers, expected, times) in cases {
        let route = Route { bans: rules(1), policy: Some(Arc::new(policy)), ..to(&backend) };
        let proxy = start(vec![route]);
        let bans = || proxy.handle.bans().list(SystemTime::now());
        if reason == "rate-limit" {
            assert_eq!(status(ANN, proxy.http, target, &headers).await, Some(200));
        }
        for round in 1..=times {
            assert!(bans().is_empty(), "{reason} {round}");
            assert_eq!(status(ANN, proxy.http, target, &headers).await, Some(expected), "{reason} {round}");
        }
        assert_eq!(bans().first().map(|ban| ban.reason.as_str()), Some(reason), "{target}");
        assert_eq!(status(ANN, proxy.http, "/", "").await, None, "{reason}");
    }
}

#[tokio::test]
async fn a_limit_that_all_share_bans_nobody() {
    let backend = backend(answer).await;
    let period = Duration::from_secs(3600);
    let rate_limit = Some(RateLimit { requests: 1, period, burst: 0, key: RateKey::Route });
    let policy = Some(Arc::new(Policy { rate_limit, ..Policy::default() }));
    let proxy = start(vec![Route { bans: rules(1), policy, ..to(&backend) }]);
    assert_eq!(status(ANN, proxy.http, "/", "").await, Some(200));
    for round in 0..12 {
        assert_eq!(status(BOB, proxy.http, "/", "").await, Some(429), "{round}");
    }
    assert_eq!(proxy.handle.bans().list(SystemTime::now()), []);
}

#[tokio::test]
async fn requests_without_a_route_follow_the_servers_rules() {
    let backend = backend(answer).await;
    let proxy = start(vec![to(&backend)]);
    let rules = BanRules { threshold: 1, ..BanRules::default() };
    for round in 0..11 {
        let mut stream = connect_from(ANN, proxy.http).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 404 "), "{text}");
        if round == 0 {
            let unrouted = Some(rules.clone());
            proxy.handle.bans().configure(BanSettings { unrouted, ..BanSettings::default() });
        }
    }
    assert_eq!(status(ANN, proxy.http, "/", "").await, None);
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    proxy.handle.bans().configure(BanSettings { allow, ..BanSettings::default() });
    assert_eq!(status(ANN, proxy.http, "/", "").await, Some(200), "who is allowed is let in at once");
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_banned_and_not_the_proxy() {
    let backend = backend(answer).await;
    let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let config = ProxyConfig { trusted_proxies, ..ProxyConfig::default() };
    let proxy = start_with(config, vec![protected(&backend, ProtectionMode::Block)]);
    let mut shared = Client::connect(proxy.http).await;
    let ask = async |client: &mut Client, target: &str, address: &str| {
        client.request("GET", target, &format!("X-Forwarded-For: {address}\r\n"), b"").await
    };
    for _ in 0..3 {
        assert_eq!(ask(&mut shared, "/attack", "203.0.113.9").await.status, 403);
    }
    let turned = ask(&mut shared, "/", "203.0.113.9").await;
    assert_eq!(turned.status, 403);
    assert!(!turned.text().contains("ban"), "{}", turned.text());
    // The same connection goes on for others, and new ones are accepted.
    assert_eq!(ask(&mut shared, "/", "203.0.113.10").await.status, 200);
    assert_eq!(ask(&mut Client::connect(proxy.http).await, "/", "203.0.113.10").await.status, 200);
    // The proxy's own requests are not spared the rules, but it is never banned for them.
    for _ in 0..9 {
        assert_eq!(shared.get("/attack").await.status, 403);
    }
    assert_eq!(shared.get("/").await.status, 200);
    assert_eq!(proxy.handle.bans().list(SystemTime::now()).len(), 1);
}

#[tokio::test]
async fn nobody_is_banned_for_what_an_incomplete_head_says_of_him() {
    let backend = backend(answer).await;
    let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let config = ProxyConfig { trusted_proxies, ..ProxyConfig::default() };
    let proxy = start_with(config, vec![protected(&backend, ProtectionMode::Block)]);
    let ask = async |fields: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n\r\n");
        let mut client = Client::connect(proxy.http).await;
        client.send(head).await;
        let mut text = Vec::new();
        let _reset = client.stream.read_to_end(&mut text).await;
        assert!(text.starts_with(b"HTTP/1.1 400 "), "{}", text.escape_ascii());
    };
    // What the client made up, and a line after which nothing is read; what its proxy adds would come behind.
    for _ in 0..5 {
        ask("X-Forwarded-For: 203.0.113.9\r\nA: b\nc").await;
    }
    let many = (0..200).map(|number| format!("A{number}: b\r\n")).collect::<String>();
    for _ in 0..5 {
        let mut client = Client::connect(proxy.http).await;
        let spoken = format!("X-Forwarded-For: 203.0.113.9\r\n{many}X-Forwarded-For: 203.0.113.10");
        client.send(format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{spoken}\r\n\r\n")).await;
        let mut text = Vec::new();
        let _reset = client.stream.read_to_end(&mut text).await;
        assert!(text.starts_with(b"HTTP/1.1 431 "), "{}", text.escape_ascii());
    }
    assert_eq!(proxy.handle.bans().list(SystemTime::now()), []);
    for _ in 0..3 {
        ask("X-Forwarded-For: 203.0.113.9\r\nHost: shop.test\r\nX-Forwarded-For: 203.0.113.10").await;
    }
    let banned = proxy.handle.bans().list(SystemTime::now());
    assert_eq!(banned.iter().map(|ban| ban.prefix.to_string()).collect::<Vec<_>>(), ["203.0.113.10"]);
}

#[tokio::test]
async fn behind_the_proxy_protocol_the_named_client_is_banned() {
    let backend = backend(answer).await;
    let proxy_protocol = vec!["127.0.0.1".parse().unwrap()];
    let config = ProxyConfig { proxy_protocol, ..ProxyConfig::default() };
    let proxy = start_with(config, vec![protected(&backend, ProtectionMode::Block)]);
    let ask = async |address: &str, target: &str| {
        let mut client = Client::connect(proxy.http).await;
        client.send(format!("PROXY TCP4 {address} 127.0.0.1 1000 80\r\n")).await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")).await;
        let mut text = Vec::new();
        let _reset = client.stream.read_to_end(&mut text).await;
        String::from_utf8_lossy(&text).split(' ').nth(1).and_then(|status| status.parse::<u16>().ok())
    };
    for _ in 0..3 {
        assert_eq!(ask("203.0.113.9", "/attack").await, Some(403));
    }
    assert_eq!(ask("203.0.113.9", "/").await, None);
    assert_eq!(ask("203.0.113.10", "/").await, Some(200));
}

#[tokio::test]
async fn streams_of_a_banned_client_end_with_their_connection() {
    let backend = backend(answer).await;
    let proxy = start(vec![protected(&backend, ProtectionMode::Block)]);
    let attack = format!("https://shop.test:{}/attack?[1-9]", proxy.https.port());
    let resolve = format!("shop.test:{}:127.0.0.1", proxy.https.port());
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--insecure", "--http2", "--max-time", "120", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}\n", "--resolve", &resolve, &attack])
        .output()
        .await
        .expect("curl is installed");
    let codes = String::from_utf8_lossy(&output.stdout).into_owned();
    let refused = codes.lines().filter(|code| *code == "403").count();
    assert_eq!(refused, 3, "{codes}");
    assert!(codes.lines().skip(3).all(|code| code == "000"), "{codes}");
}

fn by_hand(prefix: &str) -> Ban {
    Ban {
        prefix: prefix.parse().unwrap(),
        reason: Reason::Manual,
        app: None,
        note: "scanners".into(),
        since: SystemTime::now(),
        until: None,
        count: 1,
    }
}

#[tokio::test]
async fn networks_are_banned_by_hand() {
    let backend = backend(answer).await;
    let proxy: TestProxy = start(vec![to(&backend)]);
    let ban = by_hand("127.0.0.0/30");
    proxy.handle.bans().add(ban.clone(), SystemTime::now()).unwrap();
    for (address, expected) in [(ANN, None), (BOB, None), ([127, 0, 0, 4], Some(200))] {
        assert_eq!(status(address, proxy.http, "/", "").await, expected, "{address:?}");
    }
    let past = SystemTime::now() - Duration::from_secs(1);
    proxy.handle.bans().add(Ban { until: Some(past), ..ban }, SystemTime::now()).unwrap();
    assert_eq!(status(ANN, proxy.http, "/", "").await, Some(200), "it has ended");
}

/// How often bans are replaced under load.
const REPLACEMENTS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bans_come_and_go_under_load_and_meet_nobody_else() {
    let backend = backend(answer).await;
    let proxy = start(vec![to(&backend)]);
    let address = proxy.http;
    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut others = tokio::task::JoinSet::new();
    for keeps in [true, true, false, false] {
        let (over, served) = (over.clone(), served.clone());
        others.spawn(async move {
            // Every request on a connection of its own, or all on one: bans are asked at both places.
            let mut kept = Client::over(connect_from(BOB, address).await.unwrap());
            while !over.load(Ordering::Relaxed) {
                if keeps {
                    let answer = kept.get("/").await;
                    assert_eq!(answer.status, 200);
                    if answer.header("connection") == Some("close") {
                        kept = Client::over(connect_from(BOB, address).await.unwrap());
                    }
                } else {
                    assert_eq!(status(BOB, address, "/", "").await, Some(200));
                }
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let bans = proxy.handle.bans();
    for turn in 0..REPLACEMENTS {
        let before = served.load(Ordering::Relaxed);
        bans.add(by_hand("127.0.0.1/32"), SystemTime::now()).unwrap();
        // Neighbours of those who are served, as a restart or another server would bring them.
        let neighbours = (0..200).map(|number| by_hand(&format!("127.{}.{number}.2/32", turn + 1)));
        bans.restore(neighbours, SystemTime::now());
        bans.configure(BanSettings { ipv6_prefix: 56 + (turn % 8) as u8, ..BanSettings::default() });
        assert_eq!(status(ANN, address, "/", "").await, None, "banned at once");
        bans.lift(&"127.0.0.1/32".parse().unwrap()).unwrap();
        assert_eq!(status(ANN, address, "/", "").await, Some(200), "and let in again");
        while served.load(Ordering::Relaxed) < before + 4 && !others.is_empty() {
            if let Some(failed) = others.try_join_next() {
                failed.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    while let Some(other) = others.join_next().await {
        other.unwrap();
    }
    assert_eq!(bans.list(SystemTime::now()).len(), REPLACEMENTS * 200);
    let served = served.load(Ordering::Relaxed);
    println!("{served} requests of others over {REPLACEMENTS} replacements of bans, none failed");
}
