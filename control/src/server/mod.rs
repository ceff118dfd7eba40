//! `hop3 serve`: joins the parts, runs until a signal, ends in order.
//!
//! Two runtimes: one serves requests, one does everything else, so that a busy control plane costs no request.

mod access_log;
mod certificates;
mod events;
mod handover;
mod log;
mod passed;
mod predecessor;
mod signals;
mod successor;
mod systemd;
mod traces;
mod upgrade;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access_log::RequestLog;
use certificates::StoredCertificates;
use events::EventKeeper;
use hop3_proxy::{EventSender, Hold, Proxy, ProxyConfig, ProxyHandle, Purpose, Services};
use passed::{Door, PassedSocket};
use predecessor::Predecessor;
use sha2::{Digest, Sha256};
use signals::{Signals, Wish, told_to_stop};
use successor::Invocation;
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use traces::TraceExport;
use upgrade::{Replaced, Upgrader};

use crate::api::wire::Addresses;
use crate::api::{Peer, router};
use crate::bans::Nftables;
use crate::certificates::{Keeper, Shelf};
use crate::control::{Control, Fleet, Parts, UpgradeWish};
use crate::data::{DataDir, Lock, write_atomically};
use crate::failure::{Failure, Kind, chain};
use crate::firewall::{LogWriter, Rulesets, failed};
use crate::model::hexadecimal;
use crate::settings::{Settings, low_ports_allowed};
use crate::store::{Cipher, Store};

/// Events of the proxy that wait to be kept; more are dropped and counted.
const EVENT_QUEUE: usize = 8192;
/// How long a predecessor's store may take to become free.
const STORE_PATIENCE: Duration = Duration::from_secs(20);

/// How the server is started.
#[derive(Debug)]
pub struct Start {
    /// Its data directory.
    pub data: DataDir,
    /// Its configuration, when it is not `hop3-server.toml` in the data directory.
    pub config: Option<PathBuf>,
    /// Whether apps go on when the server stops.
    pub keep_apps: bool,
    /// How often `-v` was given.
    pub verbose: u8,
    /// Whether `-q` was given.
    pub quiet: bool,
}

/// Runs the server until SIGTERM or SIGINT, or until a successor has taken its place.
///
/// # Errors
/// The configuration has a fault, another server holds the data directory, an address is taken, or the store is
/// damaged. Nothing runs then.
pub fn run(start: Start) -> Result<(), Failure> {
    let invocation = Invocation::of_this_process(low_ports_allowed()).map_err(|error| {
        Failure::internal("the system does not tell where this executable lies").because(&error)
    })?;
    let mut predecessor = Predecessor::find()?;
    let outcome = begin(start, invocation, &mut predecessor);
    if let (Err(failure), Some(predecessor)) = (&outcome, &predecessor) {
        predecessor.fail(failure);
    }
    outcome
}

fn begin(start: Start, invocation: Invocation, predecessor: &mut Option<Predecessor>) -> Result<(), Failure> {
    // What this process may, apps and their builds need not. Fails where nothing was given.
    let _kept = rustix::thread::clear_ambient_capability_set();
    let settings = load(&start)?;
    log::begin(&settings, start.verbose, start.quiet);
    let passed = match predecessor {
        Some(predecessor) => predecessor.take_over()?,
        None => systemd::inherited(),
    };
    let lock = start.data.claim()?;
    if predecessor.is_none() {
        // A server that crashed left its addresses behind.
        let _absent = fs::remove_file(start.data.addresses());
    }
    let cipher = Cipher::open(&start.data.key())?;
    let store = Arc::new(match predecessor {
        Some(_) => Store::open_when_free(&start.data.store(), cipher, STORE_PATIENCE)?,
        None => Store::open(&start.data.store(), cipher)?,
    });
    restrict(&start.data.store(), 0o600)?;
    let rules = hop3_rules::Store::open(start.data.rules()).map_err(|error| failed(&error))?;
    let serving = runtime("serve", settings.threads)?;
    let control = runtime("control", 2)?;
    let server = Server { start, invocation, lock, passed, serving: &serving };
    let outcome = control.block_on(server.serve(settings, store, Rulesets::new(rules), predecessor));
    // Whatever still runs (a follower of logs, a probe) has nothing left to say.
    control.shutdown_timeout(Duration::from_secs(1));
    serving.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// What a server has before it serves.
struct Server<'r> {
    start: Start,
    invocation: Invocation,
    lock: Lock,
    passed: Vec<PassedSocket>,
    serving: &'r Runtime,
}

/// What [`Server::join`] makes.
struct Joined {
    control: Arc<Control>,
    keeper: Arc<Keeper>,
    doors: Vec<Door>,
    socket: UnixListener,
    stop: watch::Sender<bool>,
    wanted: mpsc::Receiver<UpgradeWish>,
}

impl Server<'_> {
    async fn serve(
        mut self,
        settings: Settings,
        store: Arc<Store>,
        rulesets: Rulesets,
        predecessor: &mut Option<Predecessor>,
    ) -> Result<(), Failure> {
        let (events, received) = EventSender::bounded(EVENT_QUEUE);
        let requests = Arc::new(Mutex::new(RequestLog::open(&settings)?));
        let (traces, exporting) = settings.traces.clone().map(TraceExport::start).unzip();
        let access = AccessSwitch { wanted: events.access_switch(), traced: traces.is_some() };
        access.set(settings.log_access);
        let hold = if predecessor.is_some() { Hold::Everybody } else { Hold::Clients };
        let joined = self.join(settings, store, rulesets, hold, events)?;
        let Joined { control, keeper, doors, socket, stop, mut wanted } = joined;
        let instances = tokio::spawn(control.clone().follow_instances(control.fleet().supervisor().events()));
        let (way, successor) = watch::channel(None);
        let (events, waiting) = (control.clone(), Vec::new());
        let events = EventKeeper { control: events, requests: requests.clone(), traces, successor, waiting };
        let pump = tokio::spawn(events.run(received));
        control.restore_bans()?;
        let mut signals = Signals::listen()?;
        let revived = control.recover().await?;
        if predecessor.is_some() {
            // Until then it serves. Whoever comes to us afterwards finds the apps as they were.
            control.settle(revived, told_to_stop()).await;
        }
        // Before the command line is answered: who reaches us finds our addresses, not an earlier server's.
        announce(&self.start, control.listen())?;
        let mut background =
            Background { control: control.clone(), keeper, stop, api: Vec::new(), others: Vec::new() };
        background.begin(socket);
        control.accept();
        control.set_ready(true);
        match predecessor.take() {
            Some(predecessor) => predecessor.relieve(control.clone()),
            None => systemd::notify("READY=1"),
        }
        let (invocation, lock) = (self.invocation, Some(self.lock));
        let mut upgrader = Upgrader { invocation, doors, lock, background, way };
        let replaced = loop {
            let wish = tokio::select! {
                wish = signals.next() => wish,
                Some(asker) = wanted.recv() => Wish::Upgrade(Some(asker)),
            };
            match wish {
                Wish::Stop => break None,
                Wish::Reload => reload(&self.start, &control, &requests, &access),
                Wish::Upgrade(asker) => {
                    if let Some(done) = upgrader.upgrade(&control, asker).await {
                        break Some(done);
                    }
                }
            }
        };
        wanted.close();
        let ending = Ending { instances, pump, exporting, serving: self.serving };
        ending.end(&self.start, &control, upgrader.background, replaced, signals).await;
        Ok(())
    }

    /// Opens the listeners, which let nobody in yet, and joins everything to the control plane; nothing runs yet.
    fn join(
        &mut self,
        settings: Settings,
        store: Arc<Store>,
        rulesets: Rulesets,
        hold: Hold,
        events: EventSender,
    ) -> Result<Joined, Failure> {
        let passed = std::mem::take(&mut self.passed);
        let doors = passed::doors(&settings.listen.config(), &passed);
        for address in passed::unused(&doors, &passed) {
            tracing::warn!(%address, "a passed socket is not used: name it `http`, `https` or `admin` \
                (FileDescriptorName=), or configure its address under [server.listen]");
        }
        let shelf = Arc::new(Shelf::open(store.clone())?);
        let certificates = StoredCertificates::new(store.clone(), shelf.clone());
        let proxy = open(&settings, &doors, passed, hold, certificates, events, self.serving)?;
        let keeper = Arc::new(Keeper::new(shelf, proxy.challenges(), settings.acme.clone()));
        let chosen = proxy.addresses();
        let listen = Addresses { http: chosen.http, https: chosen.https, admin: chosen.admin };
        let further = chosen.further.iter().filter(|(purpose, _)| *purpose != Purpose::Admin);
        let open =
            [chosen.http, chosen.https].into_iter().flatten().chain(further.map(|(_, address)| *address));
        let ports = open.map(|address| address.port()).collect();
        proxy.bans().configure(settings.bans.proxy.clone());
        let data = self.start.data.clone();
        let owner = owner(&data);
        let socket = bind(&data)?;
        let (stop, stopping) = watch::channel(false);
        let (upgrades, wanted) = mpsc::channel(1);
        let control = Arc::new(Control::new(Parts {
            store,
            settings,
            rulesets,
            logs: LogWriter::start()?,
            nftables: Nftables::new(&owner, ports, data.nftables()),
            fleet: Fleet::new(owner),
            keeper: keeper.clone(),
            proxy,
            listen,
            stopping,
            upgrades,
            data,
        }));
        Ok(Joined { control, keeper, doors, socket, stop, wanted })
    }
}

/// What is left to be ended when nobody is served any more.
struct Ending<'r> {
    instances: JoinHandle<()>,
    pump: JoinHandle<()>,
    exporting: Option<JoinHandle<()>>,
    serving: &'r Runtime,
}

impl Ending<'_> {
    /// Stops in order: the command line, requests under way, apps, and last what keeps what they did.
    async fn end(
        self,
        start: &Start,
        control: &Arc<Control>,
        mut background: Background,
        replaced: Option<Replaced>,
        mut signals: Signals,
    ) {
        match &replaced {
            Some(replaced) => replaced.tell_service_manager(),
            None => systemd::notify("STOPPING=1"),
        }
        tracing::info!(keep_apps = start.keep_apps, replaced = replaced.is_some(), "stopping");
        background.stop().await;
        let keep_apps = start.keep_apps || replaced.is_some();
        let (proxy, frozen) = match replaced {
            Some(Replaced { proxy, frozen, .. }) => (Some((proxy, true)), Some(frozen)),
            None => (control.release_proxy().map(|proxy| (proxy, false)), None),
        };
        end(control, proxy, self.serving, keep_apps, &mut signals).await;
        background.finish().await;
        self.instances.abort();
        // The queue's senders are gone with the proxy, so the pump ends when it has kept everything.
        let _kept = tokio::time::timeout(Duration::from_secs(10), self.pump).await;
        if let Some(exporting) = self.exporting {
            let _sent = tokio::time::timeout(Duration::from_secs(3), exporting).await;
        }
        if frozen.is_some() {
            tokio::task::block_in_place(|| control.finish_logs());
        } else {
            control.finish_bans().await;
            tokio::task::block_in_place(|| control.finish_firewalls());
            for file in [start.data.socket(), start.data.addresses()] {
                let _absent = fs::remove_file(file);
            }
        }
        tracing::info!("stopped");
    }
}

/// The tasks that must not run while the store is a successor's.
struct Background {
    control: Arc<Control>,
    keeper: Arc<Keeper>,
    stop: watch::Sender<bool>,
    api: Vec<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts them; the command line is answered on `socket`.
    fn begin(&mut self, socket: UnixListener) {
        self.stop.send_replace(false);
        self.api.push(tokio::spawn(answer(socket, self.control.clone(), self.stop.subscribe())));
        let (control, stopping) = (self.control.clone(), self.stop.subscribe());
        self.others = vec![
            tokio::spawn(self.control.clone().keep_collections()),
            tokio::spawn(self.control.clone().keep_bans()),
            tokio::spawn(self.keeper.clone().run(move |notice| control.heed(&notice), stopping)),
        ];
    }

    /// Ends them. Requests of the command line that are under way go on.
    async fn stop(&mut self) {
        self.stop.send_replace(true);
        for task in std::mem::take(&mut self.others) {
            // They end on their own; one that does not must not keep the store.
            let abort = task.abort_handle();
            if tokio::time::timeout(Duration::from_secs(5), task).await.is_err() {
                abort.abort();
            }
        }
    }

    /// Waits until the last requests of the command line are answered, for seconds at most.
    async fn finish(&mut self) {
        for api in std::mem::take(&mut self.api) {
            let _ended = tokio::time::timeout(Duration::from_secs(2), api).await;
        }
    }
}

/// Stops in order: new connections, requests under way, apps. A second signal cuts the waiting short.
async fn end(
    control: &Arc<Control>,
    proxy: Option<(ProxyHandle, bool)>,
    serving: &Runtime,
    keep_apps: bool,
    signals: &mut Signals,
) {
    if let Some((proxy, replaced)) = proxy {
        let drain = control.drain_time(replaced);
        let drained = serving.spawn(async move {
            if replaced { proxy.give_way(drain).await } else { proxy.shutdown(drain).await }
        });
        tokio::select! {
            _ = drained => {}
            () = signals.stop() => tracing::warn!("requests under way are cut off"),
        }
    }
    if keep_apps {
        return;
    }
    tokio::select! {
        stopped = control.fleet().supervisor().stop_all() => if let Err(error) = stopped {
            tracing::error!(error = chain(&error), "an app could not be stopped");
        },
        () = signals.stop() => tracing::warn!("apps are left running; the next start takes them over"),
    }
}

fn load(start: &Start) -> Result<Settings, Failure> {
    match &start.config {
        Some(path) => Settings::load(path, true),
        None => Settings::load(&start.data.settings(), false),
    }
}

/// Whether the proxy reports every request.
struct AccessSwitch {
    wanted: Arc<AtomicBool>,
    /// Traces are made of the same records.
    traced: bool,
}

impl AccessSwitch {
    fn set(&self, logged: bool) {
        self.wanted.store(logged || self.traced, Ordering::Relaxed);
    }
}

fn reload(start: &Start, control: &Control, requests: &Mutex<RequestLog>, access: &AccessSwitch) {
    systemd::notify_reloading();
    let outcome = tokio::task::block_in_place(|| {
        let settings = load(start)?;
        let (mut log, logged) = (RequestLog::open(&settings)?, settings.log_access);
        let notes = control.reload(settings)?;
        access.set(logged);
        std::mem::swap(&mut *requests.lock().unwrap_or_else(PoisonError::into_inner), &mut log);
        log.flush();
        Ok(notes)
    });
    match outcome {
        Ok::<Vec<String>, Failure>(notes) => {
            notes.iter().for_each(|note| tracing::warn!("{note}"));
            tracing::info!("the configuration was loaded anew");
        }
        Err(failure) => tracing::error!("the old configuration stays in force: {failure}"),
    }
    systemd::notify("READY=1");
}

fn open(
    settings: &Settings,
    doors: &[Door],
    passed: Vec<PassedSocket>,
    hold: Hold,
    certificates: StoredCertificates,
    events: EventSender,
    serving: &Runtime,
) -> Result<ProxyHandle, Failure> {
    let clients = settings.clients.clone();
    let config = ProxyConfig {
        listen: passed::listen(doors),
        public_https: settings.listen.public_https,
        inherited: passed.into_iter().map(|one| one.socket).collect(),
        hold,
        tls: settings.tls,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        limits: clients.limits,
        trusted_proxies: clients.trusted_proxies,
        forwarding: clients.forwarding,
        proxy_protocol: clients.proxy_protocol,
        new_traces: clients.new_traces,
        spans: settings.traces.is_some(),
        sample_new_traces: settings.traces.as_ref().map_or(0, |traces| traces.sample),
    };
    let certificates = Arc::new(certificates);
    let _inside = serving.enter();
    Proxy::start(config, Services { certificates, events }).map_err(|error| {
        let hint =
            error.next_step().unwrap_or("choose other addresses under [server.listen] in hop3-server.toml");
        Failure::new(Kind::Unavailable, "the server cannot be started").cause(error.to_string()).hint(hint)
    })
}

/// The command line's socket; one that a crashed server left behind is replaced, since we hold the lock.
fn bind(data: &DataDir) -> Result<UnixListener, Failure> {
    let path = data.socket();
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Unavailable, format!("cannot listen on `{}`", path.display())).because(&error)
    };
    let _absent = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(failed)?;
    restrict(&path, 0o600)?;
    Ok(listener)
}

async fn answer(socket: UnixListener, control: Arc<Control>, mut stopping: watch::Receiver<bool>) {
    let service = router(control).into_make_service_with_connect_info::<Peer>();
    let stop = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    if let Err(error) = axum::serve(socket, service).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the command line's socket broke");
    }
}

/// Writes the chosen addresses where programs find them, and prints them for people.
fn announce(start: &Start, listen: &Addresses) -> Result<(), Failure> {
    let path = start.data.addresses();
    let failed = |error: std::io::Error| {
        Failure::internal(format!("cannot write `{}`", path.display())).because(&error)
    };
    let mut text = serde_json::to_vec_pretty(listen).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    write_atomically(&path, &text).map_err(failed)?;
    let text = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
    tracing::info!(http = text(listen.http), https = text(listen.https), admin = text(listen.admin), "ready");
    if !start.quiet {
        let shown = [
            ("HTTP", "http", listen.http),
            ("HTTPS", "https", listen.https),
            ("Admin", "http", listen.admin),
        ];
        println!("✓ hop3 {} is ready (pid {})", env!("CARGO_PKG_VERSION"), std::process::id());
        for (name, scheme, address) in shown {
            if let Some(address) = address {
                println!("  {name:<6} {scheme}://{address}");
            }
        }
        println!("  Data   {}", start.data.path().display());
    }
    Ok(())
}

fn restrict(path: &std::path::Path, mode: u32) -> Result<(), Failure> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|error| {
        Failure::internal(format!("cannot set the mode of `{}`", path.display())).because(&error)
    })
}

/// How long a thread for what blocks waits for more of it.
const BLOCKING_IDLE: Duration = Duration::from_secs(1);

fn runtime(name: &'static str, threads: usize) -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(format!("hop3-{name}"))
        .on_thread_park(|| {
            hop3_proxy::thread_parks();
            hop3_allocator::give_back();
        })
        // Threads for what blocks give back what they hold only with their end.
        .thread_keep_alive(BLOCKING_IDLE)
        .enable_all()
        .build()
        .map_err(|error| Failure::internal("cannot start threads").because(&error))
}

/// Tells this server's processes from those of a server with another data directory.
fn owner(data: &DataDir) -> String {
    let path = data.path().canonicalize().unwrap_or_else(|_| data.path().to_owned());
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    format!("hop3-{}", hexadecimal(&digest[..6]))
}
