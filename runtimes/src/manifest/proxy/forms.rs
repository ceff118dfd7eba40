//! Values of `[proxy]` with a short and a long form.

use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::manifest::units::{ByteSize, Span};

/// Where a redirect leads: `"/new"`, or `{to = "/new", status = 302}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RedirectTarget {
    /// A path or URL.
    pub to: String,
    /// 301, 302, 303, 307 or 308. Default: 301 for GET and HEAD, 308 for everything else.
    pub status: Option<u16>,
}

/// `compression = true`, or a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CompressionChoice {
    /// Whether anything is compressed.
    pub enabled: bool,
    /// Codings that may be used, the preferred one first. Default: zstd, br, gzip as the proxy prefers them.
    pub codings: Vec<CodingName>,
    /// Least size of an answer. Default: 1 KiB.
    pub min_size: Option<ByteSize>,
    /// Media types. Default: texts, scripts, JSON, XML, SVG and the like.
    pub types: Vec<String>,
}

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodingName {
    /// RFC 7932.
    Br,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// `maintenance = true`, or a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Maintenance {
    /// Whether it is on. Default in a table: true.
    pub enabled: bool,
    /// HTML file of the app to show. Default: an ordinary page.
    pub page: Option<PathBuf>,
    /// When clients should come again. Default: 5 min.
    pub retry_after: Option<Span>,
    /// Networks that reach the app nevertheless.
    pub allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedirectTable {
    to: String,
    status: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CompressionTable {
    #[serde(default = "on")]
    enabled: bool,
    #[serde(default)]
    codings: Vec<CodingName>,
    min_size: Option<ByteSize>,
    #[serde(default)]
    types: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct MaintenanceTable {
    #[serde(default = "on")]
    enabled: bool,
    page: Option<PathBuf>,
    retry_after: Option<Span>,
    #[serde(default)]
    allow: Vec<String>,
}

const fn on() -> bool {
    true
}

impl<'de> Deserialize<'de> for RedirectTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RedirectVisitor)
    }
}

struct RedirectVisitor;

impl<'de> Visitor<'de> for RedirectVisitor {
    type Value = RedirectTarget;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, a URL, or a table with `to` and `status`")
    }

    fn visit_str<E: de::Error>(self, to: &str) -> Result<RedirectTarget, E> {
        Ok(RedirectTarget { to: to.to_owned(), status: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RedirectTarget, A::Error> {
        let RedirectTable { to, status } = RedirectTable::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RedirectTarget { to, status })
    }
}

impl<'de> Deserialize<'de> for CompressionChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CompressionVisitor)
    }
}

struct CompressionVisitor;

impl<'de> Visitor<'de> for CompressionVisitor {
    type Value = CompressionChoice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, or a table with `codings`, `min-size`, `types`")
    }

    fn visit_bool<E: de::Error>(self, enabled: bool) -> Result<CompressionChoice, E> {
        Ok(CompressionChoice { enabled, codings: Vec::new(), min_size: None, types: Vec::new() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CompressionChoice, A::Error> {
        let table = CompressionTable::deserialize(MapAccessDeserializer::new(map))?;
        let CompressionTable { enabled, codings, min_size, types } = table;
        Ok(CompressionChoice { enabled, codings, min_size, types })
    }
}

impl<'de> Deserialize<'de> for Maintenance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaintenanceVisitor)
    }
}

struct MaintenanceVisitor;

impl<'de> Visitor<'de> for MaintenanceVisitor {
    type Value = Maintenance;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, or a table with `page`, `retry-after`, `allow`")
    }

    fn visit_bool<E: de::Error>(self, enabled: bool) -> Result<Maintenance, E> {
        Ok(Maintenance { enabled, ..Maintenance::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Maintenance, A::Error> {
        let table = MaintenanceTable::deserialize(MapAccessDeserializer::new(map))?;
        let MaintenanceTable { enabled, page, retry_after, allow } = table;
        Ok(Maintenance { enabled, page, retry_after, allow })
    }
}
