//! A client that is slow to take its answer holds no back end that serves one request at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::{Backend, Endpoint, Pool, Protocol};
use support::{Client, PATIENCE, TestProxy, response, route, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// More than sockets' buffers take.
const LARGE: usize = 12 << 20;

/// Bytes that tell their places.
fn content() -> Vec<u8> {
    (0..LARGE).map(|at| (at % 251) as u8 ^ (at >> 16) as u8).collect()
}

/// A server with one process, which writes each answer out before it takes the next connection.
async fn one_at_a_time(connection: &'static str) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let large = response("200 OK", connection, content());
        let small = response("200 OK", connection, "small");
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            let is_large = head[..length].starts_with(b"GET /large ");
            let _ = stream.write_all(if is_large { &large } else { &small }).await;
        }
    });
    Endpoint::Tcp(address)
}

fn buffering(endpoint: Endpoint, most: u64) -> TestProxy {
    let mut pool = Pool::new(Protocol::Http, [endpoint]);
    pool.response_buffering = most;
    start(vec![route(Backend::Pool(Arc::new(pool)))])
}

/// Asks for much and takes only the head of it.
async fn slow_reader(proxy: &TestProxy) -> Client {
    let mut client = Client::connect(proxy.http).await;
    client.send("GET /large HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    assert_eq!(client.head().await.unwrap().status, 200);
    client
}

async fn small(proxy: &TestProxy) -> String {
    Client::connect(proxy.http).await.get("/small").await.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_request_is_served_while_a_client_takes_its_time() {
    let proxy = buffering(one_at_a_time("Connection: close\r\n").await, 16 << 20);
    let mut slow = slow_reader(&proxy).await;
    assert_eq!(tokio::time::timeout(PATIENCE, small(&proxy)).await.expect("in time"), "small");
    while slow.buffer.len() < LARGE {
        let read = tokio::time::timeout(PATIENCE, slow.stream.read_buf(&mut slow.buffer)).await;
        assert_ne!(read.unwrap().unwrap(), 0);
    }
    assert!(std::mem::take(&mut slow.buffer) == content(), "every byte in its place");
    // The client's connection goes on.
    assert_eq!(slow.get("/small").await.text(), "small");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_buffered_than_the_route_allows() {
    let proxy = buffering(one_at_a_time("Connection: close\r\n").await, 0);
    let slow = slow_reader(&proxy).await;
    let waiting = tokio::time::timeout(Duration::from_millis(500), small(&proxy)).await;
    assert!(waiting.is_err(), "the process still waits for the client");
    drop(slow);
    assert_eq!(tokio::time::timeout(PATIENCE, small(&proxy)).await.expect("in time"), "small");
}
