//! Limits of the machine and of the process: descriptors, memory, disk.

use std::fs;
use std::path::Path;

use super::Finding;

/// Connections that the server serves at a time, by default; each needs a descriptor, and one to a back end.
const CONNECTIONS: u64 = 20_000;
/// Descriptors below which hardly anything can be served.
const FEW_FILES: u64 = 1024;
const MIB: u64 = 1 << 20;

/// What the machine has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Machine {
    /// Open files that the server (or this process, when there is none) may have; `None` for any number.
    pub files: Option<u64>,
    /// Memory that can be given to programs, in bytes, and all there is.
    pub memory: Option<(u64, u64)>,
    /// Room on the disk of the data directory, in bytes, and its size.
    pub disk: Option<(u64, u64)>,
    /// Files that can still be made there, and how many there may be; none where the file system does not say.
    pub inodes: Option<(u64, u64)>,
}

impl Machine {
    /// Looks at this machine: at the process of the server if it runs, and at the disk that holds `data`.
    pub fn look(server: Option<u32>, data: &Path) -> Machine {
        let process = server.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        // Where nothing was made yet the disk is that of the nearest folder that exists.
        let folder = data.ancestors().find(|folder| folder.exists());
        let disk = folder.and_then(|folder| rustix::fs::statvfs(folder).ok());
        Machine {
            files: open_files(&limits),
            memory: meminfo(&memory, "MemAvailable").zip(meminfo(&memory, "MemTotal")),
            disk: disk.as_ref().map(|disk| (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)),
            inodes: disk.filter(|disk| disk.f_files > 0).map(|disk| (disk.f_favail, disk.f_files)),
        }
    }

    /// What that means.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![files(self.files)];
        findings.extend(self.memory.map(|(free, all)| memory(free, all)));
        findings.extend(self.disk.map(|(free, all)| disk(free, all)));
        findings.extend(self.inodes.filter(|(free, all)| free.saturating_mul(20) < *all).map(
            |(free, all)| {
                Finding::warn("disk", format!("only {free} of {all} files can still be made"))
                    .hint("remove what is not needed, e.g. old releases or logs")
            },
        ));
        findings
    }
}

fn files(limit: Option<u64>) -> Finding {
    let hint = "set LimitNOFILE=65536 in the unit, or `ulimit -n 65536` before `hop3 serve`";
    match limit {
        Some(limit) if limit < FEW_FILES => {
            Finding::fail("limits", format!("only {limit} files may be open at a time")).hint(hint)
        }
        Some(limit) if limit < 2 * CONNECTIONS => {
            Finding::warn("limits", format!("{limit} files may be open at a time"))
                .cause(format!("{CONNECTIONS} connections and their back ends need {}", 2 * CONNECTIONS))
                .hint(hint)
        }
        Some(limit) => Finding::ok("limits", format!("{limit} files may be open at a time")),
        None => Finding::ok("limits", "any number of files may be open"),
    }
}

fn memory(free: u64, all: u64) -> Finding {
    let message = format!("{} MiB of {} MiB memory are available", free / MIB, all / MIB);
    let hint = "stop what is not needed, or add memory; `hop3 app:list` shows the apps";
    match free / MIB {
        0..64 => Finding::fail("memory", message).hint(hint),
        64..256 => Finding::warn("memory", message).hint(hint),
        _ => Finding::ok("memory", message),
    }
}

fn disk(free: u64, all: u64) -> Finding {
    let message =
        format!("{} MiB of {} MiB are free on the disk of the data directory", free / MIB, all / MIB);
    let hint = "remove what is not needed, e.g. old releases or logs, or enlarge the disk";
    match free {
        _ if free < 100 * MIB => Finding::fail("disk", message).hint(hint),
        _ if free < 1024 * MIB || free.saturating_mul(20) < all => Finding::warn("disk", message).hint(hint),
        _ => Finding::ok("disk", message),
    }
}

/// The soft limit of `/proc/PID/limits` (proc(5)).
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A line of `/proc/meminfo`, in bytes.
fn meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::super::State::{Fail, Ok, Warn};
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files            unlimited   unlimited   files\n"), None);
        let memory = "MemTotal:        1024 kB\nMemFree:          1 kB\nMemAvailable:    512 kB\n";
        assert_eq!(meminfo(memory, "MemAvailable"), Some(512 * 1024));
        assert_eq!(meminfo(memory, "SwapFree"), None);
        let here = Machine::look(None, Path::new("/nowhere/at/all"));
        assert!(here.memory.is_some() && here.disk.is_some(), "{here:?}");
    }

    #[test]
    fn what_is_scarce_is_said() {
        let cases = [
            (files(Some(512)), Fail),
            (files(Some(1024)), Warn),
            (files(Some(65_536)), Ok),
            (files(None), Ok),
            (memory(32 * MIB, 1024 * MIB), Fail),
            (memory(200 * MIB, 1024 * MIB), Warn),
            (memory(512 * MIB, 1024 * MIB), Ok),
            (disk(50 * MIB, 10_000 * MIB), Fail),
            (disk(500 * MIB, 2_000 * MIB), Warn),
            (disk(4_000 * MIB, 100_000 * MIB), Warn),
            (disk(50_000 * MIB, 100_000 * MIB), Ok),
        ];
        for (finding, state) in cases {
            assert_eq!(finding.state, state, "{finding:?}");
            assert_eq!(finding.hint.is_some(), state != Ok, "{finding:?}");
        }
        let few = Machine { inodes: Some((10, 1000)), ..Machine::default() };
        assert_eq!(few.findings().last().unwrap().state, Warn);
    }
}
