//! `hop3 serve`: joins the parts, runs until a signal, ends in order.
//!
//! Two runtimes: one serves requests, one does everything else, so that a busy control plane costs no request.

mod certificates;
mod events;
mod log;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use certificates::StoredCertificates;
use hop3_proxy::{EventSender, ListenConfig, Proxy, ProxyConfig, ProxyHandle, Services};
use sha2::{Digest, Sha256};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::api::wire::Addresses;
use crate::api::{Peer, router};
use crate::control::{Control, Fleet, Parts};
use crate::data::{DataDir, write_atomically};
use crate::failure::{Failure, Kind, chain};
use crate::firewall::{LogWriter, Rulesets, failed};
use crate::model::hexadecimal;
use crate::settings::Settings;
use crate::store::{Cipher, Store};

/// How long requests under way may take to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(30);
/// Events of the proxy that wait to be kept; more are dropped and counted.
const EVENT_QUEUE: usize = 8192;

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

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
/// The configuration has a fault, another server holds the data directory, an address is taken, or the store is
/// damaged. Nothing runs then.
pub fn run(start: Start) -> Result<(), Failure> {
    let settings = load(&start)?;
    log::begin(&settings, start.verbose, start.quiet);
    let _lock = start.data.claim()?;
    // A server that crashed left its addresses behind.
    let _absent = fs::remove_file(start.data.addresses());
    let store = Arc::new(Store::open(&start.data.store(), Cipher::open(&start.data.key())?)?);
    restrict(&start.data.store(), 0o600)?;
    let rules = hop3_rules::Store::open(start.data.rules()).map_err(|error| failed(&error))?;
    let serving = runtime("serve", settings.threads)?;
    let control = runtime("control", 2)?;
    let outcome = control.block_on(serve(&start, settings, store, Rulesets::new(rules), &serving));
    // Whatever still runs (a follower of logs, a probe) has nothing left to say.
    control.shutdown_timeout(Duration::from_secs(1));
    serving.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(
    start: &Start,
    settings: Settings,
    store: Arc<Store>,
    rulesets: Rulesets,
    serving: &Runtime,
) -> Result<(), Failure> {
    let (events, received) = EventSender::bounded(EVENT_QUEUE);
    let log_access = settings.log_access;
    let events = if log_access { events } else { events.without_access() };
    let proxy = open(&settings, &store, events, serving)?;
    let chosen = proxy.addresses();
    let listen = Addresses { http: chosen.http, https: chosen.https, admin: chosen.admin };
    let socket = bind(&start.data)?;
    let (stop, stopping) = watch::channel(false);
    let control = Arc::new(Control::new(Parts {
        data: start.data.clone(),
        store: store.clone(),
        settings,
        rulesets,
        logs: LogWriter::start()?,
        fleet: Fleet::new(owner(&start.data)),
        proxy,
        listen: listen.clone(),
        stopping: stopping.clone(),
    }));
    let instances = tokio::spawn(control.clone().follow_instances(control.fleet().supervisor().events()));
    let pump = tokio::spawn(events::keep(received, control.clone(), log_access));
    let collections = tokio::spawn(control.clone().keep_collections());
    let mut signals = Signals::listen()?;
    control.recover().await?;
    // Before the command line is answered: who reaches us finds our addresses, not an earlier server's.
    announce(start, &listen)?;
    let api = tokio::spawn(answer(socket, control.clone(), stopping));
    control.set_ready(true);
    while let Wish::Reload = signals.next().await {
        reload(start, &control);
    }
    tracing::info!(keep_apps = start.keep_apps, "stopping");
    stop.send_replace(true);
    end(&control, serving, start.keep_apps, &mut signals).await;
    let _ended = tokio::time::timeout(Duration::from_secs(2), api).await;
    instances.abort();
    // The queue's senders are gone with the proxy, so the pump ends when it has kept everything.
    let _kept = tokio::time::timeout(Duration::from_secs(2), pump).await;
    collections.abort();
    tokio::task::block_in_place(|| control.finish_firewalls());
    for file in [start.data.socket(), start.data.addresses()] {
        let _absent = fs::remove_file(file);
    }
    tracing::info!("stopped");
    Ok(())
}

/// Stops in order: new connections, requests under way, apps. A second signal cuts the waiting short.
async fn end(control: &Arc<Control>, serving: &Runtime, keep_apps: bool, signals: &mut Signals) {
    control.set_ready(false);
    if let Some(proxy) = control.release_proxy() {
        let drained = serving.spawn(proxy.shutdown(DRAIN));
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

fn reload(start: &Start, control: &Control) {
    let outcome = tokio::task::block_in_place(|| load(start).and_then(|settings| control.reload(settings)));
    match outcome {
        Ok(notes) => {
            notes.iter().for_each(|note| tracing::warn!("{note}"));
            tracing::info!("the configuration was loaded anew");
        }
        Err(failure) => tracing::error!("the old configuration stays in force: {failure}"),
    }
}

fn open(
    settings: &Settings,
    store: &Arc<Store>,
    events: EventSender,
    serving: &Runtime,
) -> Result<ProxyHandle, Failure> {
    let config = ProxyConfig {
        listen: ListenConfig {
            http: settings.listen.http,
            https: settings.listen.https,
            admin: settings.listen.admin,
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ProxyConfig::default()
    };
    let certificates = Arc::new(StoredCertificates::new(store.clone()));
    let _inside = serving.enter();
    Proxy::start(config, Services { certificates, events }).map_err(|error| {
        Failure::new(Kind::Unavailable, "the server cannot be started")
            .cause(error.to_string())
            .hint("choose other addresses under [server.listen] in hop3-server.toml")
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

fn runtime(name: &'static str, threads: usize) -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(format!("hop3-{name}"))
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

/// What a signal asks for.
enum Wish {
    Stop,
    Reload,
}

/// The signals the server obeys.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, Failure> {
        let open = |kind| {
            signal(kind).map_err(|error| Failure::internal("cannot listen to signals").because(&error))
        };
        Ok(Signals {
            terminate: open(SignalKind::terminate())?,
            interrupt: open(SignalKind::interrupt())?,
            hang_up: open(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }

    async fn stop(&mut self) {
        while let Wish::Reload = self.next().await {}
    }
}
