//! A release as it was parsed, for all applications that use it, as long as its files stay the same.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hop3_seclang::loader::{Files, Loader};
use hop3_seclang::{Fragment, Parser};

use crate::error::RulesError;

/// A release that was parsed: set-up, plugins and rules.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) fragment: Fragment,
    pub(crate) folder: PathBuf,
    files: Vec<Seen>,
}

/// A file by what changes when it is changed: path, device, inode, size, and nanoseconds of the last change.
type Seen = (PathBuf, u64, u64, u64, i128);

impl Parsed {
    /// Parses the release in `folder` in the order that the project prescribes.
    ///
    /// # Errors
    /// A file cannot be read or has an error.
    pub(crate) fn read(folder: &Path) -> Result<Self, RulesError> {
        // Looked at before they are read: a change in between shows the next time.
        let files = seen(folder)?;
        let loader = Files::beneath([folder]);
        let mut parser = Parser::new(&loader);
        let plain = folder.join("crs-setup.conf");
        let setup = if plain.is_file() { plain } else { folder.join("crs-setup.conf.example") };
        parser.file(&setup);
        for pattern in
            ["plugins/*-config.conf", "plugins/*-before.conf", "rules/*.conf", "plugins/*-after.conf"]
        {
            let pattern = folder.join(pattern).display().to_string();
            for path in loader.glob(&pattern).map_err(RulesError::file("read", folder))? {
                parser.file(&path);
            }
        }
        let fragment = parser.fragment().map_err(RulesError::Syntax)?;
        Ok(Self { fragment, folder: folder.to_owned(), files })
    }

    fn is_current(&self, folder: &Path) -> bool {
        self.folder == folder && seen(folder).is_ok_and(|files| files == self.files)
    }
}

/// The release that was parsed last.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Option<Arc<Parsed>>>);

impl Kept {
    /// The release in `folder`, parsed now or before.
    ///
    /// # Errors
    /// A file cannot be read or has an error.
    pub(crate) fn release(&self, folder: &Path) -> Result<Arc<Parsed>, RulesError> {
        // Held while parsing, so that those who come at the same time parse it once.
        let mut kept = self.locked();
        if let Some(parsed) = kept.as_ref().filter(|parsed| parsed.is_current(folder)) {
            return Ok(parsed.clone());
        }
        // Two are never kept.
        *kept = None;
        let parsed = Arc::new(Parsed::read(folder)?);
        *kept = Some(parsed.clone());
        Ok(parsed)
    }

    /// Keeps none.
    pub(crate) fn forget(&self) {
        self.locked().take();
    }

    fn locked(&self) -> MutexGuard<'_, Option<Arc<Parsed>>> {
        // Whole, whatever panicked: it is replaced at once.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files below a release's folder, sorted by path.
fn seen(folder: &Path) -> Result<Vec<Seen>, RulesError> {
    let mut files = Vec::new();
    for below in ["", "plugins", "rules"] {
        let folder = folder.join(below);
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(RulesError::file("read", &folder))? {
            let path = entry.map_err(RulesError::file("read", &folder))?.path();
            // Followed, as reading follows links.
            let data = fs::metadata(&path).map_err(RulesError::file("read", &path))?;
            let changed = i128::from(data.ctime()) * 1_000_000_000 + i128::from(data.ctime_nsec());
            files.push((path, data.dev(), data.ino(), data.len(), changed));
        }
    }
    files.sort_unstable();
    Ok(files)
}
