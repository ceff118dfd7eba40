//! One slot's life: run, watch, restart, stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::event::{Change, InstanceEvent, Phase, SlotState};
use super::{LEFTOVER_PATIENCE, Reservation, Shared};
use crate::backoff::Backoff;
use crate::instance::{Endpoint, Exit, InstanceRecord};
use crate::launch::{LaunchSpec, RestartPolicy};
use crate::logs;
use crate::ports;
use crate::runtime::{Running, Runtime};

/// Between probes of an instance that is starting.
const STARTING_INTERVAL: Duration = Duration::from_millis(100);
/// How long a worker must live to count as healthy: nothing can be asked of it.
const WORKER_TRIAL: Duration = Duration::from_secs(1);
/// Between looks at the size of the log.
const ROTATION_INTERVAL: Duration = Duration::from_secs(1);
/// How often an instance that was never healthy is started again because somebody else has its port.
const MOST_OTHER_PORTS: u32 = 3;
/// Lines of the log that explain a failure.
const TAIL_LINES: usize = 20;

pub(super) struct Slot {
    shared: Arc<Shared>,
    spec: LaunchSpec,
    runtime: Arc<dyn Runtime>,
    state: watch::Sender<SlotState>,
    stop: watch::Receiver<bool>,
    /// Whether an instance of this slot has ever been healthy.
    proven: bool,
    adopted: bool,
}

/// Why watching an instance ended.
enum End {
    Exited(Exit),
    StopWanted,
}

impl Slot {
    pub(super) fn new(
        shared: Arc<Shared>,
        spec: LaunchSpec,
        runtime: Arc<dyn Runtime>,
        reservation: Reservation,
        adopted: bool,
    ) -> Self {
        let Reservation { state, stop } = reservation;
        Self { shared, spec, runtime, state, stop, proven: adopted, adopted }
    }

    /// Publishes that an instance runs.
    pub(super) fn begin(&self, running: &Running) {
        let record = running.record.clone();
        self.state.send_modify(|state| {
            state.phase = Phase::Starting;
            state.record = Some(record.clone());
            state.healthy_after = None;
            state.last_answer = None;
            state.problem = None;
        });
        self.tell(Change::Started { record: Box::new(record), adopted: self.adopted });
    }

    /// Lives until the slot is stopped or given up.
    pub(super) async fn run(mut self, first: Running) {
        let mut backoff = Backoff::default();
        let mut next = Some(first);
        let mut other_ports = 0;
        loop {
            let started = Instant::now();
            let mut robbed = false;
            if let Some(mut running) = next.take() {
                match self.watch(&mut running, started).await {
                    End::StopWanted => return self.end(running, started).await,
                    End::Exited(exit) => self.clean_up(&running.record, exit, started.elapsed()).await,
                }
                robbed = other_ports < MOST_OTHER_PORTS && has_lost_its_port(&running.record);
                other_ports += u32::from(robbed);
            }
            if self.spec.restart == RestartPolicy::OnceHealthy && !self.proven && !robbed {
                self.enter(Phase::Failed);
                return;
            }
            let after = backoff.next(started.elapsed(), (self.shared.options.chance)());
            self.enter(Phase::Waiting);
            self.tell(Change::Restarting { after });
            if self.rest(after).await {
                self.enter(Phase::Stopped);
                return;
            }
            next = self.start_again().await;
        }
    }

    /// Probes and rotates until the instance ends or is to end.
    async fn watch(&mut self, running: &mut Running, started: Instant) -> End {
        let check = self.spec.health_check.clone();
        let deadline = started + self.spec.start_timeout;
        let mut at = started
            + match running.record.endpoint {
                Endpoint::Http(_) => STARTING_INTERVAL / 2,
                Endpoint::Folder(_) => Duration::ZERO,
                Endpoint::None => WORKER_TRIAL,
            };
        let mut since = started;
        let mut failures = 0;
        let mut stop = self.stop.clone();
        let mut rotation = interval_at(started + ROTATION_INTERVAL, ROTATION_INTERVAL);
        rotation.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let phase = self.state.borrow().phase;
            let runtime = self.runtime.clone();
            let record = running.record.clone();
            let probe_at = at;
            let probing = async {
                sleep_until(probe_at).await;
                runtime.probe(&record, &check).await
            };
            tokio::pin!(probing);
            let answer = loop {
                tokio::select! {
                    biased;
                    () = wanted(&mut stop) => return End::StopWanted,
                    exit = &mut running.exit => return End::Exited(exit),
                    answer = &mut probing => break answer,
                    _ = rotation.tick(), if record.log.is_some() => self.rotate(&record).await,
                }
            };
            let now = Instant::now();
            if answer.is_healthy() {
                failures = 0;
                if phase != Phase::Healthy {
                    self.proven = true;
                    let after = now - since;
                    self.state.send_modify(|state| state.healthy_after = Some(after));
                    self.remember(answer, Phase::Healthy);
                    self.tell(Change::Healthy { after });
                }
                at = now + check.interval;
                continue;
            }
            failures += 1;
            let sick = match phase {
                Phase::Starting => now >= deadline,
                Phase::Healthy => failures >= check.retries,
                _ => false,
            };
            at = now + if phase == Phase::Starting && !sick { STARTING_INTERVAL } else { check.interval };
            if sick {
                since = now;
                self.remember(answer.clone(), Phase::Unhealthy);
                self.tell(Change::Unhealthy { answer });
            } else {
                self.remember(answer, phase);
            }
        }
    }

    /// The leader has ended: end what it left, tell.
    async fn clean_up(&self, record: &InstanceRecord, exit: Exit, uptime: Duration) {
        if let Some(log) = &record.log {
            logs::note(log, std::time::SystemTime::now(), &format!("{} ended: {exit}", record.id));
        }
        if let Err(error) = self.runtime.stop(record, LEFTOVER_PATIENCE).await {
            tracing::error!(instance = %record.id, %error, "processes are left behind");
        }
        self.state.send_modify(|state| {
            state.last_exit = Some(exit);
            state.healthy_after = None;
        });
        self.tell(Change::Exited { exit, uptime, wanted: false });
    }

    /// The instance is to end.
    async fn end(self, running: Running, started: Instant) {
        self.enter(Phase::Stopping);
        let stopped = self.runtime.stop(&running.record, self.spec.stop_timeout).await;
        if let Err(error) = stopped {
            self.state.send_modify(|state| state.problem = Some(error.to_string()));
            self.enter(Phase::Failed);
            return;
        }
        let exit = match running.record.leader {
            Some(_) => {
                tokio::time::timeout(Duration::from_secs(1), running.exit).await.unwrap_or(Exit::Unknown)
            }
            None => Exit::Unknown,
        };
        self.state.send_modify(|state| state.last_exit = Some(exit));
        self.tell(Change::Exited { exit, uptime: started.elapsed(), wanted: true });
        self.enter(Phase::Stopped);
    }

    async fn start_again(&mut self) -> Option<Running> {
        self.adopted = false;
        self.state.send_modify(|state| state.restarts += 1);
        match self.runtime.start(&self.spec).await {
            Ok(running) => {
                self.begin(&running);
                Some(running)
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|source| format!(": {source}"));
                let problem = format!("{error}{}", cause.unwrap_or_default());
                self.state.send_modify(|state| state.problem = Some(problem.clone()));
                self.tell(Change::StartFailed { problem });
                None
            }
        }
    }

    /// Waits; `true` when the slot is to be stopped.
    async fn rest(&mut self, wait: Duration) -> bool {
        tokio::select! {
            biased;
            () = wanted(&mut self.stop) => true,
            () = tokio::time::sleep(wait) => false,
        }
    }

    async fn rotate(&self, record: &InstanceRecord) {
        let Some(log) = record.log.clone() else { return };
        let _one_at_a_time = self.shared.rotating.lock().await;
        let rotation = self.shared.options.rotation;
        let rotated = tokio::task::spawn_blocking(move || rotation.rotate_if_full(&log)).await;
        if let Ok(Err(error)) = rotated {
            tracing::warn!(instance = %record.id, %error, "cannot rotate the log");
        }
    }

    fn remember(&self, answer: crate::health::ProbeAnswer, phase: Phase) {
        self.state.send_modify(|state| {
            state.last_answer = Some(answer);
            state.phase = phase;
        });
    }

    fn enter(&self, phase: Phase) {
        self.state.send_modify(|state| {
            state.phase = phase;
            if matches!(phase, Phase::Waiting | Phase::Stopped) && state.problem.is_none() {
                state.healthy_after = None;
            }
        });
    }

    fn tell(&self, change: Change) {
        // No listener is no fault: the state can be read at any time.
        let _listeners = self.shared.events.send(InstanceEvent { id: self.spec.id.clone(), change });
    }
}

/// Whether the port of an instance of which nothing runs any more is somebody else's.
fn has_lost_its_port(record: &InstanceRecord) -> bool {
    matches!(record.endpoint, Endpoint::Http(address) if ports::is_taken(address.port()))
}

/// Resolves when the slot is to be stopped; never when nobody can ask for it any more: a supervisor that is gone
/// leaves its instances running.
async fn wanted(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The last lines that the slot's last instance wrote since it was started.
pub(super) async fn tail(state: &SlotState) -> Vec<String> {
    let Some(record) = &state.record else { return Vec::new() };
    let Some(log) = record.log.clone() else { return Vec::new() };
    let start = format!(" hop3: starting {}: ", record.id);
    let read = tokio::task::spawn_blocking(move || logs::read::last_lines(&log, TAIL_LINES + 2));
    let mut lines = read.await.unwrap_or_default();
    if let Some(at) = lines.iter().rposition(|line| line.contains(&start)) {
        lines.drain(..=at);
    }
    let ours = format!(" hop3: {} ", record.id);
    lines.retain(|line| !line.contains(&ours));
    lines
}
