//! What HTTP/2 lets a client do to a server, done to the real one: its memory stays bounded, and others are served
//! meanwhile. Once as it only forwards, and once with all that holds bodies: the firewall (with the Core Rule Set, where
//! that is at hand), compression and the cache.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use hop3_tests::data;
use hop3_tests::http2_abuse::Peer;
use hop3_tests::http2_abuse::attacks::{ATTACKS, Attack, HONEST};
use hop3_tests::http2_abuse::inspected;
use hop3_tests::http2_abuse::memory::resident;
use hop3_tests::report::Report;
use hop3_tests::server::Server;
use hop3_tests::slow_clients::latencies;
use hop3_tests::streaming::{Requests, back_end};
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

const MIB: usize = 1024 * 1024;
/// Promised: most growth of one connection, and what may be left of it when.
const GROWTH: usize = 16 * MIB;
const LEFT: usize = 4 * MIB;
/// What the streams of a connection may hold besides of bodies that are inspected, compressed or kept: the parts of its
/// budget together.
const BUDGET: usize = 11 * MIB;
/// What the automata of the rules may grow by where texts are inspected that they never saw: their states are made as
/// values ask for them, once for each thread that inspects, and stay.
const AUTOMATA: usize = 8 * MIB;
const RECOVERY: Duration = Duration::from_secs(3);
/// Promised: longest answer to somebody else.
const LATENCY: Duration = Duration::from_millis(250);
/// An honest client's others wait no longer than this on a machine for which these times are meant.
const USUAL: Duration = Duration::from_millis(10);
/// Length of an attack that is to be borne, and of one that must be ended.
const ATTACK: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);
/// Attacks on a server that inspects that are enough for every day.
const FEW: usize = 4;
/// Tries for the times: other programs of the machine come and go. Memory has one.
const TRIES: usize = 5;

/// Held by the one test that measures.
static ALONE: Mutex<()> = Mutex::new(());

/// Requests that reached the back end.
static REACHED: AtomicUsize = AtomicUsize::new(0);

/// A piece of a large answer.
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
/// A piece that no encoder makes smaller by much (SplitMix64, as hexadecimal digits).
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let digits = (1..=4096_u64).flat_map(|number| {
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        format!("{:016x}", mixed ^ (mixed >> 31)).into_bytes()
    });
    digits.collect()
});

/// Answers of which the proxy holds something: header fields beside the length, and pieces of 64 KiB.
const HELD: [(&str, &str, usize); 3] = [
    ("/page", "Content-Type: text/html", 10),
    ("/script", "Content-Type: application/javascript", 1024),
    ("/kept", "Content-Type: image/png\r\nCache-Control: max-age=60", 15),
];

async fn serve(stream: TcpStream) -> std::io::Result<()> {
    // What the kernel takes of large answers is not the proxy's, and moving it costs everybody time.
    set_socket_send_buffer_size(&stream, PIECE.len())?;
    let mut requests = Requests::new(stream);
    while let Some(head) = requests.next().await? {
        REACHED.fetch_add(1, Ordering::Relaxed);
        if head.starts_with("POST ") {
            return requests.read_over().await;
        }
        if head.contains("/slow") {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        if let Some((_, fields, pieces)) = HELD.iter().find(|(path, ..)| head.contains(path)) {
            let length = pieces * NOISE.len();
            requests
                .answer(format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: {length}\r\n\r\n"))
                .await?;
            for _ in 0..*pieces {
                requests.answer(&*NOISE).await?;
            }
        } else if head.contains("/endless") {
            requests
                .answer("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await?;
            loop {
                requests.answer(format!("{:x}\r\n", NOISE.len())).await?;
                requests.answer(&*NOISE).await?;
                requests.answer("\r\n").await?;
            }
        } else if head.contains("/large") {
            requests.answer("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n").await?;
            for _ in 0..1024 {
                requests.answer(PIECE).await?;
            }
        } else {
            requests.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
        }
    }
    Ok(())
}

/// What an attack did.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// Most memory beyond what was there before, and what is left of that after the time for recovery.
    growth: usize,
    left: usize,
    /// Longest answer to somebody else, and how many there were.
    worst: Duration,
    served: usize,
    /// Requests of the attack that reached the back end.
    reached: usize,
    /// Whether the server gave the connection up.
    ended: bool,
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { growth, left, worst, served, reached, ended } = self;
        let (growth, left) = (growth / 1024, left / 1024);
        write!(
            out,
            "grew {growth} KiB, {left} KiB left, worst of {served} other requests {worst:?}, {reached} requests \
             reached the back end, given up: {ended}"
        )
    }
}

/// The server in its process; attacker, back end and everybody else in this one, on threads of their own.
struct Scene {
    outside: Runtime,
    _back_end: Runtime,
    server: Server,
    http: SocketAddr,
    https: SocketAddr,
    /// The least memory that the server was seen with since it was warm: what one attack leaves behind hides nothing of
    /// the next one.
    least: usize,
    /// What may be left of an attack.
    left: usize,
    /// How many times slower the machine is than the one that the times are meant for.
    slowness: f64,
}

impl Scene {
    /// With these settings of the route; so much memory may be left of an attack.
    fn new(settings: &str, left: usize) -> Self {
        let runtime = || runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (outside, behind) = (runtime(), runtime());
        let back_end = behind.block_on(back_end(serve));
        let mut server = Server::start(&format!(
            "[[route]]\nhosts = [\"shop.test\"]\nupstream = \"http://{back_end}\"\n{settings}"
        ));
        if !settings.contains("enabled = false") && install_rules(&server) {
            server.stop();
            server.resume();
        }
        let address = |listener| SocketAddr::from(([127, 0, 0, 1], server.port(listener)));
        let (http, https) = (address("http"), address("https"));
        Self { outside, _back_end: behind, server, http, https, least: usize::MAX, left, slowness: 1.0 }
    }

    /// Finds out how long others wait beside an honest client.
    fn measure_machine(&mut self) {
        let idle = self.run(&HONEST);
        self.slowness = self.slowness.max(idle.worst.as_secs_f64() / USUAL.as_secs_f64());
        println!("an honest client: {idle}; the machine is {:.1} times slower than usual", self.slowness);
    }

    fn warm_up(&self, attack: &Attack) {
        self.outside.block_on(async {
            let mut peer = Peer::connect(self.https, "shop.test").await;
            let _ended = timeout(ATTACK, (attack.run)(&mut peer)).await;
        });
        sleep(Duration::from_millis(100));
    }

    fn run(&mut self, attack: &Attack) -> Outcome {
        let mut peer = self.outside.block_on(Peer::connect(self.https, "shop.test"));
        self.outside.block_on(async { drop(latencies(self.http, 50).await) });
        self.least = self.least.min(self.memory());
        let (before, reached) = (self.least, REACHED.load(Ordering::Relaxed));
        let over = Arc::new(AtomicBool::new(false));
        let others = thread::spawn({
            let (over, address) = (over.clone(), self.http);
            move || others(address, &over)
        });
        let peak = thread::spawn({
            let (over, process) = (over.clone(), self.server.process());
            move || peak(process, &over)
        });
        let ended = self.outside.block_on(async {
            let length = if attack.must_end { PATIENCE } else { ATTACK };
            let ended = timeout(length, (attack.run)(&mut peer)).await.is_ok_and(|sent| sent.is_err());
            // What was sent before the end must be worked off, too.
            tokio::time::sleep(Duration::from_millis(200)).await;
            ended
        });
        over.store(true, Ordering::Relaxed);
        let (all, peak) = (others.join().unwrap(), peak.join().unwrap());
        drop(peer);
        let deadline = Instant::now() + RECOVERY.mul_f64(self.slowness);
        while Instant::now() < deadline && self.memory() > before + self.left / 2 {
            // Life goes on.
            self.outside.block_on(async { drop(latencies(self.http, 1).await) });
            sleep(Duration::from_millis(50));
        }
        Outcome {
            growth: peak.saturating_sub(before),
            left: self.memory().saturating_sub(before),
            worst: all.iter().max().copied().unwrap_or_default(),
            served: all.len(),
            reached: (REACHED.load(Ordering::Relaxed) - reached).saturating_sub(all.len()),
            ended,
        }
    }

    fn memory(&self) -> usize {
        resident(self.server.process()).expect("the server runs")
    }

    /// Whether nobody else felt it for longer than promised.
    fn was_in_time(&self, outcome: &Outcome) -> bool {
        outcome.worst <= LATENCY.mul_f64(self.slowness) && outcome.left <= self.left
    }
}

/// Latencies of ordinary requests until it is over.
fn others(address: SocketAddr, over: &AtomicBool) -> Vec<Duration> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut all = Vec::new();
    while !over.load(Ordering::Relaxed) {
        // On new connections, like most others.
        all.extend(runtime.block_on(latencies(address, 3)));
        sleep(Duration::from_millis(10));
    }
    all
}

/// The most memory that is seen until it is over.
fn peak(process: u32, over: &AtomicBool) -> usize {
    let mut peak = 0;
    while !over.load(Ordering::Relaxed) {
        peak = peak.max(resident(process).unwrap_or_default());
        sleep(Duration::from_millis(2));
    }
    peak
}

/// Installs the Core Rule Set, where it is at hand.
fn install_rules(server: &Server) -> bool {
    let crs = data::suite("crs");
    if let Some(crs) = &crs {
        let from = crs.display().to_string();
        server.hop3(&["rules", "install", "owasp-crs", "--from", &from]).succeeded();
    }
    crs.is_some()
}

/// Does all of it to a server, and judges: memory may grow by `most`, and `left` of that may stay. Some of it is done once
/// before: the first of everything is not the attack's, neither buffers nor the patterns of rules.
fn assert_bounded(
    name: &'static str,
    settings: &str,
    attacks: &[Attack],
    (most, left): (usize, usize),
    warms: fn(&Attack) -> bool,
) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut scene = Scene::new(settings, left);
    attacks.iter().copied().filter(warms).for_each(|attack| scene.warm_up(&attack));
    scene.measure_machine();
    let mut report = Report::new(name);
    for attack in attacks {
        let mut outcome = scene.run(attack);
        for _ in 1..TRIES {
            if outcome.growth > most || scene.was_in_time(&outcome) {
                break;
            }
            println!("{}, again: {outcome}", attack.name);
            scene.measure_machine();
            outcome = scene.run(attack);
        }
        println!("{}: {outcome}", attack.name);
        if outcome.growth <= most && scene.was_in_time(&outcome) && (outcome.ended || !attack.must_end) {
            report.pass();
        } else {
            report.fail(attack.name, format!("{outcome}; {:.1} times slower than usual", scene.slowness));
        }
    }
    report.print();
    assert!(report.failed().is_empty(), "{:?}", report.failed());
}

#[test]
fn no_client_costs_more_than_promised() {
    assert_bounded("http2-abuse", "[route.waf]\nenabled = false\n", &ATTACKS, (GROWTH, LEFT), |attack| {
        attack.name.starts_with("no ")
    });
}

#[test]
fn no_client_costs_more_where_bodies_are_inspected_compressed_and_kept() {
    let settings =
        "[route.proxy]\ncompression = true\ncache = { \"/kept\" = 0 }\n[route.waf]\nenabled = true\n";
    // And those of the others that come as far as the firewall.
    let others =
        ["rapid reset", "cookie crumbs", "heads as large as they may be", "no window", "open uploads"];
    let others = ATTACKS.iter().filter(|attack| others.contains(&attack.name));
    let mut attacks: Vec<Attack> = inspected::ATTACKS.iter().chain(others).copied().collect();
    if std::env::var_os("HOP3_CONFORMANCE").is_none() {
        println!(
            "http2-abuse-inspected: {FEW} of {} attacks; all of them with `make conformance`",
            attacks.len()
        );
        attacks.truncate(FEW);
    }
    let bounds = (GROWTH + BUDGET + AUTOMATA, LEFT + AUTOMATA);
    assert_bounded("http2-abuse-inspected", settings, &attacks, bounds, |attack| !attack.must_end);
}
