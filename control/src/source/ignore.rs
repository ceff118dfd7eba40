//! What is left out of a packed source tree.

use std::path::Path;

/// Never packed: version control, environments and caches that belong to the machine they were made on.
const ALWAYS: [&str; 10] = [
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "venv",
    "node_modules",
    "__pycache__",
    "*.pyc",
    ".mypy_cache",
    ".pytest_cache",
];

/// Patterns of paths that are not packed.
///
/// A pattern without `/` matches a file or folder of that name anywhere; one with `/` matches from the top of the
/// tree; `*` stands for any characters but `/`. Folders that match are left out with all they contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore(Vec<String>);

impl Ignore {
    /// The built-in patterns and `own`, the `[build] ignore` of `hop3.toml`.
    pub fn new(own: impl IntoIterator<Item = String>) -> Ignore {
        let built_in = ALWAYS.iter().map(|&pattern| pattern.to_owned());
        Ignore(built_in.chain(own).map(|pattern| pattern.trim_end_matches('/').to_owned()).collect())
    }

    /// Whether `path`, relative to the tree, is left out.
    pub fn covers(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let whole = path.to_string_lossy();
        self.0.iter().any(|pattern| match pattern.strip_prefix('/') {
            Some(from_top) => glob(from_top.as_bytes(), whole.as_bytes()),
            None if pattern.contains('/') => glob(pattern.as_bytes(), whole.as_bytes()),
            None => glob(pattern.as_bytes(), name.as_bytes()),
        })
    }
}

/// Whether all of `text` matches `pattern`; linear in memory of one backtracking point, quadratic at worst.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((back, from)) = star.filter(|&(_, from)| text[from] != b'/') {
            star = Some((back, from + 1));
            p = back + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_anywhere_and_paths_from_the_top() {
        let ignore = Ignore::new(["*.log".into(), "/build".into(), "docs/*.pdf".into(), "tmp/".into()]);
        for covered in [".git", "a/node_modules", "x/y.pyc", "a/b.log", "build", "docs/a.pdf", "a/tmp"] {
            assert!(ignore.covers(Path::new(covered)), "{covered} should be left out");
        }
        for packed in ["a/build", "docs/x/a.pdf", "a.logs", "git", "app.py", "docs/a.pdfx"] {
            assert!(!ignore.covers(Path::new(packed)), "{packed} should be packed");
        }
    }
}
