//! Serving an HTTP/1 connection: one request after the other, until either side wants to stop.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::conn::{Conn, ConnReader, ConnWriter, ConnectionInfo};
use crate::context::Context;
use crate::downstream::{BodyStream, RequestBody, ResponseSink, SinkStream};
use crate::drain::Drain;
use crate::exchange::serve;
use crate::http1::body::BodyDecoder;
use crate::http1::framing::Refusal;
use crate::http1::refused::RefusedRequest;
use crate::http1::request::parse_request;
use crate::http1::sink::Http1Sink;
use crate::http1::source::{HeadError, Source};
use crate::patience::within;
use crate::refusal::refuse;
use crate::request::Request;

/// Most bytes of an unread request body that are read over to keep a connection.
const DRAIN_BYTES: usize = 256 * 1024;
/// Longest time spent on that.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// Longest time spent, and most bytes read over, while the client reads our last words.
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 * 1024 * 1024;
/// Time that the first request of a connection gets to arrive once the shutdown has begun.
const FIRST_REQUEST_TIME: Duration = Duration::from_secs(1);
/// Requests served on one connection.
const MAX_REQUESTS: u32 = 10_000;

/// Serves a connection to its end.
pub async fn serve_connection(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    conn: Conn,
    drain: &mut Drain,
) {
    let (reader, mut writer) = conn.into_split();
    let mut source = Source::new(reader);
    let mut gathered = BytesMut::new();
    for served in 1..=MAX_REQUESTS {
        let after = match next_request(context, connection, &mut source, drain, served == 1).await {
            Next::Request(request) => {
                let mut decoder = BodyDecoder::from(request.body);
                let last = served == MAX_REQUESTS || drain.has_begun();
                // On the heap while it lasts: an idle connection holds no room for it.
                let keep = Box::pin(exchange(
                    context,
                    connection,
                    &request,
                    &mut source,
                    &mut decoder,
                    &mut writer,
                    &mut gathered,
                    last,
                ));
                let mut after = keep.await;
                if after == After::Keep
                    && !decoder.is_done()
                    && !Box::pin(drain_body(&mut source, &mut decoder)).await
                {
                    after = After::Close;
                }
                if after == After::Keep && gathered.is_empty() {
                    // The next request may be far away.
                    gathered = BytesMut::new();
                }
                // A client that asked for the end sends nothing more that would reset the connection.
                if after == After::Close
                    && !request.keep_alive
                    && decoder.is_done()
                    && !source.has_buffered()
                    && gathered.is_empty()
                {
                    return Box::pin(end(source, writer, LINGER_TIME)).await;
                }
                after
            }
            Next::Refused(refused) => {
                let request = refused_request(connection);
                let sink = Http1Sink::new(&mut writer, &mut gathered, &request, &context.config.limits);
                let mut sink = ResponseSink::new(SinkStream::Http1(sink));
                Box::pin(refuse(context, connection, *refused, &mut sink)).await;
                if sink.resets() { After::Reset } else { After::Close }
            }
            Next::End => return Box::pin(end(source, writer, LINGER_TIME)).await,
        };
        match after {
            After::Keep => {}
            After::Close => break,
            After::Reset => return reset(source, writer),
        }
    }
    // What was gathered before an answer was given up is the truth as far as it goes.
    if !gathered.is_empty() {
        let _ = timeout(DRAIN_TIME, writer.write_all_buf(&mut gathered)).await;
    }
    // With room to read into, which connections that do not end need not hold.
    Box::pin(linger(source, writer)).await;
}

/// What becomes of the connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It takes the next one.
    Keep,
    /// It ends, and the client can still read what was written.
    Close,
    /// It ends at once: the client does not read, or is to get nothing more, or would take a part for the whole.
    Reset,
}

/// Serves one request.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one connection, split so that both directions run at once"
)]
async fn exchange(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    request: &Request,
    source: &mut Source<ConnReader>,
    decoder: &mut BodyDecoder,
    writer: &mut ConnWriter,
    gathered: &mut BytesMut,
    last: bool,
) -> After {
    let limits = &context.config.limits;
    let mut body = RequestBody::new(BodyStream::Http1 { source, decoder }, limits);
    let mut sink = ResponseSink::new(SinkStream::Http1(Http1Sink::new(writer, gathered, request, limits)));
    if last {
        sink.close_after();
    }
    serve(context, connection, request, &mut body, &mut sink).await;
    match (sink.resets(), sink.keeps_alive()) {
        (true, _) => After::Reset,
        (false, true) => After::Keep,
        (false, false) => After::Close,
    }
}

enum Next {
    Request(Box<Request>),
    /// Malformed.
    Refused(Box<RefusedRequest>),
    /// Nothing more will come, or nothing that deserves an answer.
    End,
}

/// Waits for the next request and reads its head. The deadline for the head starts with its first byte, for the first
/// request with the connection.
async fn next_request(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    source: &mut Source<ConnReader>,
    drain: &mut Drain,
    first: bool,
) -> Next {
    let limits = &context.config.limits;
    let accepted = Instant::now();
    if !source.has_buffered() {
        let patience = if first { limits.head_timeout } else { limits.keep_alive_timeout };
        let more = tokio::select! {
            biased;
            more = timeout(patience, source.wait_idle()) => matches!(more, Ok(Ok(true))),
            () = draining(drain, first) => false,
        };
        if !more {
            return Next::End;
        }
    }
    let deadline = if first { accepted } else { Instant::now() } + limits.head_timeout;
    let head = timeout_at(deadline, source.head(limits.max_head)).await;
    let refused = match head {
        Ok(Ok(head)) => match parse_request(head.clone(), connection.scheme, limits.max_fields) {
            Ok(request) => return Next::Request(Box::new(request)),
            Err(refusal) => RefusedRequest::whole(refusal, head, limits.max_fields),
        },
        Ok(Err(HeadError::Closed | HeadError::Io(_))) => return Next::End,
        Ok(Err(HeadError::Field(error))) => {
            let came = source.parts().0.split().freeze();
            RefusedRequest::legible(Refusal::Field(error), came, limits.max_fields)
        }
        Ok(Err(HeadError::TooLarge)) => RefusedRequest::part(Refusal::HeadTooLarge, source.parts().0),
        Err(_) => RefusedRequest::part(Refusal::HeadTimeout, source.parts().0),
    };
    Next::Refused(Box::new(refused))
}

/// Ends when the connection is to be given up for the shutdown: between two requests as soon as the shutdown says, a
/// little later before the first, which is already on its way when somebody connects.
async fn draining(drain: &mut Drain, first: bool) {
    let patience = drain.begun().await;
    tokio::time::sleep(if first { patience.max(FIRST_REQUEST_TIME) } else { patience }).await;
}

/// Stands for a request that could not be read, so that the answer has something to answer to.
fn refused_request(connection: &ConnectionInfo) -> Request {
    Request {
        version: crate::request::Version::Http11,
        scheme: connection.scheme,
        method: Default::default(),
        target: Default::default(),
        path_and_query: Default::default(),
        authority: Default::default(),
        host: "".into(),
        headers: Default::default(),
        body: crate::http1::framing::BodyLength::Empty,
        keep_alive: false,
        expects_continue: false,
        websocket: false,
    }
}

/// Reads over what is left of a request body; whether it ended within the bounds.
async fn drain_body(source: &mut Source<ConnReader>, decoder: &mut BodyDecoder) -> bool {
    if decoder.is_done() {
        return true;
    }
    let read_over = async {
        let mut read = 0;
        loop {
            match source.body(decoder).await {
                Ok(Some(piece)) => read += piece.len(),
                Ok(None) => return true,
                Err(_) => return false,
            }
            if read > DRAIN_BYTES {
                return false;
            }
        }
    };
    timeout(DRAIN_TIME, read_over).await.unwrap_or(false)
}

/// Closes a connection on which nothing is left to say. A client that does not take even that within `limit`, because
/// what was said before still fills its window, is cut off.
async fn end(source: Source<ConnReader>, mut writer: ConnWriter, limit: Duration) {
    if within(limit, writer.shutdown()).await.is_err() {
        reset(source, writer);
    }
}

/// Ends the connection at once.
fn reset(source: Source<ConnReader>, writer: ConnWriter) {
    if let Some(conn) = Conn::join(source.into_inner(), writer) {
        conn.reset();
    }
}

/// Closes so that the client can still read our answer: closing with unread input would reset the connection and take
/// the answer with it (RFC 9112 section 9.6).
async fn linger(mut source: Source<ConnReader>, mut writer: ConnWriter) {
    let until = Instant::now() + LINGER_TIME;
    match timeout_at(until, writer.shutdown()).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return,
        Err(_) => return reset(source, writer),
    }
    let read_over = async {
        let (_, reader) = source.parts();
        let mut scratch = [0; 4096];
        let mut read = 0;
        while read < LINGER_BYTES {
            match reader.read(&mut scratch).await? {
                0 => break,
                count => read += count,
            }
        }
        Ok::<(), std::io::Error>(())
    };
    let _ = timeout_at(until, read_over).await;
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
