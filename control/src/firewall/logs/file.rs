//! Open log files: appended to, made with their modes, opened again after rotation.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::place::LogPath;

/// Most files kept open.
const MOST: usize = 128;
/// How long a file is trusted to be the one its name leads to.
const TRUST: Duration = Duration::from_secs(1);

/// Modes of what is made (`SecAuditLogFileMode`, `SecAuditLogDirMode`); by default nobody else may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Modes {
    file: u32,
    folder: u32,
}

impl Default for Modes {
    fn default() -> Modes {
        Modes::new(None, None)
    }
}

impl Modes {
    /// With the product's modes for those that are not given. The server itself can always write.
    pub(super) fn new(file: Option<u32>, folder: Option<u32>) -> Modes {
        Modes { file: file.unwrap_or(0o600) & 0o666 | 0o600, folder: folder.unwrap_or(0o700) & 0o777 | 0o700 }
    }
}

/// The files that are open.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(HashMap<PathBuf, OpenFile>);

#[derive(Debug)]
struct OpenFile {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    checked: Instant,
    used: Instant,
}

impl OpenFiles {
    /// Appends to a file, which is made if it is not there. A file that was moved away or removed since is left alone,
    /// and a new one is begun.
    ///
    /// # Errors
    /// It cannot be written, is no regular file, or lies elsewhere by now.
    pub(super) fn append(
        &mut self,
        path: &LogPath,
        modes: Modes,
        bytes: &[u8],
        now: Instant,
    ) -> io::Result<()> {
        let name = path.path();
        if self.0.get_mut(name).is_some_and(|known| !known.is_still(name, now)) {
            self.0.remove(name);
        }
        if !self.0.contains_key(name) {
            self.make_room();
            let file = open(path, modes)?;
            let identity = identity(&file.metadata()?);
            self.0.insert(name.to_owned(), OpenFile { file, identity, checked: now, used: now });
        }
        let Some(known) = self.0.get_mut(name) else { return Ok(()) };
        known.used = now;
        let written = known.file.write_all(bytes);
        if written.is_err() {
            self.0.remove(name);
        }
        written
    }

    fn make_room(&mut self) {
        while self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, file)| file.used).map(|(path, _)| path.clone());
            let Some(oldest) = oldest else { return };
            self.0.remove(&oldest);
        }
    }
}

impl OpenFile {
    /// Whether its name still leads to it.
    fn is_still(&mut self, name: &Path, now: Instant) -> bool {
        if now.saturating_duration_since(self.checked) < TRUST {
            return true;
        }
        self.checked = now;
        fs::symlink_metadata(name).is_ok_and(|found| identity(&found) == self.identity)
    }
}

/// Writes a file that holds only this; what has its name already is appended to.
///
/// # Errors
/// As [`OpenFiles::append`].
pub(super) fn write_own(path: &LogPath, modes: Modes, bytes: &[u8]) -> io::Result<()> {
    open(path, modes)?.write_all(bytes)
}

/// Opens a log for appending. A link or a pipe in its place is refused: who may write the folder must not lead the
/// server's own writes elsewhere, or make them wait.
fn open(path: &LogPath, modes: Modes) -> io::Result<File> {
    let name = path.path();
    let folder = name.parent().unwrap_or(path.root());
    make_folders(folder, path.root(), modes)?;
    if !folder.canonicalize()?.starts_with(path.root().canonicalize()?) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("a link leads out of `{}`", path.root().display()),
        ));
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let open = |create: bool| {
        OpenOptions::new().append(true).create_new(create).mode(modes.file).custom_flags(flags).open(name)
    };
    let file = match open(true) {
        Ok(file) => {
            // Whatever the umask says.
            file.set_permissions(fs::Permissions::from_mode(modes.file))?;
            file
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(false)?,
        Err(error) => return Err(error),
    };
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

/// Makes the folders that are missing; those above `root` are private.
fn make_folders(folder: &Path, root: &Path, modes: Modes) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let inner = folder.strip_prefix(root).unwrap_or(Path::new(""));
    let mut path = root.to_owned();
    for part in inner.components() {
        path.push(part);
        match DirBuilder::new().mode(modes.folder).create(&path) {
            Ok(()) => fs::set_permissions(&path, fs::Permissions::from_mode(modes.folder))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
