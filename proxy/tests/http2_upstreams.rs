//! HTTP/2 towards back ends that end connections, stop answering, or have slow clients.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hop3_proxy::{Backend, Endpoint, HealthCheck, Pool, Protocol, Route};
use support::{Client, PATIENCE, TestProxy, get, route, start};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What a back end does with its connections, by their number.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Asks for no further streams after so many, and serves those that it has.
    GoesAwayAfter(usize),
    /// The first one answers nothing.
    FirstIsDead,
    /// All are well.
    Well,
}

#[derive(Debug)]
struct Server {
    endpoint: Endpoint,
    connections: Arc<AtomicUsize>,
}

async fn server(manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, manner, number));
        }
    });
    Server { endpoint, connections }
}

async fn serve(stream: TcpStream, manner: Manner, number: usize) {
    if number == 0 && matches!(manner, Manner::FirstIsDead) {
        // What comes is taken by the kernel, and nobody reads it.
        std::future::pending::<()>().await;
        drop(stream);
        return;
    }
    let mut builder = h2::server::Builder::new();
    let Ok(mut connection) = builder.max_concurrent_streams(200).handshake(stream).await else { return };
    let mut taken = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        taken += 1;
        if matches!(manner, Manner::GoesAwayAfter(most) if taken == most) {
            connection.graceful_shutdown();
        }
        tokio::spawn(async move {
            let (parts, mut body) = request.into_parts();
            let mut length = 0;
            while let Some(Ok(piece)) = body.data().await {
                length += piece.len();
                let _ = body.flow_control().release_capacity(piece.len());
            }
            if parts.uri.path() == "/slow" {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            let answer = match parts.uri.path() {
                "/large" => Bytes::from(vec![b'x'; 4 << 20]),
                _ => Bytes::from(length.to_string()),
            };
            let Ok(mut sending) = respond.send_response(http::Response::new(()), false) else { return };
            let _ = sending.send_data(answer, true);
        });
    }
}

fn pool(server: &Server) -> Pool {
    Pool::new(Protocol::H2c, [server.endpoint.clone()])
}

fn to(pool: Pool) -> TestProxy {
    start(vec![route(Backend::Pool(Arc::new(pool)))])
}

/// A client says that it wants no more streams: none of them is lost, not even those that must not be sent twice.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_go_away_lose_no_request() {
    let server = server(Manner::GoesAwayAfter(20)).await;
    let proxy = to(pool(&server));
    let mut clients = JoinSet::new();
    for number in 0..8 {
        clients.spawn(async move {
            let mut client = Client::connect(proxy.http).await;
            for round in 0..50 {
                // Streams that take longer keep connections open that take no more.
                let target = if (number + round) % 10 == 0 { "/slow" } else { "/" };
                let answer = client.request("POST", target, "", b"twelve bytes").await;
                assert_eq!((answer.status, answer.text().as_str()), (200, "12"), "{number}, {round}");
            }
        });
    }
    clients.join_all().await;
    assert!(server.connections.load(Ordering::SeqCst) >= 20, "it went away again and again");
}

#[tokio::test]
async fn a_connection_that_does_not_answer_is_given_no_more_streams() {
    let server = server(Manner::FirstIsDead).await;
    let mut route: Route = route(Backend::Pool(Arc::new(pool(&server))));
    route.limits.response_timeout = Duration::from_millis(300);
    let proxy = start(vec![route]);
    assert_eq!(get(proxy.http, "/").await.status, 504);
    assert_eq!(get(proxy.http, "/").await.status, 200);
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

/// Checks do not ask over the connection of requests, which may be dead while the instance is well.
#[tokio::test]
async fn checks_have_connections_of_their_own() {
    let server = server(Manner::Well).await;
    let mut pool = pool(&server);
    pool.health_check = Some(HealthCheck { interval: Duration::from_millis(20), ..HealthCheck::default() });
    let proxy = to(pool);
    assert_eq!(get(proxy.http, "/").await.status, 200);
    let checked = async {
        while server.connections.load(Ordering::SeqCst) < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, checked).await.expect("further connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_at_once_share_few_connections() {
    let server = server(Manner::Well).await;
    let proxy = to(pool(&server));
    let mut clients = JoinSet::new();
    for _ in 0..150 {
        clients.spawn(async move { get(proxy.http, "/slow").await.status });
    }
    assert!(clients.join_all().await.iter().all(|status| *status == 200));
    let connections = server.connections.load(Ordering::SeqCst);
    assert!((1..=8).contains(&connections), "{connections} connections for 150 requests");
}

/// Each stream has its window, and together they have no less.
#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_hold_up_nobody() {
    let server = server(Manner::Well).await;
    let proxy = to(pool(&server));
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut client = Client::connect(proxy.http).await;
        client.send("GET /large HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
        assert_eq!(client.head().await.unwrap().status, 200);
        slow.push(client);
    }
    // Long enough for all of them to fill what they may.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..10 {
        let answer = tokio::time::timeout(PATIENCE, get(proxy.http, "/")).await.expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, "0"));
    }
}
