//! A group of instances as it is published: what they speak, how one is chosen, when one is set aside.
//!
//! Plain values; what happens with them is in `balancer`, `instance` and `health`.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::Endpoint;
use crate::upstream::fastcgi::FastCgi;
use crate::upstream::tls::UpstreamTls;

/// Instances that are interchangeable.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The instances, at least one.
    pub members: Vec<Member>,
    /// What they speak.
    pub protocol: Protocol,
    /// TLS towards them; none for plain sockets. TCP only.
    pub tls: Option<Arc<UpstreamTls>>,
    /// How an instance is chosen.
    pub balancing: Balancing,
    /// Sends a browser back to the instance that answered it first.
    pub sticky: Option<StickyCookie>,
    /// Asks every instance from time to time whether it is well.
    pub health_check: Option<HealthCheck>,
    /// What failures of real requests lead to.
    pub breaker: Breaker,
    /// Time in which an instance that came up gets its full share of the requests. Zero: at once.
    pub slow_start: Duration,
    /// Most requests that one instance is given at a time; beyond it 503.
    pub max_connections: usize,
    /// Most idle connections kept to one instance.
    pub max_idle: usize,
    /// Longest time a connection is kept idle.
    pub max_idle_time: Duration,
    /// Most bytes of an answer that are read and put into a file before its client takes them; 0 for none. Not of event
    /// streams, nor of what comes over HTTP/2.
    pub response_buffering: u64,
    /// Tries after the first one: always while nothing was sent, after that only of safe requests.
    pub retries: usize,
}

/// Longest time a connection is kept idle, unless a group says otherwise.
pub(super) const MAX_IDLE_TIME: Duration = Duration::from_secs(55);
/// The same where a process of the application waits at the other end and serves nobody else: long enough for one request
/// after the other, short enough for other programs that ask the same application.
const MAX_IDLE_TIME_OF_PROCESS: Duration = Duration::from_secs(5);

impl Pool {
    /// A group with everything else at its default.
    pub fn new(protocol: Protocol, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let of_process = matches!(protocol, Protocol::FastCgi(_));
        Self {
            members: endpoints.into_iter().map(|endpoint| Member { endpoint, weight: 1 }).collect(),
            protocol,
            tls: None,
            balancing: Balancing::LeastConnections,
            sticky: None,
            health_check: None,
            breaker: Breaker::default(),
            slow_start: Duration::ZERO,
            max_connections: usize::MAX,
            max_idle: 128,
            max_idle_time: if of_process { MAX_IDLE_TIME_OF_PROCESS } else { MAX_IDLE_TIME },
            response_buffering: 16 << 20,
            retries: 2,
        }
    }

    /// Whether an instance may refuse a request that was sent already, as HTTP/2 lets it do at any time.
    pub(crate) const fn may_refuse_streams(&self) -> bool {
        matches!(self.protocol, Protocol::H2c) || self.tls.is_some()
    }

    /// Whether the other one's instances are the same and asked in the same way.
    pub(crate) fn same_source(&self, other: &Self) -> bool {
        let protocols = [self, other].map(|pool| std::mem::discriminant(&pool.protocol));
        self.members == other.members && protocols[0] == protocols[1] && self.tls == other.tls
    }
}

/// One instance of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address.
    pub endpoint: Endpoint,
    /// Its share of the requests in relation to the others; 0 for none but those that name it by cookie.
    pub weight: u32,
}

/// What an instance speaks.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// HTTP/1.1; with TLS also HTTP/2, whichever the instance prefers (ALPN).
    Http,
    /// HTTP/2 without TLS, known in advance (RFC 9113 section 3.3).
    H2c,
    /// uwsgi.
    Uwsgi,
    /// FastCGI.
    FastCgi(Arc<FastCgi>),
}

impl Protocol {
    /// Whether the length of a request body must be known before it is sent.
    pub const fn needs_length(&self) -> bool {
        matches!(self, Self::Uwsgi | Self::FastCgi(_))
    }
}

/// How an instance is chosen among those that are up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balancing {
    /// The one with the fewest requests under way in relation to its weight.
    LeastConnections,
    /// The same one for the same key as long as it is up (rendezvous hashing: an instance that leaves moves only
    /// its own keys).
    Hash(HashKey),
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    Client,
    /// Path and query.
    Target,
    /// A request header, by its name in lower case.
    Header(String),
    /// A cookie, by its name.
    Cookie(String),
}

/// The cookie that names an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickyCookie {
    /// Its name.
    pub name: String,
    /// How long browsers keep it; none for as long as they run.
    pub max_age: Option<Duration>,
}

/// An active check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path that is asked for over HTTP; other protocols are only connected to.
    pub path: String,
    /// `Host` of the question.
    pub host: String,
    /// The only good status; none for everything below 500.
    pub status: Option<u16>,
    /// Between two checks of an instance.
    pub interval: Duration,
    /// Of one check.
    pub timeout: Duration,
    /// Bad checks in a row until an instance is down.
    pub fall: u32,
    /// Good checks in a row until it is up again.
    pub rise: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            host: "localhost".to_owned(),
            status: None,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            fall: 3,
            rise: 2,
        }
    }
}

/// What failures of real requests lead to: passive health checks and the circuit breaker.
///
/// A request counts once against an instance that could not be connected to. Missing and malformed answers count once
/// for a request, and not against the last instance that is up: the request may be to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row after which an instance is set aside while there are others. A missing answer counts for its
    /// client alone, until there are so many of at least three clients.
    pub aside_after: u32,
    /// First time set aside; doubled with each further pause.
    pub first_pause: Duration,
    /// Longest time set aside.
    pub longest_pause: Duration,
    /// Failures in a row (to connect; or to answer, of at least three clients of whom none counts for more than a third)
    /// after which an instance is not asked at all while it is set aside, even if there is no other: requests get 503 at
    /// once instead of waiting for it. 0 for never. After the pause one request tries.
    pub open_after: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            aside_after: 2,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(10),
            open_after: 20,
        }
    }
}
