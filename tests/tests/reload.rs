//! What is published while requests are under way: routes, certificates, rulesets. No request fails, and none waits.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hop3_proxy::Protection;
use hop3_tests::front::{Front, protection};
use hop3_tests::http2_abuse::Peer;
use hop3_tests::http2_abuse::peer::tls;
use hop3_tests::report::Report;
use hop3_tests::slow_clients::percentile;
use hop3_tests::streaming::{PATIENCE, Requests, back_end};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Promised: this many reloads under load without a failed request.
const RELOADS: usize = 100;
/// Between two reloads, so that requests fall before, into and after each.
const PAUSE: Duration = Duration::from_millis(40);
/// Streams of one HTTP/2 connection before the next is opened.
const STREAMS: u32 = 200;

/// How a client goes about it: what it speaks, and how many requests it sends on a connection.
#[derive(Clone, Copy, Debug)]
enum Habit {
    Plain(usize),
    Secret(usize),
    Http2,
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
struct Answered {
    at: Instant,
    after: Duration,
}

/// What all clients did so far.
#[derive(Debug, Default)]
struct Load {
    over: AtomicBool,
    answered: Mutex<Vec<Answered>>,
    failed: Mutex<Vec<String>>,
}

impl Load {
    fn enter(&self, habit: Habit, at: Instant, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.answered.lock().unwrap().push(Answered { at, after: at.elapsed() }),
            Err(why) => self.failed.lock().unwrap().push(format!("{habit:?}: {why}")),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Answers with its mark, a byte, after `ok`.
async fn marked(mark: &'static str) -> SocketAddr {
    back_end(move |stream| async move {
        let mut requests = Requests::new(stream);
        while requests.next().await?.is_some() {
            requests.answer(format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok{mark}")).await?;
        }
        Ok(())
    })
    .await
}

/// One request on an open connection; the status, the body, and whether the connection takes no other one.
async fn ask(stream: &mut dyn Stream, path: &str) -> io::Result<(u16, String, bool)> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n").as_bytes()).await?;
    stream.flush().await?;
    let mut buffer = Vec::new();
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&buffer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
            let last = head.to_ascii_lowercase().contains("\r\nconnection: close");
            return Ok((status, body.to_owned(), last));
        }
    }
}

async fn open(habit: Habit, plain: SocketAddr, secret: SocketAddr) -> io::Result<Box<dyn Stream>> {
    Ok(match habit {
        Habit::Plain(_) => Box::new(TcpStream::connect(plain).await?),
        _ => Box::new(tls(secret, "shop.test", &[b"http/1.1"]).await?),
    })
}

/// Asks again and again until the load is over.
async fn keep_asking(load: Arc<Load>, habit: Habit, plain: SocketAddr, secret: SocketAddr) {
    let count = match habit {
        Habit::Plain(count) | Habit::Secret(count) => count,
        Habit::Http2 => return keep_streaming(load, secret).await,
    };
    while !load.over.load(Ordering::Relaxed) {
        let mut at = Instant::now();
        let mut stream = match open(habit, plain, secret).await {
            Ok(stream) => stream,
            Err(error) => {
                load.enter(habit, at, Err(format!("no connection: {error}")));
                continue;
            }
        };
        for number in 0..count {
            if load.over.load(Ordering::Relaxed) {
                return;
            }
            let asked = timeout(PATIENCE, ask(&mut *stream, "/")).await;
            // After many requests the proxy says that it was the last one.
            let ended = matches!(asked, Ok(Ok((_, _, true))));
            let outcome = match asked {
                Ok(Ok((200, body, _))) if body.starts_with("ok") => Ok(()),
                other => Err(format!("request {number} of its connection: {other:?}")),
            };
            let failed = outcome.is_err();
            load.enter(habit, at, outcome);
            if failed || ended {
                break;
            }
            at = Instant::now();
        }
    }
}

async fn keep_streaming(load: Arc<Load>, secret: SocketAddr) {
    while !load.over.load(Ordering::Relaxed) {
        let mut peer = Peer::connect(secret, "shop.test").await;
        for number in 0..STREAMS {
            if load.over.load(Ordering::Relaxed) {
                return;
            }
            let at = Instant::now();
            let reply = peer.get(2 * number + 1, "/", PATIENCE).await;
            let right = reply.status() == Some(200) && reply.body.starts_with(b"ok") && reply.ended;
            load.enter(Habit::Http2, at, if right { Ok(()) } else { Err(format!("{reply:?}")) });
            if !right {
                break;
            }
        }
    }
}

/// Turns away requests for `/?n=NUMBER`.
fn against(number: usize) -> Arc<Protection> {
    let rule = format!("SecRule ARGS:n \"@streq {number}\" \"id:1,phase:1,deny,status:403\"");
    protection(&format!("SecRuleEngine On\nSecRequestBodyAccess On\n{rule}"))
}

/// The certificate that a new connection is shown.
async fn shown(secret: SocketAddr) -> Vec<u8> {
    let stream = tls(secret, "shop.test", &[b"http/1.1"]).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// The status of `/?n=NUMBER` and the mark of the back end.
async fn status_of(front: &Front, number: usize) -> (u16, String) {
    let mut stream = TcpStream::connect(front.http()).await.unwrap();
    let (status, body, _) = ask(&mut stream, &format!("/?n={number}")).await.unwrap();
    (status, body)
}

fn sorted(answered: &[Answered], chosen: impl Fn(&Answered) -> bool) -> Vec<Duration> {
    let mut all: Vec<Duration> =
        answered.iter().filter(|answered| chosen(answered)).map(|answered| answered.after).collect();
    all.sort_unstable();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_or_waits_while_things_are_replaced() {
    let mut report = Report::new("reload");
    let front = Front::start(|_| {});
    let back_ends = [marked("1").await, marked("2").await];
    front.lead_through(back_ends[0], Some(&against(0)));
    // Certificates to change between: the ones that two other proxies made for the same name.
    let certificates = [(), ()].map(|()| {
        let other = Front::start(|_| {});
        other.lead_hosts([(
            "shop.test",
            hop3_proxy::Backend::http([hop3_proxy::Endpoint::Tcp(back_ends[0])]),
        )]);
        other.certificate("shop.test")
    });
    let load = Arc::new(Load::default());
    let habits = [
        Habit::Plain(usize::MAX),
        Habit::Plain(usize::MAX),
        Habit::Plain(1),
        Habit::Secret(usize::MAX),
        Habit::Secret(1),
        Habit::Http2,
    ];
    let clients: Vec<_> = habits
        .into_iter()
        .map(|habit| tokio::spawn(keep_asking(load.clone(), habit, front.http(), front.https())))
        .collect();
    let (mut windows, longest) = (Vec::new(), AtomicUsize::new(0));
    let mut certificate_before = shown(front.https()).await;
    for reload in 1..=RELOADS {
        tokio::time::sleep(PAUSE).await;
        // Made beside the request path, as a reload of the product does.
        let rules = tokio::task::spawn_blocking(move || against(reload)).await.unwrap();
        let started = Instant::now();
        front.lead_through(back_ends[reload % 2], Some(&rules));
        front.handle.replace_certificate("shop.test", &certificates[reload % 2]).unwrap();
        longest.fetch_max(started.elapsed().as_micros() as usize, Ordering::Relaxed);
        windows.push((started, Instant::now()));
        // What was published is in force at once.
        let (turned_away, passed) = (status_of(&front, reload).await.0, status_of(&front, reload - 1).await);
        let certificate = shown(front.https()).await;
        let mark = ["ok1", "ok2"][reload % 2];
        if turned_away == 403 && passed == (200, mark.to_owned()) && certificate != certificate_before {
            report.pass();
        } else {
            report.fail(format!("reload {reload}"), format!("{turned_away}, {passed:?}"));
        }
        certificate_before = certificate;
    }
    load.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let answered = load.answered.lock().unwrap().clone();
    let failed = load.failed.lock().unwrap().clone();
    // Long requests meet any moment more often than short ones: compared are equally long spans shortly before.
    let touched = |answered: &Answered, earlier: Duration| {
        windows
            .iter()
            .any(|(from, to)| answered.at <= *to - earlier && answered.at + answered.after >= *from - earlier)
    };
    let during = sorted(&answered, |answered| touched(answered, Duration::ZERO));
    let before = sorted(&answered, |answered| touched(answered, PAUSE / 2));
    assert!(!during.is_empty() && !before.is_empty(), "{} and {}", during.len(), before.len());
    let figures = |sorted: &[Duration]| {
        format!(
            "{} requests, p50 {:?}, p99 {:?}",
            sorted.len(),
            percentile(sorted, 0.5),
            percentile(sorted, 0.99)
        )
    };
    println!(
        "{RELOADS} reloads, the longest publication {} us; at moments before them {}; at the moments of them {}; {} failed",
        longest.load(Ordering::Relaxed),
        figures(&before),
        figures(&during),
        failed.len()
    );
    for why in &failed {
        report.fail("a request", &why[..]);
    }
    report.print();
    assert!(report.failed().is_empty(), "{} failed", report.failed().len());
}
