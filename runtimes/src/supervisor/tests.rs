//! The supervisor against a scripted runtime and paused time: no sleeping, exact waits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::event::{Change, InstanceEvent, Phase, StartFailure};
use super::*;
use crate::artifact::{Artifact, ArtifactKind};
use crate::health::ProbeAnswer;
use crate::instance::Endpoint;
use crate::launch::RestartPolicy;
use crate::manifest::{HealthCheck, ProcessCommand};
use crate::names::{AppName, ProcessName, ReleaseNumber};
use crate::process_tree::ProcessIdentity;
use crate::runtime::Stopped;

/// How the n-th instance behaves: answers to probes in order (the last one repeats), and when it ends by itself.
#[derive(Clone, Debug, Default)]
struct Script {
    answers: VecDeque<ProbeAnswer>,
    ends_after: Option<(Duration, Exit)>,
    fails: bool,
    /// The port it was given; 1 when 0.
    port: u16,
}

#[derive(Debug, Default)]
struct Scripted {
    scripts: Mutex<VecDeque<Script>>,
    current: Mutex<VecDeque<ProbeAnswer>>,
    alive: AtomicUsize,
    most_alive: AtomicUsize,
    stops: AtomicUsize,
}

#[async_trait]
impl Runtime for Scripted {
    fn name(&self) -> &'static str {
        "process"
    }

    async fn start(&self, spec: &LaunchSpec) -> Result<Running, RuntimeError> {
        tokio::task::yield_now().await;
        let script = self.scripts.lock().unwrap().pop_front().unwrap_or_default();
        if script.fails {
            return Err(RuntimeError::Command { process: "web".into() });
        }
        *self.current.lock().unwrap() = script.answers;
        let alive = self.alive.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_alive.fetch_max(alive, Ordering::SeqCst);
        let exit = Box::pin(async move {
            match script.ends_after {
                Some((after, exit)) => {
                    tokio::time::sleep(after).await;
                    exit
                }
                None => std::future::pending().await,
            }
        });
        let mut record = record(spec);
        if script.port > 0 {
            record.endpoint = Endpoint::Http(crate::ports::loopback(script.port));
        }
        Ok(Running { record, exit })
    }

    async fn adopt(&self, record: &InstanceRecord) -> Option<Running> {
        let lives = record.leader.as_ref().is_some_and(|leader| leader.pid == 1);
        lives.then(|| Running { record: record.clone(), exit: Box::pin(std::future::pending()) })
    }

    async fn probe(&self, _record: &InstanceRecord, _check: &HealthCheck) -> ProbeAnswer {
        let mut answers = self.current.lock().unwrap();
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
            .unwrap_or(ProbeAnswer::Healthy(200))
    }

    async fn stop(&self, _record: &InstanceRecord, _patience: Duration) -> Result<Stopped, RuntimeError> {
        self.stops.fetch_add(1, Ordering::SeqCst);
        self.alive.store(0, Ordering::SeqCst);
        Ok(Stopped::default())
    }

    async fn stats(&self, _record: &InstanceRecord) -> InstanceStats {
        InstanceStats::default()
    }
}

fn record(spec: &LaunchSpec) -> InstanceRecord {
    InstanceRecord {
        id: spec.id.clone(),
        marker: "m".into(),
        endpoint: Endpoint::Http(crate::ports::loopback(1)),
        leader: Some(ProcessIdentity { pid: 1, start_ticks: 1, boot_id: String::new() }),
        log: None,
        cgroup: None,
    }
}

fn spec(restart: RestartPolicy) -> LaunchSpec {
    LaunchSpec {
        id: InstanceId {
            app: AppName::new("demo").unwrap(),
            release: ReleaseNumber(1),
            process: ProcessName::web(),
            index: 1,
        },
        owner: "test".into(),
        artifact: Artifact {
            kind: ArtifactKind::Plain,
            builder: "plain".into(),
            root: "/".into(),
            path: Vec::new(),
            env: Default::default(),
        },
        command: ProcessCommand::Command("x".into()),
        config: Default::default(),
        public_url: None,
        home: "/".into(),
        log_dir: "/".into(),
        user: None,
        health_check: HealthCheck::default(),
        start_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(30),
        restart,
    }
}

fn supervisor(scripts: Vec<Script>) -> (Supervisor, Arc<Scripted>, broadcast::Receiver<InstanceEvent>) {
    let runtime = Arc::new(Scripted { scripts: Mutex::new(scripts.into()), ..Scripted::default() });
    let options = Options { chance: Box::new(|| 0.5), ..Options::default() };
    let supervisor = Supervisor::new(vec![runtime.clone()], options);
    let events = supervisor.events();
    (supervisor, runtime, events)
}

fn crash(after: u64, code: i32) -> Script {
    Script { ends_after: Some((Duration::from_secs(after), Exit::Code(code))), ..Script::default() }
}

async fn changes(events: &mut broadcast::Receiver<InstanceEvent>, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(match events.recv().await.unwrap().change {
            Change::Started { adopted, .. } => if adopted { "adopted" } else { "started" }.to_owned(),
            Change::Healthy { .. } => "healthy".to_owned(),
            Change::Unhealthy { answer } => format!("sick: {answer}"),
            Change::Exited { exit, uptime, wanted } => {
                format!("{} after {} s{}", exit, uptime.as_secs(), if wanted { ", wanted" } else { "" })
            }
            Change::StartFailed { problem } => format!("failed: {problem}"),
            Change::Restarting { after } => format!("again in {} ms", after.as_millis()),
        });
    }
    all
}

#[tokio::test(start_paused = true)]
async fn crashes_are_restarted_with_growing_waits() {
    let (supervisor, runtime, mut events) =
        supervisor(vec![crash(1, 3), crash(2, 4), crash(90, 5), Script::default()]);
    supervisor.start(spec(RestartPolicy::Always)).await.unwrap();
    let told = changes(&mut events, 14).await;
    let expected = [
        "started",
        "healthy",
        "exit code 3 after 1 s",
        "again in 500 ms",
        "started",
        "healthy",
        "exit code 4 after 2 s",
        "again in 1000 ms",
        "started",
        "healthy",
        "exit code 5 after 90 s",
        "again in 500 ms",
        "started",
        "healthy",
    ];
    assert_eq!(told, expected);
    assert_eq!(runtime.most_alive.load(Ordering::SeqCst), 1);
    let id = spec(RestartPolicy::Always).id;
    assert_eq!(supervisor.state(&id).unwrap().restarts, 3);
    supervisor.stop(&id).await.unwrap();
    assert!(supervisor.state(&id).is_none());
    assert!(matches!(supervisor.stop(&id).await, Err(SupervisorError::Unknown { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_never_taken_twice() {
    let (supervisor, runtime, _events) = supervisor(vec![]);
    let spec = spec(RestartPolicy::Always);
    let (one, two) = tokio::join!(supervisor.start(spec.clone()), supervisor.start(spec.clone()));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
    assert!(matches!(
        supervisor.adopt(&record(&spec), spec.clone()).await,
        Err(SupervisorError::Taken { .. })
    ));
    assert_eq!(runtime.most_alive.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_first_start_that_crashes_is_final() {
    let script = Script { answers: [ProbeAnswer::Refused].into(), ..crash(2, 1) };
    let (supervisor, _runtime, mut events) = supervisor(vec![script]);
    let spec = spec(RestartPolicy::OnceHealthy);
    supervisor.start(spec.clone()).await.unwrap();
    let failure = supervisor.wait_healthy(&spec.id).await.unwrap_err();
    assert_eq!(failure.to_string(), "it ended before it was healthy: exit code 1");
    assert_eq!(changes(&mut events, 2).await, ["started", "exit code 1 after 2 s"]);
    assert_eq!(supervisor.state(&spec.id).unwrap().phase, Phase::Failed);
    supervisor.start(spec.clone()).await.expect("a failed slot may be taken again");
    assert!(supervisor.wait_healthy(&spec.id).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_first_start_whose_port_is_somebody_elses_gets_others() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let robbed = || Script { answers: [ProbeAnswer::Refused].into(), port, ..crash(1, 1) };
    let (supervisor, _runtime, mut events) = supervisor(vec![robbed(), Script::default()]);
    let spec = spec(RestartPolicy::OnceHealthy);
    supervisor.start(spec.clone()).await.unwrap();
    supervisor.wait_healthy(&spec.id).await.unwrap();
    let told = changes(&mut events, 5).await;
    assert_eq!(told, ["started", "exit code 1 after 1 s", "again in 500 ms", "started", "healthy"]);
    // Not for ever.
    let (supervisor, ..) = self::supervisor(vec![robbed(), robbed(), robbed(), robbed()]);
    supervisor.start(spec.clone()).await.unwrap();
    let failure = supervisor.wait_healthy(&spec.id).await.unwrap_err();
    assert_eq!(failure.to_string(), "it ended before it was healthy: exit code 1");
    assert_eq!(supervisor.state(&spec.id).unwrap().restarts, 3);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_never_answers_says_the_last_answer() {
    let script = Script { answers: [ProbeAnswer::Refused].into(), ..Script::default() };
    let (supervisor, _runtime, _events) = supervisor(vec![script]);
    let spec = spec(RestartPolicy::OnceHealthy);
    supervisor.start(spec.clone()).await.unwrap();
    let failure = supervisor.wait_healthy(&spec.id).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "not healthy within 60 s; the last probe: connection refused: nothing listens on the port"
    );
    supervisor.stop(&spec.id).await.unwrap();
    assert_eq!(supervisor.wait_healthy(&spec.id).await.unwrap_err(), StartFailure::Stopped);
}

#[tokio::test(start_paused = true)]
async fn sickness_needs_retries_and_passes() {
    let bad = ProbeAnswer::Status("HTTP/1.1 503 X".into());
    let good = ProbeAnswer::Healthy(200);
    let answers = [&good, &bad, &bad, &good, &bad, &bad, &bad, &good].map(Clone::clone);
    let (supervisor, _runtime, mut events) =
        supervisor(vec![Script { answers: answers.into(), ..Script::default() }]);
    supervisor.start(spec(RestartPolicy::Always)).await.unwrap();
    let told = changes(&mut events, 4).await;
    assert_eq!(told, ["started", "healthy", "sick: it answered `HTTP/1.1 503 X`", "healthy"]);
}

#[tokio::test(start_paused = true)]
async fn adoption_takes_the_living_and_cleans_up_after_the_dead() {
    let (supervisor, runtime, mut events) = supervisor(vec![]);
    let spec = spec(RestartPolicy::OnceHealthy);
    let mut gone = record(&spec);
    gone.leader = None;
    assert_eq!(supervisor.adopt(&gone, spec.clone()).await.unwrap(), Adoption::Gone);
    assert_eq!(runtime.stops.load(Ordering::SeqCst), 1);
    assert_eq!(supervisor.adopt(&record(&spec), spec.clone()).await.unwrap(), Adoption::Adopted);
    assert_eq!(changes(&mut events, 2).await, ["adopted", "healthy"]);
    supervisor.stop_all().await.unwrap();
    assert_eq!(changes(&mut events, 1).await.len(), 1);
    assert!(supervisor.states().is_empty());
}

#[tokio::test(start_paused = true)]
async fn released_instances_run_on_unwatched() {
    let ending = Script { ends_after: Some((Duration::from_secs(60), Exit::Code(1))), ..Script::default() };
    let (supervisor, runtime, mut events) = supervisor(vec![ending]);
    let spec = spec(RestartPolicy::Always);
    supervisor.start(spec.clone()).await.unwrap();
    assert_eq!(changes(&mut events, 2).await, ["started", "healthy"]);
    supervisor.release_all();
    assert!(supervisor.states().is_empty());
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(events.try_recv().is_err(), "nobody restarts or reports it");
    assert_eq!(runtime.stops.load(Ordering::SeqCst), 0);
    assert_eq!(supervisor.adopt(&record(&spec), spec.clone()).await.unwrap(), Adoption::Adopted);
    assert_eq!(changes(&mut events, 2).await, ["adopted", "healthy"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_cannot_start_is_tried_again() {
    let fails = Script { fails: true, ..Script::default() };
    let (supervisor, _runtime, mut events) = supervisor(vec![crash(1, 1), fails, Script::default()]);
    supervisor.start(spec(RestartPolicy::Always)).await.unwrap();
    let told = changes(&mut events, 8).await;
    assert_eq!(told[4], "failed: the command of `web` is empty or contains NUL");
    assert_eq!(told[5..], ["again in 1000 ms", "started", "healthy"]);
}
