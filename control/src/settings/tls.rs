//! `[server.tls]`: how TLS is spoken.

use hop3_proxy::{MinVersion, TlsOptions, UnknownNames};
use serde::Deserialize;

/// `[server.tls]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TlsSection {
    /// The oldest version that is accepted: `1.2` (default) or `1.3`.
    pub min_version: Option<OldestVersion>,
    /// What a client gets that asks for a name nobody answers for. Default: `fallback`.
    pub unknown_names: Option<ForUnknownNames>,
}

/// The value of `min-version`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub enum OldestVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

/// The value of `unknown-names`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForUnknownNames {
    /// The self-signed certificate of `localhost`.
    Fallback,
    /// No handshake.
    Refuse,
}

impl TlsSection {
    pub(super) fn resolve(&self) -> TlsOptions {
        TlsOptions {
            min_version: match self.min_version {
                None | Some(OldestVersion::Tls12) => MinVersion::Tls12,
                Some(OldestVersion::Tls13) => MinVersion::Tls13,
            },
            unknown_names: match self.unknown_names {
                None | Some(ForUnknownNames::Fallback) => UnknownNames::Fallback,
                Some(ForUnknownNames::Refuse) => UnknownNames::Refuse,
            },
        }
    }
}
