//! Which file answers a request, for applications of one file per page such as PHP's.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::http1::target::normalized_path;
use crate::static_files::StaticFiles;
use crate::upstream::cgi::Script;

/// A FastCGI application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FastCgi {
    /// The files it runs; none for an application that answers every path itself.
    pub scripts: Option<ScriptFiles>,
}

/// A folder of scripts and of files beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFiles {
    /// The folder; the application must know it under the same path.
    pub root: PathBuf,
    /// The script that stands for a folder.
    pub index: String,
    /// The script for everything that is no file, e.g. `index.php`; none answers 404.
    pub front: Option<String>,
    /// Serves what is no script.
    pub files: Arc<StaticFiles>,
}

impl ScriptFiles {
    /// A folder with `index.php`, which also answers for everything that is no file.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            index: "index.php".to_owned(),
            front: Some("index.php".to_owned()),
            files: Arc::new(StaticFiles::new(&root)),
            root,
        }
    }

    /// Whether the path may name a plain file: it has an extension, and no part of it is a script.
    pub fn may_be_file(path_and_query: &[u8]) -> bool {
        let path = normalized_path(path_and_query);
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        name.contains(&b'.') && !path.split(|byte| *byte == b'/').any(is_script)
    }

    /// The script of a path. Only files that exist beneath the folder are ever named to the application: `PATH_INFO`
    /// must not turn an uploaded picture into a program.
    pub fn find(&self, path_and_query: &[u8]) -> io::Result<Script> {
        let path = normalized_path(path_and_query).into_owned();
        let mut end = 0;
        for segment in path.split(|byte| *byte == b'/').skip(1) {
            end += 1 + segment.len();
            if is_script(segment) {
                return self.script(&path[..end], &path[end..]);
            }
        }
        let folder = path.strip_suffix(b"/").map_or_else(|| path.clone(), <[u8]>::to_vec);
        let index = [&folder[..], b"/", self.index.as_bytes()].concat();
        match (self.script(&index, b""), &self.front) {
            (Err(error), Some(front)) if is_absent(&error) => {
                self.script(&[b"/", front.as_bytes()].concat(), b"")
            }
            (found, _) => found,
        }
    }

    fn script(&self, name: &[u8], path_info: &[u8]) -> io::Result<Script> {
        let relative = std::str::from_utf8(name).map_err(|_| io::ErrorKind::NotFound)?;
        let hidden = |segment: &str| segment.starts_with('.') || segment.contains(char::is_control);
        if relative.split('/').any(hidden) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = self.beneath(relative.trim_start_matches('/'))?;
        Ok(Script { root: self.root.clone(), file, name: name.to_vec(), path_info: path_info.to_vec() })
    }

    /// A plain file beneath the root, links resolved.
    fn beneath(&self, relative: &str) -> io::Result<PathBuf> {
        let path = self.root.join(relative);
        let (root, real) = (self.root.canonicalize()?, path.canonicalize()?);
        let leaves = |within: &PathBuf| Ok::<_, io::Error>(!root.starts_with(within.canonicalize()?));
        let left = self.files.within.as_ref().map(leaves).transpose()?;
        if left == Some(true) || !real.starts_with(&root) || !real.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(path)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// `.php`, `.php8`, `.phtml`, `.phar`, …
fn is_script(segment: &[u8]) -> bool {
    let extension = segment.rsplit(|byte| *byte == b'.').next().filter(|end| end.len() < segment.len());
    extension.is_some_and(|extension| {
        let lower = extension.to_ascii_lowercase();
        lower.starts_with(b"php") || matches!(&lower[..], b"phtml" | b"phar" | b"pht")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scripts_that_exist_are_run() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        for name in ["index.php", "sub/index.php", "sub/page.php", "picture.jpg", ".git/x.php"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("/etc/hostname", root.join("out.php")).unwrap();
        let scripts = ScriptFiles::new(root);
        let find = |path: &str| {
            let found = scripts.find(path.as_bytes()).ok()?;
            Some((String::from_utf8(found.name).unwrap(), String::from_utf8(found.path_info).unwrap()))
        };
        let cases = [
            ("/", Some(("/index.php", ""))),
            ("/sub/", Some(("/sub/index.php", ""))),
            ("/sub", Some(("/sub/index.php", ""))),
            ("/sub/page.php?x", Some(("/sub/page.php", ""))),
            ("/sub/page.php/a/b", Some(("/sub/page.php", "/a/b"))),
            ("/nice/url", Some(("/index.php", ""))),
            ("/picture.jpg/x.php", None),
            ("/absent.php", None),
            ("/.git/x.php", None),
            ("/out.php", None),
            ("/sub/%2e%2e/%2e%2e/etc/passwd.php", None),
        ];
        for (path, expected) in cases {
            let expected = expected.map(|(name, info)| (name.to_owned(), info.to_owned()));
            assert_eq!(find(path), expected, "{path}");
        }
        for (path, file) in [("/a.css", true), ("/a", false), ("/x.php", false), ("/x.PHTML/a.css", false)] {
            assert_eq!(ScriptFiles::may_be_file(path.as_bytes()), file, "{path}");
        }
    }
}
