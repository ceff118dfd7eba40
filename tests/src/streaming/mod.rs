//! Back ends that are scripted byte by byte, and clients that read as little as they want: for tests of what passes
//! through while it is still under way.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longest wait for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Beyond this nothing is a request head.
const LONGEST_HEAD: usize = 256 * 1024;

/// Starts a back end that handles each connection by this script.
///
/// # Panics
/// When no port can be had.
pub async fn back_end<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let script = script(stream);
            // A script ends with its connection, however that ends.
            tokio::spawn(async move { drop(script.await) });
        }
    });
    address
}

/// The requests without a body that come over a connection to a back end.
#[derive(Debug)]
pub struct Requests {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Requests {
    /// Those of this connection.
    pub const fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next head; `None` when no more will come.
    ///
    /// # Errors
    /// The connection is broken, or what comes is no head.
    pub async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Sends a part of an answer.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn answer(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Reads whatever still comes, to the end.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn read_over(mut self) -> io::Result<()> {
        tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await.map(drop)
    }
}

/// Reads until the text has come; everything read so far, without what other calls read before.
///
/// # Panics
/// When it does not come in time.
pub async fn read_until<R: AsyncRead + Unpin>(reader: &mut R, text: &str) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !read.windows(text.len()).any(|window| window == text.as_bytes()) {
            let mut byte = [0];
            if reader.read(&mut byte).await.unwrap_or(0) == 0 {
                break;
            }
            read.push(byte[0]);
        }
    };
    let in_time = timeout(PATIENCE, reading).await.is_ok();
    let read = String::from_utf8_lossy(&read).into_owned();
    assert!(in_time && read.contains(text), "`{text}` did not come: {read:?}");
    read
}

/// Reads a request head.
pub async fn read_head<R: AsyncRead + Unpin>(reader: &mut R) -> String {
    read_until(reader, "\r\n\r\n").await
}
