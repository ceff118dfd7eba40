//! Every deadline of `proxy/SETTINGS.md`, by its key, through the real executable; and the share of an instance that
//! became well.
//!
//! | key | what hangs | then | here |
//! |---|---|---|---|
//! | `[proxy.timeouts] connect` | an instance whose queue of connections is full | 504 | [`instances_that_hang_are_given_up`] |
//! | `response` | an instance that reads and says nothing | 504 | the same |
//! | `read` | an answer that stops half-way | it is cut | the same |
//! | `write` | an instance that takes no bytes | 504 | the same |
//! | `idle` | a WebSocket on which nobody speaks | it is closed | the same |
//! | `[server.clients] head-timeout` | a head that comes byte by byte | 408 | [`clients_that_hang_are_cut`] |
//! | `keep-alive-timeout` | a connection without a further request | it is closed | the same |
//! | `body-timeout` | a body that stops half-way | 408 | the same |
//! | `body-deadline` | a body that comes byte by byte | 408 | the same |
//! | `write-timeout` | a client that does not read | it is cut | the same |
//! | TLS handshake, 10 s | a client that does not begin one | it is closed | the same |
//! | `[proxy.balancing] slow-start` | | | [`the_share_of_an_instance_that_became_well_grows`] |
//! | `[server] drain` | | | `proxy/tests/forward.rs`, `tests/tests/reload.rs` |
//! | `min-rate` | | | `tests/tests/slow_clients.rs` |
//! | `hold`, `[proxy.concurrency] patience`, `[proxy.breaker]` | | | `proxy/tests/policies.rs`, `proxy/tests/upstreams.rs` |
//!
//! What hangs does so for ever, and every other deadline is longer than anybody waits here: that an end comes at all is
//! the deadline's work. That none comes early is looked at as well; how late it comes is not.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use server::{Server, executable, folder};

/// What is configured.
const LIMIT: Duration = Duration::from_secs(1);
/// Less than every other deadline in these tests.
const PATIENCE: Duration = Duration::from_secs(50);

/// A firewall would read bodies before the instance hears of them.
const UNPROTECTED: &str = "[route.waf]\nenabled = false\n";

/// Serves each connection in a thread of its own.
fn back_end(serve: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            // Whoever waits for an answer is told by the lack of one.
            std::thread::spawn(move || drop(serve(stream.unwrap())));
        }
    });
    address
}

/// A head; empty at the end of the connection.
fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything until the end of the connection, which must come; a reset is one.
fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    if let Err(error) = stream.read_to_end(&mut all) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "no end after {PATIENCE:?}");
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Runs something that a deadline of [`LIMIT`] ends.
fn limited<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let outcome = run();
    let elapsed = started.elapsed();
    // Timers may be a few milliseconds coarse.
    assert!(elapsed >= LIMIT - Duration::from_millis(50), "{what} ended after {elapsed:?}");
    outcome
}

/// An address at which connections are neither taken nor refused, as long as what comes with it lives.
fn full() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
        queue.push(stream);
    }
    (listener, queue)
}

#[test]
fn instances_that_hang_are_given_up() {
    let mute = back_end(|mut stream| {
        read_head(&mut stream)?;
        rest(&mut stream);
        Ok(())
    });
    let halting = back_end(|mut stream| {
        read_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        rest(&mut stream);
        Ok(())
    });
    let blocked = back_end(|_stream| {
        loop {
            std::thread::sleep(PATIENCE);
        }
    });
    let upgraded = back_end(|mut stream| {
        let head = read_head(&mut stream)?;
        assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
        stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhi",
        )?;
        rest(&mut stream);
        Ok(())
    });
    let (full, queue) = full();
    let route = |key: &str, address: SocketAddr| {
        let others =
            ["connect", "response", "read", "write", "idle"].into_iter().filter(|other| *other != key);
        let others: String = others.map(|other| format!("{other} = '5m'\n")).collect();
        format!(
            "[[route]]\nhosts = ['{key}.test']\nupstream = 'http://{address}'\n[route.proxy]\nbalancing = {{ retries = 0 }}\n\
             [route.proxy.timeouts]\n{others}{key} = '1s'\n{UNPROTECTED}"
        )
    };
    let routes = [
        route("connect", full.local_addr().unwrap()),
        route("response", mute),
        route("read", halting),
        route("write", blocked),
        route("idle", upgraded),
    ];
    let server = Server::start_with(&routes.concat(), executable());
    let http = server.address("http");
    let ask = |host: &str, lines: &str| {
        let mut stream = connect(http);
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n").as_bytes()).unwrap();
        stream
    };
    std::thread::scope(|scope| {
        for host in ["connect.test", "response.test"] {
            let ask = &ask;
            scope.spawn(move || {
                let answer = limited(host, || rest(&mut ask(host, "Connection: close\r\n")));
                assert!(answer.starts_with("HTTP/1.1 504 "), "{host}: {answer}");
            });
        }
        scope.spawn(|| {
            let answer = limited("read", || rest(&mut ask("read.test", "")));
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("half"), "{answer}");
        });
        scope.spawn(|| {
            let mut stream = connect(http);
            let mut writer = stream.try_clone().unwrap();
            let head = "POST / HTTP/1.1\r\nHost: write.test\r\nContent-Length: 40000000\r\n\r\n";
            std::thread::spawn(move || {
                let _cut = writer.write_all(&[head.as_bytes(), &vec![b'x'; 40_000_000]].concat());
            });
            let answer = limited("write", || read_head(&mut stream).unwrap());
            assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        });
        scope.spawn(|| {
            let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            let answer = limited("idle", || rest(&mut ask("idle.test", lines)));
            assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("hi"), "{answer}");
        });
    });
    drop(queue);
}

#[test]
fn clients_that_hang_are_cut() {
    let reading = back_end(|mut stream| {
        read_head(&mut stream)?;
        rest(&mut stream);
        Ok(())
    });
    let site = folder(&[("index.html", "shop")]);
    // Holes: it takes no room.
    std::fs::File::create(site.path().join("large")).unwrap().set_len(256 << 20).unwrap();
    let server = |key: &str| {
        let keys = ["head-timeout", "keep-alive-timeout", "body-timeout", "body-deadline", "write-timeout"];
        let others = keys.into_iter().filter(|other| *other != key);
        let others: String = others.map(|other| format!("{other} = '5m'\n")).collect();
        let settings = format!(
            "[server.clients]\n{others}{key} = '1s'\nmin-rate = 0\n\
             [[route]]\nhosts = ['shop.test']\nstatic = '{}'\n\
             [[route]]\nhosts = ['form.test']\nupstream = 'http://{reading}'\n{UNPROTECTED}",
            site.path().display()
        );
        Server::start_with(&settings, executable())
    };
    let http = |server: &Server| connect(server.address("http"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let server = server("head-timeout");
            let answer = limited("head-timeout", || drip(http(&server), b"GET / HTTP/1.1\r\nX: "));
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        });
        scope.spawn(|| {
            let server = server("keep-alive-timeout");
            let mut stream = http(&server);
            stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").unwrap();
            let head = read_head(&mut stream).unwrap();
            assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("onnection: close"), "{head}");
            assert_eq!(limited("keep-alive-timeout", || rest(&mut stream)), "shop");
        });
        scope.spawn(|| {
            let server = server("body-timeout");
            let mut stream = http(&server);
            stream
                .write_all(b"POST / HTTP/1.1\r\nHost: form.test\r\nContent-Length: 10\r\n\r\nhalf")
                .unwrap();
            let answer = limited("body-timeout", || rest(&mut stream));
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        });
        scope.spawn(|| {
            let server = server("body-deadline");
            let head = b"POST / HTTP/1.1\r\nHost: form.test\r\nContent-Length: 1000000\r\n\r\n";
            let answer = limited("body-deadline", || drip(http(&server), head));
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        });
        scope.spawn(|| {
            let server = server("write-timeout");
            let mut stream = http(&server);
            limited("write-timeout", || {
                stream.write_all(b"GET /large HTTP/1.1\r\nHost: shop.test\r\n\r\n").unwrap();
                server.eventually(|| server.log().contains("\"/large\"").then_some(()));
            });
            let got = rest(&mut stream).len();
            assert!(got < 256 << 20, "it was cut, after {got} bytes that lay ready");
            // No key shortens this one.
            let mut silent = connect(server.address("https"));
            assert_eq!(limited("the TLS handshake", || rest(&mut silent)), "");
        });
    });
}

/// Sends a head, then single bytes until somebody answers; the answer.
fn drip(mut stream: TcpStream, head: &[u8]) -> String {
    stream.write_all(head).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let started = Instant::now();
    let mut byte = [0];
    while started.elapsed() < PATIENCE {
        match stream.read(&mut byte) {
            Ok(0) => return String::new(),
            Ok(_) => {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return format!("{}{}", char::from(byte[0]), rest(&mut stream));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let _late = stream.write_all(b"x");
            }
            Err(error) => panic!("no answer: {error}"),
        }
    }
    panic!("no answer after {PATIENCE:?}");
}

/// An instance that says its name ten milliseconds after it was asked, and `/well` as long as it is.
fn instance(name: &'static str, well: Arc<AtomicBool>) -> SocketAddr {
    back_end(move |mut stream| {
        loop {
            let head = read_head(&mut stream)?;
            if head.is_empty() {
                return Ok(());
            }
            let status = if well.load(Ordering::SeqCst) { "200 OK" } else { "503 Sick" };
            if !head.starts_with("GET /well ") {
                std::thread::sleep(Duration::from_millis(10));
            }
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            stream.write_all(answer.as_bytes())?;
        }
    })
}

#[test]
fn the_share_of_an_instance_that_became_well_grows() {
    // Long enough that a second until it is seen changes little.
    const SLOW_START: Duration = Duration::from_secs(12);
    let well = Arc::new(AtomicBool::new(false));
    let old = instance("old", Arc::new(AtomicBool::new(true)));
    let new = instance("new", well.clone());
    let server = Server::start_with(
        &format!(
            "[[route]]\nhosts = ['shop.test']\nupstream = ['http://{old}', 'http://{new}']\n\
             [route.proxy.balancing]\nslow-start = '12s'\n\
             [route.proxy.health-check]\npath = '/well'\ninterval = '100ms'\nfall = 1\nrise = 1\n{UNPROTECTED}"
        ),
        executable(),
    );
    let up = |wanted: &str| {
        let metrics = server.get_admin("/metrics").1;
        let of_new = |line: &&str| line.starts_with("hop3_upstream_up") && line.contains(&new.to_string());
        metrics.lines().find(of_new).is_some_and(|line| line.ends_with(wanted)).then_some(())
    };
    server.eventually(|| up(" 0"));
    assert!((0..20).all(|_| server.get("shop.test", "/").1 == "old"), "a sick instance gets nothing");
    // The other one began with the server, just as cold.
    std::thread::sleep(SLOW_START);
    well.store(true, Ordering::SeqCst);
    server.eventually(|| up(" 1"));
    let begun = Instant::now();
    // Eight clients at a time: what is slower has more requests under way and is chosen less.
    let answers: Vec<(Duration, bool)> = std::thread::scope(|scope| {
        let client = || {
            let mut answers = Vec::new();
            while begun.elapsed() < SLOW_START * 3 / 2 {
                let asked = begun.elapsed();
                let (status, name) = server.get("shop.test", "/");
                assert_eq!(status, 200);
                answers.push((asked, name == "new"));
            }
            answers
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let share = |from: Duration, to: Duration| {
        let phase = answers.iter().filter(|(at, _)| (from..to).contains(at));
        let (all, new) = phase.fold((0, 0), |(all, new), (_, is_new)| (all + 1, new + usize::from(*is_new)));
        assert!(all >= 20, "{all} requests from {from:?} to {to:?}");
        new as f64 / all as f64
    };
    // In the first quarter of the time it takes part in at most a quarter of the turns. At the end it gets half.
    let early = share(Duration::ZERO, SLOW_START / 4);
    let late = share(SLOW_START * 5 / 4, SLOW_START * 3 / 2);
    assert!(late > 0.4, "{late} of all when it is warm");
    assert!(early < 0.33, "{early} of all in the beginning");
}
