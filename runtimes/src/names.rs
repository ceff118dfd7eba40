//! Names that cannot be wrong: apps, process types, releases.
//!
//! Parsed once where a person or a file supplies them; everything inside passes the types on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest app or process name in bytes: the length of a DNS label (RFC 1035 section 2.3.4).
pub const MAX_NAME_LENGTH: usize = 63;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("{kind} must not be empty")]
    Empty {
        /// What the name would have named, e.g. `app name`.
        kind: &'static str,
    },
    /// More than [`MAX_NAME_LENGTH`] bytes.
    #[error("{kind} has {length} characters, at most {MAX_NAME_LENGTH} are allowed")]
    TooLong {
        /// What the name would have named.
        kind: &'static str,
        /// How long it is, in bytes.
        length: usize,
    },
    /// It starts with something else than a letter.
    #[error("{kind} `{name}` must start with a letter")]
    Start {
        /// What the name would have named.
        kind: &'static str,
        /// The text as given.
        name: String,
    },
    /// It ends with a hyphen, which a DNS label must not.
    #[error("{kind} `{name}` must not end with `-`")]
    End {
        /// What the name would have named.
        kind: &'static str,
        /// The text as given.
        name: String,
    },
    /// A character outside the allowed set.
    #[error("{kind} `{name}` must not contain `{character}`; allowed are {allowed}")]
    Character {
        /// What the name would have named.
        kind: &'static str,
        /// The text as given.
        name: String,
        /// The first offender.
        character: char,
        /// The allowed set, in words.
        allowed: &'static str,
    },
    /// Not of the form `v7`.
    #[error("`{name}` is not a release; releases are written v1, v2, …")]
    Release {
        /// The text as given.
        name: String,
    },
}

/// An application's name: 1 to 63 of `a-z`, `0-9`, `-`, starting with a letter and not ending with a
/// hyphen, because it becomes a DNS label, a folder and a user name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);

/// A process type: 1 to 63 of letters, digits, `-` and `_`, starting with a letter (`web`, `worker`, …).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProcessName(String);

/// A release's number within its app, written `v1`, `v2`, …; serialised as the bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseNumber(pub u64);

impl AppName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        check("app name", &name, "a-z, 0-9 and -", |c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
        })?;
        if name.ends_with('-') {
            return Err(NameError::End { kind: "app name", name });
        }
        Ok(Self(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ProcessName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        check("process type", &name, "letters, digits, - and _", |c| {
            c.is_ascii_alphanumeric() || c == '-' || c == '_'
        })?;
        Ok(Self(name))
    }

    /// The process type that receives requests.
    #[must_use]
    pub fn web() -> Self {
        Self("web".to_owned())
    }

    /// Whether this is the process type that receives requests.
    #[must_use]
    pub fn is_web(&self) -> bool {
        self.0 == "web"
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl FromStr for ReleaseNumber {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = text.strip_prefix('v').unwrap_or_default();
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let number = if plain { digits.parse().ok().filter(|&n| n > 0) } else { None };
        number.map(Self).ok_or_else(|| NameError::Release { name: text.to_owned() })
    }
}

/// What [`AppName`] and [`ProcessName`] share: conversions both ways, display, parsing.
macro_rules! text_conversions {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(name)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }
    };
}

text_conversions!(AppName);
text_conversions!(ProcessName);

fn check(
    kind: &'static str,
    name: &str,
    allowed: &'static str,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    let Some(first) = name.chars().next() else {
        return Err(NameError::Empty { kind });
    };
    if let Some(character) = name.chars().find(|&c| !is_allowed(c)) {
        return Err(NameError::Character { kind, name: shorten(name), character, allowed });
    }
    if !first.is_ascii_alphabetic() {
        return Err(NameError::Start { kind, name: shorten(name) });
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(NameError::TooLong { kind, length: name.len() });
    }
    Ok(())
}

/// Keeps a hostile megabyte out of the error message, and control characters out of the terminal.
fn shorten(name: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    name.chars().take(80).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names_are_dns_labels() {
        for good in ["a", "demo-app", "shop2", &"a".repeat(63)] {
            assert_eq!(AppName::new(good).unwrap().as_str(), good);
        }
        for (bad, reason) in [
            ("", "must not be empty"),
            ("Demo", "must not contain `D`"),
            ("2fast", "must start with a letter"),
            ("-a", "must start with a letter"),
            ("a-", "must not end with `-`"),
            ("a/../b", "must not contain `/`"),
            ("a;rm -rf", "must not contain `;`"),
            ("a\n", "must not contain"),
            ("é", "must not contain `é`"),
        ] {
            let message = AppName::new(bad).unwrap_err().to_string();
            assert!(message.contains(reason), "{bad:?}: {message}");
        }
        assert!(AppName::new("a".repeat(64)).unwrap_err().to_string().contains("64 characters"));
    }

    #[test]
    fn releases_are_written_with_v() {
        assert_eq!("v12".parse::<ReleaseNumber>().unwrap(), ReleaseNumber(12));
        assert_eq!(ReleaseNumber(3).to_string(), "v3");
        for bad in ["", "3", "v", "v0", "v-1", "v+1", "V3", "v3 "] {
            assert!(bad.parse::<ReleaseNumber>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_checked_when_deserialised() {
        assert!(serde_json::from_str::<AppName>("\"demo\"").is_ok());
        assert!(serde_json::from_str::<AppName>("\"../etc\"").is_err());
        assert!(serde_json::from_str::<ProcessName>("\"worker_2\"").is_ok());
    }
}
