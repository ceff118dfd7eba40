//! What the proxy is started with: addresses, limits and deadlines of the whole server.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crate::prefix::Prefix;

/// The addresses to listen on. Port 0 lets the system choose; the choice is in `ProxyHandle::addresses`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenConfig {
    /// Plain HTTP (HTTP/1.1).
    pub http: Option<SocketAddr>,
    /// HTTP over TLS (HTTP/1.1 and HTTP/2).
    pub https: Option<SocketAddr>,
    /// `/metrics`, `/healthz`, `/readyz`; keep it on a loopback address.
    pub admin: Option<SocketAddr>,
    /// Further addresses. `[::]` covers IPv4 too where the system maps it, unless an IPv4 address with its port is given.
    pub further: Vec<(Purpose, SocketAddr)>,
}

/// What an address is listened on for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// Metrics and health.
    Admin,
}

impl Purpose {
    /// As in `[server.listen]`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Admin => "admin",
        }
    }
}

/// Who waits until the proxy is told to accept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// Nobody.
    #[default]
    Nobody,
    /// Clients; metrics and health are answered.
    Clients,
    /// Everybody: a predecessor still answers.
    Everybody,
}

/// The first address of each purpose stands in its field, the others in `further`.
impl FromIterator<(Purpose, SocketAddr)> for ListenConfig {
    fn from_iter<I: IntoIterator<Item = (Purpose, SocketAddr)>>(addresses: I) -> Self {
        let mut listen = Self::default();
        addresses.into_iter().for_each(|(purpose, address)| listen.add(purpose, address));
        listen
    }
}

impl ListenConfig {
    /// One more address.
    pub fn add(&mut self, purpose: Purpose, address: SocketAddr) {
        let first = match purpose {
            Purpose::Http => &mut self.http,
            Purpose::Https => &mut self.https,
            Purpose::Admin => &mut self.admin,
        };
        match first {
            None => *first = Some(address),
            Some(_) => self.further.push((purpose, address)),
        }
    }

    /// All addresses.
    pub fn all(&self) -> impl Iterator<Item = (Purpose, SocketAddr)> {
        let first = [(Purpose::Http, self.http), (Purpose::Https, self.https), (Purpose::Admin, self.admin)];
        let first = first.into_iter().filter_map(|(purpose, address)| Some((purpose, address?)));
        first.chain(self.further.iter().copied())
    }
}

/// Everything [`crate::Proxy::start`] needs to know.
#[derive(Clone, Debug, Default)]
pub struct ProxyConfig {
    /// Addresses.
    pub listen: ListenConfig,
    /// The port of HTTPS in the URLs that clients use, where it is not the one we listen on: behind a router that
    /// translates ports, or in a container whose port is published as another.
    pub public_https: Option<u16>,
    /// Sockets that listen already, from a service manager or from a predecessor: taken for the addresses they are
    /// bound to, instead of opening those.
    pub inherited: Vec<Arc<TcpListener>>,
    /// Who waits in the kernel's queue until [`crate::ProxyHandle::accept`] is called.
    pub hold: Hold,
    /// Limits and deadlines towards clients.
    pub limits: ServerLimits,
    /// How TLS is spoken.
    pub tls: TlsOptions,
    /// Peers whose forwarding fields are believed. Everybody else's are replaced.
    pub trusted_proxies: Vec<Prefix>,
    /// The forwarding fields in use.
    pub forwarding: ForwardingFields,
    /// Peers that begin each connection with a PROXY protocol header, version 1 or 2. They must; nobody else may.
    pub proxy_protocol: Vec<Prefix>,
    /// Whether a request without a valid `traceparent` gets a new one.
    pub new_traces: bool,
    /// Whether the proxy is a span of each sampled trace: back ends see it as their parent, and access records say so.
    pub spans: bool,
    /// One of this many new traces is sampled; 0 for none. Counts only with `spans`.
    pub sample_new_traces: u32,
    /// The version shown in `hop3_build_info`.
    pub version: String,
}

/// How TLS is spoken, the same for every host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The oldest version that is accepted.
    pub min_version: MinVersion,
    /// What a client gets that asks for a name no route answers for.
    pub unknown_names: UnknownNames,
}

/// The oldest version of TLS that is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2 (RFC 5246), with forward secrecy and authenticated encryption only.
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// What a client gets that asks for a name no route answers for. No app's certificate, in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownNames {
    /// The self-signed certificate of `localhost`.
    #[default]
    Fallback,
    /// The handshake is refused.
    Refuse,
}

/// The fields in which trusted proxies tell us about the client, and we tell back ends.
///
/// Only one kind is believed: a proxy that writes one kind passes the other on as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardingFields {
    /// `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`, and `X-Real-IP`, which is written alone.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Both are written; `X-Forwarded-*` is believed.
    Both,
}

impl ForwardingFields {
    /// Whether `X-Forwarded-*` is written and believed.
    pub const fn x_forwarded(self) -> bool {
        !matches!(self, Self::Forwarded)
    }

    /// Whether `Forwarded` is written.
    pub const fn forwarded(self) -> bool {
        !matches!(self, Self::XForwarded)
    }
}

/// Limits and deadlines towards clients, the same for every route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections served at a time, over all listeners; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Connections of one client address at a time (of one /64 in IPv6); further ones are closed. 0 for any number.
    pub max_connections_per_client: usize,
    /// Largest request head in bytes.
    pub max_head: usize,
    /// Most header fields in a head.
    pub max_fields: usize,
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Time for a whole request head, from its first byte (from accepting, for the first one).
    pub head_timeout: Duration,
    /// Time an idle connection is kept.
    pub keep_alive_timeout: Duration,
    /// Longest pause within a request body.
    pub body_timeout: Duration,
    /// Longest time spent waiting for a request body in all.
    pub body_deadline: Duration,
    /// Least bytes per second of a request body over the time spent waiting for it; 0 for none.
    pub min_body_rate: u64,
    /// Longest time a client may take to accept some bytes of a response.
    pub write_timeout: Duration,
    /// Least bytes per second of a response over the time spent waiting for the client; 0 for none.
    pub min_write_rate: u64,
    /// Time of waiting after which the rates apply.
    pub rate_grace: Duration,
    /// Concurrent streams of an HTTP/2 connection.
    pub max_streams: u32,
    /// Bytes that all connections together may hold of bodies that are inspected, read whole or compressed.
    pub body_memory: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_connections: 20_000,
            max_connections_per_client: 1_000,
            max_head: 64 * 1024,
            max_fields: 128,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            body_deadline: Duration::from_secs(3600),
            min_body_rate: 240,
            write_timeout: Duration::from_secs(60),
            min_write_rate: 240,
            rate_grace: Duration::from_secs(10),
            max_streams: 100,
            body_memory: 256 * 1024 * 1024,
        }
    }
}

impl ProxyConfig {
    /// The port of HTTPS in the URLs that clients use.
    pub fn https_port(&self) -> Option<u16> {
        self.public_https
            .or_else(|| self.listen.https.map(|address| address.port()).filter(|port| *port != 0))
    }

    /// Whether the forwarding fields of this peer are believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.holds(peer))
    }
}
