//! The firewall in the path, with small rulesets of our own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::{Arc, Mutex};

use hop3_proxy::{AppliedAction, AuditRecord, Event, Protection, ProtectionMode};
use hop3_seclang::loader::MemoryLoader;
use hop3_waf::{BlockLists, Listing, Ruleset};
use support::{Client, Reply, TestProxy, backend, curl, ok, protect, response, start, to};
use tokio::io::AsyncReadExt as _;

const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/html
SecRequestBodyLimit 300000
SecRequestBodyNoFilesLimit 300000
SecAction "id:10,phase:1,pass,nolog,noauditlog,ctl:forceRequestBodyVariable=On"
SecRule REQUEST_URI "@contains /phase1" "id:1,phase:1,deny,status:403,log,msg:'phase one',tag:'test'"
SecRule REQUEST_BODY "@contains attack" "id:2,phase:2,deny,status:406,log,msg:'phase two'"
SecRule ARGS:q "@contains union select" "id:3,phase:2,deny,status:403,log,msg:'sql',t:lowercase"
SecRule RESPONSE_HEADERS:X-Secret "@unconditionalMatch" "id:4,phase:3,deny,status:502,log,msg:'phase three'"
SecRule RESPONSE_BODY "@contains stack trace" "id:5,phase:4,deny,status:403,log,msg:'phase four'"
SecRule REQUEST_URI "@contains /redirect" "id:6,phase:1,redirect:'https://example.org/sorry',status:302,log,msg:'away'"
SecRule REQUEST_URI "@contains /drop" "id:7,phase:1,drop,log,msg:'drop'"
SecRule REQUEST_URI "@contains /note" "id:8,phase:2,pass,log,msg:'noted'"
SecRule REQUEST_LINE "@contains <script" "id:9,phase:1,deny,status:403,log,msg:'raw line'"
"#;

fn answer(request: &support::Received) -> Reply {
    let html = "Content-Type: text/html\r\n";
    Reply::Keep(match request.line().split(' ').nth(1).unwrap() {
        "/secret" => response("200 OK", "X-Secret: 1\r\n", "secret"),
        "/leak" => response("200 OK", html, "a stack trace"),
        "/large" => response("200 OK", html, vec![b'x'; 2_000_000]),
        "/plain" => response("200 OK", "Content-Type: text/plain\r\n", "a stack trace"),
        "/encoding" => response("200 OK", html, request.header("accept-encoding").unwrap_or("none")),
        "/events" => response("200 OK", "Content-Type: text/event-stream\r\n", "data: stack trace\n\n"),
        _ => response("200 OK", html, format!("{} bytes", request.body.len())),
    })
}

/// The audit record of the next request that has one.
async fn audit(proxy: &mut TestProxy) -> AuditRecord {
    loop {
        match proxy.events.recv().await.unwrap() {
            Event::Audit(record) => return *record,
            Event::Access(_) => {}
        }
    }
}

#[tokio::test]
async fn each_phase_can_refuse() {
    let backend = backend(answer).await;
    let mut proxy = start(vec![protect(to(&backend), RULES, ProtectionMode::Block)]);
    let mut client = Client::connect(proxy.http).await;
    let cases = [
        ("GET", "/phase1", "", 403, 1, false),
        ("GET", "/?q=1%20UNION%20SELECT%202", "", 403, 3, false),
        ("POST", "/", "an attack", 406, 2, false),
        ("GET", "/secret", "", 502, 4, true),
        ("GET", "/leak", "", 403, 5, true),
        ("GET", "/?<script>", "", 403, 9, false),
    ];
    for (method, target, body, status, rule, reaches) in cases {
        let before = backend.count();
        let answer = client.request(method, target, "Content-Type: text/plain\r\n", body.as_bytes()).await;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(backend.count() - before, usize::from(reaches), "{target}");
        let record = audit(&mut proxy).await;
        assert_eq!((record.action, record.status), (AppliedAction::Denied, status), "{target}");
        assert!(record.matches.iter().any(|found| found.rule_id == rule), "{target}: {record:?}");
        assert!(answer.text().contains(&record.id), "{target}");
        for hidden in ["phase", "stack", "secret", "rule", "sql"] {
            assert!(!answer.text().contains(hidden), "{target} shows `{hidden}`: {}", answer.text());
        }
        assert!(record.log_lines().all(|line| line.contains(&record.id)));
    }
    // The connection survived all refusals.
    assert_eq!(client.get("/").await.text(), "0 bytes");
    let metrics = proxy.handle.metrics();
    assert!(metrics.contains("hop3_waf_verdicts_total{app=\"shop\",action=\"deny\"} 6"), "{metrics}");
    assert!(metrics.contains("hop3_waf_verdicts_total{app=\"shop\",action=\"pass\"} 1"), "{metrics}");
    assert!(metrics.contains("hop3_waf_rule_matches_total{app=\"shop\",rule_id=\"3\"} 1"), "{metrics}");
    assert!(
        metrics.contains("hop3_waf_inspection_duration_seconds_count{app=\"shop\",phase=\"5\"} 7"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_request_cannot_say_that_its_answer_is_a_stream() {
    let backend = backend(answer).await;
    let proxy = start(vec![protect(to(&backend), RULES, ProtectionMode::Block)]);
    for kind in ["application/grpc", "application/grpc+proto", "text/event-stream"] {
        let lines = format!("Content-Type: {kind}\r\n");
        let answer = Client::connect(proxy.http).await.request("GET", "/leak", &lines, b"").await;
        assert_eq!(answer.status, 403, "{kind}");
    }
}

#[tokio::test]
async fn redirects_drops_and_notes() {
    let backend = backend(answer).await;
    let mut proxy = start(vec![protect(to(&backend), RULES, ProtectionMode::Block)]);
    let mut client = Client::connect(proxy.http).await;
    let away = client.get("/redirect").await;
    assert_eq!((away.status, away.header("location")), (302, Some("https://example.org/sorry")));
    assert_eq!(audit(&mut proxy).await.action, AppliedAction::Redirected);
    assert_eq!(client.get("/note").await.status, 200);
    let record = audit(&mut proxy).await;
    assert_eq!((record.action, record.matches.len()), (AppliedAction::Passed, 1));
    client.send("GET /drop HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    assert!(client.is_reset().await);
    let record = audit(&mut proxy).await;
    assert_eq!((record.action, record.status), (AppliedAction::Dropped, 499));
    let json = Client::connect(proxy.http)
        .await
        .request("GET", "/phase1", "Accept: application/json\r\n", b"")
        .await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert!(json.text().contains(&audit(&mut proxy).await.id));
}

#[tokio::test]
async fn detection_logs_and_lets_pass() {
    let backend = backend(answer).await;
    let mut proxy = start(vec![protect(to(&backend), RULES, ProtectionMode::Detect)]);
    assert_eq!(support::get(proxy.http, "/phase1").await.status, 200);
    let record = audit(&mut proxy).await;
    assert_eq!((record.action, record.status), (AppliedAction::Detected, 200));
    assert_eq!(backend.count(), 1);
}

#[tokio::test]
async fn request_bodies_are_held_and_bounded() {
    let backend = backend(answer).await;
    let proxy = start(vec![protect(to(&backend), RULES, ProtectionMode::Block)]);
    let text = "Content-Type: text/plain\r\n";
    // Off the serving thread, behind padding, in chunks.
    let padded = [vec![b'x'; 200_000], b"attack".to_vec()].concat();
    let answer = Client::connect(proxy.http).await.request("POST", "/", text, &padded).await;
    assert_eq!((answer.status, backend.count()), (406, 0));
    let mut client = Client::connect(proxy.http).await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\natt\r\n3\r\nack\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.response(false).await.unwrap().status, 406);
    // Beyond what is inspected: refused, not passed.
    let huge = [vec![b'x'; 400_000], b"attack".to_vec()].concat();
    let answer = Client::connect(proxy.http).await.request("POST", "/", text, &huge).await;
    assert_eq!((answer.status, backend.count()), (413, 0));
    // A harmless body arrives whole and with a known length.
    let mut client = Client::connect(proxy.http).await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.response(false).await.unwrap().text(), "3 bytes");
    assert_eq!(backend.last().header("content-length"), Some("3"));
    assert_eq!(backend.last().header("transfer-encoding"), None);
    let answer = client.request("POST", "/", text, &vec![b'x'; 250_000]).await;
    assert_eq!(answer.text(), "250000 bytes");
    // The client is told to go on only after phase 1.
    client
        .send("POST /phase1 HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        .await;
    assert_eq!(client.response(false).await.unwrap().status, 403);
}

/// What the rules do not look into is on its way before it is complete; everything else is looked into as ever.
#[tokio::test]
async fn bodies_that_are_not_inspected_are_streamed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = hop3_proxy::Endpoint::Tcp(listener.local_addr().unwrap());
    let rules = [
        format!("{RULES}SecRequestBodyAccess Off\nSecResponseBodyAccess Off\n"),
        format!(
            "{RULES}SecRule REQUEST_HEADERS:X-Unread \"@streq yes\" \"id:30,phase:1,pass,nolog,ctl:requestBodyAccess=Off\"\n"
        ),
    ];
    for rules in rules {
        let mut route = support::route(hop3_proxy::Backend::http([endpoint.clone()]));
        route.limits.max_body = 100;
        let mut proxy = start(vec![protect(route, &rules, ProtectionMode::Block)]);
        let head = "POST / HTTP/1.1\r\nHost: shop.test\r\nX-Unread: yes\r\nContent-Type: text/plain\r\n";
        // Message by message, each answered before the next is sent, with what phase 2 would refuse among them.
        let mut client = Client::connect(proxy.http).await;
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n")).await;
        let (stream, _) = listener.accept().await.unwrap();
        let mut backend = Client::over(stream);
        let seen = backend.until("\r\n\r\n").await;
        assert!(seen.starts_with("POST / ") && seen.to_lowercase().contains("chunked"), "{seen}");
        backend
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        assert_eq!(client.head().await.unwrap().status, 200);
        for message in ["6\r\nattack\r\n", "5\r\nagain\r\n"] {
            client.send(message).await;
            assert_eq!(backend.until(message).await, message);
            backend.send(message).await;
            assert_eq!(client.until(message).await, message);
        }
        // The size is bounded as ever.
        let mut client = Client::connect(proxy.http).await;
        let large = "x".repeat(101);
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n65\r\n{large}\r\n")).await;
        let _too_large = listener.accept().await.unwrap();
        assert_eq!(client.response(false).await.unwrap().status, 413);
        // Phase 2 runs, before a client is told to send what would not be taken.
        for expectation in ["", "Expect: 100-continue\r\n"] {
            let mut client = Client::connect(proxy.http).await;
            let attack = head.replace("POST / ", "POST /?q=union%20select ");
            client.send(format!("{attack}{expectation}Content-Length: 50\r\n\r\n")).await;
            assert_eq!(client.response(false).await.unwrap().status, 403, "{expectation}");
            let record = audit(&mut proxy).await;
            assert!(record.matches.iter().any(|found| found.rule_id == 3), "{record:?}");
        }
        let metrics = proxy.handle.metrics();
        assert!(metrics.contains("hop3_waf_uninspected_bodies_total{app=\"shop\"} 2"), "{metrics}");
    }
}

#[tokio::test]
async fn responses_are_held_only_where_they_are_inspected() {
    let backend = backend(answer).await;
    let proxy = start(vec![protect(to(&backend), RULES, ProtectionMode::Block)]);
    let mut client = Client::connect(proxy.http).await;
    assert_eq!(client.get("/plain").await.status, 200);
    assert_eq!(client.get("/events").await.text(), "data: stack trace\n\n");
    assert_eq!(client.get("/large").await.body.len(), 2_000_000);
    let answer = client.request("GET", "/encoding", "Accept-Encoding: gzip, br\r\n", b"").await;
    assert_eq!(answer.text(), "identity");
    assert_eq!(client.request("HEAD", "/leak", "", b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_takes_the_same_path() {
    let backend = backend(answer).await;
    let mut proxy = start(vec![protect(to(&backend), RULES, ProtectionMode::Block)]);
    let at = format!("shop.test:{}:127.0.0.1", proxy.https.port());
    let url = |target: &str| format!("https://shop.test:{}{target}", proxy.https.port());
    let base = ["-k", "--http2", "--resolve", &at, "-o", "/dev/null", "-w", "%{http_code}"];
    for (arguments, target, code) in [
        (&[][..], "/", "200"),
        (&[], "/phase1", "403"),
        (&["-d", "an attack"], "/", "406"),
        (&[], "/leak", "403"),
        (&[], "/large", "200"),
        (&["-d", "fine"], "/", "200"),
        (&["-X", "TRACE"], "/phase1", "405"),
    ] {
        let url = url(target);
        let all: Vec<&str> = base.iter().chain(arguments).copied().chain([url.as_str()]).collect();
        assert_eq!(curl(&all).await, code, "{target}");
    }
    // The rules saw the refused request too.
    let record = loop {
        let record = audit(&mut proxy).await;
        if record.status == 405 {
            break record;
        }
    };
    assert_eq!((&*record.app, &*record.method, &*record.target), ("shop", "TRACE", "/phase1"));
    assert!(record.matches.iter().any(|found| found.rule_id == 1), "{record:?}");
}

#[tokio::test]
async fn the_rules_see_refused_requests_for_the_log_only() {
    let backend = backend(answer).await;
    let mut proxy = start(vec![protect(to(&backend), RULES, ProtectionMode::Block)]);
    let host = "Host: shop.test\r\n";
    let cases = [
        (format!("GET /phase1 HTTP/1.1\r\n{host}A : b\r\n\r\n"), 1, AppliedAction::Denied),
        (format!("GET /phase1 HTTP/1.1\n{host}\n"), 1, AppliedAction::Denied),
        (format!("GET /phase1#a HTTP/1.1\r\n{host}\r\n"), 1, AppliedAction::Denied),
        (format!("GET /?q=1 union select 2 HTTP/1.1\r\n{host}\r\n"), 3, AppliedAction::Denied),
        (format!("GET /drop HTTP/1.1\r\n{host}{host}\r\n"), 7, AppliedAction::Denied),
        (format!("GET /note HTTP/1.1\r\n{host}A\r\n\r\n"), 8, AppliedAction::Passed),
        (
            format!("POST /phase1 HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            1,
            AppliedAction::Denied,
        ),
    ];
    for (request, rule, action) in cases {
        let mut client = Client::connect(proxy.http).await;
        client.send(&request).await;
        let answer = client.response(false).await.unwrap();
        let shown = request.escape_debug();
        assert_eq!(answer.status, 400, "{shown}");
        let record = audit(&mut proxy).await;
        assert_eq!((record.status, record.action, &*record.app), (400, action, "shop"), "{shown}");
        assert!(record.matches.iter().any(|found| found.rule_id == rule), "{shown}: {record:?}");
        assert!(record.reason.is_some() && answer.text().contains(&record.id), "{shown}");
    }
    assert_eq!(backend.count(), 0);
    // Phase 2 is not run on a body that nobody can delimit.
    let mut client = Client::connect(proxy.http).await;
    client
        .send(format!("POST /note HTTP/1.1\r\n{host}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"))
        .await;
    assert_eq!(client.response(false).await.unwrap().status, 400);
    assert!(client.is_closed().await);
    while let Ok(event) = proxy.events.try_recv() {
        assert!(matches!(event, Event::Access(_)), "{event:?}");
    }
}

#[tokio::test]
async fn an_aborted_request_is_logged_too() {
    let backend = backend(answer).await;
    let rules = format!("{RULES}SecAction \"id:20,phase:5,pass,log,msg:'logging phase'\"\n");
    let mut proxy = start(vec![protect(to(&backend), &rules, ProtectionMode::Block)]);
    let mut client = Client::connect(proxy.http).await;
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100\r\n\r\npart").await;
    drop(client);
    let record = audit(&mut proxy).await;
    assert_eq!(record.status, 499);
    assert!(record.matches.iter().any(|found| found.rule_id == 20), "{record:?}");
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn a_new_ruleset_is_in_force_with_the_next_request() {
    let backend = backend(|_| Reply::Keep(ok("fine"))).await;
    let proxy = start(vec![to(&backend)]);
    let mut client = Client::connect(proxy.http).await;
    assert_eq!(client.get("/phase1").await.status, 200);
    let table =
        hop3_proxy::RouteTable::new(vec![protect(to(&backend), RULES, ProtectionMode::Block)]).unwrap();
    proxy.handle.publish(table);
    assert_eq!(client.get("/phase1").await.status, 403);
}

#[tokio::test]
async fn kept_answers_pass_the_rules_for_responses() {
    let backend = backend(answer).await;
    let rules = r#"
SecRuleEngine On
SecResponseBodyAccess On
SecResponseBodyMimeType text/html
SecRule REQUEST_HEADERS:X-Inspect "@streq no" "id:1,phase:1,pass,nolog,ctl:ruleEngine=Off"
SecRule RESPONSE_HEADERS:X-Secret "@unconditionalMatch" "id:4,phase:3,deny,status:403,log"
SecRule RESPONSE_BODY "@contains stack trace" "id:5,phase:4,deny,status:403,log"
"#;
    let protected = protect(support::keeping(&backend), rules, ProtectionMode::Block);
    let proxy = start(vec![protected.clone()]);
    let mut client = Client::connect(proxy.http).await;
    for target in ["/secret", "/leak"] {
        // What a rule lets pass for one client is kept, and judged anew for the next.
        assert_eq!(client.request("GET", target, "X-Inspect: no\r\n", b"").await.status, 200);
        let reached = backend.count();
        assert_eq!(client.get(target).await.status, 403, "{target}");
        assert_eq!(client.request("GET", target, "X-Inspect: no\r\n", b"").await.status, 200);
        assert_eq!(backend.count(), reached, "{target} was kept");
    }
    // Other rules are asked about other answers: nothing that was kept stays.
    let reached = backend.count();
    proxy.handle.publish(hop3_proxy::RouteTable::new(vec![protected]).unwrap());
    assert_eq!(client.get("/secret").await.status, 403);
    assert_eq!(backend.count(), reached, "the same rules");
    let open = support::keeping(&backend);
    proxy.handle.publish(hop3_proxy::RouteTable::new(vec![open]).unwrap());
    assert_eq!(client.get("/secret").await.status, 200);
    assert_eq!(backend.count(), reached + 1);
    let again = protect(support::keeping(&backend), rules, ProtectionMode::Block);
    proxy.handle.publish(hop3_proxy::RouteTable::new(vec![again]).unwrap());
    assert_eq!(client.get("/secret").await.status, 403);
    assert_eq!(backend.count(), reached + 2);
}

/// Keeps what it is given, as text.
#[derive(Debug)]
struct Kept {
    texts: Arc<hop3_waf::trace::RuleTexts>,
    told: std::sync::mpsc::SyncSender<String>,
}

impl hop3_proxy::TransactionLog for Kept {
    fn wants_audit(&self) -> bool {
        true
    }

    fn audit(
        &self,
        record: hop3_waf::audit::AuditTransaction,
        parts: hop3_waf::audit::AuditParts,
    ) -> Result<(), hop3_proxy::Dropped> {
        let text = String::from_utf8(hop3_waf::audit::native(&record, parts)).unwrap();
        self.told.try_send(text).map_err(|_| hop3_proxy::Dropped)
    }

    fn debug_log(&self) -> Option<Arc<hop3_waf::trace::DebugLog>> {
        Some(Arc::new(hop3_waf::trace::DebugLog::at_level(self.texts.clone(), 4)))
    }

    fn debug(&self, lines: Vec<u8>) -> Result<(), hop3_proxy::Dropped> {
        self.told.try_send(String::from_utf8(lines).unwrap()).map_err(|_| hop3_proxy::Dropped)
    }
}

#[tokio::test]
async fn audit_and_debug_logs_are_handed_over_and_losses_counted() {
    let rules = "SecRuleEngine On\nSecAuditEngine RelevantOnly\nSecAuditLogRelevantStatus \"^5\"\n\
        SecAuditLogParts ABFHZ\nSecRule ARGS:q \"@contains x\" \"id:1,phase:1,deny,status:403,log\"\n";
    let document = hop3_seclang::parse_str("test.conf", rules, &MemoryLoader::new()).unwrap();
    let ruleset = Arc::new(Ruleset::compile(&document).unwrap());
    let texts = Arc::new(hop3_waf::trace::RuleTexts::new(&document, &ruleset));
    let (told, said) = std::sync::mpsc::sync_channel(2);
    let log: Arc<dyn hop3_proxy::TransactionLog> = Arc::new(Kept { texts, told });
    let backend = backend(answer).await;
    let mut route = to(&backend);
    route.waf = Some(Arc::new(Protection { log: Some(log), ..Protection::new(ruleset) }));
    let mut proxy = start(vec![route]);
    let mut client = Client::connect(proxy.http).await;
    for _ in 0..2 {
        let secret = "Authorization: Bearer abcdef\r\n";
        assert_eq!(client.request("GET", "/?q=x&token=abcdef", secret, b"").await.status, 403);
    }
    let record = audit(&mut proxy).await;
    let _second = audit(&mut proxy).await;
    let text = said.recv().unwrap();
    for part in
        ["GET /?q=x&token=******** HTTP/1.1\n", "\nAuthorization: Bearer ********\n", "HTTP/1.1 403\n"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let lines = said.recv().unwrap();
    let line = format!("[{}] [/] [4] (Rule: 1) Executing operator", record.id);
    assert!(lines.contains(&line), "{lines}");
    assert!(said.try_recv().is_err(), "there was no room for more");
    let metrics = proxy.handle.metrics();
    assert!(metrics.contains("hop3_events_dropped_total 2"), "{metrics}");
    assert_eq!(record.target, "/?q=x&token=********");
    let masked = ("Authorization".to_owned(), "Bearer ********".to_owned());
    assert!(record.headers.contains(&masked), "{:?}", record.headers);
}

/// A client that takes his time with a large answer holds memory for what he still has to get, not for what the engine saw
/// of it: others' answers are inspected meanwhile.
#[tokio::test]
async fn who_reads_slowly_holds_no_memory_that_others_need() {
    const LENGTH: usize = 32 << 20;
    static BODY: [u8; LENGTH] = [b'x'; LENGTH];
    fn large(_: &support::Received) -> Reply {
        Reply::Keep(support::response("200 OK", "Content-Type: text/html\r\n", &BODY[..]))
    }
    let backend = backend(large).await;
    let rules = "SecRuleEngine On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/html\n\
        SecResponseBodyLimit 2097152\nSecResponseBodyLimitAction ProcessPartial\n";
    let mut config = hop3_proxy::ProxyConfig::default();
    // For the engine's part of two answers, and little else.
    config.limits.body_memory = (4 << 20) + (512 << 10);
    let proxy = support::start_with(config, vec![protect(to(&backend), rules, ProtectionMode::Block)]);
    let mut slow = Vec::new();
    for number in 1..=5 {
        let mut client = Client::numbered(number, proxy.http).await;
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
        assert_eq!(client.head().await.unwrap().status, 200, "{number}");
        // Some of the body: the head alone may be on its way before the memory is given back.
        let mut some = vec![0; 2 << 20];
        client.stream.read_exact(&mut some).await.unwrap();
        slow.push(client);
    }
    let mut more = vec![0; 20 << 20];
    for client in &mut slow {
        client.stream.read_exact(&mut more).await.unwrap();
    }
}

/// A block list that says when it is asked, and answers when it may: an inspection that takes as long.
#[derive(Debug)]
struct SlowList {
    asked: tokio::sync::mpsc::UnboundedSender<()>,
    may_answer: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl BlockLists for SlowList {
    fn find(&self, _: &str) -> Listing {
        self.asked.send(()).unwrap();
        self.may_answer.lock().unwrap().recv_timeout(support::PATIENCE).unwrap();
        Listing::NotListed
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_during_an_inspection_is_judged_all_the_same() {
    let backend = backend(answer).await;
    let (asked, mut is_asked) = tokio::sync::mpsc::unbounded_channel();
    let (answers, may_answer) = std::sync::mpsc::channel();
    let list = SlowList { asked, may_answer: Mutex::new(may_answer) };
    let rules = format!("SecRule REMOTE_ADDR \"@rbl list.test\" \"id:20,phase:2,pass,nolog\"\n{RULES}");
    let mut route = protect(to(&backend), &rules, ProtectionMode::Block);
    let protection = Protection::clone(route.waf.as_ref().unwrap());
    route.waf = Some(Arc::new(Protection { block_lists: Some(Arc::new(list)), ..protection }));
    let mut proxy = start(vec![route]);
    let (sender, connection) = support::http2::connect(proxy.https).await;
    let request = http::Request::post("https://shop.test/").header("content-type", "text/plain");
    let (answer, mut body) =
        sender.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
    let padded = [vec![b'x'; 200_000], b"attack".to_vec()].concat();
    body.send_data(padded.into(), true).unwrap();
    tokio::time::timeout(support::PATIENCE, is_asked.recv()).await.expect("an inspection").unwrap();
    connection.abort();
    drop((answer, body));
    let access = async {
        loop {
            if let Event::Access(record) = proxy.events.recv().await.unwrap() {
                break record;
            }
        }
    };
    let access = tokio::time::timeout(support::PATIENCE, access).await.expect("the end of the request");
    assert_eq!(access.status, 499);
    answers.send(()).unwrap();
    let record = tokio::time::timeout(support::PATIENCE, audit(&mut proxy)).await.expect("an audit record");
    assert_eq!((&record.id, record.status, record.action), (&access.id, 499, AppliedAction::Denied));
    assert!(record.matches.iter().any(|found| found.rule_id == 2), "{record:?}");
    let metrics = proxy.handle.metrics();
    for line in [
        "hop3_waf_verdicts_total{app=\"shop\",action=\"deny\"} 1",
        "hop3_waf_inspection_duration_seconds_count{app=\"shop\",phase=\"2\"} 1",
        "hop3_waf_inspection_duration_seconds_count{app=\"shop\",phase=\"5\"} 1",
        "hop3_ban_offences_total{reason=\"firewall\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert_eq!(backend.count(), 0);
}
