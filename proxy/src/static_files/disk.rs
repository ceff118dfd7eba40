//! Opening and reading files, with or without waiting for the disk.

use std::fs::{File, Metadata};
use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::buffer::Buffer;

/// How a folder is opened whose content is opened next.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// How what lies in a folder is opened: a pipe must not hold its reader up.
const CONTENT: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// A folder to open files of.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    /// The folder.
    pub path: &'a Path,
    /// What the way to it must not leave; see [`super::StaticFiles::within`].
    pub within: Option<&'a Path>,
}

/// How far a call may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Only what the kernel has in memory; everything else is [`io::ErrorKind::WouldBlock`].
    Cached,
    /// As long as it takes.
    Patient,
}

/// A folder that is open.
#[derive(Debug)]
pub struct Folder<'a> {
    /// How far calls may go.
    pub disk: Disk,
    root: Root<'a>,
    /// None on kernels that cannot open beneath it.
    descriptor: Option<OwnedFd>,
}

impl Folder<'_> {
    /// Opens what lies beneath it; the kernel refuses every way out of it.
    pub fn open(&self, relative: &str) -> io::Result<(File, Box<Metadata>)> {
        let name = Path::new(if relative.is_empty() { "." } else { relative });
        let opened = match &self.descriptor {
            Some(folder) => self.disk.beneath(folder, name, CONTENT),
            None => Err(Errno::NOSYS),
        };
        let file = match opened {
            Ok(descriptor) => File::from(descriptor),
            Err(Errno::NOSYS) if self.disk == Disk::Patient => compared(self.root, name)?,
            Err(error) => return Err(self.disk.failure(error)),
        };
        let metadata = file.metadata()?;
        Ok((file, Box::new(metadata)))
    }
}

impl Disk {
    /// Opens a folder, for all that is looked for beneath it.
    pub fn folder(self, root: Root<'_>) -> io::Result<Folder<'_>> {
        let descriptor = match self.directory(root) {
            Ok(descriptor) => Some(descriptor),
            Err(Errno::NOSYS) if self == Self::Patient => None,
            Err(error) => return Err(self.failure(error)),
        };
        Ok(Folder { disk: self, root, descriptor })
    }

    /// Opens what a path of names alone leads to from the root, in one step and without a descriptor of the root. No link is
    /// followed on the whole way, so none leads out, be it of the root or of its surroundings; where there is one, it takes
    /// [`Disk::folder`].
    pub fn open_at_once(self, root: Root<'_>, relative: &str) -> io::Result<(File, Box<Metadata>)> {
        let relative = Path::new(relative);
        let is_name = |part| matches!(part, Component::Normal(_));
        let leaves = !relative.components().all(is_name)
            || root.within.is_some_and(|within| !root.path.starts_with(within))
            || !root.path.components().skip(1).all(is_name);
        if leaves {
            return Err(io::ErrorKind::NotFound.into());
        }
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | self.resolve();
        let path = root.path.join(relative);
        let file = rustix::fs::openat2(CWD, path, CONTENT, Mode::empty(), resolve);
        let file = File::from(file.map_err(|error| self.failure(error))?);
        let metadata = file.metadata()?;
        Ok((file, Box::new(metadata)))
    }

    fn failure(self, error: Errno) -> io::Error {
        match error {
            // Kernels before 5.6 and some sandboxes lack openat2, those before 5.12 the flag that forbids waiting.
            Errno::NOSYS | Errno::INVAL if self == Self::Cached => io::ErrorKind::WouldBlock.into(),
            Errno::XDEV | Errno::LOOP => io::ErrorKind::NotFound.into(),
            error => error.into(),
        }
    }

    /// Reads this many bytes from `offset`, or fails: a file that shrank must not end early in silence.
    pub fn read(self, file: &File, offset: u64, wanted: u64) -> io::Result<Bytes> {
        let length = usize::try_from(wanted).unwrap_or(0);
        if self == Self::Cached
            && let Some(mut buffer) = Buffer::new(length)
        {
            read_cached(file, offset, buffer.bytes_mut())?;
            return Ok(buffer.freeze());
        }
        let mut piece = vec![0; length];
        match self {
            Self::Patient => file.read_exact_at(&mut piece, offset)?,
            Self::Cached => read_cached(file, offset, &mut piece)?,
        }
        Ok(piece.into())
    }

    /// The root itself, the way to it held to what lies in its surroundings.
    fn directory(self, root: Root<'_>) -> Result<OwnedFd, Errno> {
        let Some(within) = root.within else { return self.trusted(root.path) };
        let way = root.path.strip_prefix(within).map_err(|_| Errno::XDEV)?;
        let outer = self.trusted(within)?;
        if way.as_os_str().is_empty() { Ok(outer) } else { self.beneath(&outer, way, FOLDER) }
    }

    /// A folder that nobody can put another one in the place of.
    fn trusted(self, path: &Path) -> Result<OwnedFd, Errno> {
        match self {
            Self::Patient => rustix::fs::open(path, FOLDER, Mode::empty()),
            Self::Cached => rustix::fs::openat2(CWD, path, FOLDER, Mode::empty(), self.resolve()),
        }
    }

    fn beneath(self, directory: &OwnedFd, name: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | self.resolve();
        rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve)
    }

    fn resolve(self) -> ResolveFlags {
        if self == Self::Cached { ResolveFlags::CACHED } else { ResolveFlags::empty() }
    }
}

/// Reads what the kernel has in memory, all of the piece or nothing.
fn read_cached(file: &File, offset: u64, piece: &mut [u8]) -> io::Result<()> {
    match rustix::io::preadv2(file, &mut [IoSliceMut::new(piece)], offset, ReadWriteFlags::NOWAIT) {
        Ok(read) if read == piece.len() => Ok(()),
        // In part, or the file system cannot tell: the patient way finds out.
        _ => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Resolves first, then compares: for kernels that cannot do it in one step.
fn compared(root: Root<'_>, name: &Path) -> io::Result<File> {
    let folder = root.path.canonicalize()?;
    let path = folder.join(name).canonicalize()?;
    let is_theirs = match root.within {
        Some(within) => folder.starts_with(within.canonicalize()?),
        None => true,
    };
    if !is_theirs || !path.starts_with(&folder) {
        return Err(io::ErrorKind::NotFound.into());
    }
    File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(disk: Disk, root: Root<'_>, relative: &str) -> io::Result<(File, Box<Metadata>)> {
        disk.folder(root)?.open(relative)
    }

    #[test]
    fn what_is_in_memory_is_read_without_waiting_and_nothing_beyond_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root { path: folder.path(), within: None };
        std::fs::write(folder.path().join("a"), b"0123456789").unwrap();
        let (file, metadata) = open(Disk::Patient, root, "a").unwrap();
        assert_eq!(metadata.len(), 10);
        assert_eq!(Disk::Patient.read(&file, 2, 3).unwrap(), "234");
        assert_eq!(Disk::Patient.read(&file, 8, 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        // Where kernel and file system can do it, it is in memory now.
        let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        match open(Disk::Cached, root, "a") {
            Ok((file, _)) => match Disk::Cached.read(&file, 2, 3) {
                Ok(piece) => assert_eq!(piece, "234"),
                Err(error) => assert!(would_block(&error), "{error}"),
            },
            Err(error) => assert!(would_block(&error), "{error}"),
        }
        let missing = open(Disk::Cached, root, "b").map(|_| ()).unwrap_err();
        assert!(would_block(&missing) || missing.kind() == io::ErrorKind::NotFound, "{missing}");
        let outside = open(Disk::Patient, root, "../a").map(|_| ()).unwrap_err();
        assert_eq!(outside.kind(), io::ErrorKind::NotFound);
        assert!(open(Disk::Cached, root, "../a").is_err());
    }

    #[test]
    fn what_is_opened_at_once_has_no_link_on_its_way() {
        let outer = tempfile::tempdir().unwrap();
        let outer = outer.path().canonicalize().unwrap();
        let (path, link) = (outer.join("app/public"), outer.join("link"));
        std::fs::create_dir_all(path.join("sub")).unwrap();
        for name in ["secret", "app/public/a", "app/public/sub/b"] {
            std::fs::write(outer.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for (name, to) in [("out", "../../secret"), ("in", "a"), ("folder", "sub"), ("up", "..")] {
            std::os::unix::fs::symlink(to, path.join(name)).unwrap();
        }
        let root = Root { path: &path, within: Some(&outer) };
        let read = |root, name| {
            let (file, metadata) = Disk::Patient.open_at_once(root, name)?;
            Disk::Patient.read(&file, 0, metadata.len())
        };
        match read(root, "sub/b") {
            Ok(content) => assert_eq!(content, "app/public/sub/b"),
            // Kernels that know no such step leave everything to the other way.
            Err(error) => assert_eq!(error.raw_os_error(), Some(Errno::NOSYS.raw_os_error())),
        }
        let names = [
            "out",
            "in",
            "folder/b",
            "up/public/a",
            "../public/a",
            "sub/../a",
            "./../public/a",
            "/etc/passwd",
        ];
        for name in names {
            assert!(read(root, name).is_err(), "{name}");
        }
        let [through_link, foreign, climbing] = [
            Root { path: &link, within: None },
            Root { path: &path, within: Some(&link) },
            Root { path: &outer.join("app/../app/public"), within: None },
        ];
        for root in [through_link, foreign, climbing] {
            assert!(read(root, "a").is_err(), "{root:?}");
        }
    }

    #[test]
    fn a_root_that_became_a_link_leads_nowhere_else() {
        let outer = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("a"), b"secret").unwrap();
        let (within, path) = (outer.path().canonicalize().unwrap(), outer.path().join("app/public"));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("a"), b"public").unwrap();
        let path = path.canonicalize().unwrap();
        let root = Root { path: &path, within: Some(&within) };
        let read = || {
            let (file, metadata) = open(Disk::Patient, root, "a")?;
            Disk::Patient.read(&file, 0, metadata.len())
        };
        assert_eq!(read().unwrap(), "public");
        assert!(compared(root, Path::new("a")).is_ok());

        let opened = Disk::Patient.folder(root).unwrap();
        std::fs::rename(&path, within.join("app/moved")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &path).unwrap();
        // What is open stays what it was; where the kernel cannot do that, nothing is found.
        assert_eq!(opened.open("a").is_ok(), opened.descriptor.is_some());
        assert_eq!(read().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(open(Disk::Cached, root, "a").is_err());
        assert!(compared(root, Path::new("a")).is_err());
        // Also where a folder above it was replaced.
        std::fs::rename(within.join("app"), within.join("old")).unwrap();
        std::fs::create_dir(elsewhere.path().join("public")).unwrap();
        std::fs::write(elsewhere.path().join("public/a"), b"secret").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), within.join("app")).unwrap();
        assert_eq!(read().unwrap_err().kind(), io::ErrorKind::NotFound);
        let foreign = Root { path: elsewhere.path(), within: Some(&within) };
        assert_eq!(
            open(Disk::Patient, foreign, "a").map(|_| ()).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
