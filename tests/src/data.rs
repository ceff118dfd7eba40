//! Where the foreign test data lie.
//!
//! They are read in place and never copied into the project. A suite whose
//! data are missing says so and runs nothing.

use std::path::{Path, PathBuf};

/// The folder that holds `crs`, `modsecurity-tests` and `libinjection-tests`.
///
/// `$HOP3_TEST_DATA`, by default `../shared`; a relative path starts at the workspace's root.
pub fn root() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    workspace.join(std::env::var_os("HOP3_TEST_DATA").unwrap_or_else(|| "../shared".into()))
}

/// One suite's folder, or `None` (with a line on standard error) when it is not there.
pub fn suite(name: &str) -> Option<PathBuf> {
    let dir = root().join(name);
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("{name}: no test data at {}; set HOP3_TEST_DATA to the folder that holds them", dir.display());
    None
}
