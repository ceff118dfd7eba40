//! Opening and reading files, with or without waiting for the disk.

use std::fs::{File, Metadata};
use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, ReadWriteFlags};

/// How far a call may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Only what the kernel has in memory; everything else is [`io::ErrorKind::WouldBlock`].
    Cached,
    /// As long as it takes.
    Patient,
}

impl Disk {
    /// Opens beneath `root`; the kernel refuses every way out of it.
    pub fn open(self, root: &Path, relative: &str) -> io::Result<(File, Box<Metadata>)> {
        let directory = self.directory(root)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let name = if relative.is_empty() { "." } else { relative };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | self.resolve();
        let file = match rustix::fs::openat2(&directory, name, flags, Mode::empty(), resolve) {
            Ok(descriptor) => File::from(descriptor),
            // Kernels before 5.6 and some sandboxes lack openat2, those before 5.12 the flag that forbids waiting.
            Err(Errno::NOSYS | Errno::INVAL) if self == Self::Cached => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(Errno::NOSYS) => compared(root, name)?,
            Err(Errno::XDEV | Errno::LOOP) => return Err(io::ErrorKind::NotFound.into()),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        Ok((file, Box::new(metadata)))
    }

    /// Reads this many bytes from `offset`, or fails: a file that shrank must not end early in silence.
    pub fn read(self, file: &File, offset: u64, wanted: u64) -> io::Result<Bytes> {
        let mut piece = vec![0; usize::try_from(wanted).unwrap_or(0)];
        match self {
            Self::Patient => file.read_exact_at(&mut piece, offset)?,
            Self::Cached => {
                let mut slices = [IoSliceMut::new(&mut piece)];
                match rustix::io::preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
                    Ok(read) if read == piece.len() => {}
                    // In part, or the file system cannot tell: the patient way finds out.
                    _ => return Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
        Ok(piece.into())
    }

    fn directory(self, root: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if self == Self::Patient {
            return Ok(rustix::fs::open(root, flags, Mode::empty())?);
        }
        match rustix::fs::openat2(CWD, root, flags, Mode::empty(), self.resolve()) {
            Err(Errno::NOSYS | Errno::INVAL) => Err(io::ErrorKind::WouldBlock.into()),
            opened => Ok(opened?),
        }
    }

    fn resolve(self) -> ResolveFlags {
        if self == Self::Cached { ResolveFlags::CACHED } else { ResolveFlags::empty() }
    }
}

/// Resolves first, then compares: for kernels that cannot do it in one step.
fn compared(root: &Path, name: &str) -> io::Result<File> {
    let root = root.canonicalize()?;
    let path = root.join(name).canonicalize()?;
    if !path.starts_with(&root) {
        return Err(io::ErrorKind::NotFound.into());
    }
    File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_is_read_without_waiting_and_nothing_beyond_the_end() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"0123456789").unwrap();
        let (file, metadata) = Disk::Patient.open(folder.path(), "a").unwrap();
        assert_eq!(metadata.len(), 10);
        assert_eq!(Disk::Patient.read(&file, 2, 3).unwrap(), "234");
        assert_eq!(Disk::Patient.read(&file, 8, 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        // Where kernel and file system can do it, it is in memory now.
        let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        match Disk::Cached.open(folder.path(), "a") {
            Ok((file, _)) => match Disk::Cached.read(&file, 2, 3) {
                Ok(piece) => assert_eq!(piece, "234"),
                Err(error) => assert!(would_block(&error), "{error}"),
            },
            Err(error) => assert!(would_block(&error), "{error}"),
        }
        let missing = Disk::Cached.open(folder.path(), "b").map(|_| ()).unwrap_err();
        assert!(would_block(&missing) || missing.kind() == io::ErrorKind::NotFound, "{missing}");
        let outside = Disk::Patient.open(folder.path(), "../a").map(|_| ()).unwrap_err();
        assert_eq!(outside.kind(), io::ErrorKind::NotFound);
        assert!(Disk::Cached.open(folder.path(), "../a").is_err());
    }
}
