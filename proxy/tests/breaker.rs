//! What failures of an instance lead to, on real sockets: it comes back when it is well, and no client takes it away
//! from the others by what it asks for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hop3_proxy::{Backend, Endpoint, HealthCheck, Policy, Pool, Protocol, Route, RouteTable};
use support::{
    Client, PATIENCE, Received, Reply, TestBackend, TestProxy, backend, get, ok, response, route, start,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(100);

const HANDSHAKE: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n";
const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";

fn pool(endpoints: impl IntoIterator<Item = Endpoint>, pause: Duration) -> Pool {
    let mut pool = Pool::new(Protocol::Http, endpoints);
    (pool.breaker.first_pause, pool.breaker.longest_pause) = (pause, pause);
    pool
}

fn start_pool(pool: Pool) -> TestProxy {
    start(vec![route(Backend::Pool(Arc::new(pool)))])
}

fn tcp(backend: &TestBackend) -> Endpoint {
    Endpoint::Tcp(backend.address)
}

/// A WebSocket through the proxy, which echoes.
async fn tunnel(proxy: &TestProxy) -> Client {
    let mut client = Client::connect(proxy.http).await;
    client.send(format!("GET /tunnel HTTP/1.1\r\nHost: shop.test\r\n{HANDSHAKE}\r\n")).await;
    assert_eq!(client.head().await.unwrap().status, 101);
    echoes(&mut client).await;
    client
}

async fn echoes(client: &mut Client) {
    client.send("ping").await;
    let mut pong = [0; 4];
    tokio::time::timeout(PATIENCE, client.stream.read_exact(&mut pong)).await.unwrap().unwrap();
    assert_eq!(&pong, b"ping");
}

/// Asks until an answer is as wanted.
async fn until(proxy: &TestProxy, wanted: impl Fn(&support::Response) -> bool) {
    let asking = async {
        while !wanted(&get(proxy.http, "/").await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the wanted answer");
}

/// Asks as many clients, until the instance is set aside for all.
async fn until_down(proxy: &TestProxy, endpoint: &Endpoint) {
    let looking = async {
        let mut clients = (1..=250).cycle();
        while is_up(proxy, endpoint) {
            Client::numbered(clients.next().unwrap(), proxy.http).await.get("/").await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it is set aside");
}

fn is_up(proxy: &TestProxy, endpoint: &Endpoint) -> bool {
    let line = format!("hop3_upstream_up{{app=\"shop\",endpoint=\"{endpoint}\"}} ");
    let metrics = proxy.handle.metrics();
    metrics.split_once(&line).expect("a known instance").1.starts_with('1')
}

/// An app on a Unix socket, which can be absent: then nobody can connect. Its connections outlive it.
fn app(path: &Path) -> JoinHandle<()> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    })
}

async fn serve(mut stream: UnixStream) {
    let mut head = vec![0; 4096];
    let length = stream.read(&mut head).await.unwrap();
    if head[..length].starts_with(b"GET /tunnel ") {
        stream.write_all(SWITCHED).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    } else {
        let _ = stream.write_all(&response("200 OK", "Connection: close\r\n", "well")).await;
    }
}

async fn ended(app: JoinHandle<()>) {
    app.abort();
    let _ = app.await;
}

#[tokio::test]
async fn the_only_instance_comes_back_though_a_tunnel_is_open_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let first = app(&path);
    let mut pool = pool([Endpoint::Unix(path.clone())], SHORT);
    pool.breaker.open_after = 3;
    let proxy = start_pool(pool);
    let mut open = tunnel(&proxy).await;
    ended(first).await;
    until(&proxy, |answer| answer.status == 503).await;
    let _second = app(&path);
    until(&proxy, |answer| answer.status == 200).await;
    echoes(&mut open).await;
}

#[tokio::test]
async fn a_broken_group_is_not_asked_until_its_pause_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let mut paused = pool([Endpoint::Unix(path.clone())], LONG);
    paused.breaker.open_after = 4;
    let proxy = start_pool(paused);
    // Each request counts once, however often it is tried; the fourth finds the circuit open when it tries again.
    for status in [502, 502, 502, 503] {
        assert_eq!(get(proxy.http, "/").await.status, status);
    }
    let listener = UnixListener::bind(&path).unwrap();
    for _ in 0..5 {
        let answer = get(proxy.http, "/").await;
        assert_eq!(answer.status, 503);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=LONG.as_secs()).contains(&wait), "{wait}");
    }
    let asked = tokio::time::timeout(SHORT, listener.accept()).await;
    assert!(asked.is_err(), "nobody is asked while the circuit is open");
}

#[tokio::test]
async fn one_of_two_instances_comes_back_though_tunnels_are_open() {
    static SICK: AtomicBool = AtomicBool::new(false);
    fn first(request: &Received) -> Reply {
        match request.line() {
            line if line.starts_with("GET /tunnel ") => Reply::Echo(SWITCHED.to_vec()),
            _ if SICK.load(Ordering::SeqCst) => Reply::Close(Vec::new()),
            _ => Reply::Keep(ok("first")),
        }
    }
    fn second(request: &Received) -> Reply {
        let tunnel = request.line().starts_with("GET /tunnel ");
        if tunnel { Reply::Echo(SWITCHED.to_vec()) } else { Reply::Keep(ok("second")) }
    }
    let (first, second) = (backend(first).await, backend(second).await);
    let proxy = start_pool(pool([tcp(&first), tcp(&second)], SHORT));
    let mut tunnels = [tunnel(&proxy).await, tunnel(&proxy).await];
    assert_eq!((first.count(), second.count()), (1, 1));
    SICK.store(true, Ordering::SeqCst);
    until_down(&proxy, &tcp(&first)).await;
    SICK.store(false, Ordering::SeqCst);
    until(&proxy, |answer| answer.text() == "first").await;
    for tunnel in &mut tunnels {
        echoes(tunnel).await;
    }
}

#[tokio::test]
async fn a_good_check_brings_an_instance_back_before_its_pause_is_over() {
    static SICK: AtomicBool = AtomicBool::new(true);
    fn first(_: &Received) -> Reply {
        if SICK.load(Ordering::SeqCst) { Reply::Close(Vec::new()) } else { Reply::Keep(ok("first")) }
    }
    let (first, second) = (backend(first).await, backend(|_| Reply::Keep(ok("second"))).await);
    let mut pool = pool([tcp(&first), tcp(&second)], LONG);
    let interval = Duration::from_millis(50);
    // That it falls is left to the requests.
    pool.health_check = Some(HealthCheck { interval, fall: u32::MAX, ..HealthCheck::default() });
    let proxy = start_pool(pool);
    until_down(&proxy, &tcp(&first)).await;
    SICK.store(false, Ordering::SeqCst);
    until(&proxy, |answer| answer.text() == "first").await;
}

fn dies(request: &Received) -> Reply {
    match request.line().split(' ').nth(1).unwrap() {
        "/dies" => Reply::Close(Vec::new()),
        "/hangs" => Reply::Slowly(LONG, vec![Vec::new()]),
        _ => Reply::Keep(ok("well")),
    }
}

#[tokio::test]
async fn requests_that_kill_or_hang_take_the_only_instance_from_nobody() {
    let backend = backend(dies).await;
    let shared = || Backend::Pool(Arc::new(pool([tcp(&backend)], LONG)));
    let mut hanging = Route { path_prefix: "/hangs".into(), ..route(shared()) };
    hanging.limits.response_timeout = Duration::from_millis(10);
    let proxy = start(vec![route(shared()), hanging]);
    for _ in 0..30 {
        assert_eq!(get(proxy.http, "/dies").await.status, 502);
        assert_eq!(get(proxy.http, "/hangs").await.status, 504);
    }
    assert_eq!(get(proxy.http, "/").await.status, 200);
    let deaths = backend.requests.lock().unwrap().iter().filter(|seen| seen.line().contains("/dies")).count();
    assert_eq!(deaths, 60, "tried again once");
}

#[tokio::test]
async fn requests_of_one_client_set_no_instance_aside() {
    let (first, second) = (backend(dies).await, backend(dies).await);
    let proxy = start_pool(pool([tcp(&first), tcp(&second)], LONG));
    for _ in 0..30 {
        assert_eq!(get(proxy.http, "/dies").await.status, 502);
    }
    assert!(is_up(&proxy, &tcp(&first)) && is_up(&proxy, &tcp(&second)));
    assert!(first.count() > 0 && second.count() > 0, "his requests went round");
    let seen = (first.count(), second.count());
    for number in 1..=10 {
        assert_eq!(Client::numbered(number, proxy.http).await.get("/").await.status, 200);
    }
    assert!(first.count() > seen.0 && second.count() > seen.1, "others are sent to both");
}

#[tokio::test]
async fn requests_of_many_clients_take_no_group_away() {
    let (first, second) = (backend(dies).await, backend(dies).await);
    let mut pool = pool([tcp(&first), tcp(&second)], LONG);
    pool.breaker.open_after = 0;
    let proxy = start_pool(pool);
    for number in 1..=30 {
        assert_eq!(Client::numbered(number, proxy.http).await.get("/dies").await.status, 502);
    }
    assert!(is_up(&proxy, &tcp(&first)) != is_up(&proxy, &tcp(&second)), "the last one stays");
    for number in 1..=40 {
        assert_eq!(Client::numbered(number, proxy.http).await.get("/").await.status, 200);
    }
}

/// A client is led away from what failed him, before it is known whether it fails others as well.
#[tokio::test]
async fn a_client_is_sent_where_he_is_answered() {
    let sick = backend(|_| Reply::Close(Vec::new())).await;
    let well = backend(|_| Reply::Keep(ok("well"))).await;
    let proxy = start_pool(pool([tcp(&sick), tcp(&well)], LONG));
    for _ in 0..4 {
        // What ended without a word is sent again, to the other.
        assert_eq!(get(proxy.http, "/").await.text(), "well");
    }
    let seen = sick.count();
    assert!(seen >= 2, "{seen}");
    for _ in 0..10 {
        assert_eq!(get(proxy.http, "/").await.text(), "well");
    }
    assert_eq!(sick.count(), seen);
    assert!(is_up(&proxy, &tcp(&sick)), "one client is not enough");
}

static HANGS: AtomicBool = AtomicBool::new(true);

#[tokio::test]
async fn the_only_instance_is_not_waited_for_once_it_hangs_for_several() {
    fn hangs(_: &Received) -> Reply {
        let hangs = HANGS.load(Ordering::SeqCst);
        if hangs { Reply::Slowly(LONG, vec![Vec::new()]) } else { Reply::Keep(ok("well")) }
    }
    let backend = backend(hangs).await;
    let mut pool = pool([tcp(&backend)], SHORT);
    pool.breaker.open_after = 6;
    pool.breaker.longest_pause = Duration::from_secs(1);
    let mut route = route(Backend::Pool(Arc::new(pool)));
    route.limits.response_timeout = Duration::from_millis(50);
    let proxy = start(vec![route]);
    let ask = async |number| Client::numbered(number, proxy.http).await.get("/").await;
    // Two are not several, however often they ask.
    for _ in 0..6 {
        for number in [1, 2] {
            assert_eq!(ask(number).await.status, 504);
        }
    }
    assert_eq!(ask(3).await.status, 504);
    assert_eq!(ask(3).await.status, 504);
    // A slow machine may come to a trial before: that fails as well.
    let refusal = async {
        loop {
            let answer = ask(3).await;
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refusal).await.expect("not asked at all");
    assert!(refused.header("retry-after").is_some());
    // Somebody else tries after the pause.
    let trying = async {
        while ask(4).await.status != 504 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.expect("a trial after the pause");
    HANGS.store(false, Ordering::SeqCst);
    until(&proxy, |answer| answer.status == 200).await;
    for number in 1..=5 {
        assert_eq!(ask(number).await.status, 200, "{number}");
    }
}

/// Escaped, the target is longer than HTTP/2 as we speak it can say.
#[tokio::test]
async fn targets_too_long_for_a_back_end_are_refused_and_count_against_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http2 = Endpoint::Tcp(listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let _ = respond.send_response(http::Response::new(()), true);
                }
            });
        }
    });
    let http1 = backend(|_| Reply::Keep(ok("well"))).await;
    let mut h2c = pool([http2], LONG);
    h2c.protocol = Protocol::H2c;
    let target = format!("/?{}", "<".repeat(25_000));
    for pool in [h2c, pool([tcp(&http1)], LONG)] {
        let proxy = start_pool(pool);
        for _ in 0..25 {
            assert_eq!(get(proxy.http, &target).await.status, 414);
        }
        assert_eq!(get(proxy.http, "/").await.status, 200);
        // What fits after it was escaped goes on.
        assert_eq!(get(proxy.http, &target[..20_000]).await.status, 200);
    }
    assert_eq!(http1.count(), 2);
}

/// Empties the temporary files of such a length: bodies lie in them.
fn lose_stored(lengths: std::ops::RangeInclusive<u64>) {
    let mut lost = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let path = entry.path();
        let is_temporary =
            std::fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().ends_with(" (deleted)"));
        if is_temporary && std::fs::metadata(&path).is_ok_and(|found| lengths.contains(&found.len())) {
            std::fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap();
            lost += 1;
        }
    }
    assert_eq!(lost, 1, "one body was stored");
}

#[tokio::test]
async fn a_body_that_is_lost_on_its_way_is_not_held_against_the_instance() {
    const LENGTH: u64 = 300_007;
    let policy =
        Some(Arc::new(Policy { hold: Some(PATIENCE), request_buffering: true, ..Policy::default() }));
    let absent: Endpoint = "127.0.0.1:1".parse().unwrap();
    let mut first = pool([absent.clone()], LONG);
    first.breaker.open_after = 1;
    let first = Route { policy: policy.clone(), ..route(Backend::Pool(Arc::new(first))) };
    let proxy = start(vec![first]);
    let address = proxy.http;
    let held = tokio::spawn(async move {
        Client::connect(address).await.request("POST", "/", "", &[b'x'; LENGTH as usize]).await
    });
    let tried = async {
        while is_up(&proxy, &absent) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, tried).await.expect("the body has come whole");
    // The first 128 KiB lie in memory.
    lose_stored(LENGTH - 128 * 1024..=LENGTH);
    let backend = backend(|_| Reply::Keep(ok("well"))).await;
    let mut pool = pool([tcp(&backend)], LONG);
    pool.breaker.open_after = 1;
    let back_end = Backend::Pool(Arc::new(pool));
    proxy.handle.publish(RouteTable::new(vec![Route { policy, ..route(back_end) }]).unwrap());
    let answer = tokio::time::timeout(PATIENCE, held).await.expect("an answer").unwrap();
    assert_eq!(answer.status, 500, "{}", answer.head);
    assert!(is_up(&proxy, &tcp(&backend)));
    assert_eq!(get(address, "/").await.status, 200);
}
