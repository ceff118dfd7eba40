//! Files that `[proxy]` names: an app's lie inside it, whatever links say; an operator's are where they are.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use hop3_proxy::StaticFiles;
use hop3_runtimes::manifest::is_inside;
use hop3_runtimes::manifest::proxy::FileOptions;

use super::{Fault, fault, shown};

/// Largest page that is read, in bytes.
const LONGEST: u64 = 256 * 1024;

/// Where relative paths begin, and whether they may lead elsewhere.
#[derive(Debug, Clone, Copy)]
pub enum Files<'a> {
    /// The folder of an app; nothing outside of it is read or served.
    Inside(&'a Path),
    /// The folder of an app that is not built yet: what is missing may come.
    Unbuilt(&'a Path),
    /// The folder of the server's configuration.
    Anywhere(&'a Path),
}

impl Files<'_> {
    /// The text of a page.
    pub(super) fn page(&self, path: &Path) -> Result<Vec<u8>, String> {
        if self.may_come(path) {
            return Ok(Vec::new());
        }
        let found = self.find(path)?;
        let unreadable = |error: std::io::Error| format!("`{}` cannot be read: {error}", shown(path));
        let file = fs::File::open(&found).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(format!("`{}` is no file", shown(path)));
        }
        let mut text = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut text).map_err(unreadable)?;
        if text.len() as u64 > LONGEST {
            return Err(format!("`{}` is larger than {LONGEST} bytes", shown(path)));
        }
        Ok(text)
    }

    /// A folder that is there.
    pub(super) fn folder(&self, path: &Path) -> Result<PathBuf, String> {
        if let (true, Files::Unbuilt(folder)) = (self.may_come(path), self) {
            return Ok(folder.join(path));
        }
        let found = self.find(path)?;
        if found.is_dir() { Ok(found) } else { Err(format!("`{}` is no folder", shown(path))) }
    }

    /// Whether the build may still make it.
    fn may_come(&self, path: &Path) -> bool {
        matches!(self, Files::Unbuilt(folder) if is_inside(path) && !folder.join(path).exists())
    }

    /// Where a path leads, links resolved.
    pub(super) fn find(&self, path: &Path) -> Result<PathBuf, String> {
        let (Files::Inside(folder) | Files::Unbuilt(folder) | Files::Anywhere(folder)) = self;
        let missing = |error: std::io::Error| format!("`{}` cannot be found: {error}", shown(path));
        let found = folder.join(path).canonicalize().map_err(missing)?;
        match self {
            Files::Anywhere(_) => Ok(found),
            _ if found.starts_with(folder.canonicalize().map_err(missing)?) => Ok(found),
            _ => Err(format!("`{}` lies outside of the app", shown(path))),
        }
    }
}

/// How files are served; the folder is filled in by the caller.
pub(super) fn template(options: &FileOptions) -> Result<StaticFiles, Fault> {
    let mut files = StaticFiles::new("");
    let name = |name: &Option<String>, key: &str| match name {
        Some(name)
            if name.is_empty() || name.starts_with('/') || name.split('/').any(|part| part == "..") =>
        {
            Err(fault(["files", key], format!("`{}` is no file name", name.escape_debug())))
        }
        name => Ok(name.clone()),
    };
    if let Some(index) = name(&options.index, "index")? {
        files.index = index;
    }
    files.fallback = name(&options.fallback, "fallback")?;
    files.max_age = match options.max_age {
        Some(span) => Some(
            u32::try_from(span.0.as_secs())
                .map_err(|_| fault(["files", "max-age"], "this is longer than a life"))?,
        ),
        None => None,
    };
    files.precompressed = options.precompressed.unwrap_or(files.precompressed);
    files.listing = options.listing.unwrap_or(files.listing);
    Ok(files)
}
