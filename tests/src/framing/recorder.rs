//! A back end that keeps every byte that reaches it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::framing::Message;
use crate::framing::strict::{Read, read};

/// A back end and what it saw.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// What reached a back end.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The bytes of each connection.
    pub connections: Vec<Vec<u8>>,
    /// The complete requests, in the order in which they became complete.
    pub complete: Vec<Message>,
    /// Why something was no request that a proxy may send.
    pub malformed: Vec<String>,
}

impl Recorder {
    /// Starts one on a port of its own; answers each complete request with 200.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let recorder = Self { address: listener.local_addr().expect("an address"), seen: Arc::default() };
        let shared = recorder.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(shared.clone().record(stream));
            }
        });
        recorder
    }

    /// What it saw so far.
    ///
    /// # Panics
    /// When a recording task panicked.
    pub fn seen(&self) -> Seen {
        self.seen.lock().expect("recorded").clone()
    }

    /// Forgets what it saw, but not its connections.
    ///
    /// # Panics
    /// When a recording task panicked.
    pub fn forget(&self) {
        let mut seen = self.seen.lock().expect("recorded");
        seen.complete.clear();
        seen.malformed.clear();
        seen.connections.iter_mut().for_each(Vec::clear);
    }

    async fn record(self, mut stream: TcpStream) {
        let connection = {
            let mut seen = self.seen.lock().expect("recorded");
            seen.connections.push(Vec::new());
            seen.connections.len() - 1
        };
        let mut buffer = Vec::new();
        loop {
            let before = buffer.len();
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
            self.seen.lock().expect("recorded").connections[connection].extend_from_slice(&buffer[before..]);
            loop {
                match read(&buffer) {
                    Read::Complete(message, length) => {
                        buffer.drain(..length);
                        let head = message.line.starts_with("HEAD ");
                        self.seen.lock().expect("recorded").complete.push(message);
                        let answer: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nrecorded";
                        let length = if head { answer.len() - 8 } else { answer.len() };
                        if stream.write_all(&answer[..length]).await.is_err() {
                            return;
                        }
                    }
                    Read::Incomplete => break,
                    Read::Malformed(why) => {
                        self.seen.lock().expect("recorded").malformed.push(why);
                        return;
                    }
                }
            }
        }
    }
}
