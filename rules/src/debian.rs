//! The Core Rule Set as Debian's package `modsecurity-crs` lays it out.

use std::path::Path;

use crate::error::RulesError;
use crate::tree::Tree;

const RULES: &str = "/usr/share/modsecurity-crs/rules";
const SETUP: &str = "/etc/modsecurity/crs";

/// The package's files in the release's layout; `None` when it is not installed.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn tree() -> Result<Option<Tree>, RulesError> {
    if !Path::new(RULES).is_dir() {
        return Ok(None);
    }
    let mut tree = Tree::default();
    tree.read_folder(Path::new(SETUP), "")?;
    tree.read_folder(Path::new(RULES), "rules")?;
    Ok(Some(tree))
}

/// What the operator calls this source.
pub(crate) const PLACE: &str = "Debian's package modsecurity-crs";
