//! A connection to an instance: TCP, a Unix socket, or TLS over TCP, as one type, and its halves.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};
use tokio_rustls::client::TlsStream;

use crate::backend::Endpoint;
use crate::http1::source::Source;
use crate::upstream::tls::UpstreamTls;

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
    /// Connects; `http2` says whether HTTP/2 may be offered in the TLS handshake.
    pub async fn connect(endpoint: &Endpoint, tls: Option<&UpstreamTls>, http2: bool) -> io::Result<Self> {
        let stream = match endpoint {
            Endpoint::Tcp(address) => TcpStream::connect(address).await?,
            Endpoint::Named(name) => TcpStream::connect(&**name).await?,
            Endpoint::Unix(path) => return UnixStream::connect(path).await.map(Self::Unix),
        };
        stream.set_nodelay(true)?;
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
