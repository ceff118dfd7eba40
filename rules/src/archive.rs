//! Unpacks a `.tar.gz` into memory: wanted files only, bounded, never a link.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::error::RulesError;
use crate::tree::{MAX_FILE, MAX_TOTAL, Tree};

/// Reads the ruleset out of a gzipped tar archive.
///
/// The first folder of each path (`coreruleset-4.28.0/`) is dropped. Nothing
/// touches the disk, and a link or device in the place of a wanted file is an
/// error rather than followed.
///
/// # Errors
/// When the archive is malformed or larger than a ruleset can be.
pub(crate) fn unpack(bytes: &[u8], place: &str) -> Result<Tree, RulesError> {
    let refuse = |cause: String| RulesError::Archive { place: place.to_owned(), cause };
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(MAX_TOTAL));
    let mut tree = Tree::default();
    for entry in archive.entries().map_err(|error| refuse(error.to_string()))? {
        let entry = entry.map_err(|error| refuse(error.to_string()))?;
        let path = entry.path().map_err(|error| refuse(error.to_string()))?;
        let Some(inner) = path.to_str().and_then(below_first_folder).map(str::to_owned) else { continue };
        if !Tree::wants(&inner) {
            continue;
        }
        if !entry.header().entry_type().is_file() {
            return Err(refuse(format!("`{inner}` is not a regular file")));
        }
        if entry.size() > MAX_FILE {
            return Err(refuse(format!("`{inner}` has {} bytes, at most {MAX_FILE} are read", entry.size())));
        }
        let mut contents = Vec::new();
        entry.take(MAX_FILE).read_to_end(&mut contents).map_err(|error| refuse(error.to_string()))?;
        tree.files.insert(inner, contents);
    }
    Ok(tree)
}

/// `a/b/c` → `b/c`; `./a/b` → `b`. A path that has no folder is kept.
fn below_first_folder(path: &str) -> Option<&str> {
    let path = path.strip_prefix("./").unwrap_or(path);
    if path.starts_with("crs-setup.conf") || path.starts_with("rules/") || path.starts_with("plugins/") {
        return Some(path);
    }
    path.split_once('/').map(|(_, inner)| inner)
}
