//! Ending an instance: SIGTERM to all of it, patience, SIGKILL until nothing is left.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{RuntimeError, Stopped};
use crate::cgroup::Cgroup;
use crate::instance::InstanceRecord;
use crate::process_tree::{Membership, ProcessEntry, members, signal_all};

/// How long SIGKILL is repeated before survivors are reported.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How long the leader is given to end its own children.
const LEADER_ALONE: Duration = Duration::from_secs(5);

/// All living processes of an instance.
pub(super) fn of(record: &InstanceRecord) -> Vec<ProcessEntry> {
    let cgroup = record.cgroup.as_deref().and_then(Cgroup::reopen);
    members(&Membership {
        session: record.leader.as_ref(),
        marker: Some(record.marker.as_str()).filter(|marker| !marker.is_empty()),
        grouped: cgroup.map(|group| group.pids()).unwrap_or_default(),
    })
}

/// Ends them. The leader is told first: servers with workers (uWSGI, gunicorn, shells that forward signals) end
/// in order when only their master is told, and may start workers anew when all are told at once. The others are
/// told when the leader is gone, or does not get them to end.
pub(super) async fn terminate(record: &InstanceRecord, patience: Duration) -> Result<Stopped, RuntimeError> {
    let begin = Instant::now();
    let deadline = begin + patience;
    let alone_until = begin + LEADER_ALONE.min(patience / 2);
    let leader_pid = record.leader.as_ref().filter(|leader| leader.is_alive()).map(|leader| leader.pid);
    let mut left = scan(record).await;
    let mut told_all = false;
    tell(left.iter().filter(|entry| Some(entry.pid) == leader_pid));
    let mut pause = Duration::from_millis(5);
    while !left.is_empty() {
        let led = left.iter().any(|entry| Some(entry.pid) == leader_pid);
        if !told_all && (!led || Instant::now() >= alone_until) {
            tell(left.iter().filter(|entry| Some(entry.pid) != leader_pid));
            told_all = true;
        }
        let now = Instant::now();
        if now >= deadline {
            break;
        }
        sleep(pause.min(deadline - now)).await;
        pause = (pause * 2).min(Duration::from_millis(100));
        left = scan(record).await;
    }
    let killed = !left.is_empty();
    kill(record, left).await?;
    if let Some(group) = record.cgroup.as_deref().and_then(Cgroup::reopen) {
        group.remove();
    }
    Ok(Stopped { killed })
}

fn tell<'a>(entries: impl Iterator<Item = &'a ProcessEntry>) {
    let entries: Vec<ProcessEntry> = entries.cloned().collect();
    signal_all(&entries, Signal::TERM);
    // A stopped process does not act on SIGTERM until it is continued.
    signal_all(&entries, Signal::CONT);
}

async fn kill(record: &InstanceRecord, mut left: Vec<ProcessEntry>) -> Result<(), RuntimeError> {
    let deadline = Instant::now() + KILL_PATIENCE;
    // Looks once more even when nothing was left: a process may have forked between two looks.
    loop {
        kill_group(record.cgroup.as_deref());
        signal_all(&left, Signal::KILL);
        sleep(Duration::from_millis(10)).await;
        left = scan(record).await;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(RuntimeError::Survivors { pids: left.iter().map(|entry| entry.pid).collect() });
        }
    }
}

fn kill_group(path: Option<&Path>) {
    if let Some(group) = path.and_then(Cgroup::reopen) {
        group.kill();
    }
}

/// Reading all of `/proc` takes milliseconds; it must not hold up the runtime's thread.
async fn scan(record: &InstanceRecord) -> Vec<ProcessEntry> {
    let record = record.clone();
    tokio::task::spawn_blocking(move || of(&record)).await.unwrap_or_default()
}
