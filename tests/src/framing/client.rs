//! Sending a probe, and counting the answers to it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for the proxy to close.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The statuses, in order.
    pub statuses: Vec<u16>,
    /// Whether the last one announced the end of the connection.
    pub announced: bool,
    /// Whether the connection ended.
    pub closed: bool,
}

/// Sends the bytes in pieces of at most `step` and reads until the proxy closes.
///
/// # Panics
/// When the proxy does not accept the connection.
pub async fn exchange(address: SocketAddr, bytes: &[u8], step: usize) -> Answers {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an open socket");
    for piece in bytes.chunks(step.max(1)) {
        // The proxy may already have refused and closed.
        if stream.write_all(piece).await.is_err() {
            break;
        }
        if step < bytes.len() {
            tokio::task::yield_now().await;
        }
    }
    let mut received = Vec::new();
    let closed = timeout(PATIENCE, stream.read_to_end(&mut received)).await.is_ok();
    let mut answers = Answers { closed, ..Answers::default() };
    let text = String::from_utf8_lossy(&received);
    let mut heads = text.split("HTTP/1.1 ");
    heads.next();
    for head in heads {
        answers.statuses.push(head.get(..3).and_then(|status| status.parse().ok()).unwrap_or(0));
        answers.announced = head.to_ascii_lowercase().contains("\r\nconnection: close\r\n");
    }
    answers
}
