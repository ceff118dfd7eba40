//! The request on its way to an instance: head and body in the protocol's framing, beside the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use h2::SendStream;
use tokio::io::AsyncWriteExt;

use crate::downstream::RequestBody;
use crate::headers::Headers;
use crate::http1::source::BodyError;
use crate::patience::within;
use crate::spool::{Spool, SpoolReader};
use crate::upstream::connection::UpstreamWriter;
use crate::upstream::fastcgi::{MAX_CONTENT, put_stdin};

/// The request body on its way to the back end.
#[derive(Debug)]
pub enum Payload<'p, 'c> {
    /// None.
    Empty,
    /// Already read.
    Spooled(Arc<Spool>),
    /// Passed on as it arrives.
    Streamed(&'p mut RequestBody<'c>),
}

/// How the pieces of a body are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Not at all: this length was announced, and the body has it.
    Plain(u64),
    /// Chunked transfer coding.
    Chunked,
    /// FastCGI records.
    FastCgi,
}

/// An upload under way. Gives the writer back where the connection has one.
pub type Uploading<'u> =
    Pin<Box<dyn Future<Output = (Option<UpstreamWriter>, Result<(), UploadError>)> + Send + 'u>>;

/// Why there is no more of a payload, whoever takes it.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The client did not send it.
    #[error("request body: {0}")]
    Client(BodyError),
    /// What was stored of it cannot be read.
    #[error("cannot read a stored body: {0}")]
    Stored(io::Error),
}

/// Why a body did not arrive.
#[derive(Debug)]
pub enum UploadError {
    /// It is not there to be sent.
    Payload(PayloadError),
    /// The instance did not take it, or there was not as much of it as was announced. It may have answered before.
    Upstream,
    /// The instance took nothing for too long.
    Late,
}

/// Sends head and body over a connection of its own. `limit` bounds each write.
pub async fn send(
    mut writer: UpstreamWriter,
    head: Bytes,
    payload: Payload<'_, '_>,
    framing: Framing,
    limit: Duration,
) -> (Option<UpstreamWriter>, Result<(), UploadError>) {
    let result = send_all(&mut writer, head, payload, framing, limit).await;
    if matches!(result, Err(UploadError::Upstream)) {
        // Nothing more comes: who waits for the rest of a body must learn that it is missing.
        let _ = within(limit, writer.shutdown()).await;
    }
    (Some(writer), result)
}

/// Sends the body of an HTTP/2 request. `limit` bounds each wait for the instance's window.
pub async fn send_stream(
    mut stream: SendStream<Bytes>,
    payload: Payload<'_, '_>,
    limit: Duration,
) -> (Option<UpstreamWriter>, Result<(), UploadError>) {
    let mut pieces = Pieces::of(payload);
    let result = async {
        while let Some(mut piece) = pieces.next().await? {
            while !piece.is_empty() {
                stream.reserve_capacity(piece.len());
                let capacity = std::future::poll_fn(|context| stream.poll_capacity(context));
                let granted = tokio::time::timeout(limit, capacity).await.map_err(|_| UploadError::Late)?;
                let Some(Ok(granted)) = granted else { return Err(UploadError::Upstream) };
                let part = piece.split_to(granted.min(piece.len()));
                stream.send_data(part, false).map_err(|_| UploadError::Upstream)?;
            }
        }
        let trailers = pieces.trailers();
        let sent = if trailers.is_empty() {
            stream.send_data(Bytes::new(), true)
        } else {
            stream.send_trailers(field_map(&trailers))
        };
        sent.map_err(|_| UploadError::Upstream)
    };
    let result = result.await;
    if matches!(result, Err(UploadError::Payload(_) | UploadError::Late)) {
        stream.send_reset(h2::Reason::CANCEL);
    }
    (None, result)
}

/// The pieces of a payload, wherever they come from.
enum Pieces<'p, 'c> {
    Empty,
    Spooled(SpoolReader),
    Streamed(&'p mut RequestBody<'c>),
}

impl<'p, 'c> Pieces<'p, 'c> {
    fn of(payload: Payload<'p, 'c>) -> Self {
        match payload {
            Payload::Empty => Self::Empty,
            Payload::Spooled(spool) => Self::Spooled(spool.reader()),
            Payload::Streamed(body) => Self::Streamed(body),
        }
    }

    /// What may follow the last piece.
    fn trailers(&mut self) -> Headers {
        match self {
            Self::Streamed(body) => body.take_trailers(),
            Self::Empty | Self::Spooled(_) => Headers::default(),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, PayloadError> {
        match self {
            Self::Empty => Ok(None),
            Self::Spooled(reader) => reader.next().await.map_err(PayloadError::Stored),
            Self::Streamed(body) => body.next().await.map_err(PayloadError::Client),
        }
    }
}

impl From<PayloadError> for UploadError {
    fn from(error: PayloadError) -> Self {
        Self::Payload(error)
    }
}

/// Fields as HTTP/2 has them; what cannot be a field there is left out.
fn field_map(headers: &Headers) -> http::HeaderMap {
    let fields = headers.iter().filter_map(|field| {
        let name = http::HeaderName::from_bytes(&field.name).ok()?;
        Some((name, http::HeaderValue::from_bytes(&field.value).ok()?))
    });
    fields.collect()
}

async fn send_all(
    writer: &mut UpstreamWriter,
    head: Bytes,
    payload: Payload<'_, '_>,
    framing: Framing,
    limit: Duration,
) -> Result<(), UploadError> {
    // The head must not wait for a body that may take its time.
    let at_once = matches!(payload, Payload::Streamed(_));
    let mut pieces = Pieces::of(payload);
    let mut pending = head;
    let mut left = if let Framing::Plain(length) = framing { length } else { 0 };
    if at_once {
        write(writer, &mut pending, limit).await?;
    }
    while let Some(mut piece) = pieces.next().await? {
        match framing {
            Framing::Plain(_) => {
                // What is beyond the announced length would be taken for another request.
                left = left.checked_sub(piece.len() as u64).ok_or(UploadError::Upstream)?;
                write(writer, &mut pending.split_off(0).chain(piece), limit).await?;
            }
            Framing::Chunked => {
                let size = Bytes::from(format!("{:x}\r\n", piece.len()));
                let mut framed = pending.split_off(0).chain(size).chain(piece).chain(&b"\r\n"[..]);
                write(writer, &mut framed, limit).await?;
            }
            Framing::FastCgi => {
                while !piece.is_empty() {
                    let content = piece.split_to(piece.len().min(MAX_CONTENT));
                    let mut header = BytesMut::with_capacity(8);
                    put_stdin(&mut header, content.len());
                    write(writer, &mut pending.split_off(0).chain(header).chain(content), limit).await?;
                }
            }
        }
        pending.clear();
    }
    let mut rest = BytesMut::from(&pending[..]);
    match framing {
        Framing::Plain(_) if left > 0 => return Err(UploadError::Upstream),
        Framing::Plain(_) => {}
        Framing::Chunked => {
            rest.extend_from_slice(b"0\r\n");
            for field in pieces.trailers().iter() {
                rest.extend_from_slice(&[&field.name, &b": "[..], &field.value, b"\r\n"].concat());
            }
            rest.extend_from_slice(b"\r\n");
        }
        Framing::FastCgi => put_stdin(&mut rest, 0),
    }
    write(writer, &mut rest, limit).await
}

async fn write(
    writer: &mut UpstreamWriter,
    bytes: &mut impl Buf,
    limit: Duration,
) -> Result<(), UploadError> {
    let written = async {
        writer.write_all_buf(bytes).await?;
        // TLS keeps what it could not send at once.
        writer.flush().await
    };
    match within(limit, written).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(UploadError::Upstream),
        Err(_) => Err(UploadError::Late),
    }
}

/// Writes a head without a body. An instance that closed early may still have answered: the caller reads on.
pub async fn send_head(mut writer: UpstreamWriter, head: &[u8], limit: Duration) -> Option<UpstreamWriter> {
    let written = async {
        writer.write_all(head).await?;
        writer.flush().await
    };
    let sent: io::Result<()> =
        within(limit, written).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    sent.is_ok().then_some(writer)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    use super::*;
    use crate::budget::Budget;
    use crate::spool::OF_REQUEST;
    use crate::upstream::connection::{UpstreamConnection, UpstreamStream};

    /// What arrives of this body when this length was announced, and whether that is taken for all of it.
    async fn sent(body: &'static [u8], announced: u64) -> (Vec<u8>, bool) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let UpstreamConnection { source: _open, writer, .. } = UpstreamStream::Unix(ours).into();
        let mut spool = Spool::new(Budget::of_server(1 << 20), OF_REQUEST);
        spool.append(Bytes::from_static(body)).await.unwrap();
        let payload = Payload::Spooled(Arc::new(spool));
        let framing = Framing::Plain(announced);
        let (writer, result) =
            send(writer, Bytes::from_static(b"head "), payload, framing, Duration::from_secs(60)).await;
        drop(writer);
        let mut arrived = Vec::new();
        theirs.read_to_end(&mut arrived).await.unwrap();
        (arrived, result.is_ok())
    }

    #[tokio::test]
    async fn a_body_that_has_not_the_announced_length_is_an_error() {
        assert_eq!(sent(b"body", 4).await, (b"head body".to_vec(), true));
        assert_eq!(sent(b"body", 5).await, (b"head body".to_vec(), false));
        assert_eq!(sent(b"body", 3).await, (b"".to_vec(), false), "not the beginning of another request");
    }
}
