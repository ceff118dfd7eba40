//! Two thousand slow connections: nobody else feels them, and each is cut.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hop3_tests::clients::{on_path, run};
use hop3_tests::front::Front;
use hop3_tests::report::Report;
use hop3_tests::slow_clients::Slowness::{Body, Head, Reading};
use hop3_tests::slow_clients::{be_slow, connect, latencies, percentile};
use hop3_tests::streaming::{Requests, back_end, read_head};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::Mutex;

/// Connections that are slow at the same time.
const SLOW: usize = 2_000;
/// Below this, the scheduler of a busy machine decides, not the proxy.
const NOISE: Duration = Duration::from_millis(10);
/// Where even requests that go straight to the back end take long, those through the proxy, which wakes twice as many
/// tasks, may take this many times as long.
const DETOUR: u32 = 3;
const REQUESTS: usize = 300;
/// Other programs of the machine come and go: what is slow each time is slow.
const TRIES: usize = 20;
/// What a slow client may take before it is cut, and what the machine may take beyond that.
const PATIENCE_WITH_THEM: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(60);
/// What is measured here is not measured beside the other test.
static MEASURING: Mutex<()> = Mutex::const_new(());
/// Bytes of `/large`: more than the buffers between two sockets hold.
const LARGE: usize = 8 * 1024 * 1024;

/// A piece of it.
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

async fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut requests = Requests::new(stream);
    while let Some(head) = requests.next().await? {
        if head.contains("content-length") || head.contains("transfer-encoding") {
            return requests.read_over().await;
        }
        if head.contains("/large") {
            requests.answer(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")).await?;
            for _ in 0..LARGE / PIECE.len() {
                requests.answer(PIECE).await?;
            }
        } else {
            requests.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
        }
    }
    Ok(())
}

/// The p99 of requests one after the other.
async fn p99(address: SocketAddr) -> Duration {
    percentile(&latencies(address, REQUESTS).await, 0.99)
}

/// Room for this many descriptors.
fn make_room(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let most = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        assert!(most == wanted, "this test needs {wanted} open files; `ulimit -Hn` allows {most}");
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_slow_connections_are_not_felt_and_are_cut() {
    let _alone = MEASURING.lock().await;
    // Client and proxy, and for two thirds both ends of a connection to the back end; then what the rest needs.
    make_room(4 * SLOW as u64 + 1_000);
    let front = Front::start(|config| {
        config.limits.head_timeout = PATIENCE_WITH_THEM;
        config.limits.body_timeout = PATIENCE_WITH_THEM;
        config.limits.write_timeout = PATIENCE_WITH_THEM;
        config.limits.rate_grace = PATIENCE_WITH_THEM * 3 / 4;
    });
    let straight = back_end(serve).await;
    front.lead_to(straight);
    let address = front.http();
    drop(latencies(address, 200).await);
    let mut idle = Duration::MAX;
    for _ in 0..3 {
        idle = idle.min(p99(address).await);
    }

    drop(front.records());
    let started = Instant::now();
    let mut slow = tokio::task::JoinSet::new();
    for number in 0..SLOW {
        let slowness = [Head, Body, Reading][number % 3];
        let stream = connect(address, number).await;
        slow.spawn(async move { (slowness, be_slow(stream, slowness, PATIENCE_WITH_THEM + SLACK).await) });
    }
    let opened = started.elapsed();
    let (mut loaded, mut bound, mut tries) = (Duration::MAX, Duration::ZERO, 0);
    // While at least the last of them are there; more than once in any case.
    let there = opened + PATIENCE_WITH_THEM * 3 / 4;
    while loaded > bound && tries < TRIES && (tries < 3 || started.elapsed() < there) {
        loaded = p99(address).await;
        bound = (idle * 2).max(NOISE).max(p99(straight).await * DETOUR);
        tries += 1;
    }
    let during = started.elapsed();
    // New ones are taken as well.
    for _ in 0..20 {
        assert_eq!(latencies(address, 1).await.len(), 1);
    }
    let mut cut = [(Head, 0, Duration::ZERO), (Body, 0, Duration::ZERO), (Reading, 0, Duration::ZERO)];
    let mut report = Report::new("slow-clients");
    let (mut unnoticed, mut told) = (0, 0);
    let readers = (0..SLOW).filter(|number| [Head, Body, Reading][number % 3] == Reading).count();
    loop {
        let ended = tokio::time::timeout(Duration::from_millis(500), slow.join_next()).await;
        let records = front.records().into_iter().filter(|record| record.target == "/large");
        let cut_in_time = records.filter(|record| {
            record.note.as_ref().is_some_and(|note| note.starts_with("client: "))
                && record.duration < PATIENCE_WITH_THEM + SLACK
        });
        told += cut_in_time.count();
        let (slowness, after) = match ended {
            Ok(Some(ended)) => ended.unwrap(),
            Ok(None) => break,
            // What the kernel took for a client that does not read hides the end from it.
            Err(_) if told == readers && cut[0].1 + cut[1].1 + readers == SLOW => {
                unnoticed += slow.len();
                break;
            }
            Err(_) => continue,
        };
        let kind = cut.iter_mut().find(|kind| kind.0 == slowness).unwrap();
        match after {
            Some(after) if after < PATIENCE_WITH_THEM + SLACK => {
                (kind.1, kind.2) = (kind.1 + 1, kind.2.max(after));
                report.pass();
            }
            None if slowness == Reading => unnoticed += 1,
            after => report.fail(format!("{slowness:?}"), format!("cut after {after:?}")),
        }
    }
    if told == readers {
        (0..unnoticed).for_each(|_| report.pass());
    } else {
        report.fail("Reading", format!("only {told} were cut by the proxy"));
    }
    println!(
        "p99 idle {idle:?}, beside {SLOW} slow connections {loaded:?}, at most {bound:?} (opened in {opened:?}, \
         try {tries}, measured until {during:?}); cut: {cut:?}, {unnoticed} more by the proxy"
    );
    if loaded <= bound {
        report.pass();
    } else {
        report.fail("others", format!("p99 {loaded:?}, idle {idle:?}, at most {bound:?}"));
    }
    report.print();
    assert!(report.failed().is_empty(), "{} of {} failed", report.failed().len(), report.judged());
}

/// Debian's own program for this, in its three ways, at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slowhttptest_finds_the_service_available() {
    let mut report = Report::new("slowhttptest");
    let Some(program) = on_path("slowhttptest") else {
        report.skip("all", "slowhttptest is not installed");
        return report.print();
    };
    let _alone = MEASURING.lock().await;
    let front = Front::start(|config| {
        config.limits.head_timeout = Duration::from_secs(4);
        config.limits.body_timeout = Duration::from_secs(4);
        config.limits.write_timeout = Duration::from_secs(4);
        config.limits.rate_grace = Duration::from_secs(3);
    });
    front.lead_to(back_end(serve).await);
    // Slow heads, slow bodies, slow reading of pipelined requests. Each for eight seconds; the probe that tells
    // whether the service is available waits as long.
    let ways: [(&str, &[&str]); 3] = [
        ("heads", &["-H", "-i", "2"]),
        ("bodies", &["-B", "-i", "2"]),
        ("reading", &["-X", "-w", "10", "-y", "20"]),
    ];
    let runs = ways.map(|(way, arguments)| {
        let path = if way == "reading" { "large" } else { "" };
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .args(["-c", "300", "-r", "300", "-l", "8", "-p", "8", "-u"])
            .arg(format!("http://{}/{path}", front.http()));
        tokio::spawn(async move { (way, run(command).await) })
    });
    for ran in runs {
        let (way, ran) = ran.await.unwrap();
        // The last of its reports; colours stand between the words.
        let last = ran.output.rsplit("service available").next().unwrap_or_default();
        let word = last.split_whitespace().find(|word| word.contains("YES") || word.contains("NO"));
        if word.is_some_and(|word| word.contains("YES")) {
            report.pass();
        } else {
            report.fail(way, format!("{word:?}: {ran:?}"));
        }
    }
    report.print();
    assert!(report.failed().is_empty(), "{:?}", report.failed());
}

#[tokio::test]
async fn one_address_does_not_get_all_connections() {
    let front = Front::start(|config| config.limits.max_connections_per_client = 5);
    front.lead_to(back_end(serve).await);
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(connect(front.http(), 1).await);
    }
    // They count once they are accepted.
    for stream in &mut open {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await.unwrap();
        read_head(stream).await;
    }
    let mut sixth = connect(front.http(), 1).await;
    let mut byte = [0];
    let closed = tokio::time::timeout(Duration::from_secs(60), sixth.read(&mut byte)).await.expect("an end");
    assert!(matches!(closed, Ok(0) | Err(_)));
    assert_eq!(latencies(front.http(), 1).await.len(), 1, "other addresses are served");
    assert!(front.handle.metrics().contains("hop3_http_rejected_total{reason=\"too_many_connections\"} 1"));
    drop(open);
    for _ in 0..1_500 {
        let mut again = connect(front.http(), 1).await;
        again.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await.unwrap();
        if again.read(&mut byte).await.unwrap_or(0) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("closed connections do not make room");
}
