//! `hop3.toml`: host names, ports and health checks. What happens to requests on their way is in `proxy`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::units::Span;

/// Host names of the app: `domains = ["a.example"]` or `[domains]` with `list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Domains(pub Vec<String>);

/// `[healthcheck]` as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HealthCheckOptions {
    /// Default: `/`.
    pub path: Option<ProbePath>,
    /// The only status that counts as healthy. Default: any below 500.
    pub status: Option<StatusCode>,
    /// Text that the body must contain.
    pub contains: Option<String>,
    /// Between probes. Default: 10 s (0.25 s while starting).
    pub interval: Option<Span>,
    /// Of one probe. Default: 5 s.
    pub timeout: Option<Span>,
    /// Failed probes in a row until a running instance counts as sick. Default: 3.
    pub retries: Option<u32>,
}

/// A path that a probe asks for: starts with `/`, visible ASCII only (RFC 9112 section 3.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProbePath(String);

/// An HTTP status code, 100 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u16")]
pub struct StatusCode(u16);

/// `[[ports]]`: a port beside HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PortRequest {
    /// The public port.
    pub number: u16,
    /// Default: TCP.
    #[serde(default)]
    pub protocol: Protocol,
    /// Networks that may connect. Default: all.
    #[serde(default)]
    pub source: Vec<String>,
}

/// Transport of a `[[ports]]` entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// The seed's `[port]`: a number, or container and public numbers, by name.
pub type SeedPorts = BTreeMap<String, toml::Value>;

impl ProbePath {
    /// The path with its query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ProbePath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl TryFrom<String> for ProbePath {
    type Error = String;
    fn try_from(path: String) -> Result<Self, String> {
        if path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            Ok(Self(path))
        } else {
            Err(format!("`{}` is not a path: start with `/`, no spaces", path.escape_debug()))
        }
    }
}

impl From<ProbePath> for String {
    fn from(path: ProbePath) -> Self {
        path.0
    }
}

impl StatusCode {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for StatusCode {
    type Error = String;
    fn try_from(code: i64) -> Result<Self, String> {
        match u16::try_from(code) {
            Ok(code @ 100..=599) => Ok(Self(code)),
            _ => Err(format!("{code} is not an HTTP status code")),
        }
    }
}

impl From<StatusCode> for u16 {
    fn from(code: StatusCode) -> Self {
        code.0
    }
}

impl<'de> Deserialize<'de> for Domains {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DomainsVisitor)
    }
}

struct DomainsVisitor;

impl<'de> Visitor<'de> for DomainsVisitor {
    type Value = Domains;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of host names, or a table with `list`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Domains, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(items)).map(Domains)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Domains, A::Error> {
        let table = DomainsTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Domains(table.list))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainsTable {
    #[serde(default, alias = "names")]
    list: Vec<String>,
}
