//! Processes of the machine as `/proc` shows them: who belongs to an instance, and how to end all of them.
//!
//! A process belongs to an instance when it is in its control group, in the leader's session, carries the
//! instance's marker variable, or descends from one that does. Every signal goes through a pidfd whose start time
//! was checked, so a reused pid is never hit. Source: proc(5), pidfd_open(2), cgroups(7).

use std::collections::HashSet;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// The variable that every process of an instance inherits; its value is the instance's marker.
pub const MARKER_VARIABLE: &str = "HOP3_INSTANCE";

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks after boot (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`: ticks mean nothing after a reboot.
    pub boot_id: String,
}

/// One line of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEntry {
    /// Process id.
    pub pid: i32,
    /// Parent.
    pub parent: i32,
    /// Session.
    pub session: i32,
    /// State letter; `Z` and `X` are dead.
    pub state: char,
    /// Start time in clock ticks after boot.
    pub start_ticks: u64,
    /// User and system time in clock ticks.
    pub cpu_ticks: u64,
    /// Resident memory in pages.
    pub resident_pages: u64,
}

/// What makes a process a member of an instance.
#[derive(Clone, Debug, Default)]
pub struct Membership<'a> {
    /// The leader's session, if a leader was started.
    pub session: Option<&'a ProcessIdentity>,
    /// The marker's value.
    pub marker: Option<&'a str>,
    /// Pids that the control group lists.
    pub grouped: HashSet<i32>,
}

impl ProcessIdentity {
    /// The identity of a running process, or `None` when there is none (a zombie counts as none).
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let entry = ProcessEntry::read(pid).filter(ProcessEntry::is_alive)?;
        Some(Self { pid, start_ticks: entry.start_ticks, boot_id: boot_id() })
    }

    /// The identity of a child that was not waited for yet: its pid cannot be reused, even if it has ended.
    #[must_use]
    pub fn of_child(pid: i32) -> Self {
        let start_ticks = ProcessEntry::read(pid).map_or(0, |entry| entry.start_ticks);
        Self { pid, start_ticks, boot_id: boot_id() }
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// A handle that stays with this very process, or `None` when it is gone.
    #[must_use]
    pub fn open(&self) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Checked after opening: from here on the handle cannot mean another process.
        self.is_alive().then_some(handle)
    }

    /// Sends a signal to this very process. `false` when it is gone or not ours to signal.
    pub fn signal(&self, signal: Signal) -> bool {
        self.open().is_some_and(|handle| pidfd_send_signal(&handle, signal).is_ok())
    }
}

impl ProcessEntry {
    /// Reads `/proc/PID/stat`.
    #[must_use]
    pub fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses the text of `/proc/PID/stat`; the command name in it may contain anything.
    #[must_use]
    pub fn parse(stat: &str) -> Option<Self> {
        let pid = stat.split(' ').next()?.parse().ok()?;
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        // Field numbers of proc(5) minus 3: the list starts after the command name.
        let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
        let id = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<i32>().ok());
        Some(Self {
            pid,
            parent: id(4)?,
            session: id(6)?,
            state: fields.first()?.chars().next()?,
            start_ticks: number(22)?,
            cpu_ticks: number(14)? + number(15)?,
            resident_pages: number(24).unwrap_or(0),
        })
    }

    /// Whether it still runs code.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// The value of [`MARKER_VARIABLE`] in the environment it was started with, when we may read it.
    #[must_use]
    pub fn marker(&self) -> Option<String> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let entries = environment.split(|&byte| byte == 0);
        let value = |entry: &[u8]| {
            let rest = entry.strip_prefix(MARKER_VARIABLE.as_bytes())?.strip_prefix(b"=")?;
            String::from_utf8(rest.to_vec()).ok()
        };
        entries.filter_map(value).next()
    }

    fn identity(&self, boot_id: &str) -> ProcessIdentity {
        ProcessIdentity { pid: self.pid, start_ticks: self.start_ticks, boot_id: boot_id.to_owned() }
    }
}

/// The process table, living processes only.
#[must_use]
pub fn processes() -> Vec<ProcessEntry> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(ProcessEntry::read).filter(ProcessEntry::is_alive).collect()
}

/// The living processes of an instance, by any of its signs, with all their descendants. Never this process.
#[must_use]
pub fn members(membership: &Membership<'_>) -> Vec<ProcessEntry> {
    let table = processes();
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let boot = boot_id();
    let session = membership.session.filter(|leader| leader.boot_id == boot);
    let belongs = |entry: &ProcessEntry| {
        entry.pid != own
            && (membership.grouped.contains(&entry.pid)
                // A session's id is its leader's pid, which is not given away while the session lives; a later
                // process with that pid is told apart by its start time.
                || session.is_some_and(|leader| {
                    entry.session == leader.pid
                        && entry.start_ticks >= leader.start_ticks
                        && (entry.pid != leader.pid || entry.start_ticks == leader.start_ticks)
                })
                || membership.marker.is_some_and(|marker| entry.marker().as_deref() == Some(marker)))
    };
    let mut inside: HashSet<i32> =
        table.iter().filter(|entry| belongs(entry)).map(|entry| entry.pid).collect();
    loop {
        let before = inside.len();
        let children = table.iter().filter(|entry| inside.contains(&entry.parent) && entry.pid != own);
        let children: Vec<i32> = children.map(|entry| entry.pid).collect();
        inside.extend(children);
        if inside.len() == before {
            break;
        }
    }
    table.into_iter().filter(|entry| inside.contains(&entry.pid)).collect()
}

/// Sends a signal to every process of the list that is still the same. Returns how many received it.
pub fn signal_all(entries: &[ProcessEntry], signal: Signal) -> usize {
    let boot = boot_id();
    entries.iter().filter(|entry| entry.identity(&boot).signal(signal)).count()
}

/// Processes that carry a marker starting with `prefix`, as pairs of marker and process. For finding what
/// outlived a crash of the server.
#[must_use]
pub fn marked(prefix: &str) -> Vec<(String, ProcessEntry)> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let with_marker = |entry: ProcessEntry| {
        let marker = entry.marker().filter(|marker| marker.starts_with(prefix))?;
        (entry.pid != own).then_some((marker, entry))
    };
    processes().into_iter().filter_map(with_marker).collect()
}

/// The machine's boot id; empty where the kernel has none.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_hostile_command_names() {
        let stat = "42 (a) R (b) 1) S 7 42 41 0 -1 4194304 100 0 0 0 3 4 0 0 20 0 1 0 9999 1000 55 0";
        let entry = ProcessEntry::parse(stat).unwrap();
        assert_eq!((entry.pid, entry.parent, entry.session, entry.state), (42, 7, 41, 'S'));
        assert_eq!((entry.start_ticks, entry.cpu_ticks, entry.resident_pages), (9999, 7, 55));
        for broken in ["", "x", "1 (a", "1 (a) S", "1 (a) S 1 2"] {
            assert!(ProcessEntry::parse(broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn identity_tells_a_reused_pid() {
        let own = ProcessIdentity::of(std::process::id().cast_signed()).unwrap();
        assert!(own.is_alive() && own.open().is_some());
        let other = ProcessIdentity { start_ticks: own.start_ticks + 1, ..own.clone() };
        assert!(!other.is_alive() && !other.signal(Signal::KILL));
        assert!(!ProcessIdentity { boot_id: "x".into(), ..own }.is_alive());
    }
}
