//! The data directory: where everything the server keeps lies, and the lock that makes it one server's.
//!
//! ```text
//! DATA/                     0700
//! ├── lock                  flock held while the server runs; holds its pid
//! ├── key                   0600, Fernet key of the secrets in the store
//! ├── store.redb            0600
//! ├── certificates/
//! ├── rules/                installed rulesets
//! ├── apps/NAME/releases/vN/…, data/, logs/, logs/waf/
//! ├── logs/ROUTE/           what the rules of static routes log
//! └── run/hop3.sock         0600, the command line's way in; run/addresses.json, the chosen ports; run/nftables, there
//!                           while the kernel may hold bans
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::failure::{Failure, Kind};
use crate::model::{AppName, ReleaseNumber};

/// Longest path of a Unix socket (`sun_path` of unix(7), with its final NUL).
const SOCKET_PATH_LIMIT: usize = 107;

/// The paths of one data directory; nothing is read or made until asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

/// Proof that this process owns the data directory; given up when dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl DataDir {
    /// The directory at `path`.
    pub fn new(path: impl Into<PathBuf>) -> DataDir {
        DataDir(path.into())
    }

    /// `/var/lib/hop3` as root, else `$XDG_DATA_HOME/hop3`, else `~/.local/share/hop3`.
    ///
    /// # Errors
    /// There is no home directory to put it in.
    pub fn default_for_this_user() -> Result<DataDir, Failure> {
        if rustix::process::geteuid().is_root() {
            return Ok(DataDir::new("/var/lib/hop3"));
        }
        let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        from("XDG_DATA_HOME")
            .or_else(|| from("HOME").map(|home| home.join(".local/share")))
            .map(|base| DataDir(base.join("hop3")))
            .ok_or_else(|| {
                Failure::usage("no data directory is known")
                    .cause("HOME is not set")
                    .hint("name one: --data DIR, or the variable HOP3_DATA")
            })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The store's file.
    pub fn store(&self) -> PathBuf {
        self.0.join("store.redb")
    }

    /// The key file.
    pub fn key(&self) -> PathBuf {
        self.0.join("key")
    }

    /// The folder of installed rulesets.
    pub fn rules(&self) -> PathBuf {
        self.0.join("rules")
    }

    /// The folder of certificates.
    pub fn certificates(&self) -> PathBuf {
        self.0.join("certificates")
    }

    /// The folder with all apps.
    pub fn apps(&self) -> PathBuf {
        self.0.join("apps")
    }

    /// The folder of one app.
    pub fn app(&self, app: &AppName) -> PathBuf {
        self.apps().join(app.as_str())
    }

    /// The folder of one release: `source/` and `artifact/`.
    pub fn release(&self, app: &AppName, release: ReleaseNumber) -> PathBuf {
        self.app(app).join("releases").join(release.to_string())
    }

    /// Folder for what sockets and ports this run uses.
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// The command line's socket.
    pub fn socket(&self) -> PathBuf {
        self.run().join("hop3.sock")
    }

    /// Where the chosen addresses are written while the server runs.
    pub fn addresses(&self) -> PathBuf {
        self.run().join("addresses.json")
    }

    /// There while the kernel may hold bans.
    pub fn nftables(&self) -> PathBuf {
        self.run().join("nftables")
    }

    /// Where the server's default `hop3-server.toml` is looked for.
    pub fn settings(&self) -> PathBuf {
        self.0.join("hop3-server.toml")
    }

    /// Makes the directory and its folders, mode 0700, and locks it for this process.
    ///
    /// # Errors
    /// Another server holds it (its pid is named), or the file system refuses.
    pub fn claim(&self) -> Result<Lock, Failure> {
        if self.socket().as_os_str().len() > SOCKET_PATH_LIMIT {
            return Err(Failure::usage(format!(
                "the data directory's path `{}` is too long",
                self.0.display()
            ))
            .cause(format!("a socket's path has at most {SOCKET_PATH_LIMIT} bytes"))
            .hint("choose a shorter one with --data"));
        }
        let refuse = |error: &io::Error| {
            Failure::new(Kind::Internal, format!("cannot use the data directory `{}`", self.0.display()))
                .because(error)
                .hint("name another one with --data, or correct its owner and mode")
        };
        for folder in [self.0.clone(), self.apps(), self.rules(), self.certificates(), self.run()] {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| refuse(&error))?;
        }
        self.lock().map_err(|error| refuse(&error))?.map_err(|pid| {
            let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            Failure::conflict(format!("a server already runs on `{}`", self.0.display()))
                .cause(format!("{holder} holds the data directory"))
                .hint("stop it first, or start with another --data DIR")
        })
    }

    /// `Ok(Err(pid))` when somebody else holds it.
    fn lock(&self) -> io::Result<Result<Lock, Option<u32>>> {
        let path = self.0.join("lock");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                file.take(32).read_to_string(&mut text)?;
                return Ok(Err(text.trim().parse().ok()));
            }
            Err(error) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Ok(Lock(file)))
    }
}

/// Writes `bytes` so that a reader sees the old or the new content, never a part: beside, flushed, renamed.
///
/// # Errors
/// The file system refuses.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::new(root.path().join("data"));
        let lock = data.claim().unwrap();
        assert_eq!(fs::metadata(data.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let refused = data.claim().unwrap_err();
        assert_eq!(refused.kind, Kind::Conflict);
        assert!(refused.cause.unwrap().contains(&format!("process {}", std::process::id())));
        drop(lock);
        data.claim().unwrap();
    }

    #[test]
    fn a_path_no_socket_fits_is_refused_before_anything_is_made() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::new(root.path().join("x".repeat(120)));
        assert_eq!(data.claim().unwrap_err().kind, Kind::Usage);
        assert!(!data.path().exists());
    }
}
