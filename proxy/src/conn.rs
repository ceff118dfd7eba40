//! A client's connection: plain or TLS, as one type, and its halves.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, tcp};
use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;

use crate::budget::Budget;
use crate::http1::target::Scheme;
use crate::http2::resets::Resets;
use crate::tls::client_certificates::ClientCertificate;

/// What the request path needs to know about the connection a request came over.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Address of the peer.
    pub client: SocketAddr,
    /// Our address that it connected to.
    pub server: SocketAddr,
    /// Plain or TLS.
    pub scheme: Scheme,
    /// Server name the TLS client asked for, in lower case.
    pub server_name: Option<Arc<str>>,
    /// The certificate the TLS client has shown.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// Whether the TLS client was asked for one.
    pub asked_for_certificate: bool,
    /// What it may hold of bodies.
    pub budget: Budget,
}

/// A connection that was accepted and, on the TLS listener, finished its handshake.
#[derive(Debug)]
pub enum Conn {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Reading half of a [`Conn`].
#[derive(Debug)]
pub enum ConnReader {
    /// Plain TCP.
    Tcp(tcp::OwnedReadHalf),
    /// TLS over TCP.
    Tls(ReadHalf<TlsStream<TcpStream>>),
}

/// Writing half of a [`Conn`].
#[derive(Debug)]
pub enum ConnWriter {
    /// Plain TCP.
    Tcp(tcp::OwnedWriteHalf),
    /// TLS over TCP.
    Tls(WriteHalf<TlsStream<TcpStream>>),
}

impl Conn {
    /// Splits it, so that both directions can be used at once.
    pub fn into_split(self) -> (ConnReader, ConnWriter) {
        match self {
            Self::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (ConnReader::Tcp(reader), ConnWriter::Tcp(writer))
            }
            Self::Tls(stream) => {
                let (reader, writer) = tokio::io::split(*stream);
                (ConnReader::Tls(reader), ConnWriter::Tls(writer))
            }
        }
    }
}

impl Conn {
    /// Puts the halves together again; `None` when they are of different connections.
    pub fn join(reader: ConnReader, writer: ConnWriter) -> Option<Self> {
        match (reader, writer) {
            (ConnReader::Tcp(reader), ConnWriter::Tcp(writer)) => reader.reunite(writer).ok().map(Self::Tcp),
            (ConnReader::Tls(reader), ConnWriter::Tls(writer)) if reader.is_pair_of(&writer) => {
                Some(Self::Tls(Box::new(reader.unsplit(writer))))
            }
            _ => None,
        }
    }

    /// Ends the connection at once, and what the kernel still holds for a client that does not take it.
    pub fn reset(self) {
        let stream = match &self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        // Where the option cannot be set, the connection is already gone.
        let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    }
}

/// A connection in other hands (HTTP/2's library), whose end may be made a reset, and of which only as much is read as
/// its lender allows. What is written tells the lender which streams were refused without him.
#[derive(Debug)]
pub struct LentConn {
    conn: Option<Conn>,
    lender: Arc<Lender>,
    resets: Resets,
}

/// What the lender of a connection keeps in hand.
#[derive(Debug)]
pub struct Lender {
    reset: AtomicBool,
    /// Bytes that may still be read.
    readable: AtomicUsize,
    /// Streams that ended as malformed since that was asked for.
    malformed: AtomicUsize,
    has_malformed: Notify,
}

impl Default for Lender {
    fn default() -> Self {
        Self {
            reset: AtomicBool::new(false),
            readable: AtomicUsize::new(usize::MAX),
            malformed: AtomicUsize::new(0),
            has_malformed: Notify::new(),
        }
    }
}

impl Lender {
    /// Has the connection reset once it is dropped.
    pub fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    /// Allows about this many bytes to be read from now on. Beyond them reading pends, and wakes nobody.
    pub fn allow(&self, bytes: usize) {
        self.readable.store(bytes, Ordering::Relaxed);
    }

    /// Waits until streams end as malformed; how many did.
    pub async fn malformed(&self) -> usize {
        loop {
            match self.malformed.swap(0, Ordering::Relaxed) {
                0 => self.has_malformed.notified().await,
                malformed => return malformed,
            }
        }
    }

    /// Whether all that was allowed is read.
    pub fn is_used_up(&self) -> bool {
        self.readable.load(Ordering::Relaxed) == 0
    }
}

impl LentConn {
    /// Lends the connection.
    pub fn new(conn: Conn, lender: Arc<Lender>) -> Self {
        Self { conn: Some(conn), lender, resets: Resets::default() }
    }

    /// Looks at the first bytes of these that were written.
    fn look<'b>(&mut self, slices: impl IntoIterator<Item = &'b [u8]>, mut written: usize) {
        let mut malformed = 0;
        for slice in slices {
            let part = written.min(slice.len());
            malformed += self.resets.follow(&slice[..part]);
            written -= part;
        }
        if malformed > 0 {
            self.lender.malformed.fetch_add(malformed, Ordering::Relaxed);
            self.lender.has_malformed.notify_one();
        }
    }

    fn get(&mut self) -> io::Result<Pin<&mut Conn>> {
        self.conn.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for LentConn {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take()
            && self.lender.reset.load(Ordering::Relaxed)
        {
            conn.reset();
        }
    }
}

impl AsyncRead for LentConn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let allowed = self.lender.readable.load(Ordering::Relaxed);
        if allowed == 0 {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = self.get()?.poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        self.lender.allow(allowed.saturating_sub(read));
        polled
    }
}

impl AsyncWrite for LentConn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.get()?.poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &polled {
            self.look([bytes], *written);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.get()?.poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(written)) = &polled {
            self.look(slices.iter().map(|slice| &**slice), *written);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.conn.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get()?.poll_shutdown(context)
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
                    Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    Self::Tcp(stream) => stream.is_write_vectored(),
                    Self::Tls(stream) => stream.is_write_vectored(),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
                    Self::Tls(stream) => Pin::new(stream).poll_flush(context),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
                    Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
                }
            }
        }
    };
}

read_through!(Conn);
read_through!(ConnReader);
write_through!(Conn);
write_through!(ConnWriter);
