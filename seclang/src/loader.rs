//! The only way this crate reads files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Reads rule files and data files for the parser.
pub trait Loader {
    /// The bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The files that match a pattern with `*`, `?` and `[…]`, sorted by path.
    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>>;
}

/// Files held in memory: embedded rules and tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryLoader {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemoryLoader {
    /// Without any file.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a further file.
    #[must_use]
    pub fn with(mut self, path: impl AsRef<Path>, contents: impl Into<Vec<u8>>) -> Self {
        self.files.insert(normal(path.as_ref()), contents.into());
        self
    }
}

impl Loader for MemoryLoader {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(&normal(path)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let pattern = normal(Path::new(pattern)).to_string_lossy().into_owned();
        let matches = |path: &&PathBuf| crate::glob::matches(&pattern, &path.to_string_lossy());
        Ok(self.files.keys().filter(matches).cloned().collect())
    }
}

/// Plain files beneath given folders; nothing outside of them is opened.
#[derive(Clone, Debug, Default)]
pub struct Files {
    roots: Vec<PathBuf>,
}

impl Files {
    /// Files beneath these folders. Folders that do not exist are ignored.
    pub fn beneath<P: AsRef<Path>>(roots: impl IntoIterator<Item = P>) -> Self {
        Self { roots: roots.into_iter().filter_map(|root| root.as_ref().canonicalize().ok()).collect() }
    }

    /// The real path, when it lies beneath a root after links are followed.
    fn admit(&self, path: &Path) -> io::Result<PathBuf> {
        let real = path.canonicalize()?;
        if self.roots.iter().any(|root| real.starts_with(root)) {
            return Ok(real);
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "outside of the folders rules may be read from"))
    }
}

impl Loader for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let real = self.admit(path)?;
        if !real.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        std::fs::read(real)
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = vec![PathBuf::new()];
        for component in Path::new(pattern).components() {
            let text = component.as_os_str().to_string_lossy();
            if !matches!(component, Component::Normal(_)) || !crate::glob::is_pattern(&text) {
                found.iter_mut().for_each(|path| path.push(component));
                continue;
            }
            let mut next = Vec::new();
            for folder in &found {
                next.extend(
                    children(folder)?
                        .into_iter()
                        .filter(|name| crate::glob::matches(&text, name))
                        .map(|name| folder.join(name)),
                );
            }
            found = next;
        }
        found.retain(|path| self.admit(path).is_ok_and(|real| real.is_file()));
        found.sort();
        Ok(found)
    }
}

/// Names in a folder; none when it does not exist.
fn children(folder: &Path) -> io::Result<Vec<String>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(vec![])
        }
        Err(error) => Err(error),
    }
}

/// Resolves `.` and `..` by text alone.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use super::{Files, Loader, MemoryLoader};

    #[test]
    fn files_stay_beneath_their_roots() {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
        let files = Files::beneath([cases.join("valid")]);
        assert!(files.read(&cases.join("valid/chain.conf")).is_ok());
        let outside = cases.join("valid/../invalid/no-id.conf");
        assert_eq!(files.read(&outside).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(files.read(&cases.join("valid/none")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(files.read(&cases.join("valid")).is_err());
        let pattern = |folder: &str| cases.join(folder).join("*.conf").to_string_lossy().into_owned();
        let found = files.glob(&pattern("valid")).unwrap();
        assert!(found.len() > 30 && found.is_sorted());
        assert!(files.glob(&pattern("invalid")).unwrap().is_empty());
        assert!(files.glob(&pattern("none")).unwrap().is_empty());
    }

    #[test]
    fn memory_paths_are_resolved() {
        let loader = MemoryLoader::new().with("a/b.conf", "x").with("a/c.data", "y");
        assert_eq!(loader.read(Path::new("./a/../a/b.conf")).unwrap(), b"x");
        assert_eq!(loader.glob("a/*").unwrap().len(), 2);
        assert_eq!(loader.read(Path::new("b.conf")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
