//! What HTTP/2 lets a client do to a server, done: memory stays bounded, and others are served meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hop3_tests::front::Front;
use hop3_tests::http2_abuse::memory::resident;
use hop3_tests::http2_abuse::peer::get;
use hop3_tests::http2_abuse::{Frame, Kind, Peer, flags, hpack};
use hop3_tests::report::Report;
use hop3_tests::slow_clients::latencies;
use hop3_tests::streaming::{PATIENCE, Requests, back_end};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

/// The product's own: how much is kept of what was freed is a part of the promise.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: usize = 1024 * 1024;
/// Promised: most growth of one connection, and what may be left of it three seconds later.
const GROWTH: usize = 16 * MIB;
const LEFT: usize = 4 * MIB;
const RECOVERY: Duration = Duration::from_secs(3);
/// Promised: longest answer to somebody else.
const LATENCY: Duration = Duration::from_millis(250);
/// Length of one attack.
const ATTACK: Duration = Duration::from_millis(1500);
/// Tries in which others have to be served in time once: other programs of the machine come and go.
const TRIES: usize = 3;

/// Requests that reached the back end.
static REACHED: AtomicUsize = AtomicUsize::new(0);

/// A piece of a large answer.
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

async fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut requests = Requests::new(stream);
    while let Some(head) = requests.next().await? {
        REACHED.fetch_add(1, Ordering::Relaxed);
        if head.starts_with("POST ") {
            return requests.read_over().await;
        }
        if head.contains("/slow") {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        if head.contains("/large") {
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

/// One attack on a fresh connection; returns when the connection ended or the time is over.
type Attack = for<'p> fn(&'p mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + 'p>>;

fn request(stream: u32, path: &str) -> Frame {
    Frame::headers(stream, true, hpack::literals(get(path)))
}

/// Streams are odd.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

fn rapid_reset(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        for stream in streams() {
            peer.send(&[request(stream, "/slow"), Frame::reset(stream, 8)]).await?;
        }
        Ok(())
    })
}

/// Each stream makes the server reset it: a window update of zero is a stream error.
fn made_you_reset(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        for stream in streams() {
            peer.send(&[request(stream, "/slow"), Frame::window(stream, 0)]).await?;
        }
        Ok(())
    })
}

fn continuation_flood(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        peer.send(&[Frame::new(Kind::Headers, flags::END_STREAM, 1, hpack::literals(get("/")))]).await?;
        let part = hpack::literals([("x-part", "y".repeat(1000))]);
        loop {
            peer.send(&[Frame::new(Kind::Continuation, flags::NONE, 1, part.clone())]).await?;
        }
    })
}

/// The same with parts that hold nothing.
fn empty_continuations(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        peer.send(&[Frame::new(Kind::Headers, flags::END_STREAM, 1, Vec::new())]).await?;
        let parts = vec![Frame::new(Kind::Continuation, flags::NONE, 1, Vec::new()); 100];
        loop {
            peer.send(&parts).await?;
        }
    })
}

/// A field of 3 KiB enters the table once and is named 16,000 times in each block.
fn header_bomb(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        let mut first = hpack::literals(get("/"));
        first.extend(hpack::incremental(b"x-bomb", &[b'y'; 3000]));
        peer.send(&[Frame::headers(1, true, first)]).await?;
        for stream in streams().skip(1) {
            let mut block = hpack::literals(get("/"));
            block.extend(vec![hpack::indexed(62); 16_000]);
            peer.send(&[Frame::headers(stream, true, block)]).await?;
        }
        Ok(())
    })
}

/// Crumbs of one byte's name and value, named by index: cheap to send, a field each for the server.
fn cookie_crumbs(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        let mut first = hpack::literals(get("/"));
        first.extend(hpack::incremental(b"cookie", b"a"));
        peer.send(&[Frame::headers(1, true, first)]).await?;
        for stream in streams().skip(1) {
            let mut block = hpack::literals(get("/slow"));
            block.extend(vec![hpack::indexed(62); 1_500]);
            peer.send(&[Frame::headers(stream, true, block)]).await?;
        }
        Ok(())
    })
}

/// A hundred large responses, and no window for any.
fn no_window(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        peer.send(&[Frame::settings(&[(4, 0)])]).await?;
        let requests: Vec<Frame> = streams().take(100).map(|stream| request(stream, "/large")).collect();
        peer.send(&requests).await?;
        tokio::time::sleep(ATTACK).await;
        Ok(())
    })
}

/// A hundred large responses, all the window there is, and nobody who reads.
fn no_reading(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        let large = 0x7fff_ffff;
        peer.send(&[Frame::settings(&[(4, large)]), Frame::window(0, large - 65_535)]).await?;
        let requests: Vec<Frame> = streams().take(100).map(|stream| request(stream, "/large")).collect();
        peer.send(&requests).await?;
        tokio::time::sleep(ATTACK).await;
        Ok(())
    })
}

/// Windows that open by one byte at a time.
fn drip(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        peer.send(&[Frame::settings(&[(4, 1)])]).await?;
        let requests: Vec<Frame> = streams().take(100).map(|stream| request(stream, "/large")).collect();
        peer.send(&requests).await?;
        loop {
            let updates: Vec<Frame> = streams().take(100).map(|stream| Frame::window(stream, 1)).collect();
            peer.send(&updates).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

/// A hundred uploads that never end, each with as much as its window takes.
fn open_uploads(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        let fields =
            [(":method", "POST"), (":scheme", "https"), (":authority", "shop.test"), (":path", "/slow")];
        for stream in streams().take(100) {
            let head = Frame::headers(stream, false, hpack::literals(fields));
            peer.send(&[head, Frame::data(stream, false, vec![b'x'; 8 * 1024])]).await?;
        }
        tokio::time::sleep(ATTACK).await;
        Ok(())
    })
}

fn flood_of(peer: &mut Peer, frame: Frame) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async move {
        let frames = vec![frame; 50];
        loop {
            peer.send(&frames).await?;
        }
    })
}

fn pings(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    flood_of(peer, Frame::new(Kind::Ping, flags::NONE, 0, [0; 8]))
}

fn settings(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    flood_of(peer, Frame::settings(&[(4, 65_535)]))
}

fn priorities(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    flood_of(peer, Frame::new(Kind::Priority, flags::NONE, 1, [0, 0, 0, 3, 16]))
}

fn empty_data(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        let fields = [(":method", "POST"), (":scheme", "https"), (":authority", "shop.test"), (":path", "/")];
        peer.send(&[Frame::headers(1, false, hpack::literals(fields))]).await?;
        flood_of(peer, Frame::data(1, false, Vec::new())).await
    })
}

/// No attack: as many requests as an honest client can send, for the machine's own share in the figures.
fn honest(peer: &mut Peer) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + '_>> {
    Box::pin(async {
        for stream in streams() {
            let reply = peer.get(stream, "/", PATIENCE).await;
            if reply.status() != Some(200) {
                return Err(std::io::Error::other(format!("{reply:?}")));
            }
        }
        Ok(())
    })
}

/// What an attack did.
struct Outcome {
    growth: usize,
    left: usize,
    worst: Duration,
    served: usize,
    reached: usize,
    ended: bool,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { growth, left, worst, served, reached, ended } = self;
        let (growth, left) = (growth / 1024, left / 1024);
        write!(
            out,
            "grew {growth} KiB, {left} KiB left, worst of {served} other requests {worst:?}, {reached} requests \
             reached the back end, given up: {ended}"
        )
    }
}

/// The proxy on threads of its own, the attacker and the back end on others, everybody else on one more: as they would
/// be on the way, so that the figures are the proxy's.
struct Scene {
    proxy: Runtime,
    outside: Runtime,
    front: Front,
}

impl Scene {
    fn new() -> Self {
        let runtime = || runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (proxy, outside) = (runtime(), runtime());
        let entered = proxy.enter();
        let front = Front::start(|_| {});
        drop(entered);
        front.lead_to(outside.block_on(back_end(serve)));
        Self { proxy, outside, front }
    }

    fn run(&self, attack: Attack) -> Outcome {
        let address = self.front.http();
        let mut peer = self.outside.block_on(Peer::connect(self.front.https(), "shop.test"));
        self.outside.block_on(async { drop(latencies(address, 50).await) });
        let (before, reached) = (resident(), REACHED.load(Ordering::Relaxed));
        let over = Arc::new(AtomicBool::new(false));
        let others = std::thread::spawn({
            let over = over.clone();
            move || others(address, before, &over)
        });
        let ended = self.outside.block_on(async {
            let ended = timeout(ATTACK, attack(&mut peer)).await.is_ok_and(|sent| sent.is_err());
            // What was sent before the end must be worked off, too.
            tokio::time::sleep(Duration::from_millis(200)).await;
            ended
        });
        over.store(true, Ordering::Relaxed);
        let (all, peak) = others.join().unwrap();
        drop(peer);
        let deadline = Instant::now() + RECOVERY;
        while Instant::now() < deadline && resident() > before + LEFT / 2 {
            std::thread::sleep(Duration::from_millis(50));
        }
        Outcome {
            growth: peak.saturating_sub(before),
            left: resident().saturating_sub(before),
            worst: all.iter().max().copied().unwrap_or_default(),
            served: all.len(),
            reached: (REACHED.load(Ordering::Relaxed) - reached).saturating_sub(all.len()),
            ended,
        }
    }
}

/// Latencies of ordinary requests until it is over, and the most memory that was seen meanwhile.
fn others(address: SocketAddr, before: usize, over: &AtomicBool) -> (Vec<Duration>, usize) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut all, mut peak) = (Vec::new(), before);
    while !over.load(Ordering::Relaxed) {
        // On new connections, like most others.
        all.extend(runtime.block_on(latencies(address, 3)));
        peak = peak.max(resident());
        std::thread::sleep(Duration::from_millis(10));
    }
    (all, peak)
}

#[test]
fn no_client_costs_more_than_promised() {
    let scene = Scene::new();
    // (name, attack, whether the server must give the connection up)
    let attacks: [(&str, Attack, bool); 14] = [
        ("rapid reset", rapid_reset, true),
        ("made-you-reset", made_you_reset, true),
        ("continuation flood", continuation_flood, true),
        ("empty continuations", empty_continuations, true),
        ("header bomb", header_bomb, false),
        ("cookie crumbs", cookie_crumbs, false),
        ("no window", no_window, false),
        ("no reading", no_reading, false),
        ("window drip", drip, false),
        ("open uploads", open_uploads, false),
        ("pings", pings, false),
        ("settings", settings, false),
        ("priorities", priorities, false),
        ("empty data", empty_data, false),
    ];
    // The first of everything is not the attack's.
    let _first = scene.run(no_window);
    let idle = scene.run(honest);
    println!("an honest client: {idle}");
    // A machine that has other things to do lets everybody wait, whoever the client is.
    let mut bearable = LATENCY.max(idle.worst * 2);
    let mut report = Report::new("http2-abuse");
    for (name, attack, must_end) in attacks {
        let mut outcome = scene.run(attack);
        for _ in 1..TRIES {
            if outcome.worst <= bearable {
                break;
            }
            println!("{name}, again: {outcome}");
            bearable = bearable.max(scene.run(honest).worst * 2);
            outcome = scene.run(attack);
        }
        println!("{name}: {outcome}");
        let Outcome { growth, left, worst, ended, .. } = outcome;
        if growth <= GROWTH && left <= LEFT && worst <= bearable && (ended || !must_end) {
            report.pass();
        } else {
            report.fail(name, format!("{outcome}; bearable: {bearable:?}"));
        }
    }
    report.print();
    scene.proxy.shutdown_background();
    assert!(report.failed().is_empty(), "{:?}", report.failed());
}
