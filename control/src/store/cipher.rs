//! Encryption of secrets at rest: Fernet tokens under a key file that is not in the store.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use fernet::Fernet;

use super::StoreError;
use crate::model::Secret;

/// Encrypts and decrypts values under one key.
pub struct Cipher(Fernet);

impl Cipher {
    /// The key in `path`; made at first use, mode 0600.
    ///
    /// # Errors
    /// The file cannot be read or written, is readable by others, or holds no Fernet key.
    pub fn open(path: &Path) -> Result<Cipher, StoreError> {
        let refuse = |reason: String| StoreError::Key { path: path.to_owned(), reason };
        let text = match fs::read_to_string(path) {
            Ok(text) => Secret::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                create(path).map_err(|error| refuse(error.to_string()))?
            }
            Err(error) => return Err(refuse(error.to_string())),
        };
        let mode = fs::metadata(path).map_err(|error| refuse(error.to_string()))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(refuse(format!("its mode is {:o}, others may read it; set it to 600", mode & 0o777)));
        }
        match Fernet::new(text.reveal().trim()) {
            Some(fernet) => Ok(Cipher(fernet)),
            None => Err(refuse("it does not hold a Fernet key".into())),
        }
    }

    /// A token that only this key opens.
    pub fn seal(&self, value: &Secret<String>) -> String {
        self.0.encrypt(value.reveal().as_bytes())
    }

    /// The value in a token; `None` when the key is another or the token was changed.
    pub fn open_token(&self, token: &str) -> Option<Secret<String>> {
        String::from_utf8(self.0.decrypt(token).ok()?).ok().map(Secret::new)
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(…)")
    }
}

/// Writes a new key beside `path`, flushes it to the disk, then moves it into place.
fn create(path: &Path) -> std::io::Result<Secret<String>> {
    let key = Secret::new(Fernet::generate_key());
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(key.reveal().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_returns_under_the_same_key_only() {
        let directory = tempfile::tempdir().unwrap();
        let (here, there) = (directory.path().join("a"), directory.path().join("b"));
        let token = Cipher::open(&here).unwrap().seal(&Secret::new("s3cret".into()));
        assert!(!token.contains("s3cret"));
        let again = Cipher::open(&here).unwrap();
        assert_eq!(again.open_token(&token).unwrap().reveal(), "s3cret");
        assert!(Cipher::open(&there).unwrap().open_token(&token).is_none());
        assert!(again.open_token("nonsense").is_none());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        Cipher::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Cipher::open(&path).unwrap_err().to_string().contains("644"));
    }
}
