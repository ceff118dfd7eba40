//! Starting and stopping a proxy, and publishing to it.

use std::io;
use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::acme::Challenges;
use crate::admin;
use crate::admission::Admission;
use crate::backend::Endpoint;
use crate::bans::Bans;
use crate::certificates::{CertificateError, CertificatePem, CertificateStore, Certificates};
use crate::config::{Hold, ListenConfig, ProxyConfig, Purpose};
use crate::context::Context;
use crate::drain::{Drain, Drainer};
use crate::events::EventSender;
use crate::listener::{Acceptance, accept_loop};
use crate::route::RouteTable;
use crate::sockets::Sockets;
use crate::table::LiveTable;
use crate::tls::Handshakes;

/// How often pools are rid of connections that were idle for too long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// How long an idle connection may bring its last request to a proxy that has a successor.
const LAST_REQUEST_TIME: Duration = Duration::from_secs(10);

/// Longest time that the last scrapes may take once nothing else is left to end.
const LAST_SCRAPES: Duration = Duration::from_secs(5);

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
    #[error("cannot listen on {address} ({purpose}): {source}")]
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
    /// A listening socket cannot be copied.
    #[error("cannot copy a listening socket: {0}")]
    Socket(io::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl StartError {
    /// What to do about it, when that is known.
    pub fn next_step(&self) -> Option<&'static str> {
        let Self::Bind { source, .. } = self else { return None };
        match source.kind() {
            io::ErrorKind::AddrInUse => Some(
                "another program uses the port: stop it, or choose another port under [server.listen] (0 for any)",
            ),
            io::ErrorKind::PermissionDenied => Some(
                "ports below 1024 need root, the capability (`setcap cap_net_bind_service=+ep` on the executable, or \
                 AmbientCapabilities= of systemd: `hop3 unit`), or sockets that systemd opens (`hop3 unit --socket`)",
            ),
            io::ErrorKind::AddrNotAvailable => Some("no interface of this machine has the address"),
            _ => Some("check the address under [server.listen]"),
        }
    }
}

impl Proxy {
    /// Binds all listeners, then serves on the tokio runtime it is called from (it must be called from one). Nothing is
    /// left behind when it fails.
    pub fn start(mut config: ProxyConfig, services: Services) -> Result<ProxyHandle, StartError> {
        let certificates =
            Arc::new(Certificates::new(services.certificates, config.tls.unknown_names, SystemTime::now())?);
        let random = [random()?, random()?];
        // What nobody listens on ends here (unless the caller keeps it): nobody would ever answer its clients.
        let inherited = std::mem::take(&mut config.inherited);
        let sockets = Sockets::open(&config.listen, &inherited)?;
        let copies = sockets.copies().map_err(StartError::Socket)?;
        let Sockets { listeners, addresses } = sockets;
        // Redirects name the port that was really chosen.
        config.listen.https = addresses.https;
        let (limits, options, hold) = (config.limits.clone(), config.tls, config.hold);
        let context = Arc::new(Context::new(config, services.events, certificates.clone(), random));
        let handshakes = Arc::new(Handshakes::new(certificates, context.challenges.clone(), options)?);
        let (drainer, stopper) = (Drainer::default(), Drainer::default());
        let (gate, opened) = watch::channel(hold == Hold::Nobody);
        let plain = Acceptance {
            context: context.clone(),
            permits: Arc::new(Semaphore::new(limits.max_connections.clamp(1, Semaphore::MAX_PERMITS))),
            admission: Arc::new(Admission::new(limits.max_connections_per_client)),
            open: drainer.connections(),
            drain: drainer.drain(),
            gate: opened.clone(),
            tls: None,
        };
        let secure = Acceptance { tls: Some(handshakes.clone()), ..plain.clone() };
        let mut acceptors = Vec::new();
        let (mut admin, mut background) = (JoinSet::new(), JoinSet::new());
        for (purpose, listener) in listeners {
            match purpose {
                Purpose::Http => acceptors.push(tokio::spawn(accept_loop(listener, plain.clone()))),
                Purpose::Https => acceptors.push(tokio::spawn(accept_loop(listener, secure.clone()))),
                Purpose::Admin => {
                    let gate = (hold == Hold::Everybody).then(|| opened.clone());
                    admin.spawn(administer(listener, context.clone(), gate, stopper.drain()));
                }
            }
        }
        background.spawn(sweep(context.clone()));
        background.spawn(crate::upstream::health::watch(context.clone()));
        Ok(ProxyHandle {
            context,
            handshakes,
            addresses,
            sockets: copies,
            gate,
            drainer,
            stopper,
            acceptors,
            admin,
            background,
        })
    }
}

fn random() -> Result<u64, StartError> {
    getrandom::u64().map_err(StartError::Random)
}

/// Serves the admin listener, once the gate is open where there is one, until `stop` begins.
async fn administer(
    listener: TcpListener,
    context: Arc<Context>,
    gate: Option<watch::Receiver<bool>>,
    mut stop: Drain,
) {
    if let Some(mut gate) = gate {
        let opened = tokio::select! {
            opened = gate.wait_for(|open| *open) => opened.is_ok(),
            _ = stop.begun() => false,
        };
        if !opened {
            return;
        }
    }
    admin::serve(listener, context, stop).await;
}

async fn sweep(context: Arc<Context>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        context.instances.sweep();
        context.bans.sweep(SystemTime::now());
    }
}

/// A running proxy. Dropping it stops everything at once; [`ProxyHandle::shutdown`] does it gently.
#[derive(Debug)]
pub struct ProxyHandle {
    context: Arc<Context>,
    handshakes: Arc<Handshakes>,
    addresses: ListenConfig,
    /// To hand on; they keep the addresses open.
    sockets: Vec<Arc<Socket>>,
    gate: watch::Sender<bool>,
    drainer: Drainer,
    stopper: Drainer,
    acceptors: Vec<JoinHandle<JoinSet<()>>>,
    admin: JoinSet<()>,
    background: JoinSet<()>,
}

impl ProxyHandle {
    /// The addresses that are listened on, with the ports that were chosen.
    pub fn addresses(&self) -> ListenConfig {
        self.addresses.clone()
    }

    /// The listening sockets, for a successor: while it accepts from them, nobody is refused. See
    /// [`crate::hand_over`] and [`ProxyConfig::inherited`].
    pub fn sockets(&self) -> Vec<Arc<Socket>> {
        self.sockets.clone()
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

    /// The dynamic firewall.
    pub fn bans(&self) -> Arc<Bans> {
        self.context.bans.clone()
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

    /// Begins to accept clients, when the proxy was started with a [`ProxyConfig::hold`].
    pub fn accept(&self) {
        self.gate.send_replace(true);
    }

    /// Stops accepting, lets requests under way end, closes idle connections; cuts what is left after `drain`.
    /// Whether everything ended by itself.
    pub async fn shutdown(self, drain: Duration) -> bool {
        self.end(Duration::ZERO, drain).await
    }

    /// [`ProxyHandle::shutdown`] with a successor that accepts from the same sockets: connections that are idle may bring
    /// one more request, whose answer sends them to the successor. So a client that is just writing loses nothing.
    pub async fn give_way(self, drain: Duration) -> bool {
        self.end(LAST_REQUEST_TIME.min(drain / 2), drain).await
    }

    async fn end(mut self, patience: Duration, drain: Duration) -> bool {
        self.set_ready(false);
        // Without a successor, new clients are refused from now on instead of waiting for nobody.
        self.sockets.clear();
        self.drainer.begin(patience);
        if patience > Duration::ZERO {
            // Whoever asks how the server is means the successor.
            self.stopper.begin(Duration::ZERO);
        }
        let mut connections = Vec::new();
        for acceptor in self.acceptors.drain(..) {
            connections.extend(acceptor.await.ok());
        }
        let all_ended = self.drainer.wait(drain).await;
        for mut tasks in connections {
            tasks.shutdown().await;
        }
        self.stopper.begin(Duration::ZERO);
        let scraped = async { while self.admin.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_SCRAPES, scraped).await;
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
