//! A connection to an instance: TCP, a Unix socket, or TLS over TCP, as one type, and its halves.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::backend::Endpoint;
use crate::http1::source::Source;
use crate::upstream::addresses;
use crate::upstream::tls::UpstreamTls;

/// After so much silence the kernel asks whether the other end is there, four times within as much again; bytes that were sent are
/// waited for as long as both together.
const SILENCE: Duration = Duration::from_secs(60);
/// Pauses between two tries to get into the full queue of a Unix socket; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A connection with its read buffer.
#[derive(Debug)]
pub struct UpstreamConnection {
    /// Reading half.
    pub source: Source<UpstreamReader>,
    /// Writing half.
    pub writer: UpstreamWriter,
    /// Whether it served a request before.
    pub reused: bool,
}

/// A connection whole.
#[derive(Debug)]
pub enum UpstreamStream {
    /// TCP.
    Tcp(TcpStream),
    /// Unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Reading half.
#[derive(Debug)]
pub enum UpstreamReader {
    /// TCP.
    Tcp(tcp::OwnedReadHalf),
    /// Unix socket.
    Unix(unix::OwnedReadHalf),
    /// TLS over TCP.
    Tls(ReadHalf<TlsStream<TcpStream>>),
}

/// Writing half.
#[derive(Debug)]
pub enum UpstreamWriter {
    /// TCP.
    Tcp(tcp::OwnedWriteHalf),
    /// Unix socket.
    Unix(unix::OwnedWriteHalf),
    /// TLS over TCP.
    Tls(WriteHalf<TlsStream<TcpStream>>),
}

impl UpstreamStream {
    /// Connects; `http2` says whether HTTP/2 may be offered in the TLS handshake. A Unix socket whose queue is full is
    /// tried again until `limit` is over.
    ///
    /// # Errors
    /// No connection can be made; [`io::ErrorKind::WouldBlock`] where the queue stayed full.
    pub async fn connect(
        endpoint: &Endpoint,
        tls: Option<&UpstreamTls>,
        http2: bool,
        limit: Duration,
    ) -> io::Result<Self> {
        let stream = match endpoint {
            Endpoint::Tcp(address) => TcpStream::connect(address).await?,
            Endpoint::Named(name) => addresses::connect(name).await?,
            Endpoint::Unix(path) => return connect_unix(path, limit).await.map(Self::Unix),
        };
        stream.set_nodelay(true)?;
        notice_death(&stream);
        match tls {
            Some(tls) => tls.connect(endpoint, stream, http2).await.map(|stream| Self::Tls(Box::new(stream))),
            None => Ok(Self::Tcp(stream)),
        }
    }

    /// Whether HTTP/2 was agreed on in the TLS handshake.
    pub fn is_http2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

/// Has the kernel find out when the other end is gone without a word, also while nothing is sent. Without that, a connection
/// with a silent stream would wait for ever.
fn notice_death(stream: &TcpStream) {
    // What cannot be set changes nothing for connections that end as they should.
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, SILENCE);
    let _ = sockopt::set_tcp_keepintvl(stream, SILENCE / 4);
    let _ = sockopt::set_tcp_keepcnt(stream, 4);
    let _ = sockopt::set_tcp_user_timeout(stream, (2 * SILENCE).as_millis() as u32);
}

/// Connects to a socket. One whose queue is full says so at once, where TCP would wait.
async fn connect_unix(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let mut pauses = (0..).map(|exponent| LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.saturating_pow(exponent)));
    let end = Instant::now() + limit;
    loop {
        let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() + pause < end => {
                tokio::time::sleep(pause).await;
            }
            result => return result,
        }
    }
}

impl From<UpstreamStream> for UpstreamConnection {
    fn from(stream: UpstreamStream) -> Self {
        let (reader, writer) = match stream {
            UpstreamStream::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (UpstreamReader::Tcp(reader), UpstreamWriter::Tcp(writer))
            }
            UpstreamStream::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                (UpstreamReader::Unix(reader), UpstreamWriter::Unix(writer))
            }
            UpstreamStream::Tls(stream) => {
                let (reader, writer) = tokio::io::split(*stream);
                (UpstreamReader::Tls(reader), UpstreamWriter::Tls(writer))
            }
        };
        Self { source: Source::new(reader), writer, reused: false }
    }
}

impl UpstreamConnection {
    /// Whether an idle connection is still open and silent, asked without waiting.
    pub fn is_fresh(&mut self) -> bool {
        let mut byte = [0];
        let (buffered, reader) = self.source.parts();
        let read = match reader {
            UpstreamReader::Tcp(reader) => reader.try_read(&mut byte),
            UpstreamReader::Unix(reader) => reader.try_read(&mut byte),
            // Reads over session tickets, which are no application data.
            UpstreamReader::Tls(reader) => {
                let mut context = Context::from_waker(Waker::noop());
                match Pin::new(reader).poll_read(&mut context, &mut ReadBuf::new(&mut byte)) {
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                    Poll::Ready(result) => result.map(|()| 0),
                }
            }
        };
        buffered.is_empty() && matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Passes the calls of `AsyncRead` on to whichever stream it is.
macro_rules! read_through {
    ($type:ident) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
                    Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
                    Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
                }
            }
        }
    };
}

/// Passes the calls of `AsyncWrite` on to whichever stream it is.
macro_rules! write_through {
    ($type:ident) => {
        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
                    Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
                    Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
                    Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
                    Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    Self::Tcp(stream) => stream.is_write_vectored(),
                    Self::Unix(stream) => stream.is_write_vectored(),
                    Self::Tls(stream) => stream.is_write_vectored(),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
                    Self::Unix(stream) => Pin::new(stream).poll_flush(context),
                    Self::Tls(stream) => Pin::new(stream).poll_flush(context),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
                    Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
                    Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
                }
            }
        }
    };
}

read_through!(UpstreamStream);
read_through!(UpstreamReader);
write_through!(UpstreamStream);
write_through!(UpstreamWriter);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let endpoint = Endpoint::Unix(path.clone());
        let socket = tokio::net::UnixSocket::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let listener = socket.listen(1).unwrap();
        let connect = |limit| UpstreamStream::connect(&endpoint, None, false, limit);
        let (mut waiting, short) = (Vec::new(), Duration::from_millis(30));
        let full = loop {
            match connect(short).await {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 100);
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let (connected, _) = tokio::join!(connect(Duration::from_secs(60)), async {
            tokio::time::sleep(short).await;
            listener.accept().await
        });
        assert!(connected.is_ok());
    }
}
