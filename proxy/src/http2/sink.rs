//! Writing a response to an HTTP/2 stream, as fast as its flow control allows.

use std::io;
use std::time::SystemTime;

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;

use crate::config::ServerLimits;
use crate::date::http_date;
use crate::downstream::ResponseLength;
use crate::headers::{Headers, is_name};
use crate::http1::response::ResponseHead;
use crate::pace::Pace;

/// Most bytes of a body that are read at a time: before the head, when the client's window is not known yet, while the
/// window is open, and while it is closed. As much may wait in each stream, beside what the framing layer holds; with a
/// hundred streams that must stay far below 16 MiB.
const AT_FIRST: usize = 16 * 1024;
const OPEN: usize = 32 * 1024;
const CLOSED: usize = 4 * 1024;

/// Least bytes that are handed over at a time, though the window be smaller: the framing layer divides them without
/// holding a frame for every byte that the client grants.
const LEAST_HANDED_OVER: usize = 4 * 1024;

/// The response side of one stream.
#[derive(Debug)]
pub struct Http2Sink {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    ended: bool,
    head_request: bool,
    /// Bytes still due, when it is known.
    left: Option<u64>,
    /// Whether trailers may follow the body, so that its last piece is not the end of the stream.
    may_trail: bool,
    pace: Pace,
    /// Whether the client was seen to give the stream up.
    pub given_up: bool,
}

impl Http2Sink {
    /// A sink for the answer of this stream.
    pub const fn new(respond: SendResponse<Bytes>, head_request: bool, limits: &ServerLimits) -> Self {
        let pace = Pace::of_response(limits);
        Self {
            respond,
            stream: None,
            ended: false,
            head_request,
            left: None,
            may_trail: true,
            pace,
            given_up: false,
        }
    }

    /// Nothing will follow the body: its last piece ends the stream, if its length is known.
    pub const fn ends_with_body(&mut self) {
        self.may_trail = false;
    }

    /// Tells the client to send its body.
    pub fn send_continue(&mut self) -> io::Result<()> {
        self.send_interim(&ResponseHead::new(100))
    }

    /// Sends an interim response.
    pub fn send_interim(&mut self, head: &ResponseHead) -> io::Result<()> {
        let mut response = http::Response::builder().status(head.status);
        for field in head.headers.iter() {
            response = response.header(&field.name[..], &field.value[..]);
        }
        let response = response.body(()).map_err(io::Error::other)?;
        self.respond.send_informational(response).map_err(io::Error::other)
    }

    /// Sends the head. Without a body it also ends the stream.
    pub fn send_head(&mut self, head: &ResponseHead, length: ResponseLength) -> io::Result<()> {
        let bodiless = self.head_request || head.is_bodiless();
        let mut response = http::Response::builder().status(head.status);
        for field in head.headers.iter() {
            let tells_length = self.head_request || head.status == 304;
            if tells_length || !is_name(&field.name, "content-length") {
                response = response.header(&field.name[..], &field.value[..]);
            }
        }
        if !head.headers.contains("date") {
            response = response.header("date", &http_date(SystemTime::now())[..]);
        }
        if let (ResponseLength::Known(length), false) = (length, bodiless) {
            response = response.header("content-length", length);
            self.left = Some(length);
        }
        let response = response.body(()).map_err(io::Error::other)?;
        self.ended = bodiless || length == ResponseLength::Known(0);
        self.stream = Some(self.respond.send_response(response, self.ended).map_err(io::Error::other)?);
        Ok(())
    }

    /// Most bytes of a body that are to be read now.
    pub fn appetite(&mut self) -> usize {
        let Some(stream) = self.stream.as_mut() else { return AT_FIRST };
        // One byte tells, and takes nothing of the connection's window from other streams.
        stream.reserve_capacity(1);
        if stream.capacity() > 0 { OPEN } else { CLOSED }
    }

    /// Sends a piece of the body, waiting for the client's window. Bytes beyond the announced length are an error.
    pub async fn send_data(&mut self, mut data: Bytes) -> io::Result<()> {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.ended) else { return Ok(()) };
        if self.left.is_some_and(|left| left < data.len() as u64) {
            let error = "the response is longer than announced";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        while !data.is_empty() {
            stream.reserve_capacity(data.len());
            let mut granted = stream.capacity();
            if granted == 0 {
                let capacity = std::future::poll_fn(|context| stream.poll_capacity(context));
                let Some(capacity) = self.pace.wait(capacity).await? else {
                    self.given_up = true;
                    return Err(io::ErrorKind::BrokenPipe.into());
                };
                granted = capacity.map_err(io::Error::other)?;
            }
            let piece = data.split_to(granted.max(LEAST_HANDED_OVER).min(data.len()));
            self.pace.passed(piece.len());
            let left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
            self.left = left;
            self.ended = left == Some(0) && !self.may_trail;
            stream.send_data(piece, self.ended).map_err(io::Error::other)?;
            if self.ended {
                break;
            }
        }
        Ok(())
    }

    /// Ends the stream, with these trailers. A body that is shorter than announced is an error.
    pub fn finish(&mut self, trailers: &Headers) -> io::Result<()> {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.ended) else { return Ok(()) };
        if self.left.is_some_and(|left| left > 0) {
            let error = "the response is shorter than announced";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
        }
        self.ended = true;
        if trailers.is_empty() {
            return stream.send_data(Bytes::new(), true).map_err(io::Error::other);
        }
        let mut fields = http::HeaderMap::with_capacity(trailers.len());
        for field in trailers.iter() {
            let name = http::HeaderName::from_bytes(&field.name).map_err(io::Error::other)?;
            let value = http::HeaderValue::from_bytes(&field.value).map_err(io::Error::other)?;
            fields.append(name, value);
        }
        stream.send_trailers(fields).map_err(io::Error::other)
    }

    /// Waits until the client gives the stream up.
    pub async fn reset(&mut self) {
        // An error means that the connection is gone, and the stream with it.
        let _ = match self.stream.as_mut() {
            Some(stream) => std::future::poll_fn(|context| stream.poll_reset(context)).await,
            None => std::future::poll_fn(|context| self.respond.poll_reset(context)).await,
        };
        self.given_up = true;
    }

    /// Resets the stream, so that the client knows that the answer is incomplete.
    pub fn abort(&mut self) {
        if !self.ended {
            self.ended = true;
            match self.stream.as_mut() {
                Some(stream) => stream.send_reset(h2::Reason::INTERNAL_ERROR),
                None => self.respond.send_reset(h2::Reason::INTERNAL_ERROR),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers one stream with these pieces; what the sink says, and what the client gets: the body, and its trailers.
    async fn answered(
        announced: u64,
        pieces: &[&'static str],
        trailers: Option<&Headers>,
    ) -> (io::Result<()>, Result<(String, Option<http::HeaderMap>), h2::Error>) {
        let (here, there) = tokio::io::duplex(1 << 16);
        let (client, server) = tokio::join!(h2::client::handshake(here), h2::server::handshake(there));
        let ((mut client, connection), mut server) = (client.unwrap(), server.unwrap());
        tokio::spawn(connection);
        let request = http::Request::get("https://shop.test/").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let (_request, respond) = server.accept().await.unwrap().unwrap();
        tokio::spawn(async move { while server.accept().await.is_some() {} });

        let mut sink = Http2Sink::new(respond, false, &ServerLimits::default());
        if trailers.is_none() {
            sink.ends_with_body();
        }
        sink.send_head(&ResponseHead::new(200), ResponseLength::Known(announced)).unwrap();
        let mut sent = Ok(());
        for piece in pieces {
            if sent.is_ok() {
                sent = sink.send_data(Bytes::from_static(piece.as_bytes())).await;
            }
        }
        let sent = sent.and_then(|()| sink.finish(trailers.unwrap_or(&Headers::default())));
        if sent.is_err() {
            sink.abort();
        }
        let got = async {
            let (mut body, mut text) = (response.await?.into_body(), String::new());
            while let Some(piece) = body.data().await {
                text.push_str(&String::from_utf8_lossy(&piece?));
            }
            Ok((text, body.trailers().await?))
        };
        (sent, got.await)
    }

    #[tokio::test]
    async fn an_answer_has_the_announced_length_with_trailers_and_without() {
        let mut trailer = Headers::default();
        trailer.push("x-sum", "1");
        for trailers in [None, Some(&trailer)] {
            let (sent, got) = answered(6, &["abc", "def"], trailers).await;
            sent.unwrap();
            let (body, came) = got.unwrap();
            assert_eq!((body.as_str(), came.is_some()), ("abcdef", trailers.is_some()));
            for (pieces, error) in [
                (&["abc", "defg"][..], io::ErrorKind::InvalidData),
                (&["abcdefg"], io::ErrorKind::InvalidData),
                (&["abc"], io::ErrorKind::UnexpectedEof),
                (&[], io::ErrorKind::UnexpectedEof),
            ] {
                let (sent, got) = answered(6, pieces, trailers).await;
                assert_eq!(sent.unwrap_err().kind(), error, "{pieces:?} {trailers:?}");
                assert!(got.is_err(), "{pieces:?} {trailers:?}: the client has to know");
            }
        }
    }
}
