//! An app's configuration: variables for its environment, each value a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Secret;

/// The variables of one configuration version.
pub type Variables = BTreeMap<ConfigKey, Secret<String>>;

/// The name of a variable: a letter or `_`, then letters, digits and `_`, at most 128 bytes.
///
/// Source: POSIX.1-2017, Base Definitions, section 8.1 (lower case is accepted too).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConfigKey(String);

/// A text is not the name of a variable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a variable name: use letters, digits and `_`, not beginning with a digit")]
pub struct InvalidConfigKey(String);

impl ConfigKey {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConfigKey {
    type Err = InvalidConfigKey;

    fn from_str(text: &str) -> Result<ConfigKey, InvalidConfigKey> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = (1..=128).contains(&text.len())
            && text.bytes().all(inner)
            && !text.starts_with(|first: char| first.is_ascii_digit());
        if valid { Ok(ConfigKey(text.to_owned())) } else { Err(InvalidConfigKey(text.to_owned())) }
    }
}

impl TryFrom<String> for ConfigKey {
    type Error = InvalidConfigKey;

    fn try_from(text: String) -> Result<ConfigKey, InvalidConfigKey> {
        text.parse()
    }
}

impl From<ConfigKey> for String {
    fn from(key: ConfigKey) -> String {
        key.0
    }
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_names_are_checked() {
        for good in ["A", "_x", "DATABASE_URL", "a1"] {
            assert_eq!(good.parse::<ConfigKey>().unwrap().as_str(), good);
        }
        let long = "A".repeat(129);
        for bad in ["", "1A", "A-B", "A B", "A=B", "É", "A\0", &long] {
            assert!(bad.parse::<ConfigKey>().is_err(), "{bad:?}");
        }
    }
}
