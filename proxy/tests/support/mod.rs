//! Back ends, clients and proxies for the integration tests: real sockets, no HTTP library.

#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shared by several test programs, each of which uses a part"
)]

pub mod http2;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hop3_proxy::{
    Backend, CacheRules, Endpoint, Event, EventSender, ListenConfig, MemoryCertificates, Policy, Protection,
    ProtectionMode, Proxy, ProxyConfig, ProxyHandle, Route, RouteTable, Services,
};
use hop3_seclang::loader::MemoryLoader;
use hop3_waf::Ruleset;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;

/// Longest wait for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A back end that remembers what reached it.
#[derive(Clone)]
pub struct TestBackend {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<Mutex<Vec<Received>>>,
}

/// A request as a back end saw it.
#[derive(Clone, Debug)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
}

impl Received {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl TestBackend {
    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// Waits until this many requests have reached it.
    pub async fn reached(&self, count: usize) {
        let reached = async {
            while self.count() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("requests reach the back end");
    }

    pub fn last(&self) -> Received {
        self.requests.lock().unwrap().last().cloned().expect("a request reached the back end")
    }
}

/// What a back end does with its connection after it read a request.
pub type Answering = fn(&Received) -> Reply;

pub enum Reply {
    /// These bytes, then the next request.
    Keep(Vec<u8>),
    /// These bytes, then close.
    Close(Vec<u8>),
    /// The first bytes, the others when a permit is given, then close.
    Held(Vec<u8>, &'static Semaphore, Vec<u8>),
    /// These pieces with a pause before each, then close.
    Slowly(Duration, Vec<Vec<u8>>),
    /// These bytes, then send back whatever comes.
    Echo(Vec<u8>),
}

pub fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    response("200 OK", "Content-Type: text/plain\r\n", body)
}

pub fn response(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub async fn backend(answer: Answering) -> TestBackend {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = TestBackend {
        address: listener.local_addr().unwrap(),
        connections: Arc::default(),
        requests: Arc::default(),
    };
    let shared = backend.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            shared.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, shared.clone(), answer));
        }
    });
    backend
}

async fn serve(mut stream: TcpStream, backend: TestBackend, answer: Answering) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        backend.requests.lock().unwrap().push(request.clone());
        match answer(&request) {
            Reply::Keep(bytes) => stream.write_all(&bytes).await.unwrap_or_default(),
            Reply::Close(bytes) => {
                stream.write_all(&bytes).await.unwrap_or_default();
                return;
            }
            Reply::Held(first, gate, rest) => {
                stream.write_all(&first).await.unwrap_or_default();
                gate.acquire().await.unwrap().forget();
                stream.write_all(&rest).await.unwrap_or_default();
                return;
            }
            Reply::Slowly(pause, pieces) => {
                for piece in pieces {
                    tokio::time::sleep(pause).await;
                    stream.write_all(&piece).await.unwrap_or_default();
                }
                return;
            }
            Reply::Echo(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                let (mut reader, mut writer) = stream.split();
                writer.write_all(&buffer).await.unwrap();
                tokio::io::copy(&mut reader, &mut writer).await.unwrap_or_default();
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let end = read_until(stream, buffer, b"\r\n\r\n").await?;
    let head = String::from_utf8_lossy(&buffer.drain(..end).collect::<Vec<_>>()).into_owned();
    let mut received = Received { head, body: Vec::new() };
    if received.header("transfer-encoding").is_some() {
        loop {
            let end = read_until(stream, buffer, b"\r\n").await?;
            let line: Vec<u8> = buffer.drain(..end).collect();
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            while buffer.len() < size + 2 {
                read_more(stream, buffer).await?;
            }
            received.body.extend(buffer.drain(..size));
            assert_eq!(buffer.drain(..2).collect::<Vec<_>>(), b"\r\n");
            if size == 0 {
                return Some(received);
            }
        }
    }
    let length = received.header("content-length").map_or(0, |length| length.parse().unwrap());
    while buffer.len() < length {
        read_more(stream, buffer).await?;
    }
    received.body.extend(buffer.drain(..length));
    Some(received)
}

async fn read_until(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) -> Option<usize> {
    loop {
        if let Some(position) = buffer.windows(end.len()).position(|window| window == end) {
            return Some(position + end.len());
        }
        read_more(stream, buffer).await?;
    }
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let count = stream.read_buf(buffer).await.ok()?;
    (count > 0).then_some(())
}

/// A proxy with its events.
pub struct TestProxy {
    pub handle: ProxyHandle,
    pub events: Receiver<Event>,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub admin: SocketAddr,
}

pub fn start(routes: Vec<Route>) -> TestProxy {
    start_with(ProxyConfig::default(), routes)
}

pub fn start_with(mut config: ProxyConfig, routes: Vec<Route>) -> TestProxy {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    config.listen =
        ListenConfig { http: Some(any), https: Some(any), admin: Some(any), ..ListenConfig::default() };
    let (sender, events) = EventSender::bounded(10_000);
    let services = Services { certificates: Arc::new(MemoryCertificates::default()), events: sender };
    let handle = Proxy::start(config, services).unwrap();
    handle.publish(RouteTable::new(routes).unwrap());
    let addresses = handle.addresses();
    TestProxy {
        http: addresses.http.unwrap(),
        https: addresses.https.unwrap(),
        admin: addresses.admin.unwrap(),
        handle,
        events,
    }
}

pub fn to(backend: &TestBackend) -> Route {
    route(Backend::http([Endpoint::Tcp(backend.address)]))
}

pub fn route(backend: Backend) -> Route {
    Route::new("shop", vec!["shop.test".parse().unwrap()], backend)
}

/// A route with a policy.
pub fn with(backend: &TestBackend, policy: Policy) -> Route {
    Route { policy: Some(Arc::new(policy)), ..to(backend) }
}

/// A proxy that believes the client addresses it is told.
pub fn behind_a_proxy(routes: Vec<Route>) -> TestProxy {
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    start_with(ProxyConfig { trusted_proxies, ..ProxyConfig::default() }, routes)
}

/// A route that keeps every answer for ten minutes.
pub fn keeping(backend: &TestBackend) -> Route {
    with(backend, Policy { cache: Some(keep_all()), ..Policy::default() })
}

/// Every answer is kept for ten minutes.
pub fn keep_all() -> CacheRules {
    CacheRules { prefixes: vec![("/".to_owned(), Duration::from_secs(600))], ..CacheRules::default() }
}

/// A route behind a firewall with these rules.
pub fn protect(route: Route, rules: &str, mode: ProtectionMode) -> Route {
    let document = hop3_seclang::parse_str("test.conf", rules, &MemoryLoader::new()).unwrap();
    let ruleset = Arc::new(Ruleset::compile(&document).unwrap());
    Route { waf: Some(Arc::new(Protection { mode, ..Protection::new(ruleset) })), ..route }
}

/// A client connection that reads one response at a time.
pub struct Client {
    pub stream: TcpStream,
    pub buffer: Vec<u8>,
}

/// A response as a client saw it.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    /// The client of this number: each has an address of its own.
    pub async fn numbered(number: u8, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 1, number], 0))).unwrap();
        Self::over(socket.connect(address).await.unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a request for `shop.test` and reads its answer.
    pub async fn request(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> Response {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: shop.test\r\n{length}{headers}\r\n")).await;
        self.send(body).await;
        self.response(method == "HEAD").await.expect("a response")
    }

    pub async fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, "", b"").await
    }

    /// Reads a head; `None` when the connection ends.
    pub async fn head(&mut self) -> Option<Response> {
        let end = read_until(&mut self.stream, &mut self.buffer, b"\r\n\r\n");
        let end = tokio::time::timeout(PATIENCE, end).await.expect("an answer in time")?;
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let status = head.get(9..12).unwrap().parse().unwrap();
        Some(Response { status, head, body: Vec::new() })
    }

    /// Reads as much as ends with these bytes.
    pub async fn until(&mut self, end: &str) -> String {
        let read = read_until(&mut self.stream, &mut self.buffer, end.as_bytes());
        let read = tokio::time::timeout(PATIENCE, read).await.expect("bytes in time");
        let read = read.unwrap_or_else(|| panic!("no {end:?} in {:?}", self.buffer));
        String::from_utf8(self.buffer.drain(..read).collect()).unwrap()
    }

    /// Reads a response with its body; a body that breaks off is marked by status 0.
    pub async fn response(&mut self, head_request: bool) -> Option<Response> {
        let mut response = self.head().await?;
        if head_request || matches!(response.status, 100..=199 | 204 | 304) {
            return Some(response);
        }
        let body = tokio::time::timeout(PATIENCE, self.body(&response)).await.expect("a body in time");
        match body {
            Some(body) => response.body = body,
            None => response.status = 0,
        }
        Some(response)
    }

    async fn body(&mut self, response: &Response) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        if response.header("transfer-encoding").is_some() {
            loop {
                let end = read_until(&mut self.stream, &mut self.buffer, b"\r\n").await?;
                let line: Vec<u8> = self.buffer.drain(..end).collect();
                let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
                while self.buffer.len() < size + 2 {
                    read_more(&mut self.stream, &mut self.buffer).await?;
                }
                body.extend(self.buffer.drain(..size));
                self.buffer.drain(..2);
                if size == 0 {
                    return Some(body);
                }
            }
        }
        match response.header("content-length") {
            Some(length) => {
                let length: usize = length.parse().unwrap();
                while self.buffer.len() < length {
                    read_more(&mut self.stream, &mut self.buffer).await?;
                }
                Some(self.buffer.drain(..length).collect())
            }
            None => {
                while read_more(&mut self.stream, &mut self.buffer).await.is_some() {}
                Some(std::mem::take(&mut self.buffer))
            }
        }
    }

    /// Whether the peer resets the connection, after whatever it sent before.
    pub async fn is_reset(&mut self) -> bool {
        let limit = Duration::from_secs(60);
        let rest = tokio::time::timeout(limit, self.stream.read_to_end(&mut self.buffer));
        let end = rest.await.expect("an end within 60 s");
        end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    }

    /// Whether the peer closes in time without sending anything more.
    pub async fn is_closed(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        matches!(read, Ok(Ok(0) | Err(_))) && self.buffer.is_empty()
    }
}

/// One request on a connection of its own.
pub async fn get(address: SocketAddr, target: &str) -> Response {
    Client::connect(address).await.get(target).await
}

/// Runs curl and returns what it printed; it is part of the systems we build on.
pub async fn curl(arguments: &[&str]) -> String {
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "120"])
        .args(arguments)
        .output()
        .await
        .expect("curl is installed");
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
