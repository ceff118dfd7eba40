//! Starting and stopping a proxy, and publishing to it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::acme::Challenges;
use crate::admin;
use crate::admission::Admission;
use crate::backend::Endpoint;
use crate::certificates::{CertificateError, CertificatePem, CertificateStore, Certificates};
use crate::config::ProxyConfig;
use crate::context::Context;
use crate::drain::Drainer;
use crate::events::EventSender;
use crate::listener::{Acceptance, accept_loop, bind};
use crate::route::RouteTable;
use crate::table::LiveTable;
use crate::tls::Handshakes;

/// How often pools are rid of connections that were idle for too long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// Starts proxies.
#[derive(Debug)]
pub struct Proxy;

/// What the proxy is given by its surroundings.
#[derive(Clone)]
pub struct Services {
    /// Where certificates are kept.
    pub certificates: Arc<dyn CertificateStore>,
    /// Where events go.
    pub events: EventSender,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Services").field("events", &self.events).finish_non_exhaustive()
    }
}

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({purpose}): {source}; {}", hint(source))]
    Bind {
        /// `http`, `https` or `admin`.
        purpose: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The fallback certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program uses the port; stop it or choose another port (0 for any)"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need root or CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has the address",
        _ => "check the address in [server.listen]",
    }
}

/// The addresses that are listened on, with the ports that were chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Plain HTTP.
    pub http: Option<SocketAddr>,
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// Metrics and health.
    pub admin: Option<SocketAddr>,
}

impl Proxy {
    /// Binds all listeners, then serves on the tokio runtime it is called from (it must be called from one). Nothing is
    /// left behind when it fails.
    pub fn start(config: ProxyConfig, services: Services) -> Result<ProxyHandle, StartError> {
        let unknown = config.tls.unknown_names;
        let certificates = Arc::new(Certificates::new(services.certificates, unknown, SystemTime::now())?);
        let random = [random()?, random()?];
        let mut addresses = Addresses::default();
        let http = open("http", config.listen.http, &mut addresses.http)?;
        let https = open("https", config.listen.https, &mut addresses.https)?;
        let admin_listener = open("admin", config.listen.admin, &mut addresses.admin)?;
        let permits =
            Arc::new(Semaphore::new(config.limits.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        let admission = Arc::new(Admission::new(config.limits.max_connections_per_client));
        let mut config = config;
        // Redirects name the port that was really chosen.
        config.listen.https = addresses.https;
        let options = config.tls;
        let context = Arc::new(Context::new(config, services.events, certificates.clone(), random));
        let handshakes = Arc::new(Handshakes::new(certificates, context.challenges.clone(), options)?);
        let (drainer, stopper) = (Drainer::default(), Drainer::default());
        let accepting = |listener: Option<TcpListener>, tls: Option<Arc<Handshakes>>| {
            let acceptance = Acceptance {
                context: context.clone(),
                permits: permits.clone(),
                admission: admission.clone(),
                open: drainer.connections(),
                drain: drainer.drain(),
                tls,
            };
            listener.map(|listener| tokio::spawn(accept_loop(listener, acceptance)))
        };
        let acceptors = [accepting(http, None), accepting(https, Some(handshakes.clone()))]
            .into_iter()
            .flatten()
            .collect();
        let mut background = JoinSet::new();
        if let Some(listener) = admin_listener {
            background.spawn(admin::serve(listener, context.clone(), stopper.drain()));
        }
        background.spawn(sweep(context.clone()));
        background.spawn(crate::upstream::health::watch(context.clone()));
        Ok(ProxyHandle { context, handshakes, addresses, drainer, stopper, acceptors, background })
    }
}

fn open(
    purpose: &'static str,
    address: Option<SocketAddr>,
    chosen: &mut Option<SocketAddr>,
) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let bound = bind(address).and_then(|listener| {
        *chosen = Some(listener.local_addr()?);
        Ok(listener)
    });
    bound.map(Some).map_err(|source| StartError::Bind { purpose, address, source })
}

fn random() -> Result<u64, StartError> {
    getrandom::u64().map_err(StartError::Random)
}

async fn sweep(context: Arc<Context>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        context.instances.sweep();
    }
}

/// A running proxy. Dropping it stops everything at once; [`ProxyHandle::shutdown`] does it gently.
#[derive(Debug)]
pub struct ProxyHandle {
    context: Arc<Context>,
    handshakes: Arc<Handshakes>,
    addresses: Addresses,
    drainer: Drainer,
    stopper: Drainer,
    acceptors: Vec<JoinHandle<JoinSet<()>>>,
    background: JoinSet<()>,
}

impl ProxyHandle {
    /// The addresses that are listened on.
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Replaces all routes at once. Requests under way end with the routes they began with.
    ///
    /// Hosts without a certificate get a self-signed one before the routes are in force.
    pub fn publish(&self, routes: RouteTable) {
        self.context.certificates.provide(&routes, SystemTime::now());
        self.handshakes.provide(&routes);
        LiveTable::publish(&self.context.table, routes, &self.context.instances, &self.context.metrics);
    }

    /// The routes in force.
    pub fn routes(&self) -> RouteTable {
        self.context.table.load().routes().clone()
    }

    /// Requests that the instance at this address is answering now, of routes in force and of earlier ones.
    pub fn active(&self, endpoint: &Endpoint) -> usize {
        self.context.instances.active(endpoint)
    }

    /// Puts a certificate for a host into force.
    pub fn replace_certificate(
        &self,
        host: &str,
        certificate: &CertificatePem,
    ) -> Result<(), CertificateError> {
        self.context.certificates.replace(host, certificate)
    }

    /// Asks the store again for the certificates of an app's hosts, after one of them changed there.
    pub fn reload_certificates(&self, app: &str) {
        self.context.certificates.reload(app, SystemTime::now());
    }

    /// Where proofs for certificate authorities are put.
    pub fn challenges(&self) -> Arc<Challenges> {
        self.context.challenges.clone()
    }

    /// Forgets the kept answers of an app: of one path, of all paths that begin with what stands before a final `*`, or
    /// all. How many that were.
    pub fn purge_cache(&self, app: &str, path: Option<&str>) -> usize {
        let table = self.context.table.load();
        table.of_app(app).filter_map(|live| live.state.cache.as_ref()).map(|cache| cache.purge(path)).sum()
    }

    /// What `/readyz` answers from now on.
    pub fn set_ready(&self, ready: bool) {
        self.context.ready.store(ready, Ordering::Release);
    }

    /// The text that `/metrics` serves.
    pub fn metrics(&self) -> String {
        self.context.scrape()
    }

    /// Stops accepting, lets requests under way end, closes idle connections; cuts what is left after `drain`.
    /// Whether everything ended by itself.
    pub async fn shutdown(mut self, drain: Duration) -> bool {
        self.set_ready(false);
        self.drainer.begin();
        let mut connections = Vec::new();
        for acceptor in self.acceptors.drain(..) {
            connections.extend(acceptor.await.ok());
        }
        let all_ended = self.drainer.wait(drain).await;
        for mut tasks in connections {
            tasks.shutdown().await;
        }
        self.stopper.begin();
        self.background.shutdown().await;
        all_ended
    }
}

impl Drop for ProxyHandle {
    fn drop(&mut self) {
        for acceptor in &self.acceptors {
            acceptor.abort();
        }
    }
}
