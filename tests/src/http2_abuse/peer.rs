//! A client that speaks frames: TLS, the preface, then whatever a test writes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::KeyProof;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http2_abuse::frame::{Frame, Kind, flags};
use crate::http2_abuse::hpack;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One connection.
#[derive(Debug)]
pub struct Peer {
    reader: ReadHalf<TlsStream<TcpStream>>,
    writer: WriteHalf<TlsStream<TcpStream>>,
    buffer: Vec<u8>,
}

/// What came of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Statuses, interim ones too.
    pub statuses: Vec<u16>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether it ended as it should.
    pub ended: bool,
    /// Whether a header block followed the body.
    pub trailers: bool,
    /// The code of its reset.
    pub reset: Option<u32>,
    /// The code of a GOAWAY that came meanwhile.
    pub goaway: Option<u32>,
    /// Whether the connection ended.
    pub closed: bool,
}

/// A TLS connection whose certificate is not looked at, with these protocols offered.
///
/// # Errors
/// The connection or the handshake failed.
pub async fn tls(address: SocketAddr, name: &str, protocols: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(KeyProof(provider)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

impl Peer {
    /// Connects, agrees on HTTP/2 and sends preface and settings: no dynamic table, so that [`hpack::status`] can read
    /// the answers.
    ///
    /// # Panics
    /// When the server does not take part.
    pub async fn connect(address: SocketAddr, name: &str) -> Self {
        let mut peer = Self::without_preface(address, name).await;
        let mut hello = PREFACE.to_vec();
        Frame::settings(&[(1, 0), (2, 0)]).write(&mut hello);
        peer.send_bytes(&hello).await.expect("the preface is taken");
        peer
    }

    /// Connects and agrees on HTTP/2, without a word after that.
    ///
    /// # Panics
    /// When the server does not take part.
    pub async fn without_preface(address: SocketAddr, name: &str) -> Self {
        let stream = tls(address, name, &[b"h2"]).await.expect("a TLS connection");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 is agreed on");
        let (reader, writer) = tokio::io::split(stream);
        Self { reader, writer, buffer: Vec::new() }
    }

    /// Sends frames in one write.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut bytes));
        self.send_bytes(&bytes).await
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.writer.flush().await
    }

    /// Sends what `more` makes, again and again until it makes nothing, and reads over whatever comes meanwhile.
    ///
    /// # Errors
    /// The connection ended.
    pub async fn pour(&mut self, mut more: impl FnMut() -> Vec<Frame>) -> io::Result<()> {
        let Self { reader, writer, .. } = self;
        let writing = async {
            let mut bytes = Vec::new();
            loop {
                bytes.clear();
                more().iter().for_each(|frame| frame.write(&mut bytes));
                if bytes.is_empty() {
                    return std::future::pending().await;
                }
                writer.write_all(&bytes).await?;
                writer.flush().await?;
            }
        };
        let reading = async {
            let mut scratch = vec![0; 16 * 1024];
            while reader.read(&mut scratch).await? > 0 {}
            Err(io::ErrorKind::UnexpectedEof.into())
        };
        tokio::select! {
            ended = writing => ended,
            ended = reading => ended,
        }
    }

    /// The next frame; `None` when the connection ended.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer) {
                return Some(frame);
            }
            if self.reader.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next frame within a time limit, `Err` beyond it. Settings and pings are acknowledged on the way.
    ///
    /// # Errors
    /// Nothing came.
    pub async fn polite_frame(&mut self, limit: Duration) -> Result<Option<Frame>, ()> {
        let frame = timeout(limit, self.frame()).await.map_err(drop)?;
        if let Some(frame) = &frame
            && (frame.is(Kind::Settings) || frame.is(Kind::Ping))
            && !frame.has(flags::ACK)
        {
            let payload = if frame.is(Kind::Ping) { frame.payload.clone() } else { Vec::new() };
            // A connection that is gone is found out by the next read.
            let _ = self.send(&[Frame { flags: flags::ACK, payload, ..frame.clone() }]).await;
        }
        Ok(frame)
    }

    /// Reads until the stream ends, is reset, or the connection ends; at most for the time limit. Credit for what
    /// arrives is given back.
    pub async fn reply(&mut self, stream: u32, limit: Duration) -> Reply {
        let mut reply = Reply::default();
        let reading = async {
            while !reply.ended && reply.reset.is_none() {
                let Ok(frame) = self.polite_frame(limit).await else { return };
                let Some(frame) = frame else {
                    reply.closed = true;
                    return;
                };
                if frame.is(Kind::GoAway) {
                    reply.goaway = Some(frame.number(4));
                } else if frame.stream == stream {
                    reply.take(&frame);
                    if frame.is(Kind::Data) && !frame.payload.is_empty() {
                        let length = frame.payload.len() as u32;
                        let _ = self.send(&[Frame::window(0, length), Frame::window(stream, length)]).await;
                    }
                }
            }
        };
        let _ = timeout(limit, reading).await;
        reply
    }

    /// A GET on a stream and its reply.
    pub async fn get(&mut self, stream: u32, path: &str, limit: Duration) -> Reply {
        let block = hpack::literals(get(path));
        if self.send(&[Frame::headers(stream, true, block)]).await.is_err() {
            return Reply { closed: true, ..Reply::default() };
        }
        self.reply(stream, limit).await
    }

    /// Whether the server closes within the time limit; the code of its GOAWAY.
    pub async fn closes(&mut self, limit: Duration) -> (bool, Option<u32>) {
        let mut code = None;
        let reading = async {
            while let Some(frame) = self.frame().await {
                if frame.is(Kind::GoAway) {
                    code = Some(frame.number(4));
                }
            }
        };
        let closed = timeout(limit, reading).await.is_ok();
        (closed, code)
    }
}

/// The fields of a GET for `shop.test`.
pub fn get(path: &str) -> [(&str, &str); 4] {
    [(":method", "GET"), (":scheme", "https"), (":authority", "shop.test"), (":path", path)]
}

impl Reply {
    fn take(&mut self, frame: &Frame) {
        if frame.is(Kind::Headers) {
            match hpack::status(&frame.payload) {
                Some(status) => self.statuses.push(status),
                None => self.trailers = true,
            }
        } else if frame.is(Kind::Data) {
            self.body.extend_from_slice(&frame.payload);
        } else if frame.is(Kind::RstStream) {
            self.reset = Some(frame.number(0));
            return;
        } else {
            return;
        }
        self.ended |= frame.has(flags::END_STREAM);
    }

    /// The final status.
    pub fn status(&self) -> Option<u16> {
        self.statuses.last().copied().filter(|status| *status >= 200)
    }
}
