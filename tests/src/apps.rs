//! Applications for end-to-end tests, made so that deploying them needs no network.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A copy of `tests/apps/flask-hello` whose requirements come from the wheels that `tests/setup/install test` fetched.
///
/// # Panics
/// When the wheels are not there, with the command that fetches them.
pub fn flask_hello() -> TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/flask-hello");
    for entry in fs::read_dir(original).expect("the application").flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("a copy");
        }
    }
    let wheels = wheels();
    assert!(wheels.is_dir(), "{} is missing; run `tests/setup/install test` first", wheels.display());
    let requirements = copy.path().join("requirements.txt");
    let pinned = fs::read_to_string(&requirements).expect("requirements");
    let offline = format!("--no-index\n--find-links {}\n{pinned}", wheels.display());
    fs::write(requirements, offline).expect("requirements");
    copy
}

/// A folder with the given files.
///
/// # Panics
/// When they cannot be written.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(dir.path())).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    dir
}

fn wheels() -> PathBuf {
    if let Some(dir) = std::env::var_os("HOP3_TEST_WHEELS") {
        return dir.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    cache.unwrap_or_else(|| home().join(".cache")).join("hop3/wheels")
}
