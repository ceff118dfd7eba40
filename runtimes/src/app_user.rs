//! The unprivileged user that apps are built and run as, when the server itself is root.

use std::fs;
use std::io;
use std::os::unix::fs::lchown;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The user that `setup` creates for apps.
pub const APPS_USER: &str = "hop3-apps";

/// A user and its primary group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppUser {
    /// Login name.
    pub name: String,
    /// User id; never 0.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl AppUser {
    /// [`APPS_USER`] when we are root and it exists in `/etc/passwd`; else `None`: apps run as we do.
    #[must_use]
    pub fn detect() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        Self::find(&fs::read_to_string("/etc/passwd").ok()?, APPS_USER)
    }

    /// A user by name in the text of a passwd(5) file. The superuser is never returned.
    #[must_use]
    pub fn find(passwd: &str, name: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let uid = fields.next()?.parse().ok().filter(|&uid| uid != 0)?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), uid, gid })
    }

    /// Gives a folder and everything in it to the user. Links are given, not followed.
    ///
    /// # Errors
    /// The first path that cannot be given.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        lchown(path, Some(self.uid), Some(self.gid))?;
        if path.symlink_metadata()?.is_dir() {
            for entry in fs::read_dir(path)? {
                self.own(&entry?.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::AppUser;

    #[test]
    fn finds_users_but_never_root() {
        let passwd = "root:x:0:0::/root:/bin/sh\nhop3-apps:x:990:991::/:/bin/false\n";
        let user = AppUser::find(passwd, "hop3-apps").unwrap();
        assert_eq!((user.uid, user.gid), (990, 991));
        assert!(AppUser::find(passwd, "root").is_none());
        assert!(AppUser::find(passwd, "hop3").is_none());
    }
}
