//! A name and a password for the whole route (RFC 7617). Passwords are kept as bcrypt hashes (`htpasswd -nB NAME`).
//!
//! bcrypt takes its time on purpose, so checks run beside the request path, few at a time, and a pair that was right
//! is remembered for a while, as a keyed hash.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;

use crate::headers::{Headers, is_name};

/// Checks of one route under way at a time.
const MAX_CHECKS: usize = 2;
/// Longest wait for a check.
const PATIENCE: Duration = Duration::from_secs(5);
/// Right pairs that are remembered, and how long.
const MAX_REMEMBERED: usize = 1024;
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// Who may come.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth {
    realm: String,
    users: Arc<Vec<(String, String)>>,
}

/// Why this is no list of users.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasicAuthError {
    /// Nobody could come.
    #[error("there is no user")]
    NoUser,
    /// RFC 7617 section 2.
    #[error("the user name `{0}` is empty or holds a colon or control characters")]
    Name(String),
    /// Quotes or control characters.
    #[error("the realm holds quotes or control characters")]
    Realm,
    /// Not a bcrypt hash. The value is not shown: it may be a password.
    #[error("the password of `{0}` is no bcrypt hash; make one with `htpasswd -nB {0}`")]
    Hash(String),
}

impl BasicAuth {
    /// Checks names and hashes.
    pub fn new(
        realm: &str,
        users: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BasicAuthError> {
        if realm.contains(['"', '\\']) || realm.contains(char::is_control) {
            return Err(BasicAuthError::Realm);
        }
        let users: Vec<_> = users.into_iter().collect();
        if users.is_empty() {
            return Err(BasicAuthError::NoUser);
        }
        for (name, hash) in &users {
            if name.is_empty() || name.contains(':') || name.contains(char::is_control) {
                return Err(BasicAuthError::Name(name.clone()));
            }
            // Its form alone: a check of a password takes as long as the hash was meant to cost.
            let parsed: Result<bcrypt::HashParts, _> = hash.parse();
            if parsed.is_err() {
                return Err(BasicAuthError::Hash(name.clone()));
            }
        }
        Ok(Self { realm: realm.to_owned(), users: Arc::new(users) })
    }

    /// The value of `WWW-Authenticate`.
    pub fn challenge(&self) -> String {
        format!("Basic realm=\"{}\", charset=\"UTF-8\"", self.realm)
    }

    /// Whether the request names a user and the right password.
    pub async fn admits(&self, headers: &Headers, doorman: &Doorman) -> Verdict {
        let Some((name, password)) = credentials(headers) else { return Verdict::Refused };
        let pair = doorman.hasher.hash_one((&name, &password, &*self.users));
        if doorman.remembers(pair) {
            return Verdict::Admitted;
        }
        let checking = tokio::time::timeout(PATIENCE, doorman.checks.clone().acquire_owned());
        let Ok(Ok(permit)) = checking.await else { return Verdict::Busy };
        let users = self.users.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            is_right(&users, &name, &password)
        });
        match checked.await {
            Ok(true) => {
                doorman.remember(pair);
                Verdict::Admitted
            }
            _ => Verdict::Refused,
        }
    }
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Name and password are right.
    Admitted,
    /// They are absent or wrong.
    Refused,
    /// Too many wait for their check.
    Busy,
}

/// An unknown name costs the same time as a known one.
fn is_right(users: &[(String, String)], name: &str, password: &[u8]) -> bool {
    let known = users.iter().find(|(user, _)| user == name);
    let Some((_, hash)) = known.or(users.first()) else { return false };
    bcrypt::verify(password, hash).unwrap_or(false) && known.is_some()
}

fn credentials(headers: &Headers) -> Option<(String, Vec<u8>)> {
    let value = headers.get("authorization")?;
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !is_name(scheme, "basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((String::from_utf8(decoded[..colon].to_vec()).ok()?, decoded[colon + 1..].to_vec()))
}

/// Bounds the checks of one route and remembers those that went well.
#[derive(Debug)]
pub struct Doorman {
    hasher: RandomState,
    checks: Arc<Semaphore>,
    admitted: Mutex<HashMap<u64, Instant>>,
}

impl Default for Doorman {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            checks: Arc::new(Semaphore::new(MAX_CHECKS)),
            admitted: Mutex::default(),
        }
    }
}

impl Doorman {
    fn remembers(&self, pair: u64) -> bool {
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        admitted.get(&pair).is_some_and(|since| since.elapsed() < REMEMBERED_FOR)
    }

    fn remember(&self, pair: u64) {
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        if admitted.len() >= MAX_REMEMBERED {
            admitted.retain(|_, since| since.elapsed() < REMEMBERED_FOR);
        }
        if admitted.len() < MAX_REMEMBERED {
            admitted.insert(pair, Instant::now());
        }
    }
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("BasicAuth").field("realm", &self.realm).field("users", &self.users.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth() -> BasicAuth {
        let hash = bcrypt::hash("s3cret:x", 4).unwrap();
        BasicAuth::new("shop", [("ann".to_owned(), hash)]).unwrap()
    }

    async fn verdict(value: Option<&str>, doorman: &Doorman) -> Verdict {
        let mut headers = Headers::default();
        if let Some(value) = value {
            headers.push("Authorization", value.to_owned());
        }
        auth().admits(&headers, doorman).await
    }

    #[tokio::test]
    async fn only_the_right_pair_comes_in() {
        let doorman = Doorman::default();
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (value, expected) in [
            (None, Verdict::Refused),
            (Some(basic("ann:s3cret:x")), Verdict::Admitted),
            (Some(basic("ann:s3cret:x").replace("Basic", "bAsIc")), Verdict::Admitted),
            (Some(basic("ann:wrong")), Verdict::Refused),
            (Some(basic("bob:s3cret:x")), Verdict::Refused),
            (Some(basic("ann")), Verdict::Refused),
            (Some("Basic ???".to_owned()), Verdict::Refused),
            (Some("Bearer abc".to_owned()), Verdict::Refused),
        ] {
            assert_eq!(verdict(value.as_deref(), &doorman).await, expected, "{value:?}");
        }
        assert_eq!(auth().challenge(), "Basic realm=\"shop\", charset=\"UTF-8\"");
    }

    #[test]
    fn bad_lists_are_refused_without_telling_the_password() {
        let error = BasicAuth::new("x", [("ann".to_owned(), "hunter2".to_owned())]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(BasicAuth::new("x", []), Err(BasicAuthError::NoUser));
        assert_eq!(BasicAuth::new("a\"b", []), Err(BasicAuthError::Realm));
        assert!(matches!(
            BasicAuth::new("x", [("a:b".to_owned(), String::new())]),
            Err(BasicAuthError::Name(_))
        ));
    }
}
