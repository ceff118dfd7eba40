//! Keeps instances alive: starts, probes, restarts with back-off, adopts after a crash of the server, stops.
//!
//! Each slot ([`InstanceId`]) has one task ([`slot`]) and never more than one instance. What happens is told
//! through a bounded broadcast channel; a listener that lags is told so and reads [`Supervisor::states`].

pub mod event;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;

use self::event::{InstanceEvent, Phase, SlotState, StartFailure};
use crate::instance::{Exit, InstanceId, InstanceRecord, InstanceStats};
use crate::launch::LaunchSpec;
use crate::logs::rotation::Rotation;
use crate::runtime::{Running, Runtime, RuntimeError, name_for};

/// Events that are kept for a slow listener.
pub const EVENT_CAPACITY: usize = 1024;
/// How long processes that their leader left behind may take to end after SIGTERM, before a restart.
pub const LEFTOVER_PATIENCE: Duration = Duration::from_millis(200);

/// What the supervisor is given from outside.
pub struct Options {
    /// Bounds of each log.
    pub rotation: Rotation,
    /// Uniform in 0..1, for the jitter of restarts.
    pub chance: Box<dyn Fn() -> f64 + Send + Sync>,
}

/// Supervises instances. Cheap to clone; needs a tokio runtime. Dropping it leaves the instances running, so
/// that a next server can adopt them.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

struct Shared {
    runtimes: Vec<Arc<dyn Runtime>>,
    slots: Mutex<HashMap<InstanceId, Handle>>,
    events: broadcast::Sender<InstanceEvent>,
    options: Options,
    /// Two releases write to the same log; only one rotates it at a time.
    rotating: tokio::sync::Mutex<()>,
}

/// The outside of a slot's task.
struct Handle {
    state: watch::Receiver<SlotState>,
    stop: watch::Sender<bool>,
    runtime: Arc<dyn Runtime>,
    start_timeout: Duration,
    /// The slot's task; none while its first instance is being started.
    task: Option<AbortHandle>,
}

/// What became of a record from an earlier server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// It runs and is supervised again.
    Adopted,
    /// It does not run; what it left behind was ended.
    Gone,
}

/// Why the supervisor refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The slot has an instance.
    #[error("`{id}` is already running")]
    Taken {
        /// The slot.
        id: InstanceId,
    },
    /// The slot is empty.
    #[error("`{id}` is not running")]
    Unknown {
        /// The slot.
        id: InstanceId,
    },
    /// No runtime of this name.
    #[error("there is no runtime `{name}`")]
    NoRuntime {
        /// The name.
        name: String,
    },
    /// The runtime could not do it.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// It could not be ended.
    #[error("cannot stop `{id}`: {problem}")]
    Stop {
        /// The slot.
        id: InstanceId,
        /// Why.
        problem: String,
    },
}

impl Supervisor {
    /// A supervisor over these runtimes, without instances.
    #[must_use]
    pub fn new(runtimes: Vec<Arc<dyn Runtime>>, options: Options) -> Self {
        let (events, _) = broadcast::channel(EVENT_CAPACITY);
        let shared = Shared {
            runtimes,
            slots: Mutex::default(),
            events,
            options,
            rotating: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Everything that happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<InstanceEvent> {
        self.shared.events.subscribe()
    }

    /// Starts an instance in an empty slot and returns its record; persist it.
    ///
    /// # Errors
    /// When the slot is taken or nothing could be started.
    pub async fn start(&self, spec: LaunchSpec) -> Result<InstanceRecord, SupervisorError> {
        let runtime = self.runtime(name_for(&spec.artifact))?;
        let reservation = self.reserve(&spec, &runtime)?;
        match runtime.start(&spec).await {
            Ok(running) => Ok(self.supervise(reservation, spec, runtime, running, false)),
            Err(error) => {
                self.slots().remove(&spec.id);
                Err(error.into())
            }
        }
    }

    /// Takes over an instance of an earlier server. If it does not run any more, what it left behind is ended and
    /// the slot stays empty.
    ///
    /// # Errors
    /// When the slot is taken, or leftovers cannot be ended.
    pub async fn adopt(
        &self,
        record: &InstanceRecord,
        spec: LaunchSpec,
    ) -> Result<Adoption, SupervisorError> {
        let runtime = self.runtime(name_for(&spec.artifact))?;
        let reservation = self.reserve(&spec, &runtime)?;
        if let Some(running) = runtime.adopt(record).await {
            self.supervise(reservation, spec, runtime, running, true);
            return Ok(Adoption::Adopted);
        }
        let ended = runtime.stop(record, LEFTOVER_PATIENCE).await;
        self.slots().remove(&spec.id);
        ended?;
        Ok(Adoption::Gone)
    }

    /// Ends an instance with everything it started; the slot is empty afterwards.
    ///
    /// # Errors
    /// When the slot is empty, or processes survive.
    pub async fn stop(&self, id: &InstanceId) -> Result<(), SupervisorError> {
        let mut state = {
            let slots = self.slots();
            let handle = slots.get(id).ok_or_else(|| SupervisorError::Unknown { id: id.clone() })?;
            handle.stop.send_replace(true);
            handle.state.clone()
        };
        // An error means that the task is gone, and with it the wish to restart.
        let last = state.wait_for(|state| state.phase.is_final()).await.map(|state| state.clone());
        self.slots().remove(id);
        match last.ok().and_then(|state| state.problem) {
            Some(problem) => Err(SupervisorError::Stop { id: id.clone(), problem }),
            None => Ok(()),
        }
    }

    /// Ends all instances at once.
    ///
    /// # Errors
    /// The first failure; the others are ended nevertheless.
    pub async fn stop_all(&self) -> Result<(), SupervisorError> {
        let ids: Vec<InstanceId> = self.slots().keys().cloned().collect();
        let mut stops = tokio::task::JoinSet::new();
        for id in ids {
            let supervisor = self.clone();
            stops.spawn(async move { supervisor.stop(&id).await });
        }
        let results = stops.join_all().await;
        results.into_iter().find(Result::is_err).unwrap_or(Ok(()))
    }

    /// Lets go of all instances: they run on, unwatched, so that another server can adopt them. All slots are empty
    /// afterwards.
    pub fn release_all(&self) {
        for (_, handle) in self.slots().drain() {
            if let Some(task) = handle.task {
                task.abort();
            }
        }
    }

    /// Waits until an instance is healthy; tells how long it took.
    ///
    /// # Errors
    /// When it ended, or did not get healthy within its start timeout; it is not stopped by this.
    pub async fn wait_healthy(&self, id: &InstanceId) -> Result<Duration, StartFailure> {
        let (mut state, limit) = {
            let slots = self.slots();
            let handle = slots.get(id).ok_or(StartFailure::Stopped)?;
            // A crash loop begins a new start each time; this bound is over all of them.
            (handle.state.clone(), handle.start_timeout + Duration::from_secs(2))
        };
        let settled = |state: &SlotState| {
            state.phase.is_final() || matches!(state.phase, Phase::Healthy | Phase::Unhealthy)
        };
        let outcome = tokio::time::timeout(limit, state.wait_for(settled)).await.map(|found| found.is_err());
        if outcome == Ok(true) {
            return Err(StartFailure::Stopped);
        }
        let reached = state.borrow().clone();
        match (reached.phase, reached.healthy_after) {
            (Phase::Healthy, Some(after)) => Ok(after),
            (Phase::Stopped, _) => Err(StartFailure::Stopped),
            (Phase::Failed | Phase::Waiting, _) => Err(StartFailure::Exited {
                exit: reached.last_exit.unwrap_or(Exit::Unknown),
                problem: reached.problem.clone(),
                tail: slot::tail(&reached).await,
            }),
            _ => Err(StartFailure::Unhealthy {
                limit: limit - Duration::from_secs(2),
                answer: reached.last_answer.clone(),
                tail: slot::tail(&reached).await,
            }),
        }
    }

    /// The state of a slot, `None` when it is empty.
    #[must_use]
    pub fn state(&self, id: &InstanceId) -> Option<SlotState> {
        self.slots().get(id).map(|handle| handle.state.borrow().clone())
    }

    /// All slots with their states, in order.
    #[must_use]
    pub fn states(&self) -> Vec<(InstanceId, SlotState)> {
        let slots = self.slots();
        let mut all: Vec<_> =
            slots.iter().map(|(id, handle)| (id.clone(), handle.state.borrow().clone())).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// What an instance uses now; zero when it does not run.
    pub async fn stats(&self, id: &InstanceId) -> InstanceStats {
        let found =
            self.slots().get(id).map(|handle| (handle.runtime.clone(), handle.state.borrow().record.clone()));
        match found {
            Some((runtime, Some(record))) => runtime.stats(&record).await,
            _ => InstanceStats::default(),
        }
    }

    fn runtime(&self, name: &str) -> Result<Arc<dyn Runtime>, SupervisorError> {
        let found = self.shared.runtimes.iter().find(|runtime| runtime.name() == name).cloned();
        found.ok_or_else(|| SupervisorError::NoRuntime { name: name.to_owned() })
    }

    /// Takes the slot before anything is started, so that two callers cannot both start.
    fn reserve(&self, spec: &LaunchSpec, runtime: &Arc<dyn Runtime>) -> Result<Reservation, SupervisorError> {
        let (state, state_reader) = watch::channel(SlotState::default());
        let (stop, stop_reader) = watch::channel(false);
        let handle = Handle {
            state: state_reader,
            stop,
            runtime: runtime.clone(),
            start_timeout: spec.start_timeout,
            task: None,
        };
        match self.slots().entry(spec.id.clone()) {
            Entry::Occupied(mut taken) if taken.get().state.borrow().phase.is_final() => {
                taken.insert(handle);
            }
            Entry::Occupied(_) => return Err(SupervisorError::Taken { id: spec.id.clone() }),
            Entry::Vacant(free) => {
                free.insert(handle);
            }
        }
        Ok(Reservation { state, stop: stop_reader })
    }

    fn supervise(
        &self,
        reservation: Reservation,
        spec: LaunchSpec,
        runtime: Arc<dyn Runtime>,
        running: Running,
        proven: bool,
    ) -> InstanceRecord {
        let record = running.record.clone();
        let id = spec.id.clone();
        let slot = slot::Slot::new(self.shared.clone(), spec, runtime, reservation, proven);
        slot.begin(&running);
        let mut slots = self.slots();
        // A slot that is not there any more was released while its first instance was started.
        if let Some(handle) = slots.get_mut(&id) {
            handle.task = Some(tokio::spawn(slot.run(running)).abort_handle());
        }
        record
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<InstanceId, Handle>> {
        // The map is never left half changed, so a panic elsewhere does not spoil it.
        self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The inside of a slot that was taken.
struct Reservation {
    state: watch::Sender<SlotState>,
    stop: watch::Receiver<bool>,
}

impl Default for Options {
    fn default() -> Self {
        let chance = || f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
        Self { rotation: Rotation::default(), chance: Box::new(chance) }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("slots", &self.slots().len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("rotation", &self.rotation).finish_non_exhaustive()
    }
}
