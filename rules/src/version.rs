//! The version of an installed Core Rule Set.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `MAJOR.MINOR.PATCH` with an optional suffix, e.g. `4.28.0` or `4.29.0-rc1`.
///
/// A version becomes a folder name, so nothing else is accepted. Ordered by
/// number; a suffix sorts before the plain version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    numbers: [u32; 3],
    suffix: Option<String>,
}

/// A text that is no version.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no version; one looks like 4.28.0")]
pub struct InvalidVersion(String);

impl Version {
    /// The major number, 3 or 4 so far.
    pub fn major(&self) -> u32 {
        self.numbers[0]
    }

    /// The first `OWASP_CRS/X.Y.Z` in a rule file's text.
    pub(crate) fn in_text(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("OWASP_CRS/")?;
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'));
        rest[..end.unwrap_or(rest.len())].parse().ok()
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion(text.to_owned());
        let plain = text.strip_prefix('v').unwrap_or(text);
        let (numbers, suffix) = match plain.split_once('-') {
            Some((numbers, suffix)) => (numbers, Some(suffix)),
            None => (plain, None),
        };
        let parts: Vec<u32> =
            numbers.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| invalid())?;
        let numbers: [u32; 3] = parts.try_into().map_err(|_| invalid())?;
        let well_formed =
            |s: &&str| !s.is_empty() && s.len() <= 20 && s.bytes().all(|b| b.is_ascii_alphanumeric());
        match suffix {
            Some(suffix) if !well_formed(&suffix) => Err(invalid()),
            suffix => Ok(Self { numbers, suffix: suffix.map(str::to_owned) }),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = InvalidVersion;

    fn try_from(text: String) -> Result<Self, InvalidVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        match &self.suffix {
            Some(suffix) => write!(f, "-{suffix}"),
            None => Ok(()),
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let release_last = |v: &Self| (v.suffix.is_none(), v.suffix.clone());
        self.numbers.cmp(&other.numbers).then_with(|| release_last(self).cmp(&release_last(other)))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_orders() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("4.9.0") < version("4.28.0"));
        assert!(version("4.28.0-rc1") < version("4.28.0"));
        assert_eq!(version("v3.3.4").to_string(), "3.3.4");
        for bad in ["", "4", "4.28", "4.28.0.1", "../../etc", "4.28.0-", "4.28.0-a/b", "a.b.c"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn is_found_in_rules() {
        let text = "# OWASP CRS ver.4.28.0\nSecComponentSignature \"OWASP_CRS/4.28.0\"\n";
        assert_eq!(Version::in_text(text).unwrap().to_string(), "4.28.0");
        assert!(Version::in_text("ver:'OWASP_CRS/next'").is_none());
    }
}
