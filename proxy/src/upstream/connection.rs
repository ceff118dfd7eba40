//! A connection to an instance, over TCP or a Unix socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::backend::Endpoint;
use crate::http1::source::Source;

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

/// Reading half.
#[derive(Debug)]
pub enum UpstreamReader {
    /// TCP.
    Tcp(tcp::OwnedReadHalf),
    /// Unix socket.
    Unix(unix::OwnedReadHalf),
}

/// Writing half.
#[derive(Debug)]
pub enum UpstreamWriter {
    /// TCP.
    Tcp(tcp::OwnedWriteHalf),
    /// Unix socket.
    Unix(unix::OwnedWriteHalf),
}

impl UpstreamConnection {
    /// Connects.
    pub async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        let (reader, writer) = match endpoint {
            Endpoint::Tcp(address) => split_tcp(TcpStream::connect(address).await?)?,
            Endpoint::Named(name) => split_tcp(TcpStream::connect(&**name).await?)?,
            Endpoint::Unix(path) => {
                let (reader, writer) = UnixStream::connect(path).await?.into_split();
                (UpstreamReader::Unix(reader), UpstreamWriter::Unix(writer))
            }
        };
        Ok(Self { source: Source::new(reader), writer, reused: false })
    }

    /// Whether an idle connection is still open and silent, asked of the kernel without waiting.
    pub fn is_fresh(&mut self) -> bool {
        let mut byte = [0];
        let (buffered, reader) = self.source.parts();
        let read = match reader {
            UpstreamReader::Tcp(reader) => reader.try_read(&mut byte),
            UpstreamReader::Unix(reader) => reader.try_read(&mut byte),
        };
        buffered.is_empty() && matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

fn split_tcp(stream: TcpStream) -> io::Result<(UpstreamReader, UpstreamWriter)> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok((UpstreamReader::Tcp(reader), UpstreamWriter::Tcp(writer)))
}

impl AsyncRead for UpstreamReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(reader) => Pin::new(reader).poll_read(context, buffer),
            Self::Unix(reader) => Pin::new(reader).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for UpstreamWriter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(writer) => Pin::new(writer).poll_write(context, bytes),
            Self::Unix(writer) => Pin::new(writer).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(writer) => Pin::new(writer).poll_write_vectored(context, slices),
            Self::Unix(writer) => Pin::new(writer).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(writer) => Pin::new(writer).poll_flush(context),
            Self::Unix(writer) => Pin::new(writer).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(writer) => Pin::new(writer).poll_shutdown(context),
            Self::Unix(writer) => Pin::new(writer).poll_shutdown(context),
        }
    }
}
