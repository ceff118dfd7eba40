//! What instances wrote: files that instances write themselves, so that they outlive a crash of the server.
//!
//! `TYPE.N.log` is the present, `TYPE.N.log.1` what was before it, `.2` what was before that. [`rotation`] keeps
//! them bounded, [`read`] shows them.

pub mod read;
pub mod rotation;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::instance::InstanceId;
use crate::names::ProcessName;

/// The log file of an instance. Releases of an app share it: the slot is what a reader asks for.
#[must_use]
pub fn file_for(folder: &Path, id: &InstanceId) -> PathBuf {
    folder.join(format!("{}.log", id.log_name()))
}

/// Opens a log for appending, making it (mode 0640) and its folder.
///
/// # Errors
/// When the file system refuses.
pub fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::options().append(true).create(true).mode(0o640).open(path)
}

/// Adds a line of our own, e.g. `2026-01-31T10:00:00Z hop3: v7 started`. Failures are only traced: a full disk must
/// not stop an app.
pub fn note(path: &Path, now: SystemTime, text: &str) {
    let line = format!("{} hop3: {text}\n", humantime::format_rfc3339_seconds(now));
    // One write, so that it does not mix with what the instance writes at the same time.
    if let Err(error) = open(path).and_then(|mut file| file.write_all(line.as_bytes())) {
        tracing::warn!(log = %path.display(), %error, "cannot write to an app's log");
    }
}

/// Which instance a log file belongs to: process type and index, by the file's name.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<(ProcessName, u32)> {
    let (process, index) = name.strip_suffix(".log")?.rsplit_once('.')?;
    Some((ProcessName::new(process).ok()?, index.parse().ok()?))
}
