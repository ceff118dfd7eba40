//! Which files the rules of an app or route may write.
//!
//! Rules come from people who deploy, files belong to the server: a path is relative to the owner's folder of logs, or
//! lies in it, or in a folder that the operator allowed (`log-folders` in `[server.firewall]`). Whether a link leads out
//! of it is asked again when the file is opened.

use std::path::{Component, Path, PathBuf};

use crate::failure::Failure;

/// The folders of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlace {
    own: PathBuf,
    allowed: Vec<PathBuf>,
}

/// A file or folder in such a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogPath {
    path: PathBuf,
    root: PathBuf,
}

impl LogPlace {
    /// With `own` for relative paths, and further folders.
    pub fn new(own: PathBuf, allowed: &[PathBuf]) -> LogPlace {
        let own = std::path::absolute(&own).unwrap_or(own);
        LogPlace { own, allowed: allowed.to_vec() }
    }

    /// What `written` means as the value of `directive`.
    ///
    /// # Errors
    /// It leads elsewhere.
    pub(super) fn find(&self, directive: &str, written: &str) -> Result<LogPath, Failure> {
        if written.starts_with('|') {
            return Err(Failure::usage(format!("`{directive}` names a program: `{written}`"))
                .cause("the server starts no programs to write logs")
                .hint("name a file, and let the program read that"));
        }
        let path = self.own.join(written);
        let climbs = path.components().any(|part| part == Component::ParentDir);
        let roots = std::iter::once(&self.own).chain(&self.allowed);
        let root = roots.into_iter().find(|root| path.starts_with(root) && path != **root);
        match root.filter(|_| !climbs && !written.is_empty() && !written.contains('\0')) {
            Some(root) => Ok(LogPath { root: root.clone(), path }),
            None => Err(self.refused(directive, written, climbs)),
        }
    }

    fn refused(&self, directive: &str, written: &str, climbs: bool) -> Failure {
        let refused = Failure::usage(format!("`{directive}` names a file that the rules may not write"))
            .cause(format!("`{written}` does not lie in `{}`", self.own.display()));
        let name = Path::new(written).file_name().map_or("audit.log".into(), |name| name.to_string_lossy());
        match Path::new(written).parent().filter(|parent| parent.is_absolute() && !climbs) {
            Some(folder) if folder != Path::new("/") => refused.hint(format!(
                "write `{directive} {name}`, or let the operator add \"{}\" to `log-folders` in [server.firewall] of \
                 hop3-server.toml",
                folder.display()
            )),
            _ => refused.hint(format!("write `{directive} {name}`")),
        }
    }
}

impl LogPath {
    /// The file or folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that it must lie in, links resolved.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A file below this folder.
    pub(super) fn join(&self, inner: &str) -> LogPath {
        LogPath { path: self.path.join(inner), root: self.root.clone() }
    }
}
