//! A name and a password for the whole route (RFC 7617). Passwords are kept as bcrypt hashes (`htpasswd -nB NAME`).
//!
//! bcrypt takes its time on purpose, so checks run beside the request path, few at a time, and a pair that was right
//! is remembered for a while, as a keyed hash. One client's requests wait for each other first: whoever sends many wrong
//! passwords holds up nobody else.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::headers::{Headers, is_name};
use crate::prefix::Prefix;

/// Checks of one route under way at a time.
const MAX_CHECKS: usize = 2;
/// Requests of one client that wait for their check or have it.
const MAX_WAITING: usize = 64;
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
    pub async fn admits(&self, headers: &Headers, client: IpAddr, doorman: &Doorman) -> Verdict {
        let Some((name, password)) = credentials(headers) else { return Verdict::Refused };
        let pair = doorman.hasher.hash_one((&name, &password, &*self.users));
        if doorman.remembers(pair) {
            return Verdict::Admitted;
        }
        let turn = tokio::time::timeout(PATIENCE, doorman.turn(client, pair));
        let permits = match turn.await {
            Ok(Turn::Known) => return Verdict::Admitted,
            Ok(Turn::Check(permits)) => permits,
            Ok(Turn::Crowded) | Err(_) => return Verdict::Busy,
        };
        let users = self.users.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let _permits = permits;
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
    /// One check of each client stands here at most.
    checks: Arc<Semaphore>,
    /// The checks of each client that has some under way, by its address or network.
    clients: Mutex<HashMap<Prefix, Weak<Line>>>,
    admitted: Mutex<HashMap<u64, Instant>>,
}

/// Where the checks of one client wait for each other.
#[derive(Debug)]
struct Line {
    head: Arc<Semaphore>,
}

/// What came of waiting for a check.
#[derive(Debug)]
enum Turn {
    /// Another request of the client showed meanwhile that the pair is right.
    Known,
    /// It may begin; it ends when these are dropped.
    Check(Permits),
    /// Too many of the client wait.
    Crowded,
}

/// The right to one check.
#[derive(Debug)]
struct Permits {
    _head: OwnedSemaphorePermit,
    _check: OwnedSemaphorePermit,
    _line: Arc<Line>,
}

impl Default for Doorman {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            checks: Arc::new(Semaphore::new(MAX_CHECKS)),
            clients: Mutex::default(),
            admitted: Mutex::default(),
        }
    }
}

impl Doorman {
    /// Waits for the client's own turn, then for its turn among clients.
    async fn turn(&self, client: IpAddr, pair: u64) -> Turn {
        let line = self.line(client);
        if Arc::strong_count(&line) > MAX_WAITING {
            return Turn::Crowded;
        }
        let Ok(head) = line.head.clone().acquire_owned().await else { return Turn::Crowded };
        if self.remembers(pair) {
            return Turn::Known;
        }
        let Ok(check) = self.checks.clone().acquire_owned().await else { return Turn::Crowded };
        Turn::Check(Permits { _head: head, _check: check, _line: line })
    }

    fn line(&self, client: IpAddr) -> Arc<Line> {
        let key = Prefix::customer(client);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = clients.get(&key).and_then(Weak::upgrade) {
            return line;
        }
        clients.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Line { head: Arc::new(Semaphore::new(1)) });
        clients.insert(key, Arc::downgrade(&line));
        line
    }

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

    const ANYBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn verdict(value: Option<&str>, doorman: &Doorman) -> Verdict {
        let mut headers = Headers::default();
        if let Some(value) = value {
            headers.push("Authorization", value.to_owned());
        }
        auth().admits(&headers, ANYBODY, doorman).await
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

    /// One client's flood of wrong passwords, at a cost that keeps every check busy for long.
    #[tokio::test]
    async fn a_flood_from_one_client_shuts_nobody_else_out() {
        let headers = |password: &str| {
            let mut headers = Headers::default();
            headers.push("Authorization", format!("Basic {}", STANDARD.encode(format!("ann:{password}"))));
            headers
        };
        let auth = auth();
        let doorman = Arc::new(Doorman::default());
        // The flood's own first check is under way until the end.
        let Turn::Check(held) = doorman.turn(ANYBODY, 0).await else { panic!("nobody else is there") };
        let flood: Vec<_> = (0..200)
            .map(|number| {
                let (auth, doorman, headers) =
                    (auth.clone(), doorman.clone(), headers(&format!("no{number}")));
                tokio::spawn(async move { auth.admits(&headers, ANYBODY, &doorman).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let other = "192.0.2.1".parse().unwrap();
        assert_eq!(auth.admits(&headers("s3cret:x"), other, &doorman).await, Verdict::Admitted);
        drop(held);
        for request in flood {
            assert_ne!(request.await.unwrap(), Verdict::Admitted);
        }
        assert_eq!(auth.admits(&headers("s3cret:x"), ANYBODY, &doorman).await, Verdict::Admitted);
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
