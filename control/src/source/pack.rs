//! Packing a folder as a tar stream: sorted, with fixed times, so that the same tree gives the same bytes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header, HeaderMode};

use super::{Ignore, Limits, link_stays_inside};

/// What was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Files and links.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Why a folder cannot be packed; nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A file or folder cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A link leads out of the tree; the server would refuse it.
    #[error("`{path}` is a link out of the folder, to `{target}`")]
    LinkOutside {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// More than the server takes.
    #[error("the folder holds more than {limit}")]
    TooLarge {
        /// The limit, in words.
        limit: String,
    },
}

/// Packs the folder `root` into `output`, leaving out what `ignore` covers. Sockets, pipes and devices are skipped.
///
/// # Errors
/// Unreadable files, links out of the tree, or more than `limits`.
pub fn pack(root: &Path, ignore: &Ignore, limits: Limits, output: impl Write) -> Result<Packed, PackError> {
    let mut builder = Builder::new(output);
    builder.mode(HeaderMode::Deterministic);
    builder.follow_symlinks(false);
    // Files with holes are plain files to those who unpack.
    builder.sparse(false);
    let mut packer = Packer { root, ignore, limits, packed: Packed { files: 0, bytes: 0 } };
    packer.folder(Path::new(""), &mut builder)?;
    builder.finish().map_err(|source| PackError::Read { path: root.to_owned(), source })?;
    Ok(packer.packed)
}

struct Packer<'a> {
    root: &'a Path,
    ignore: &'a Ignore,
    limits: Limits,
    packed: Packed,
}

impl Packer<'_> {
    fn folder<W: Write>(&mut self, relative: &Path, builder: &mut Builder<W>) -> Result<(), PackError> {
        let folder = self.root.join(relative);
        let failed = |source| PackError::Read { path: folder.clone(), source };
        let entries = fs::read_dir(&folder).map_err(failed)?;
        let mut names =
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
        names.sort();
        for name in names {
            let path = relative.join(name);
            if !self.ignore.covers(&path) {
                self.entry(&path, builder)?;
            }
        }
        Ok(())
    }

    fn entry<W: Write>(&mut self, relative: &Path, builder: &mut Builder<W>) -> Result<(), PackError> {
        let path = self.root.join(relative);
        let failed = |source| PackError::Read { path: path.clone(), source };
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            builder.append_dir(relative, &path).map_err(failed)?;
            return self.folder(relative, builder);
        }
        if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(failed)?;
            if !link_stays_inside(relative, &target) {
                return Err(PackError::LinkOutside { path: relative.to_owned(), target });
            }
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            builder.append_link(&mut header, relative, target).map_err(failed)?;
            return self.count(0);
        }
        if kind.is_file() {
            self.count(metadata.len())?;
            let mut file = File::open(&path).map_err(failed)?;
            return builder.append_file(relative, &mut file).map_err(failed);
        }
        Ok(())
    }

    fn count(&mut self, bytes: u64) -> Result<(), PackError> {
        self.packed.files += 1;
        self.packed.bytes = self.packed.bytes.saturating_add(bytes);
        match self.limits.exceeded_by(self.packed.files, self.packed.bytes) {
            Some(limit) => Err(PackError::TooLarge { limit }),
            None => Ok(()),
        }
    }
}
