//! Where this executable lies, by the name it was called by: behind a link, the next version is found by the same name.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The path, absolute. With the links in it that this process was called through, if they lead to it.
///
/// # Errors
/// The system does not tell.
pub fn path() -> io::Result<PathBuf> {
    let real = env::current_exe()?;
    let search = env::var_os("PATH").unwrap_or_default();
    let called = env::args_os().next().and_then(|name| called_by(&name, &search, &real));
    Ok(called.unwrap_or(real))
}

/// The path that `name` was looked up as in `search`, if it is the same file as `real`.
fn called_by(name: &OsStr, search: &OsStr, real: &Path) -> Option<PathBuf> {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let ours = identity(real)?;
    let candidates: Vec<PathBuf> = match name.as_encoded_bytes().contains(&b'/') {
        true => vec![PathBuf::from(name)],
        false => env::split_paths(search).map(|folder| folder.join(name)).collect(),
    };
    let found = candidates.into_iter().find(|candidate| identity(candidate) == Some(ours))?;
    std::path::absolute(found).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_it_was_called_through_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link, other) =
            (folder.path().join("hop3-1"), folder.path().join("hop3"), folder.path().join("other"));
        fs::write(&real, "1").unwrap();
        fs::write(&other, "2").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let called = |name: &OsStr, search: &Path| called_by(name, search.as_os_str(), &real);
        let nowhere = Path::new("/nonexistent");
        assert_eq!(called(link.as_os_str(), nowhere).as_ref(), Some(&link));
        assert_eq!(called(OsStr::new("hop3"), folder.path()).as_ref(), Some(&link));
        assert_eq!(called(real.as_os_str(), nowhere).as_ref(), Some(&real));
        // A name that somebody made up, or that leads elsewhere by now.
        assert_eq!(called(OsStr::new("-hop3"), folder.path()), None);
        assert_eq!(called(other.as_os_str(), nowhere), None);
        assert_eq!(called(OsStr::new("hop3"), nowhere), None);
    }
}
