//! One HTTP/1.1 request and its answer, over a connection of its own that somebody else opened. What is asked, and of
//! whom, is its callers' to know; so is how long it may take.

use bytes::Bytes;
use http::response::Parts;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

/// Why an answer could not be read to its end.
pub type ReadError = Box<dyn std::error::Error + Send + Sync>;

/// An answer whose body is still to be read. The connection ends with it.
#[derive(Debug)]
pub struct Answer {
    parts: Parts,
    body: Incoming,
    /// Ends when dropped.
    _connection: JoinSet<hyper::Result<()>>,
}

/// Sends `request`, whose target is a path and which names its host, and waits for the head of the answer.
///
/// # Errors
/// The connection breaks, or what comes is no answer.
pub async fn ask<S, B>(stream: S, request: Request<B>) -> hyper::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data: Send, Error: Into<ReadError>> + Send + 'static,
{
    let (mut sender, conversation) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = JoinSet::new();
    connection.spawn(conversation);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    Ok(Answer { parts, body, _connection: connection })
}

impl Answer {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.parts.status
    }

    /// The next piece of the body; `None` at the end.
    ///
    /// # Errors
    /// The connection breaks.
    pub async fn piece(&mut self) -> hyper::Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await.transpose()? {
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// All of the body, of at most this many bytes.
    ///
    /// # Errors
    /// The connection breaks, or there is more.
    pub async fn whole(self, most: usize) -> Result<(Parts, Bytes), ReadError> {
        let body = Limited::new(self.body, most).collect().await?.to_bytes();
        Ok((self.parts, body))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// The answer to a request, of these bytes.
    async fn answered(bytes: &'static str) -> hyper::Result<Answer> {
        let (here, mut there) = duplex(4096);
        tokio::spawn(async move {
            let mut request = [0; 4096];
            let length = there.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /x HTTP/1.1\r\nhost: a\r\n"));
            there.write_all(bytes.as_bytes()).await.unwrap();
        });
        ask(here, Request::get("/x").header("host", "a").body(Empty::<Bytes>::new()).unwrap()).await
    }

    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";

    #[tokio::test]
    async fn an_answer_is_read_in_pieces_or_whole_and_not_beyond_its_bound() {
        let mut answer = answered(CHUNKED).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let mut all = Vec::new();
        while let Some(piece) = answer.piece().await.unwrap() {
            all.extend_from_slice(&piece);
        }
        assert_eq!(all, b"abcde");
        let (parts, body) = answered(CHUNKED).await.unwrap().whole(5).await.unwrap();
        assert_eq!((&parts.headers["x"], &body[..]), (&"y".parse().unwrap(), &b"abcde"[..]));
        assert!(answered(CHUNKED).await.unwrap().whole(4).await.is_err());
        assert!(
            answered("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx").await.unwrap().whole(9).await.is_err()
        );
        assert!(answered("nonsense\r\n\r\n").await.is_err());
    }
}
