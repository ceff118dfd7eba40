//! Runs a stage through the real HTTP front end: raw bytes over TCP, a back end on a socket, the audit records of
//! what happened in between.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hop3_proxy::{
    Backend, Endpoint, Event, EventSender, HostPattern, ListenConfig, MemoryCertificates, Protection, Proxy,
    ProxyConfig, ProxyHandle, Route, RouteTable, ServerLimits, Services,
};
use hop3_waf::Ruleset;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;

use super::judge::Logged;
use super::request::Request;

/// Longest time for a whole exchange.
const LIMIT: Duration = Duration::from_secs(180);
/// Events of one connection that are kept.
const EVENTS: usize = 1000;

/// A proxy with one protected route for every host. Serves one [`FrontEnd::send`] at a time.
#[derive(Debug)]
pub struct FrontEnd {
    /// Serves until it is dropped.
    _handle: ProxyHandle,
    events: Receiver<Event>,
    address: SocketAddr,
}

/// What a client and the log saw of a stage.
#[derive(Debug)]
pub struct Exchange {
    /// The status of the first final answer; none when the connection was closed without one.
    pub status: Option<u16>,
    /// The log of all requests on the connection.
    pub logged: Logged,
    /// Why the proxy itself answered, if it did.
    pub notes: Vec<String>,
}

impl FrontEnd {
    /// Starts a proxy on a port of the system's choice, in front of this back end. `patience` is what it has with heads and
    /// bodies that stay incomplete, which some tests send.
    ///
    /// # Errors
    /// A text when no proxy can be started here.
    pub fn start(ruleset: Arc<Ruleset>, back_end: &BackEnd, patience: Duration) -> Result<Self, String> {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = ProxyConfig {
            listen: ListenConfig { http: Some(any_port), ..ListenConfig::default() },
            limits: ServerLimits {
                head_timeout: patience,
                body_timeout: patience,
                ..ServerLimits::default()
            },
            ..ProxyConfig::default()
        };
        let (sender, events) = EventSender::bounded(EVENTS);
        let services = Services { certificates: Arc::new(MemoryCertificates::default()), events: sender };
        let handle = Proxy::start(config, services).map_err(|error| error.to_string())?;
        let back_end = Backend::http([Endpoint::Tcp(back_end.address)]);
        let mut route = Route::new("conformance", vec![HostPattern::Any], back_end);
        route.waf = Some(Arc::new(Protection::new(ruleset)));
        handle.publish(RouteTable::new(vec![route]).map_err(|error| error.to_string())?);
        let address = handle.addresses().http.ok_or("the proxy listens nowhere")?;
        Ok(Self { _handle: handle, events, address })
    }

    /// Sends bytes over a connection of their own and waits until the proxy is done with it.
    ///
    /// # Errors
    /// What keeps the exchange from ending.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<Exchange> {
        let exchange = tokio::time::timeout(LIMIT, exchange(self.address, bytes));
        let status = exchange.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let mut seen = Exchange { status, logged: Logged::default(), notes: Vec::new() };
        // The records of a connection are queued before it is closed.
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Access(record) => seen.notes.extend(record.note),
                Event::Audit(record) => {
                    let logged = record.matches.iter().filter(|rule| rule.logged);
                    for rule in logged {
                        seen.logged.ids.push(rule.rule_id);
                        seen.logged.lines.push(rule.log_line(&record.context));
                    }
                }
            }
        }
        Ok(seen)
    }
}

/// The status of the first final answer, after the proxy closed the connection.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<Option<u16>> {
    let (mut reader, mut writer) = TcpStream::connect(address).await?.into_split();
    // A proxy that refuses may close before it took everything.
    let sending = async { writer.write_all(bytes).await.is_ok() };
    let mut received = Vec::new();
    let receiving = async {
        loop {
            let status = final_status(&received);
            if status.is_some() || reader.read_buf(&mut received).await.unwrap_or(0) == 0 {
                return status;
            }
        }
    };
    let (_, status) = tokio::join!(sending, receiving);
    // No more requests will come: now the proxy closes, after it served what came behind the first.
    let _ = writer.shutdown().await;
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest).await;
    Ok(status)
}

/// The status of the first answer that is not an interim one.
fn final_status(received: &[u8]) -> Option<u16> {
    let mut rest = received;
    loop {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n")?;
        let status = std::str::from_utf8(rest.get(9..12)?).ok()?.parse().ok()?;
        if status >= 200 {
            return Some(status);
        }
        rest = &rest[end + 4..];
    }
}

/// The server behind the proxies.
#[derive(Debug)]
pub struct BackEnd {
    /// Where it listens.
    pub address: SocketAddr,
    /// Requests that reached it.
    pub served: Arc<AtomicUsize>,
}

impl BackEnd {
    /// Answers requests on a socket as [`super::backend`] says, for as long as the runtime lives.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let back_end = Self { address: listener.local_addr()?, served: Arc::default() };
        let served = Arc::clone(&back_end.served);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Ok(back_end)
    }
}

async fn serve(mut stream: TcpStream, served: Arc<AtomicUsize>) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let length = loop {
            match message_length(&buffer) {
                Some(length) if length <= buffer.len() => break length,
                _ if stream.read_buf(&mut buffer).await? == 0 => return Ok(()),
                _ => {}
            }
        };
        let request = Request::parse(&buffer.drain(..length).collect::<Vec<_>>());
        served.fetch_add(1, Ordering::Relaxed);
        let response = super::backend::answer(&request);
        let mut bytes = format!("HTTP/1.1 {} Reflected\r\n", response.status).into_bytes();
        for (name, value) in &response.headers {
            bytes.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        if request.method != b"HEAD" {
            bytes.extend_from_slice(&response.body);
        }
        stream.write_all(&bytes).await?;
    }
}

/// The length of the first message in the buffer, once its framing is known. Trusts the proxy, which frames strictly.
fn message_length(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let parsed = Request::parse(&buffer[..head]);
    if parsed.header("transfer-encoding").is_some() {
        let end = b"0\r\n\r\n";
        return buffer[head..]
            .windows(end.len())
            .position(|window| window == end)
            .map(|at| head + at + end.len());
    }
    let length = parsed.header("content-length").and_then(|value| std::str::from_utf8(value).ok());
    Some(head + length.map_or(0, |length| length.parse().unwrap_or(0)))
}
