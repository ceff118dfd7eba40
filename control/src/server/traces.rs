//! Spans to a collector: OTLP over HTTP or HTTPS with JSON (opentelemetry.io/docs/specs/otlp), in batches, never in anybody's way.
//!
//! A full queue and a collector that stays away drop spans, count them and say so in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hop3_proxy::{AccessRecord, TraceSpan};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::conversation;
use crate::settings::TraceSettings;

/// Spans that wait for the collector.
const QUEUE: usize = 4096;
/// Most spans of one export.
const BATCH: usize = 512;
/// How long a span may wait for others.
const LINGER: Duration = Duration::from_secs(1);
/// Largest answer that is read.
const LARGEST: usize = 1 << 20;
/// Time for one export.
const LIMIT: Duration = Duration::from_secs(10);
/// How often a batch is sent before it is dropped; the waits between double, beginning with [`RETRY`].
const ATTEMPTS: u32 = 5;
const RETRY: Duration = Duration::from_millis(500);
/// Between complaints.
const COMPLAINT: Duration = Duration::from_secs(60);

/// The queue's sending end. The exporter ends when it is dropped, after a last export.
#[derive(Debug)]
pub struct TraceExport {
    queue: mpsc::Sender<Value>,
    dropped: Arc<AtomicU64>,
}

impl TraceExport {
    /// Begins to export; the task ends some time after the queue does.
    pub fn start(settings: TraceSettings) -> (TraceExport, JoinHandle<()>) {
        let (queue, received) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let exporter = Exporter { settings, dropped: dropped.clone(), told: None };
        (TraceExport { queue, dropped }, tokio::spawn(exporter.run(received)))
    }

    /// Queues the span of a request, if it has one. Never waits.
    pub fn add(&self, record: &AccessRecord) {
        if let Some(trace) = &record.trace
            && self.queue.try_send(span(record, trace)).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Exporter {
    settings: TraceSettings,
    dropped: Arc<AtomicU64>,
    told: Option<tokio::time::Instant>,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("it does not answer in time")]
    Late,
    #[error("{0}")]
    Connection(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    #[error("it answers {0}")]
    Status(StatusCode),
}

impl ExportError {
    /// Whether the same export may succeed later (OTLP/HTTP, "Retryable Response Codes").
    fn passes(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            // A certificate that is not believed is no better half a second later.
            Self::Connection(error) => error.kind() != std::io::ErrorKind::InvalidData,
            Self::Request(_) => false,
            _ => true,
        }
    }
}

impl Exporter {
    async fn run(mut self, mut queue: mpsc::Receiver<Value>) {
        let mut spans = Vec::with_capacity(BATCH);
        while let Some(first) = queue.recv().await {
            spans.push(first);
            let gathering = async {
                while spans.len() < BATCH {
                    let Some(span) = queue.recv().await else { return };
                    spans.push(span);
                }
            };
            // Time over: the others go with the next export.
            let _full = tokio::time::timeout(LINGER, gathering).await;
            let count = spans.len() as u64;
            let batch = Bytes::from(self.document(std::mem::take(&mut spans)).to_string());
            let last = if queue.is_closed() { 1 } else { ATTEMPTS };
            if let Err(error) = self.deliver(batch, last).await {
                let dropped = self.dropped.fetch_add(count, Ordering::Relaxed) + count;
                self.complain(&error, dropped);
            }
        }
    }

    async fn deliver(&self, batch: Bytes, attempts: u32) -> Result<(), ExportError> {
        let mut wait = RETRY;
        for attempt in 1.. {
            let outcome = tokio::time::timeout(LIMIT, self.export(batch.clone())).await;
            match outcome.unwrap_or(Err(ExportError::Late)) {
                Err(error) if error.passes() && attempt < attempts => {}
                outcome => return outcome,
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Ok(())
    }

    async fn export(&self, batch: Bytes) -> Result<(), ExportError> {
        let TraceSettings { collector, tls, .. } = &self.settings;
        let stream = TcpStream::connect(collector.to_string()).await?;
        match tls {
            None => self.post(stream, batch).await,
            Some(tls) => self.post(tls.connect(collector, stream, false).await?, batch).await,
        }
    }

    async fn post<S>(&self, stream: S, batch: Bytes) -> Result<(), ExportError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let TraceSettings { collector, path, headers, .. } = &self.settings;
        let mut request =
            Request::post(path).header(HOST, collector.to_string()).header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = conversation::ask(stream, request.body(Full::new(batch))?).await?;
        let status = answer.status();
        // What it says beside the status is of no use here; a collector may want to see it taken.
        let _rest = answer.whole(LARGEST).await;
        if status.is_success() { Ok(()) } else { Err(ExportError::Status(status)) }
    }

    fn complain(&mut self, error: &ExportError, dropped: u64) {
        let now = tokio::time::Instant::now();
        if self.told.is_none_or(|told| now - told >= COMPLAINT) {
            self.told = Some(now);
            tracing::warn!(collector = %self.settings.collector, %error, dropped, "spans cannot be exported");
        }
    }

    fn document(&self, spans: Vec<Value>) -> Value {
        json!({"resourceSpans": [{
            "resource": {"attributes": [
                attribute("service.name", &self.settings.service),
                attribute("service.version", env!("CARGO_PKG_VERSION")),
            ]},
            "scopeSpans": [{"scope": {"name": "hop3", "version": env!("CARGO_PKG_VERSION")}, "spans": spans}],
        }]})
    }
}

/// A server span with the attributes of the semantic conventions for HTTP.
fn span(record: &AccessRecord, trace: &TraceSpan) -> Value {
    let nanoseconds =
        |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
    let method = if known.contains(&&record.method[..]) { &record.method } else { "_OTHER" };
    let name = if method == "_OTHER" { "HTTP" } else { method };
    // The query may hold secrets.
    let path = record.target.split('?').next().unwrap_or_default();
    let version = record.protocol.strip_prefix("HTTP/").unwrap_or_default();
    let mut attributes = vec![
        attribute("http.request.method", method),
        attribute("url.path", path),
        attribute("server.address", &record.host),
        attribute("client.address", &record.client.to_string()),
        attribute(
            "network.protocol.version",
            version.strip_suffix(".0").filter(|_| version == "2.0").unwrap_or(version),
        ),
        attribute("hop3.app", &record.app),
        attribute("hop3.request_id", &record.id),
        number("http.response.status_code", u64::from(record.status)),
        number("http.request.body.size", record.received),
        number("http.response.body.size", record.sent),
    ];
    if let Some(agent) = &record.user_agent {
        attributes.push(attribute("user_agent.original", agent));
    }
    let mut status = json!({});
    if failed(record) {
        attributes.push(attribute("error.type", &record.status.to_string()));
        status = json!({"code": 2, "message": record.note.as_deref().unwrap_or_default()});
    }
    let mut span = json!({
        "traceId": format!("{:032x}", trace.trace),
        "spanId": format!("{:016x}", trace.span),
        "name": name,
        "kind": 2,
        "startTimeUnixNano": nanoseconds(record.time),
        "endTimeUnixNano": nanoseconds(record.time + record.duration),
        "attributes": attributes,
        "status": status,
    });
    if let Some(parent) = trace.parent {
        span["parentSpanId"] = json!(format!("{parent:016x}"));
    }
    span
}

/// Whether the server is to blame: what a client did wrong is no error of its span (semantic conventions for HTTP).
fn failed(record: &AccessRecord) -> bool {
    // An answer that broke off has the status of its head.
    let broken = |note: &String| !note.starts_with("client:");
    record.status >= 500 || (record.status < 400 && record.note.as_ref().is_some_and(broken))
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// 64-bit integers are strings in protobuf's JSON.
fn number(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}
