//! Control groups (v2): one per instance, so that ending it reaches every process, however it hid.
//!
//! Optional. Without a writable cgroup2 hierarchy everything works by session and marker alone.
//! Limits (memory, cpu, pids) belong to a later part of the product. Source: kernel cgroup-v2 documentation.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where groups of instances are made.
#[derive(Clone, Debug)]
pub struct Cgroups {
    base: PathBuf,
}

/// The group of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroups {
    /// Finds the cgroup2 hierarchy and makes a folder of ours beneath our own group; `None` when there is no
    /// such hierarchy or we may not.
    #[must_use]
    pub fn detect() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let mount = cgroup2_mount(&mounts)?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let base = Path::new(mount).join(own.trim_start_matches('/')).join("hop3-apps");
        fs::create_dir_all(&base).ok()?;
        // `cgroup.kill` came with Linux 5.14; without it a group is no better than the marker.
        base.join("cgroup.kill").exists().then_some(Self { base })
    }

    /// Makes a group. `name` is one of ours: letters, digits, `.`, `-`, `_`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create(&self, name: &str) -> io::Result<Cgroup> {
        let path = self.base.join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Cgroup { path }),
        }
    }

    /// Where a group of this name lies, whether it exists or not.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// Removes the empty groups whose names start so: left behind by a server that was killed.
    pub fn sweep(&self, prefix: &str) {
        let Ok(entries) = fs::read_dir(&self.base) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
                // The kernel refuses when a process is inside, which is what we want.
                let _refused = fs::remove_dir(entry.path());
            }
        }
    }
}

impl Cgroup {
    /// A group that was made earlier, by its path; `None` when it is gone.
    #[must_use]
    pub fn reopen(path: &Path) -> Option<Self> {
        path.join("cgroup.kill").exists().then(|| Self { path: path.to_owned() })
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file whose writers move into the group by writing `0`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn entrance(&self) -> io::Result<File> {
        File::options().write(true).open(self.path.join("cgroup.procs"))
    }

    /// Pids inside, groups below included as far as they are one level down.
    #[must_use]
    pub fn pids(&self) -> HashSet<i32> {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid > 0).collect()
    }

    /// Kills everything inside at once (`cgroup.kill`), forks in flight included.
    pub fn kill(&self) {
        if let Err(error) = fs::write(self.path.join("cgroup.kill"), "1") {
            tracing::debug!(group = %self.path.display(), %error, "cgroup.kill failed");
        }
    }

    /// Removes the group; it must be empty.
    pub fn remove(&self) {
        if let Err(error) = fs::remove_dir(&self.path) {
            tracing::debug!(group = %self.path.display(), %error, "cannot remove control group");
        }
    }
}

fn cgroup2_mount(mounts: &str) -> Option<&str> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields
        .into_iter()
        .find(|fields| fields.get(2) == Some(&"cgroup2"))
        .and_then(|fields| fields.get(1).copied())
}

#[cfg(test)]
mod tests {
    #[test]
    fn finds_the_unified_hierarchy() {
        let mounts =
            "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(super::cgroup2_mount(mounts), Some("/sys/fs/cgroup/unified"));
        assert_eq!(super::cgroup2_mount("proc /proc proc rw 0 0\n"), None);
    }
}
