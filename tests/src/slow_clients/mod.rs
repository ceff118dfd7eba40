//! Clients that are as slow as they can be, in each direction, and what the others feel of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// How a client is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slowness {
    /// Sends its head byte by byte.
    Head,
    /// Sends its body byte by byte.
    Body,
    /// Does not read the response.
    Reading,
}

/// Connects from one of 250 loopback addresses, so that no cap per address is met; with small buffers.
///
/// # Panics
/// When the connection fails.
pub async fn connect(address: SocketAddr, number: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let source = Ipv4Addr::new(127, 0, 1, (number % 250) as u8 + 1);
    socket.set_recv_buffer_size(4096).expect("a buffer");
    socket.bind((source, 0).into()).expect("a loopback address");
    socket.connect(address).await.expect("a connection")
}

/// Is slow until the server ends it, at most for `limit`. How long that took; `None` when it did not.
pub async fn be_slow(mut stream: TcpStream, slowness: Slowness, limit: Duration) -> Option<Duration> {
    let started = Instant::now();
    let start: &[u8] = match slowness {
        Slowness::Head => b"GET / HTTP/1.1\r\nHost: shop.test\r\nX: ",
        Slowness::Body => b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100000\r\n\r\n",
        Slowness::Reading => b"GET /large HTTP/1.1\r\nHost: shop.test\r\n\r\n",
    };
    let slow = async {
        stream.write_all(start).await.ok()?;
        loop {
            if slowness == Slowness::Reading {
                sleep(Duration::from_millis(500)).await;
                // One byte at a time; an end or an error is the cut.
                if stream.read_u8().await.is_err() {
                    return Some(started.elapsed());
                }
                if is_closed(&stream) {
                    return Some(started.elapsed());
                }
                continue;
            }
            let mut answer = [0; 512];
            match timeout(Duration::from_millis(500), stream.read(&mut answer)).await {
                Ok(Ok(0) | Err(_)) => return Some(started.elapsed()),
                // Told 408: closed next.
                Ok(Ok(_)) => {}
                Err(_) => {
                    if stream.write_all(b"a").await.is_err() {
                        return Some(started.elapsed());
                    }
                }
            }
        }
    };
    timeout(limit, slow).await.ok().flatten()
}

/// Whether the server has ended the connection, with data still unread.
fn is_closed(stream: &TcpStream) -> bool {
    let ready = stream.ready(tokio::io::Interest::READABLE);
    let mut ready = std::pin::pin!(ready);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match ready.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Ok(ready)) => ready.is_read_closed(),
        std::task::Poll::Ready(Err(_)) => true,
        std::task::Poll::Pending => false,
    }
}

/// Latencies of requests one after the other on a connection, sorted.
///
/// # Panics
/// When one is not answered with 200.
pub async fn latencies(address: SocketAddr, count: usize) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an open socket");
    let mut buffer = vec![0; 4096];
    let mut latencies = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await.expect("a request");
        let read = stream.read(&mut buffer).await.expect("an answer");
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"), "{}", buffer[..read].escape_ascii());
        latencies.push(started.elapsed());
    }
    latencies.sort_unstable();
    latencies
}

/// The value below which this share of the sorted values lies.
///
/// # Panics
/// When there are none.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}
