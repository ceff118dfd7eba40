//! Unpacking a tar stream from a stranger: every path is opened beneath the target's handle, without following
//! links; links must stay inside and are made last; sizes and counts are bounded.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, symlinkat};
use tar::{Archive, EntryType};

use super::link_stays_inside;

/// How much a source tree may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files and links.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Limits {
    /// 100,000 files and 1 GiB.
    pub const DEFAULT: Limits = Limits { files: 100_000, bytes: 1 << 30 };

    /// The limit that so many files and bytes exceed, in words.
    pub(super) fn exceeded_by(self, files: u64, bytes: u64) -> Option<String> {
        if files > self.files {
            Some(format!("{} files", self.files))
        } else if bytes > self.bytes {
            Some(format!("{} MiB", self.bytes >> 20))
        } else {
            None
        }
    }
}

/// Why an archive was refused. The target folder holds a part then; its owner removes it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The archive cannot be read to its end.
    #[error("the archive is damaged or incomplete")]
    Read(#[source] io::Error),
    /// A file cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// Path within the tree.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A path with `..`, a root, or nothing in it.
    #[error("the archive holds the forbidden path `{0}`")]
    Path(PathBuf),
    /// A link that leads out of the tree.
    #[error("the archive holds a link out of the tree: `{path}` to `{target}`")]
    LinkOutside {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A device, a pipe, a hard link or something unknown.
    #[error("the archive holds `{0}`, which is neither file, folder nor symbolic link")]
    Kind(PathBuf),
    /// More than is allowed.
    #[error("the archive holds more than {0}")]
    TooLarge(String),
}

/// Unpacks `archive` into the empty folder `target`.
///
/// # Errors
/// See [`UnpackError`].
pub fn unpack(archive: impl Read, target: &Path, limits: Limits) -> Result<(), UnpackError> {
    let root = openat(CWD, target, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| UnpackError::Write { path: target.to_owned(), source: error.into() })?;
    let mut links = Vec::new();
    let (mut files, mut bytes) = (0_u64, 0_u64);
    let mut archive = Archive::new(archive);
    for entry in archive.entries().map_err(UnpackError::Read)? {
        let mut entry = entry.map_err(UnpackError::Read)?;
        let path = checked(&entry.path().map_err(UnpackError::Read)?)?;
        files += 1;
        bytes = bytes.saturating_add(entry.size());
        if let Some(limit) = limits.exceeded_by(files, bytes) {
            return Err(UnpackError::TooLarge(limit));
        }
        match entry.header().entry_type() {
            EntryType::Directory => {
                folder(&root, &path).map_err(|source| UnpackError::Write { path, source })?;
            }
            EntryType::Regular | EntryType::Continuous => {
                let executable = entry.header().mode().unwrap_or(0) & 0o111 != 0;
                let mut file = create(&root, &path, executable)
                    .map_err(|source| UnpackError::Write { path: path.clone(), source })?;
                io::copy(&mut entry, &mut file).map_err(|source| UnpackError::Write { path, source })?;
            }
            EntryType::Symlink => {
                let link = entry.link_name().map_err(UnpackError::Read)?;
                let link = link.ok_or_else(|| UnpackError::Path(path.clone()))?.into_owned();
                if !link_stays_inside(&path, &link) {
                    return Err(UnpackError::LinkOutside { path, target: link });
                }
                links.push((path, link));
            }
            EntryType::XGlobalHeader => {}
            _ => return Err(UnpackError::Kind(path)),
        }
    }
    for (path, link) in links {
        let made = parent(&root, &path).and_then(|(folder, name)| Ok(symlinkat(&link, folder, name)?));
        made.map_err(|source| UnpackError::Write { path, source })?;
    }
    Ok(())
}

/// The path without `.` parts, if all others are plain names.
fn checked(path: &Path) -> Result<PathBuf, UnpackError> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return Err(UnpackError::Path(path.to_owned())),
        }
    }
    Ok(clean)
}

/// Makes a folder and those above it.
fn folder(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let mut so_far = PathBuf::new();
    for part in path.components() {
        let within = beneath(root, &so_far, OFlags::DIRECTORY, Mode::empty())?;
        match mkdirat(&within, part.as_os_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        so_far.push(part);
    }
    Ok(())
}

fn create(root: &OwnedFd, path: &Path, executable: bool) -> io::Result<File> {
    let (folder, name) = parent(root, path)?;
    let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    Ok(File::from(beneath(&folder, Path::new(name), flags, mode)?))
}

/// A handle on the folder that holds `path`, which is made when absent, and the last name of `path`.
fn parent<'p>(root: &OwnedFd, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let above = path.parent().unwrap_or(Path::new(""));
    folder(root, above)?;
    Ok((beneath(root, above, OFlags::DIRECTORY, Mode::empty())?, name))
}

fn beneath(root: impl AsFd, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, path, flags | OFlags::CLOEXEC, mode, resolve)?)
}
