//! `[[waf.uninspected-bodies]]`: request bodies that the firewall lets pass unread, by type and path.
//!
//! Only the form and its checks are here; what becomes of it is for those who make rules of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `[[waf.uninspected-bodies]]`: bodies of these types go to the app as they come. Everything else of such a request is
/// inspected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct UninspectedBodies {
    /// Types, e.g. `application/grpc`.
    pub content_types: Vec<OpaqueType>,
    /// Only below this path prefix, starting with `/`.
    pub path: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A media type in lower case, without parameters, that the firewall has no parser for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OpaqueType(String);

impl UninspectedBodies {
    /// What is wrong with it, if anything is.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.content_types.is_empty() {
            return Err("`content-types` names no type");
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        match &self.path {
            Some(path) if !path.starts_with('/') => Err("`path` must start with `/`"),
            Some(path) if !path.bytes().all(is_plain) => {
                Err("`path` holds letters, digits and `-._~` between slashes")
            }
            _ => Ok(()),
        }
    }
}

impl OpaqueType {
    /// Type and subtype.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is gRPC's: `application/grpc`, which stands for all its encodings, or one of them such as
    /// `application/grpc+proto`.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.0.strip_prefix("application/grpc").is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
    }
}

impl TryFrom<String> for OpaqueType {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let kind = Self(text.to_ascii_lowercase());
        let is_name = |name: &str| {
            let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
            !name.is_empty() && name.bytes().all(is_known)
        };
        match kind.0.split_once('/') {
            Some((top, sub)) if is_name(top) && is_name(sub) => {}
            _ => {
                return Err(format!("`{}` is no media type such as `application/grpc`", text.escape_debug()));
            }
        }
        if !kind.is_grpc() && is_read(&kind.0) {
            return Err(format!(
                "the firewall reads `{kind}`: such bodies are not let pass unread; silence single rules in `[[waf.tuning]]`"
            ));
        }
        Ok(kind)
    }
}

/// Whether the firewall has a parser for it, or rules that read it as it came: the types that attacks on web apps come in.
fn is_read(kind: &str) -> bool {
    let structured = |name: &str| kind.ends_with(&format!("/{name}")) || kind.ends_with(&format!("+{name}"));
    matches!(kind, "application/x-www-form-urlencoded" | "text/plain")
        || kind.starts_with("multipart/")
        || structured("json")
        || structured("xml")
}

impl From<OpaqueType> for String {
    fn from(kind: OpaqueType) -> Self {
        kind.0
    }
}

impl fmt::Display for OpaqueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(text: &str) -> Result<UninspectedBodies, String> {
        let bodies: UninspectedBodies = toml::from_str(text).map_err(|error| error.to_string())?;
        bodies.check().map_err(str::to_owned)?;
        Ok(bodies)
    }

    #[test]
    fn types_are_compared_in_lower_case() {
        let read =
            bodies("content-types = ['Application/gRPC', 'application/grpc+JSON', 'application/grpc-web']");
        let kinds = read.unwrap().content_types;
        let told: Vec<_> = kinds.iter().map(|kind| (kind.as_str(), kind.is_grpc())).collect();
        assert_eq!(
            told,
            [("application/grpc", true), ("application/grpc+json", true), ("application/grpc-web", false)]
        );
    }

    #[test]
    fn what_the_firewall_reads_it_goes_on_reading() {
        for kind in [
            "application/x-www-form-urlencoded",
            "Multipart/Form-Data",
            "multipart/related",
            "application/json",
            "application/ld+json",
            "text/xml",
            "application/soap+XML",
            "text/plain",
        ] {
            let error = bodies(&format!("content-types = ['{kind}']")).unwrap_err();
            assert!(error.contains("such bodies are not let pass unread"), "{kind}: {error}");
        }
    }

    #[test]
    fn what_is_no_type_or_no_path_is_refused() {
        for (text, message) in [
            ("path = '/x'", "names no type"),
            ("content-types = ['grpc']", "no media type"),
            ("content-types = ['a/b; charset=x']", "no media type"),
            ("content-types = ['*/*']", "no media type"),
            ("content-types = ['a/b/c']", "no media type"),
            ("content-types = ['a/b']\npath = 'x'", "must start with `/`"),
            ("content-types = ['a/b']\npath = '/x\"'", "letters, digits"),
            ("content-types = ['a/b']\npath = '/%7e'", "letters, digits"),
        ] {
            let error = bodies(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
        assert!(bodies("content-types = ['a/b']\npath = '/shop.Orders/'\nreason = 'gRPC'").is_ok());
    }
}
