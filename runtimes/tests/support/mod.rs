//! What the tests with real processes share: folders, specs, looking for processes.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hop3_runtimes::artifact::{Artifact, ArtifactKind};
use hop3_runtimes::environment::HostEnvironment;
use hop3_runtimes::instance::InstanceId;
use hop3_runtimes::launch::{LaunchSpec, RestartPolicy};
use hop3_runtimes::manifest::{HealthCheck, ProcessCommand};
use hop3_runtimes::names::{AppName, ProcessName, ReleaseNumber};
use hop3_runtimes::runtime::{ProcessRuntime, StaticRuntime};
use hop3_runtimes::supervisor::{Options, Supervisor};

pub fn id(process: &str) -> InstanceId {
    InstanceId {
        app: AppName::new("demo").unwrap(),
        release: ReleaseNumber(7),
        process: ProcessName::new(process).unwrap(),
        index: 1,
    }
}

/// A command of an app in `folder`.
pub fn spec(folder: &Path, owner: &str, process: &str, command: &str) -> LaunchSpec {
    LaunchSpec {
        id: id(process),
        owner: owner.to_owned(),
        artifact: Artifact {
            kind: ArtifactKind::Plain,
            builder: "plain".into(),
            root: folder.to_owned(),
            path: Vec::new(),
            env: Default::default(),
        },
        command: ProcessCommand::Command(command.to_owned()),
        config: Default::default(),
        public_url: None,
        home: folder.to_owned(),
        log_dir: folder.join("logs"),
        user: None,
        health_check: HealthCheck::default(),
        start_timeout: Duration::from_secs(120),
        stop_timeout: Duration::from_secs(5),
        restart: RestartPolicy::Always,
    }
}

pub fn runtime(cgroups: bool) -> ProcessRuntime {
    let host = HostEnvironment::read();
    if cgroups { ProcessRuntime::new(host) } else { ProcessRuntime::without_cgroups(host) }
}

pub fn supervisor() -> Supervisor {
    Supervisor::new(vec![Arc::new(runtime(true)), Arc::new(StaticRuntime)], Options::default())
}

/// Waits until the file holds something and returns it.
pub fn read_when_there(path: &Path) -> String {
    wait_until(|| std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0));
    std::fs::read_to_string(path).unwrap()
}

pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Pids of living processes with this text in their command line.
pub fn with_text(text: &str) -> Vec<i32> {
    let all = hop3_runtimes::process_tree::processes();
    let has = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    all.into_iter().map(|entry| entry.pid).filter(has).collect()
}

/// A folder for one test and a name that nothing else on the machine uses.
pub fn scratch(name: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let owner = format!("{name}-{}", std::process::id());
    (folder, owner)
}

pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}
