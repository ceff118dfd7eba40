//! Files that `[proxy]` names: an app's lie inside it, whatever links say; an operator's are where they are.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hop3_proxy::StaticFiles;
use hop3_runtimes::manifest::is_inside;
use hop3_runtimes::manifest::proxy::FileOptions;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Fault, fault, shown};

/// Largest page that is read, in bytes.
const LONGEST_PAGE: u64 = 256 * 1024;
/// Largest PEM file that is read, in bytes.
const LONGEST_PEM: u64 = 1 << 20;

/// Where relative paths begin, and whether they may lead elsewhere.
#[derive(Debug, Clone, Copy)]
pub enum Files<'a> {
    /// The folder of an app; nothing outside of it is read or served. What it lies in is ours, its content is the
    /// app's, which may put links in the place of folders at any time.
    Inside(&'a Path),
    /// The same of an app that is not built yet: what is missing may come.
    Unbuilt(&'a Path),
    /// The folder of the server's configuration.
    Anywhere(&'a Path),
}

impl Files<'_> {
    /// The text of a page.
    pub(super) fn page(&self, path: &Path) -> Result<Vec<u8>, String> {
        if self.may_come(path) { Ok(Vec::new()) } else { self.read(path, LONGEST_PAGE) }
    }

    /// Certificates or a key.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn pem(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.read(path, LONGEST_PEM)
    }

    /// A folder that is there.
    pub(super) fn folder(&self, path: &Path) -> Result<PathBuf, String> {
        if let (true, Files::Unbuilt(folder)) = (self.may_come(path), self) {
            return Ok(folder.join(path));
        }
        let found = self.find(path)?;
        if found.is_dir() { Ok(found) } else { Err(format!("`{}` is no folder", shown(path))) }
    }

    /// What holds every folder of [`Files::folder`] and is ours; `None` for an operator's, which lie anywhere.
    pub(super) fn within(&self) -> Option<PathBuf> {
        match self {
            Files::Anywhere(_) => None,
            Files::Inside(folder) | Files::Unbuilt(folder) => {
                let folder = folder.canonicalize().ok()?;
                Some(folder.parent().unwrap_or(&folder).to_owned())
            }
        }
    }

    fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>, String> {
        let found = self.find(path)?;
        let unreadable = |error: io::Error| format!("`{}` cannot be read: {error}", shown(path));
        let file = match self.within() {
            Some(within) => open_beneath(&within, &found),
            None => File::open(&found),
        }
        .map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(format!("`{}` is no file", shown(path)));
        }
        let mut text = Vec::new();
        file.take(most + 1).read_to_end(&mut text).map_err(unreadable)?;
        if text.len() as u64 > most {
            return Err(format!("`{}` is larger than {most} bytes", shown(path)));
        }
        Ok(text)
    }

    /// Whether the build may still make it.
    fn may_come(&self, path: &Path) -> bool {
        matches!(self, Files::Unbuilt(folder) if is_inside(path) && !folder.join(path).exists())
    }

    /// Where a path leads, links resolved.
    fn find(&self, path: &Path) -> Result<PathBuf, String> {
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

/// Opens a path without links below `within`: one that has become a link since it was found leads nowhere.
fn open_beneath(within: &Path, found: &Path) -> io::Result<File> {
    let name = found.strip_prefix(within).map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    let outer = rustix::fs::open(within, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // Without waiting for the other end of a pipe.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(&outer, name, flags, Mode::empty(), resolve) {
        // Kernels before 5.6: the last part of the path is all that can be held to.
        Err(Errno::NOSYS) => Ok(rustix::fs::open(found, flags | OFlags::NOFOLLOW, Mode::empty())?.into()),
        opened => Ok(opened?.into()),
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_became_a_link_is_not_read() {
        let ours = tempfile::tempdir().unwrap();
        let within = ours.path().canonicalize().unwrap();
        let app = within.join("app");
        fs::create_dir_all(app.join("pages")).unwrap();
        fs::write(app.join("pages/sorry.html"), "sorry").unwrap();
        symlink("pages/sorry.html", app.join("short.html")).unwrap();
        symlink(app.join("pages"), app.join("absolute")).unwrap();
        let files = Files::Inside(&app);
        for path in ["pages/sorry.html", "short.html", "absolute/sorry.html"] {
            assert_eq!(files.page(Path::new(path)).unwrap(), b"sorry", "{path}");
        }
        let found = files.find(Path::new("pages/sorry.html")).unwrap();
        fs::rename(app.join("pages"), app.join("old")).unwrap();
        fs::create_dir(within.join("secrets")).unwrap();
        fs::write(within.join("secrets/sorry.html"), "secret").unwrap();
        symlink("../secrets", app.join("pages")).unwrap();
        assert!(open_beneath(&within, &found).is_err(), "it was found before the folder became a link");
        assert!(open_beneath(&app, Path::new("/etc/hostname")).is_err());
        assert!(files.page(Path::new("pages/sorry.html")).unwrap_err().contains("outside of the app"));
    }
}
