//! One instance of a back end: its connections and its health. Lives as long as some published table names its
//! address, so that a new table neither loses warm connections nor forgets failures.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::backend::Endpoint;
use crate::upstream::circuit::{Circuit, Trier};
use crate::upstream::connection::{UpstreamConnection, UpstreamStream};
use crate::upstream::http2::{Http2Sessions, Http2Slot};
use crate::upstream::pool::{Breaker, MAX_IDLE_TIME, Pool, Protocol};
use crate::upstream::tls::UpstreamTls;

/// What is spoken on an instance's connections: connections of different kinds are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS.
    H2c,
    /// HTTP over TLS with these options, by their fingerprint.
    Tls(u64),
    /// uwsgi: never reused.
    Uwsgi,
    /// FastCGI.
    FastCgi,
}

impl Wire {
    /// What a group speaks.
    pub fn of(pool: &Pool) -> Self {
        match (&pool.protocol, &pool.tls) {
            (Protocol::Uwsgi, _) => Self::Uwsgi,
            (Protocol::FastCgi(_), _) => Self::FastCgi,
            (_, Some(tls)) => Self::Tls(tls.fingerprint()),
            (Protocol::H2c, None) => Self::H2c,
            (Protocol::Http, None) => Self::Http1,
        }
    }
}

/// Connections and health of one address.
#[derive(Debug)]
pub struct Instance {
    endpoint: Endpoint,
    wire: Wire,
    tls: Option<Arc<UpstreamTls>>,
    /// Each with the end of its time.
    idle: Mutex<Vec<(UpstreamConnection, Instant)>>,
    sessions: Http2Sessions,
    active: AtomicUsize,
    /// Requests that wait on new connections for a process of the application to take them.
    waiting: AtomicUsize,
    circuit: Circuit,
    born: Instant,
}

/// A way to an instance.
#[derive(Debug)]
pub enum Connected {
    /// A connection of its own.
    Stream(Box<UpstreamConnection>),
    /// Room for a stream on an HTTP/2 connection.
    Http2(Http2Slot),
}

impl Instance {
    fn new(endpoint: Endpoint, wire: Wire, tls: Option<Arc<UpstreamTls>>) -> Self {
        Self {
            endpoint,
            wire,
            tls,
            idle: Mutex::default(),
            sessions: Http2Sessions::default(),
            active: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            circuit: Circuit::default(),
            born: Instant::now(),
        }
    }

    /// Its address.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What is spoken with it.
    pub const fn wire(&self) -> Wire {
        self.wire
    }

    /// Requests being served by it now.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Whether it is used: false while active checks find it down or it is set aside after failures. When the pause is
    /// over it is up for one request at a time (see [`Instance::trial`]), until one succeeds.
    pub fn is_up(&self) -> bool {
        self.circuit.is_up(self.age())
    }

    /// Whether it is used for this client, whose own requests may have failed there.
    pub fn is_up_for(&self, client: IpAddr) -> bool {
        self.circuit.is_up_for(client, self.age())
    }

    /// Whether the last connection to it could be made.
    pub fn is_reached(&self) -> bool {
        self.circuit.is_reached()
    }

    /// The right to try it after its pause, from its choice to the head of its answer. None where nothing is to be tried,
    /// or another request does.
    pub fn trial(self: &Arc<Self>, client: IpAddr) -> Option<Trial> {
        self.circuit.try_again(client, self.age()).map(|trier| Trial(self.clone(), trier))
    }

    /// How long this client must not ask it, if so: its circuit is open.
    pub fn open_for(&self, client: IpAddr, breaker: &Breaker) -> Option<Duration> {
        self.circuit.open_for(client, breaker, self.age())
    }

    /// Its share of what it gets when it has been up for long, in (0, 1].
    pub fn warmth(&self, slow_start: Duration) -> f64 {
        self.circuit.warmth(slow_start, self.age())
    }

    /// Counts a request as active until the guard is dropped; none if it has so many already.
    pub fn begin(self: &Arc<Self>, most: usize) -> Option<ActiveRequest> {
        let one_more = |active| (active < most).then_some(active + 1);
        let begun = self.active.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        begun.is_ok().then(|| ActiveRequest(self.clone()))
    }

    /// Says, before [`Instance::connect`] and until a new connection is answered, that a process of a FastCGI application
    /// is waited for. Each process serves one connection until that is closed (PHP-FPM, for one), so that idle ones
    /// would keep those who wait from being served at all.
    pub fn wait(self: &Arc<Self>) -> Option<WaitingRequest> {
        (self.wire == Wire::FastCgi).then(|| {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            WaitingRequest(self.clone())
        })
    }

    /// An idle connection that is still open (unless `fresh` is asked for), or a new one, within `limit`. `upgrade` asks
    /// for HTTP/1.1, which alone can be upgraded.
    pub async fn connect(&self, fresh: bool, upgrade: bool, limit: Duration) -> io::Result<Connected> {
        if self.wire == Wire::H2c && upgrade {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "h2c back ends take no upgrades"));
        }
        if !upgrade && let Some(slot) = self.sessions.take(fresh) {
            return Ok(Connected::Http2(slot));
        }
        if !fresh && let Some(connection) = self.idle_connection() {
            return Ok(Connected::Stream(Box::new(connection)));
        }
        if self.wire == Wire::FastCgi {
            self.lock().clear();
        }
        let connecting = async {
            // Of requests that come at the same time one opens a connection, and the others have their streams on it.
            let shared = !upgrade && matches!(self.wire, Wire::H2c | Wire::Tls(_));
            let _turn = if shared { self.sessions.turn().await } else { None };
            match if shared { self.sessions.take(fresh) } else { None } {
                Some(slot) => Ok(Connected::Http2(slot)),
                None => self.open(!upgrade, limit, true).await,
            }
        };
        tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// A new connection that nobody shares, within `limit`.
    pub async fn connect_alone(&self, limit: Duration) -> io::Result<Connected> {
        if self.wire == Wire::FastCgi {
            self.lock().clear();
        }
        let connecting = self.open(true, limit, false);
        tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn open(&self, http2: bool, limit: Duration, shared: bool) -> io::Result<Connected> {
        let stream = UpstreamStream::connect(&self.endpoint, self.tls.as_deref(), http2, limit).await?;
        let is_http2 = self.wire == Wire::H2c || stream.is_http2();
        if http2 && matches!(self.wire, Wire::Tls(_)) {
            self.sessions.is_spoken(is_http2);
        }
        Ok(match is_http2 {
            false => Connected::Stream(Box::new(stream.into())),
            true if shared => Connected::Http2(self.sessions.open(stream).await?),
            true => Connected::Http2(Http2Sessions::alone(stream).await?),
        })
    }

    /// The most recently used first.
    fn idle_connection(&self) -> Option<UpstreamConnection> {
        loop {
            let (mut connection, until) = self.lock().pop()?;
            if Instant::now() < until && connection.is_fresh() {
                connection.reused = true;
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for later, unless `most` are kept already or its process is waited for; no longer than `time`.
    pub fn release(&self, connection: UpstreamConnection, most: usize, time: Duration) {
        let mut idle = self.lock();
        // Who begins to wait after this finds the connection here.
        if idle.len() < most && self.waiting.load(Ordering::SeqCst) == 0 {
            idle.push((connection, Instant::now() + time));
        }
    }

    /// Closes connections that were idle for too long.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.lock().retain(|(_, until)| now < *until);
        self.sessions.sweep(MAX_IDLE_TIME);
    }

    /// Notes that it answered.
    pub fn succeeded(&self) {
        self.circuit.succeeded(self.age());
    }

    /// Notes that it could not be connected to.
    pub fn unreached(&self, breaker: &Breaker) {
        self.circuit.unreached(breaker, self.age());
    }

    /// Notes that it was sent a request of this client and gave no proper answer. `has_others` says whether other
    /// instances are there to take its requests.
    pub fn unanswered(&self, client: IpAddr, has_others: bool, breaker: &Breaker) {
        self.circuit.unanswered(client, has_others, breaker, self.age());
    }

    /// Ends the pause after failures: an active check went well, so the next request may try.
    pub fn end_pause(&self) {
        self.circuit.end_pause(self.age());
    }

    /// Notes what active checks found; true when that is news.
    pub fn checked(&self, up: bool) -> bool {
        self.circuit.checked(up, self.age())
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(UpstreamConnection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one request of an instance while it lives.
#[derive(Debug)]
pub struct ActiveRequest(Arc<Instance>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right of one request to try an instance after its pause; given back when dropped.
#[derive(Debug)]
pub struct Trial(Arc<Instance>, Trier);

impl Drop for Trial {
    fn drop(&mut self) {
        self.0.circuit.tried(self.1);
    }
}

/// Counts one request that waits for a process while it lives.
#[derive(Debug)]
pub struct WaitingRequest(Arc<Instance>);

impl Drop for WaitingRequest {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The instances that some table uses, by address and by what is spoken.
#[derive(Debug, Default)]
pub struct Instances(Mutex<HashMap<(Endpoint, Wire), Weak<Instance>>>);

impl Instances {
    /// The instance at this address, the known one if there is one.
    pub fn get(&self, endpoint: &Endpoint, wire: Wire, tls: Option<&Arc<UpstreamTls>>) -> Arc<Instance> {
        let mut known = self.lock();
        known.retain(|_, instance| instance.strong_count() > 0);
        let key = (endpoint.clone(), wire);
        if let Some(instance) = known.get(&key).and_then(Weak::upgrade) {
            return instance;
        }
        let instance = Arc::new(Instance::new(endpoint.clone(), wire, tls.cloned()));
        known.insert(key, Arc::downgrade(&instance));
        instance
    }

    /// Requests being served by the instance at this address now; 0 when no table names it any more and all its
    /// requests have ended.
    pub fn active(&self, endpoint: &Endpoint) -> usize {
        let known = self.lock();
        let here = known.iter().filter(|((address, _), _)| address == endpoint);
        here.filter_map(|(_, instance)| instance.upgrade()).map(|instance| instance.active()).sum()
    }

    /// Sweeps all pools.
    pub fn sweep(&self) {
        self.lock().values().filter_map(Weak::upgrade).for_each(|instance| instance.sweep());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Endpoint, Wire), Weak<Instance>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(3600);

    fn instance() -> Arc<Instance> {
        Arc::new(Instance::new(Endpoint::Named("x:1".into()), Wire::Http1, None))
    }

    /// Whatever else is under way on it: a tunnel may last for days.
    #[test]
    fn after_the_pause_one_request_tries() {
        let breaker =
            Breaker { first_pause: Duration::ZERO, longest_pause: Duration::ZERO, ..Breaker::default() };
        let instance = instance();
        let _tunnel = instance.begin(1).unwrap();
        let trial = || instance.trial(Ipv4Addr::LOCALHOST.into());
        std::thread::sleep(Duration::from_millis(5));
        assert!(trial().is_none(), "nothing is to be tried");
        instance.unreached(&breaker);
        instance.unreached(&breaker);
        assert!(instance.is_up());
        let first = trial();
        assert!(first.is_some() && !instance.is_up() && trial().is_none());
        drop(first);
        assert!(instance.is_up(), "one that was given up leaves its place to the next");
        let second = trial();
        instance.unreached(&breaker);
        drop(second);
        assert!(trial().is_some(), "so does one that failed, after the pause");
        instance.succeeded();
        assert!(instance.is_up());
    }

    #[test]
    fn the_same_address_is_the_same_instance_while_it_is_used() {
        let instances = Instances::default();
        let endpoint = Endpoint::Named("x:1".into());
        let get = || instances.get(&endpoint, Wire::Http1, None);
        let first = get();
        assert!(Arc::ptr_eq(&first, &get()));
        assert!(!Arc::ptr_eq(&first, &instances.get(&endpoint, Wire::FastCgi, None)));
        let request = first.begin(1).unwrap();
        assert_eq!(instances.active(&endpoint), 1);
        let breaker = Breaker { first_pause: LONG, longest_pause: LONG, ..Breaker::default() };
        first.unreached(&breaker);
        first.unreached(&breaker);
        drop(first);
        assert_eq!(instances.active(&endpoint), 1, "a request under way keeps its instance");
        drop(request);
        assert_eq!(instances.active(&endpoint), 0);
        assert!(get().is_up());
    }
}
