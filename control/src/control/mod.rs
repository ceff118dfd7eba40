//! The control plane at work: what the API's calls do.
//!
//! Joins the store, the supervisor, the rules and the proxy. Deployments are decided in [`phase`] and performed in
//! `executor`; `routing` turns healthy instances into the proxy's route table. One operation at a time touches an app;
//! apps do not wait for each other.

mod apps;
mod bans;
mod certificates;
mod deploying;
mod doctor;
mod draining;
mod environment;
mod executor;
mod fleet;
mod front;
mod lifecycle;
mod logs;
pub mod phase;
mod ping;
mod recovery;
mod rehearsal;
mod reload;
mod report;
mod routing;
mod rules;
mod traffic;
mod upgrading;
mod waf;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
pub use fleet::Fleet;
use front::Front;
use hop3_proxy::{Bans, ProxyHandle};
pub(crate) use rehearsal::at_level;
pub use report::Reporter;
use tokio::sync::{OwnedMutexGuard, mpsc, watch};
pub use upgrading::{ADOPTING, Frozen, UpgradeWish};

use crate::api::wire::{Addresses, AuditLog, ServerStatus};
use crate::bans::Nftables;
use crate::certificates::Keeper;
use crate::data::DataDir;
use crate::failure::{Failure, Kind, did_you_mean};
use crate::firewall::{Collections, LogWriter, NameServers, Rulesets, Shield, Watch};
use crate::model::{App, AppName, Desired, Release, Timestamp};
use crate::settings::Settings;
use crate::store::Store;

/// How long an operation waits for another one on the same app.
const PATIENCE: Duration = Duration::from_secs(120);

/// The whole control plane of one data directory.
#[derive(Debug)]
pub struct Control {
    data: DataDir,
    store: Arc<Store>,
    settings: ArcSwap<Settings>,
    rulesets: Rulesets,
    watch: Watch,
    fleet: Fleet,
    keeper: Arc<Keeper>,
    /// `None` once the proxy was told to stop.
    proxy: Mutex<Option<ProxyHandle>>,
    /// The proxy's dynamic firewall.
    bans: Arc<Bans>,
    /// The same in the kernel, where it is wanted.
    nftables: Nftables,
    listen: Addresses,
    /// The port of HTTPS in URLs, where it is not that of `listen`: of the start, as what it belongs to.
    public_https: Option<u16>,
    started: Timestamp,
    stopping: watch::Receiver<bool>,
    locks: Mutex<HashMap<AppName, Arc<tokio::sync::Mutex<()>>>>,
    deployed: Mutex<BTreeMap<AppName, Serving>>,
    /// By the name of the static route.
    routes: Mutex<Vec<ServedRoute>>,
    /// Persistent collections of the rules, by app or static route.
    collections: Mutex<HashMap<String, Arc<Collections>>>,
    /// Writes what the rules log.
    logs: LogWriter,
    /// What `@rbl` asks, once it may.
    name_servers: Mutex<Option<Arc<NameServers>>>,
    /// Whether operations on apps must not begin, since the server is being replaced.
    frozen: AtomicBool,
    /// To those who can start a successor.
    upgrades: mpsc::Sender<UpgradeWish>,
    /// Held while a table is made and published, so that an older one never replaces a newer one.
    publishing: Mutex<()>,
}

/// What [`Control`] is made of.
pub struct Parts {
    /// The data directory; its lock is held elsewhere.
    pub data: DataDir,
    /// The store.
    pub store: Arc<Store>,
    /// The server's configuration.
    pub settings: Settings,
    /// Rules.
    pub rulesets: Rulesets,
    /// The writer of the firewalls' logs.
    pub logs: LogWriter,
    /// Instances.
    pub fleet: Fleet,
    /// Certificates.
    pub keeper: Arc<Keeper>,
    /// The running proxy.
    pub proxy: ProxyHandle,
    /// The kernel's sets of banned clients.
    pub nftables: Nftables,
    /// The addresses it has opened.
    pub listen: Addresses,
    /// Turns true when the server stops.
    pub stopping: watch::Receiver<bool>,
    /// To those who can start a successor.
    pub upgrades: mpsc::Sender<UpgradeWish>,
}

/// What is served of an app: its current release, and what requests meet in front of it.
#[derive(Debug, Clone)]
struct Serving {
    release: Arc<Release>,
    desired: Desired,
    /// `Err` when no rules could be loaded at all: then the app answers 503, never unprotected.
    shield: Result<Shield, Failure>,
    /// `Err` when something it names could not be read: then the app answers 503.
    front: Result<Arc<Front>, Failure>,
}

/// The same of a static route.
#[derive(Debug, Clone)]
struct ServedRoute {
    name: String,
    shield: Result<Shield, Failure>,
    front: Result<Arc<Front>, Failure>,
}

/// A packed source that has arrived.
#[derive(Debug)]
pub struct Upload {
    /// The archive, an unnamed file, at its beginning.
    pub archive: File,
    /// Its SHA-256 in hexadecimal.
    pub digest: String,
}

impl Control {
    /// Joins the parts; nothing is started or published yet.
    pub fn new(parts: Parts) -> Control {
        Control {
            data: parts.data,
            store: parts.store,
            public_https: parts.settings.listen.public_https,
            settings: ArcSwap::from_pointee(parts.settings),
            rulesets: parts.rulesets,
            watch: Watch::default(),
            fleet: parts.fleet,
            keeper: parts.keeper,
            bans: parts.proxy.bans(),
            nftables: parts.nftables,
            proxy: Mutex::new(Some(parts.proxy)),
            listen: parts.listen,
            started: Timestamp::now(),
            stopping: parts.stopping,
            locks: Mutex::default(),
            deployed: Mutex::default(),
            routes: Mutex::default(),
            collections: Mutex::default(),
            logs: parts.logs,
            name_servers: Mutex::default(),
            frozen: AtomicBool::new(false),
            upgrades: parts.upgrades,
            publishing: Mutex::default(),
        }
    }

    /// How long requests under way may take at the end, as configured now; nobody waits for that end where another
    /// process took this one's place.
    pub fn drain_time(&self, replaced: bool) -> Duration {
        let settings = self.settings.load();
        if replaced { settings.upgrade_drain } else { settings.drain }
    }

    /// What the server is doing.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn status(&self) -> Result<ServerStatus, Failure> {
        let apps = self.apps()?;
        let running = apps.iter().filter(|app| app.status == crate::api::wire::AppStatus::Running).count();
        let settings = self.settings.load();
        // Whoever asks may stand in another folder.
        let file =
            settings.file.as_ref().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone()));
        Ok(ServerStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started,
            data: self.data.path().display().to_string(),
            settings: file.map(|file| file.display().to_string()),
            listen: self.listen.clone(),
            apps: apps.len(),
            running,
            routes: settings.routes.len(),
            warnings: self.certificate_warnings(),
        })
    }

    /// The newest audit records, and whether the chain holds.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn audit(&self, lines: usize, verify: bool) -> Result<AuditLog, Failure> {
        let audit = self.store.read()?.audit(lines.min(10_000), verify)?;
        Ok(AuditLog {
            records: audit.records,
            length: audit.length,
            verified: verify,
            broken_at: audit.broken_at,
        })
    }

    /// Where events of the firewall are counted.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The addresses it has opened.
    pub fn listen(&self) -> &Addresses {
        &self.listen
    }

    /// The data directory.
    pub fn data(&self) -> &DataDir {
        &self.data
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The instances.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The proxy, to be shut down; from then on nothing is published.
    pub fn release_proxy(&self) -> Option<ProxyHandle> {
        locked(&self.proxy).take()
    }

    /// Lets the proxy accept clients.
    pub fn accept(&self) {
        self.rulesets.begin_serving();
        if let Some(proxy) = locked(&self.proxy).as_ref() {
            proxy.accept();
        }
    }

    /// What `/readyz` answers.
    pub fn set_ready(&self, ready: bool) {
        if let Some(proxy) = locked(&self.proxy).as_ref() {
            proxy.set_ready(ready);
        }
    }

    /// An unnamed file on the data directory's disk, for an upload.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn spool(&self) -> Result<File, Failure> {
        tempfile::tempfile_in(self.data.run())
            .map_err(|error| Failure::internal("the upload cannot be kept").because(&error))
    }

    /// An app that must exist; the nearest name is offered.
    fn existing(&self, name: &AppName) -> Result<App, Failure> {
        let snapshot = self.store.read()?;
        if let Some(app) = snapshot.app(name)? {
            return Ok(app);
        }
        let apps = snapshot.apps()?;
        let nearest = did_you_mean(name.as_str(), apps.iter().map(|app| app.name.as_str()));
        Err(Failure::not_found(format!("there is no app '{name}'"))
            .maybe_hint(nearest.or_else(|| Some("`hop3 app:list` shows all apps".into()))))
    }

    /// Waits until no other operation touches the app.
    async fn lock(&self, app: &AppName, report: &Reporter) -> Result<OwnedMutexGuard<()>, Failure> {
        self.check_thawed()?;
        let lock = locked(&self.locks).entry(app.clone()).or_default().clone();
        let guard = match lock.clone().try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => {
                report.line(format!("-> Waiting for another operation on '{app}' to finish"));
                tokio::time::timeout(PATIENCE, lock.lock_owned()).await.map_err(|_| {
                    Failure::new(Kind::Conflict, format!("another operation on '{app}' is under way"))
                        .hint(format!("try again later; `hop3 app:status {app}` shows how it is"))
                })?
            }
        };
        // It may have begun to freeze in between; whoever freezes looks at the locks after saying so.
        self.check_thawed()?;
        Ok(guard)
    }

    fn check_thawed(&self) -> Result<(), Failure> {
        match self.frozen.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(Failure::conflict("the server is being replaced by its successor")
                .hint("try again in a few seconds")),
        }
    }
}

/// The content of a mutex. None of ours is left half changed by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
