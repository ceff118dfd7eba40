//! A host name that requests may carry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A DNS host name in lower case, without a trailing dot; `*.` may stand in front.
///
/// At most 253 bytes, labels of 1 to 63 letters, digits and inner hyphens (RFC 1123 section 2.1). Names in other
/// scripts are written in their `xn--` form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// A text is not a host name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a host name: {reason}")]
pub struct InvalidDomain {
    text: String,
    reason: &'static str,
}

impl Domain {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Domain, InvalidDomain> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let refuse = |reason| Err(InvalidDomain { text: text.to_owned(), reason });
        if name.is_empty() {
            return refuse("it is empty");
        }
        if name.len() > 253 {
            return refuse("it is longer than 253 bytes");
        }
        for label in name.strip_prefix("*.").unwrap_or(&name).split('.') {
            if label.is_empty() || label.len() > 63 {
                return refuse("each part between dots has 1 to 63 characters");
            }
            if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return refuse("only letters, digits, `-` and dots are allowed");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return refuse("a part may not begin or end with `-`");
            }
        }
        Ok(Domain(name))
    }
}

impl TryFrom<String> for Domain {
    type Error = InvalidDomain;

    fn try_from(text: String) -> Result<Domain, InvalidDomain> {
        text.parse()
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> String {
        domain.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (text, name) in
            [("Shop.Example.ORG", "shop.example.org"), ("a.b.", "a.b"), ("*.example.org", "*.example.org")]
        {
            assert_eq!(text.parse::<Domain>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(64);
        for text in
            ["", ".", "a..b", "-a.b", "a-.b", "a_b", "a b", "a/b", "a:80", "*", "a.*.b", &long, "é.fr"]
        {
            assert!(text.parse::<Domain>().is_err(), "{text:?} was accepted");
        }
    }
}
