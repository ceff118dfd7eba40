//! Connections to back ends over HTTP/2 when they are slow, full, going away or dead.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use hop3_proxy::{Backend, Endpoint, HealthCheck, Pool, Protocol, Route};
use support::{Client, PATIENCE, TestProxy, get, route, start};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

type Connection = h2::server::Connection<TcpStream, Bytes>;
type Asked = (http::Request<RecvStream>, SendResponse<Bytes>);

/// Serves the connections of an h2c back end, each with its number from 0. Its address, and how many came.
async fn back_end<F, S>(serve: S) -> (Endpoint, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(usize, TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(counter.fetch_add(1, Ordering::SeqCst), stream));
        }
    });
    (endpoint, connections)
}

fn over_h2c(endpoint: Endpoint) -> Route {
    route(Backend::Pool(Arc::new(Pool::new(Protocol::H2c, [endpoint]))))
}

async fn handshake(stream: TcpStream) -> Connection {
    h2::server::handshake(stream).await.unwrap()
}

/// Takes the requests of a connection as they come.
async fn serve(mut connection: Connection, mut each: impl FnMut(Asked)) {
    while let Some(Ok(asked)) = connection.accept().await {
        each(asked);
    }
}

fn head() -> http::Response<()> {
    http::Response::builder().status(200).body(()).unwrap()
}

/// Answers with the body of the request.
async fn echo((request, mut respond): Asked) {
    let mut stream = request.into_body();
    let mut body = Vec::new();
    while let Some(Ok(piece)) = stream.data().await {
        stream.flow_control().release_capacity(piece.len()).unwrap();
        body.extend_from_slice(&piece);
    }
    if let Ok(mut sending) = respond.send_response(head(), false) {
        let _ = sending.send_data(body.into(), true);
    }
}

/// Waits until something holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}

/// Posts all of them at the same time: statuses and answers.
async fn post_all(proxy: &TestProxy, bodies: &[&'static str]) -> Vec<(u16, String)> {
    let address = proxy.http;
    let post = |body: &'static str| async move {
        let answer = Client::connect(address).await.request("POST", "/", "", body.as_bytes()).await;
        (answer.status, answer.text())
    };
    let posts: JoinSet<_> = bodies.iter().copied().map(post).collect();
    posts.join_all().await
}

/// An answer that nobody takes holds its own stream alone: what has no room waits with the back end.
#[tokio::test]
async fn slow_readers_keep_nobody_from_a_shared_connection() {
    const LARGE: usize = 30_000_000;
    async fn send((request, mut respond): Asked, sent: Arc<AtomicUsize>) {
        let mut sending = respond.send_response(head(), false).unwrap();
        if request.uri().path() != "/large" {
            return sending.send_data("small".into(), true).unwrap();
        }
        let mut left = LARGE;
        while left > 0 {
            sending.reserve_capacity(left.min(100_000));
            let room = std::future::poll_fn(|context| sending.poll_capacity(context)).await;
            let Some(Ok(room)) = room else { return };
            sending.send_data(vec![b'x'; room].into(), room == left).unwrap();
            left -= room;
            sent.fetch_add(room, Ordering::SeqCst);
        }
    }
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let (endpoint, connections) = back_end(move |_, stream| {
        let sent = counter.clone();
        async move {
            let connection = handshake(stream).await;
            serve(connection, |asked| drop(tokio::spawn(send(asked, sent.clone())))).await;
        }
    })
    .await;
    let proxy = start(vec![over_h2c(endpoint)]);
    let mut slow = Vec::new();
    for _ in 0..24 {
        let mut client = Client::connect(proxy.http).await;
        client.send("GET /large HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
        assert_eq!(client.head().await.unwrap().status, 200);
        slow.push(client);
    }
    // Until all that can be on its way is. Were it not, less would be shown.
    loop {
        let before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(500)).await;
        if sent.load(Ordering::SeqCst) == before {
            break;
        }
    }
    assert!(sent.load(Ordering::SeqCst) < 24 * LARGE, "what nobody takes is not held here");
    assert_eq!(get(proxy.http, "/small").await.text(), "small");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// A burst that finds no connection waits for those that are being opened.
#[tokio::test]
async fn a_cold_burst_opens_few_connections() {
    const BURST: usize = 300;
    let (arrived, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
    let (counter, door) = (arrived.clone(), gate.clone());
    let (endpoint, connections) = back_end(move |_, stream| {
        let (arrived, gate) = (counter.clone(), door.clone());
        async move {
            let mut builder = h2::server::Builder::new();
            builder.max_concurrent_streams(100);
            let connection = builder.handshake(stream).await.unwrap();
            serve(connection, |asked| {
                arrived.fetch_add(1, Ordering::SeqCst);
                let gate = gate.clone();
                tokio::spawn(async move {
                    let _pass = gate.acquire().await.unwrap();
                    echo(asked).await;
                });
            })
            .await;
        }
    })
    .await;
    let proxy = start(vec![over_h2c(endpoint)]);
    let address = proxy.http;
    let burst: JoinSet<u16> = (0..BURST).map(|_| async move { get(address, "/").await.status }).collect();
    until("all of them are under way", || arrived.load(Ordering::SeqCst) == BURST).await;
    gate.add_permits(BURST);
    assert_eq!(burst.join_all().await, [200; BURST]);
    let opened = connections.load(Ordering::SeqCst);
    assert!((3..=8).contains(&opened), "{opened} connections for three times what one takes");
}

/// Who waits for a connection hears of it when it cannot be opened.
#[tokio::test]
async fn a_burst_at_a_back_end_that_is_gone_fails_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    drop(listener);
    let proxy = start(vec![over_h2c(endpoint)]);
    let address = proxy.http;
    let burst: JoinSet<u16> = (0..50).map(|_| async move { get(address, "/").await.status }).collect();
    assert!(burst.join_all().await.iter().all(|status| [502, 503].contains(status)));
}

/// Debian's nginx as a back end that closes each connection after a few requests.
#[tokio::test]
async fn no_request_is_lost_when_nginx_closes_its_connections() {
    const NGINX: &str = "/usr/sbin/nginx";
    if !std::path::Path::new(NGINX).exists() {
        eprintln!("skipped: there is no {NGINX}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (socket, at) = (folder.path().join("http.sock"), folder.path().display());
    let text = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr crit; events {{}}\n\
         http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
         fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
         server {{ listen unix:{at}/http.sock http2; keepalive_requests 20; location / {{ return 200 ok; }} }} }}\n"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    let mut nginx = tokio::process::Command::new(NGINX);
    nginx.arg("-c").arg(&file).arg("-p").arg(folder.path()).args(["-e", "stderr"]);
    let _nginx = nginx.kill_on_drop(true).stdout(Stdio::null()).spawn().unwrap();
    let waiting = async {
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("nginx listens");
    let proxy = start(vec![over_h2c(Endpoint::Unix(socket))]);
    let address = proxy.http;
    let clients: JoinSet<Vec<u16>> = (0..8)
        .map(|_| async move {
            let mut client = Client::connect(address).await;
            let mut statuses = Vec::new();
            for _ in 0..100 {
                statuses.push(client.request("POST", "/", "", b"an order").await.status);
            }
            statuses
        })
        .collect();
    let statuses = clients.join_all().await.concat();
    let lost = statuses.iter().filter(|status| **status != 200).count();
    assert_eq!((statuses.len(), lost), (800, 0), "{statuses:?}");
}

/// Neither what a GOAWAY left out nor what was refused was looked at (RFC 9113 sections 6.8 and 8.7), so it is sent again,
/// whatever it is, with its body; what was begun is not.
#[tokio::test]
async fn what_a_back_end_did_not_look_at_is_sent_again() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let (endpoint, _) = back_end(move |number, stream| {
        let seen = log.clone();
        async move {
            let mut connection = handshake(stream).await;
            if number == 0 {
                // The first one is served to its end; who comes meanwhile is refused.
                let Some(Ok((request, first))) = connection.accept().await else { return };
                seen.lock().unwrap().push(number);
                let Some(Ok((_, mut refused))) = connection.accept().await else { return };
                refused.send_reset(Reason::REFUSED_STREAM);
                connection.graceful_shutdown();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    echo((request, first)).await;
                });
                return serve(connection, |(_, mut refused)| refused.send_reset(Reason::REFUSED_STREAM))
                    .await;
            }
            serve(connection, |asked| {
                seen.lock().unwrap().push(number);
                tokio::spawn(echo(asked));
            })
            .await;
        }
    })
    .await;
    let proxy = start(vec![over_h2c(endpoint)]);
    let mut answers = post_all(&proxy, &["an order", "another", "a third", "a fourth"]).await;
    answers.sort();
    let expected = ["a fourth", "a third", "an order", "another"].map(|body| (200, body.to_owned()));
    assert_eq!(answers, expected);
    let seen = seen.lock().unwrap().clone();
    let first = seen.iter().filter(|number| **number == 0).count();
    assert_eq!((first, seen.len()), (1, 4), "each was begun once: {seen:?}");
}

/// A back end that refuses everything is not asked for ever.
#[tokio::test]
async fn a_back_end_that_refuses_everything_gets_an_end() {
    let (endpoint, _) = back_end(|_, stream| async {
        let connection = handshake(stream).await;
        serve(connection, |(_, mut respond)| respond.send_reset(Reason::REFUSED_STREAM)).await;
    })
    .await;
    let proxy = start(vec![over_h2c(endpoint)]);
    assert_eq!(post_all(&proxy, &["an order"]).await[0].0, 502);
}

/// A request that nobody may send twice is not, where the back end had begun it.
#[tokio::test]
async fn what_was_begun_is_not_sent_again() {
    let (endpoint, connections) = back_end(|_, stream| async {
        let mut connection = handshake(stream).await;
        let _begun = connection.accept().await;
    })
    .await;
    let proxy = start(vec![over_h2c(endpoint)]);
    assert_eq!(post_all(&proxy, &["an order"]).await[0].0, 502);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// Connections that can be cut off: what was open then passes nothing any more, though nobody closes it.
async fn black_hole(to: Endpoint) -> (Endpoint, tokio::sync::watch::Sender<bool>, Arc<AtomicUsize>) {
    let (cut, is_cut) = tokio::sync::watch::channel(false);
    let (endpoint, connections) = back_end(move |_, mut near| {
        let (mut is_cut, to) = (is_cut.clone(), to.clone());
        is_cut.mark_unchanged();
        async move {
            let Endpoint::Tcp(address) = to else { panic!() };
            let mut far = TcpStream::connect(address).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = is_cut.changed() => {
                    // The near one is kept, so that nothing tells that it is of no use.
                    drop(far);
                    std::future::pending::<()>().await;
                }
            }
        }
    })
    .await;
    (endpoint, cut, connections)
}

async fn echoing() -> Endpoint {
    let serving =
        |_, stream| async { serve(handshake(stream).await, |asked| drop(tokio::spawn(echo(asked)))).await };
    back_end(serving).await.0
}

/// A connection that answers nothing in time gets no more requests.
#[tokio::test]
async fn after_a_timeout_a_connection_takes_no_new_streams() {
    let (endpoint, cut, connections) = black_hole(echoing().await).await;
    let mut dying = over_h2c(endpoint);
    dying.limits.response_timeout = Duration::from_secs(5);
    let proxy = start(vec![dying]);
    assert_eq!(get(proxy.http, "/").await.status, 200);
    cut.send(true).unwrap();
    assert_eq!(post_all(&proxy, &["an order"]).await[0].0, 504);
    assert_eq!(get(proxy.http, "/").await.status, 200);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

/// A dead connection says nothing about the instance, and checks over it would keep it alive.
#[tokio::test]
async fn checks_open_connections_of_their_own() {
    let (endpoint, cut, connections) = black_hole(echoing().await).await;
    let mut pool = Pool::new(Protocol::H2c, [endpoint]);
    pool.health_check = Some(HealthCheck { interval: Duration::from_millis(50), ..HealthCheck::default() });
    let proxy = start(vec![route(Backend::Pool(Arc::new(pool)))]);
    assert_eq!(get(proxy.http, "/").await.status, 200);
    cut.send(true).unwrap();
    let before = connections.load(Ordering::SeqCst);
    until("checks go on", || connections.load(Ordering::SeqCst) > before + 3).await;
    assert!(!proxy.handle.metrics().contains("hop3_upstream_up{app=\"shop\"} 0"));
}
