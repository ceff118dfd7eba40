//! The admin listener: `/metrics`, `/healthz`, `/readyz` over plain HTTP, for loopback only.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::context::Context;
use crate::drain::Drain;
use crate::http1::request::parse_request;
use crate::http1::source::Source;
use crate::http1::target::Scheme;

/// Scrapes served at a time.
const MAX_CONNECTIONS: usize = 32;
/// Time for a whole exchange.
const LIMIT: Duration = Duration::from_secs(10);

/// Serves one request per connection until `stop` begins; ends when those under way are answered.
pub(crate) async fn serve(listener: TcpListener, context: Arc<Context>, mut stop: Drain) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let stream = tokio::select! {
            _ = stop.begun() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        while connections.try_join_next().is_some() {}
        let context = context.clone();
        connections.spawn(async move {
            let _ = timeout(LIMIT, answer(stream, &context)).await;
            drop(permit);
        });
    }
    // Whoever has asked gets the answer; new ones are not for us any more.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn answer(stream: TcpStream, context: &Context) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut source = Source::new(reader);
    let (status, kind, body) = match source.head(16 * 1024).await {
        Ok(head) => respond(head, context),
        Err(_) => ("400 Bad Request", "text/plain", "malformed request\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let mut response = BytesMut::from(head.as_bytes());
    response.extend_from_slice(body.as_bytes());
    writer.write_all_buf(&mut response).await?;
    writer.shutdown().await
}

fn respond(head: Bytes, context: &Context) -> (&'static str, &'static str, String) {
    let Ok(request) = parse_request(head, Scheme::Http, 64) else {
        return ("400 Bad Request", "text/plain", "malformed request\n".to_owned());
    };
    if &request.method[..] != b"GET" {
        return ("405 Method Not Allowed", "text/plain", "only GET\n".to_owned());
    }
    match request.path_and_query.split(|byte| *byte == b'?').next().unwrap_or_default() {
        b"/metrics" => ("200 OK", "text/plain; version=0.0.4; charset=utf-8", context.scrape()),
        b"/healthz" => ("200 OK", "text/plain", "ok\n".to_owned()),
        b"/readyz" if context.ready.load(Ordering::Acquire) => ("200 OK", "text/plain", "ready\n".to_owned()),
        b"/readyz" => ("503 Service Unavailable", "text/plain", "not ready\n".to_owned()),
        _ => ("404 Not Found", "text/plain", "not found\n".to_owned()),
    }
}
