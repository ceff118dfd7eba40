//! A source tree as it was uploaded: read, never written; copied into a release before anything is run in it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use crate::manifest::{Manifest, ManifestError, is_inside};

/// Names that never belong into a release, whatever the manifest says.
pub const ALWAYS_IGNORED: [&str; 7] =
    [".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".hop3-app"];

/// Deepest folder nesting that is copied.
pub const MAX_DEPTH: usize = 64;

/// An uploaded source tree with its manifest.
#[derive(Clone, Debug)]
pub struct SourceTree {
    /// The folder.
    pub root: PathBuf,
    /// What the app says about itself.
    pub manifest: Manifest,
}

/// Why a tree cannot be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The file system refused.
    #[error("cannot copy `{}`", path.display())]
    Io {
        /// The source path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A link that leads out of the app, or a device, pipe or socket.
    #[error("`{}` {problem}", path.display())]
    Refused {
        /// Relative to the app.
        path: PathBuf,
        /// Why.
        problem: &'static str,
    },
}

impl SourceTree {
    /// Opens a tree and reads its manifest.
    ///
    /// # Errors
    /// When the manifest is faulty.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ManifestError> {
        let root = root.into();
        let manifest = Manifest::load(&root)?;
        Ok(Self { root, manifest })
    }

    /// Whether the tree has a plain file of this name.
    #[must_use]
    pub fn has_file(&self, name: impl AsRef<Path>) -> bool {
        self.root.join(name).is_file()
    }

    /// Copies the tree to `target`, which must not exist or be empty: files with their modes, relative links that
    /// stay inside. Names of [`ALWAYS_IGNORED`] and of `[build] ignore` are left out.
    ///
    /// # Errors
    /// The first path that cannot or must not be copied.
    pub fn copy_to(&self, target: &Path) -> Result<(), CopyError> {
        let ignored = |name: &str| {
            ALWAYS_IGNORED.contains(&name)
                || self.manifest.build.ignore.iter().any(|one| one.trim_matches('/') == name)
        };
        copy_folder(&self.root, target, Path::new(""), 0, &ignored)
    }
}

fn copy_folder(
    from: &Path,
    to: &Path,
    inside: &Path,
    depth: usize,
    ignored: &dyn Fn(&str) -> bool,
) -> Result<(), CopyError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| CopyError::Io { path, source }
    };
    if depth > MAX_DEPTH {
        return Err(CopyError::Refused { path: inside.to_owned(), problem: "is nested too deeply" });
    }
    fs::create_dir_all(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry.map_err(at(from))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(ignored) {
            continue;
        }
        let (source, target, relative) = (entry.path(), to.join(&name), inside.join(&name));
        let kind = entry.file_type().map_err(at(&source))?;
        if kind.is_dir() {
            copy_folder(&source, &target, &relative, depth + 1, ignored)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).map_err(at(&source))?;
        } else if kind.is_symlink() {
            copy_link(&source, &target, &relative)?;
        } else {
            return Err(CopyError::Refused { path: relative, problem: "is not a file, folder or link" });
        }
    }
    let mode = fs::metadata(from).map_err(at(from))?.permissions().mode();
    fs::set_permissions(to, fs::Permissions::from_mode(mode | 0o700)).map_err(at(to))
}

fn copy_link(source: &Path, target: &Path, relative: &Path) -> Result<(), CopyError> {
    let at = |source| CopyError::Io { path: relative.to_owned(), source };
    let destination = fs::read_link(source).map_err(at)?;
    if !leads_inside(relative, &destination) {
        return Err(CopyError::Refused {
            path: relative.to_owned(),
            problem: "is a link that leads out of the app",
        });
    }
    std::os::unix::fs::symlink(destination, target).map_err(at)
}

/// Whether a link at `relative` with this destination stays inside. `..` is allowed only in front: after a name
/// it could climb out through another link.
fn leads_inside(relative: &Path, destination: &Path) -> bool {
    let depth = relative.components().count().saturating_sub(1);
    let up = destination.components().take_while(|part| *part == Component::ParentDir).count();
    up <= depth && is_inside(&destination.components().skip(up).collect::<PathBuf>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_files_modes_and_inner_links_only() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir_all(source.join("bin")).unwrap();
        fs::create_dir_all(source.join(".git")).unwrap();
        fs::create_dir_all(source.join("docs")).unwrap();
        fs::write(source.join("bin/run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(source.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(source.join("hop3.toml"), "[build]\nignore = ['docs/']\n").unwrap();
        std::os::unix::fs::symlink("../hop3.toml", source.join("bin/link")).unwrap();
        let tree = SourceTree::open(&source).unwrap();
        let target = folder.path().join("target");
        tree.copy_to(&target).unwrap();
        assert_eq!(fs::metadata(target.join("bin/run")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_link(target.join("bin/link")).unwrap(), Path::new("../hop3.toml"));
        assert!(!target.join(".git").exists() && !target.join("docs").exists());

        assert!(!leads_inside(Path::new("y"), Path::new("deep/dir/up/../..")));
        assert!(!leads_inside(Path::new("y"), Path::new("/etc")));
        std::os::unix::fs::symlink("../../etc/passwd", source.join("bin/out")).unwrap();
        let error = tree.copy_to(&folder.path().join("again")).unwrap_err();
        assert_eq!(error.to_string(), "`bin/out` is a link that leads out of the app");
    }
}
