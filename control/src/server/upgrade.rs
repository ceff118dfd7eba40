//! Replacing this process by one of the executable that lies at its path now, without losing a connection.
//!
//! The new process reads its configuration before anything happens. Then this one lets go of apps, store and lock and
//! goes on serving with the routes it has, until the new one has found the apps again and accepts from the same sockets.
//! If it gives up on the way, this one takes everything back.

use std::sync::Arc;

use hop3_proxy::ProxyHandle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};

use super::passed::Door;
use super::signals::told_to_stop;
use super::successor::{EventWay, Invocation, Successor};
use super::{Background, bind, systemd};
use crate::api::wire::{ServerProcess, Upgraded};
use crate::control::{Control, Frozen, UpgradeWish};
use crate::data::Lock;
use crate::failure::Failure;

/// What an upgrade needs.
pub struct Upgrader {
    /// How this process was started.
    pub invocation: Invocation,
    /// What it listens on, in the order of the proxy's sockets.
    pub doors: Vec<Door>,
    /// Its data directory's lock; `None` only while a successor has it.
    pub lock: Option<Lock>,
    /// What must not run meanwhile.
    pub background: Background,
    /// To the keeper of events.
    pub way: watch::Sender<Option<EventWay>>,
}

/// What is left when a successor serves.
#[derive(Debug)]
pub struct Replaced {
    /// To be drained.
    pub proxy: ProxyHandle,
    /// To be held to the end.
    pub frozen: Frozen,
    /// Who serves.
    pub successor: Successor,
}

impl Replaced {
    /// Tells the service manager which process counts from now on.
    pub fn tell_service_manager(&self) {
        systemd::notify(&format!("MAINPID={}", self.successor.pid()));
    }
}

/// Ends a successor when this process is told to stop; as long as it lives.
struct EndAtStop {
    task: JoinHandle<()>,
    told: watch::Receiver<bool>,
}

impl EndAtStop {
    fn watch(successor: &Successor) -> EndAtStop {
        let handle = successor.handle();
        let (tell, told) = watch::channel(false);
        let task = tokio::spawn(async move {
            told_to_stop().await;
            tell.send_replace(true);
            tracing::warn!("told to stop: the upgrade is broken off");
            let ended = handle.and_then(|handle| {
                let sent = rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL);
                Ok(sent?)
            });
            if let Err(error) = ended {
                tracing::debug!(%error, "the successor has ended already");
            }
            // Whoever waits for the wish can still see it.
            tell.closed().await;
        });
        EndAtStop { task, told }
    }

    /// Over when this process was told to stop.
    async fn told(&self) {
        let mut told = self.told.clone();
        let _over = told.wait_for(|told| *told).await;
    }
}

impl Drop for EndAtStop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upgrader {
    /// Starts a successor and tells `asker` what became of it. `None` when this process goes on.
    pub async fn upgrade(&mut self, control: &Arc<Control>, asker: Option<UpgradeWish>) -> Option<Replaced> {
        tracing::info!(executable = %self.invocation.executable().display(), "starting a successor");
        let outcome = self.replace(control).await;
        let told = match &outcome {
            Ok(replaced) => {
                let pid = replaced.successor.pid();
                let version = &replaced.successor.version;
                tracing::info!(pid, version, "the successor serves");
                Ok(Upgraded {
                    now: ServerProcess { version: version.clone(), pid },
                    before: ServerProcess {
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                        pid: std::process::id(),
                    },
                })
            }
            Err(failure) => {
                tracing::error!("the upgrade failed: {failure}");
                Err(failure.clone())
            }
        };
        if let Some(asker) = asker {
            // Whoever asked may have gone.
            let _heard = asker.send(told);
        }
        outcome.ok()
    }

    async fn replace(&mut self, control: &Arc<Control>) -> Result<Replaced, Failure> {
        let frozen = control.freeze()?;
        let successor = self.invocation.spawn()?;
        // The conversation blocks this thread, for minutes if need be: a wish to stop ends it by ending the other side.
        let watched = EndAtStop::watch(&successor);
        let successor = block_in_place(|| successor.greet())?;
        self.background.stop().await;
        let Some(proxy) = control.release_proxy() else {
            block_in_place(|| successor.give_up());
            return Err(Failure::conflict("the server is stopping"));
        };
        let failure = match block_in_place(|| control.let_go()) {
            Ok(()) => {
                drop(self.lock.take());
                match block_in_place(|| successor.hand_over(&self.doors, &proxy)) {
                    Ok(successor) => {
                        self.send_events_to(&successor);
                        return Ok(Replaced { proxy, frozen, successor });
                    }
                    Err(failure) => failure,
                }
            }
            Err(failure) => {
                block_in_place(|| successor.give_up());
                failure
            }
        };
        match self.take_back(control, frozen, proxy, &watched).await {
            Ok(()) => Err(failure),
            Err(worse) => {
                tracing::error!("requests are served on, but the store cannot be taken back: {worse}");
                Err(worse.hint("restart the server: its apps run on and are found again"))
            }
        }
    }

    fn send_events_to(&self, successor: &Successor) {
        match successor.events() {
            Ok(way) => {
                self.way.send_replace(Some(way));
            }
            Err(error) => tracing::error!(%error, "the last firewall events will be lost"),
        }
    }

    async fn take_back(
        &mut self,
        control: &Arc<Control>,
        frozen: Frozen,
        proxy: ProxyHandle,
        watched: &EndAtStop,
    ) -> Result<(), Failure> {
        if self.lock.is_none() {
            match control.data().claim() {
                Ok(lock) => self.lock = Some(lock),
                Err(failure) => {
                    control.keep_proxy(proxy);
                    return Err(failure);
                }
            }
        }
        control.take_back(frozen, proxy, watched.told()).await?;
        let socket = bind(control.data())?;
        self.background.begin(socket);
        Ok(())
    }
}
