//! Letting go of everything that a data directory has only one owner for, and taking it back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hop3_proxy::ProxyHandle;
use hop3_runtimes::supervisor::event::Phase;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::task::JoinHandle;

use super::{Control, locked};
use crate::api::wire::Upgraded;
use crate::failure::{Failure, chain};

/// How long adopted and restarted instances may take to answer until the routes are made without them. A predecessor
/// waits longer than that for its successor.
pub const ADOPTING: Duration = Duration::from_secs(90);
/// Between looks whether adopted instances answer.
const TICK: Duration = Duration::from_millis(20);

/// Somebody wants a new server process, and to hear what became of it.
pub type UpgradeWish = oneshot::Sender<Result<Upgraded, Failure>>;

/// As long as it lives, no operation on an app begins.
#[derive(Debug)]
pub struct Frozen {
    control: Arc<Control>,
    _guards: Vec<OwnedMutexGuard<()>>,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.control.frozen.store(false, Ordering::SeqCst);
    }
}

impl Control {
    /// Replaces this process by one of the executable that lies at its path now; returns when that serves.
    ///
    /// # Errors
    /// An operation is under way, or the new process gave up; this one goes on.
    pub async fn upgrade(&self) -> Result<Upgraded, Failure> {
        let (wish, outcome) = oneshot::channel();
        let busy = || Failure::conflict("the server is stopping or being replaced already");
        self.upgrades.try_send(wish).map_err(|_| busy())?;
        outcome.await.map_err(|_| busy())?
    }

    /// Keeps operations on apps from beginning.
    ///
    /// # Errors
    /// One is under way.
    pub fn freeze(self: &Arc<Self>) -> Result<Frozen, Failure> {
        // First, so that no operation slips in behind the look at the locks. Dropping it thaws.
        self.frozen.store(true, Ordering::SeqCst);
        let mut frozen = Frozen { control: self.clone(), _guards: Vec::new() };
        for (app, lock) in locked(&self.locks).iter() {
            let guard = lock.clone().try_lock_owned().map_err(|_| {
                Failure::conflict(format!("an operation on '{app}' is under way"))
                    .hint(format!("try again when it has ended; `hop3 app:status {app}` shows how it is"))
            })?;
            frozen._guards.push(guard);
        }
        Ok(frozen)
    }

    /// Lets go of apps and store; the proxy must have been released, and serves on with the routes it has: without
    /// instances there would be none to publish. Blocking.
    ///
    /// # Errors
    /// The store is in use for too long. Call [`Control::take_back`] then.
    pub fn let_go(&self) -> Result<(), Failure> {
        self.fleet.supervisor().release_all();
        self.flush_collections();
        // What cannot be kept now is in force here until the end; the successor forgets it.
        if let Err(error) = self.flush_bans() {
            tracing::error!(error = chain(&error), "the last bans cannot be handed over");
        }
        Ok(self.store.close()?)
    }

    /// Takes everything back from a successor that has ended. Does not wait for apps once `hurry` is over.
    ///
    /// # Errors
    /// The store cannot be opened any more. The proxy serves on.
    pub async fn take_back(
        self: &Arc<Self>,
        frozen: Frozen,
        proxy: ProxyHandle,
        hurry: impl Future<Output = ()>,
    ) -> Result<(), Failure> {
        let outcome = self.reclaim(frozen, hurry).await;
        self.keep_proxy(proxy);
        if outcome.is_ok() {
            self.publish();
        }
        outcome
    }

    /// Takes the proxy back alone: it serves on with the routes it has, and nothing else works.
    pub fn keep_proxy(&self, proxy: ProxyHandle) {
        *locked(&self.proxy) = Some(proxy);
    }

    async fn reclaim(
        self: &Arc<Self>,
        frozen: Frozen,
        hurry: impl Future<Output = ()>,
    ) -> Result<(), Failure> {
        tokio::task::block_in_place(|| self.store.reopen(&self.data.store()))?;
        drop(frozen);
        let revived = self.recover().await?;
        self.settle(revived, hurry).await;
        Ok(())
    }

    /// Waits until what [`Control::recover`] has begun is done and every instance has answered or failed to, at most
    /// [`ADOPTING`] and not once `hurry` is over, and publishes that.
    pub async fn settle(&self, revived: Vec<JoinHandle<()>>, hurry: impl Future<Output = ()>) {
        let settled = async {
            for one in revived {
                // A revival that panicked has left an app without instances, which the log tells.
                let _ended = one.await;
            }
            let starting = || {
                let states = self.fleet.supervisor().states();
                states.iter().any(|(_, state)| state.phase == Phase::Starting)
            };
            while starting() {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::select! {
            () = settled => {}
            () = hurry => tracing::warn!("not every app answers yet, and nobody waits for them any more"),
            () = tokio::time::sleep(ADOPTING) => tracing::warn!("not every app answers yet"),
        }
        self.publish();
    }
}
