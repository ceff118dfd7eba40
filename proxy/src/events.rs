//! What happened, handed to the caller through a bounded queue: one access record per request, one audit record
//! per request in which a firewall rule spoke. A full queue drops and counts; it never makes a request wait.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use hop3_waf::LogContext;
use tokio::sync::mpsc;

use crate::firewall::{AppliedAction, RuleMatch};
use crate::metrics::Metrics;
use crate::trace_context::TraceSpan;

/// One event.
#[derive(Clone, Debug)]
pub enum Event {
    /// A request was answered or given up.
    Access(Box<AccessRecord>),
    /// The firewall had something to say about a request.
    Audit(Box<AuditRecord>),
}

/// One line of the access log.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// The transaction id; also in `X-Request-Id` and in the audit record.
    pub id: String,
    /// When the head was complete.
    pub time: SystemTime,
    /// The app, or `unrouted`.
    pub app: Arc<str>,
    /// Client address, after trusted proxies.
    pub client: IpAddr,
    /// Method, with odd bytes escaped.
    pub method: String,
    /// Host in lower case, possibly empty.
    pub host: Arc<str>,
    /// Request target, with odd bytes escaped.
    pub target: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'static str,
    /// Status sent; 499 when the client left before one was sent.
    pub status: u16,
    /// Body bytes received.
    pub received: u64,
    /// Body bytes sent.
    pub sent: u64,
    /// From the complete head to the end.
    pub duration: Duration,
    /// Until the back end's answer was complete; none when it was not asked.
    pub upstream: Option<Duration>,
    /// `User-Agent`, with odd bytes escaped.
    pub user_agent: Option<String>,
    /// `Referer`, with odd bytes escaped.
    pub referer: Option<String>,
    /// Why the proxy itself answered or gave up.
    pub note: Option<String>,
    /// The proxy's part of the trace, when it is sampled and traces are exported.
    pub trace: Option<TraceSpan>,
}

/// What the firewall found in one request.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// The transaction id.
    pub id: String,
    /// When the head was complete.
    pub time: SystemTime,
    /// The app.
    pub app: Arc<str>,
    /// Client address, after trusted proxies.
    pub client: IpAddr,
    /// Method, with odd bytes escaped.
    pub method: String,
    /// Host in lower case.
    pub host: Arc<str>,
    /// Request target, bounded, secrets masked, with odd bytes escaped.
    pub target: String,
    /// Header lines of the request in order, bounded, secrets masked.
    pub headers: Vec<(String, String)>,
    /// Status of the answer.
    pub status: u16,
    /// What was done about it.
    pub action: AppliedAction,
    /// Why, in one line; none when nothing was interrupted.
    pub reason: Option<String>,
    /// What log lines say about the transaction.
    pub context: LogContext,
    /// The rules that matched and are to be logged, in order.
    pub matches: Vec<RuleMatch>,
}

impl AuditRecord {
    /// One line per match in the form of ModSecurity's error log.
    pub fn log_lines(&self) -> impl Iterator<Item = String> {
        self.matches.iter().map(|found| found.log_line(&self.context))
    }
}

/// The queue's sending end.
#[derive(Clone, Debug)]
pub struct EventSender {
    queue: Option<mpsc::Sender<Event>>,
    access: Arc<AtomicBool>,
}

impl EventSender {
    /// A queue of this many events and its receiving end.
    pub fn bounded(capacity: usize) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Self { queue: Some(sender), access: Arc::new(AtomicBool::new(true)) }, receiver)
    }

    /// Whether access records are wanted; may change at any time. While they are not, they are not even built.
    pub fn access_switch(&self) -> Arc<AtomicBool> {
        self.access.clone()
    }

    /// A sender for those who want no events; records are not even built.
    pub fn disabled() -> Self {
        Self { queue: None, access: Arc::default() }
    }

    /// Whether somebody listens.
    pub fn is_enabled(&self) -> bool {
        self.queue.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    /// Whether somebody wants to know of every request.
    pub fn wants_access(&self) -> bool {
        self.access.load(Ordering::Relaxed) && self.is_enabled()
    }

    /// Queues an event, or drops and counts it.
    pub(crate) fn send(&self, event: Event, metrics: &Metrics) {
        if let Some(sender) = &self.queue
            && sender.try_send(event).is_err()
        {
            metrics.events_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Text for logs: bytes outside printable ASCII (and UTF-8) are escaped, so that no line can be forged.
pub(crate) fn loggable(bytes: &[u8]) -> String {
    let printable = |text: &str| {
        // Nearly all is plain ASCII, which is seen without looking at each character by itself.
        let plain = text.bytes().fold(true, |plain, byte| plain & (b' '..0x7f).contains(&byte));
        plain || !text.chars().any(char::is_control)
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if printable(text) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}
