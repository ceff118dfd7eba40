//! `[tls]` of `hop3.toml`, and `[route.tls]` of the server's configuration: what HTTPS means for an app.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::proxy::{PathRules, Proxy};
use super::units::Span;

/// `max-age` of HSTS when it is switched on without one: a year, what the preload list asks for at least.
const YEAR: Span = Span(Duration::from_secs(31_536_000));

/// `[tls]` as written; an absent key means "default".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TlsOptions {
    /// Whether plain HTTP is redirected to HTTPS. Default: as soon as clients trust the certificates of all hosts.
    pub redirect: Option<bool>,
    /// HTTP Strict Transport Security. Default: off.
    pub hsts: Option<Hsts>,
    /// Where certificates come from. Default: `auto`.
    pub certificate: Option<CertificateChoice>,
    /// PEM file of the authorities whose client certificates count, relative to the file that names it.
    #[serde(alias = "client_ca")]
    pub client_ca: Option<PathBuf>,
    /// Whether clients must show a certificate. Default: `require`, when `client-ca` is set.
    #[serde(alias = "client_certificates")]
    pub client_certificates: Option<ClientCertificateMode>,
}

/// Where the certificates of an app come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateChoice {
    /// Imported ones where there are any, else the server's authority, else self-signed.
    #[default]
    Auto,
    /// No authority is asked: imported ones where there are any, else self-signed.
    SelfSigned,
}

/// What a client without a certificate gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificateMode {
    /// 403.
    #[default]
    Require,
    /// The app's answer; it sees the certificate in `Client-Cert` (RFC 9440) when there is one.
    Request,
}

/// HTTP Strict Transport Security (RFC 6797): `hsts = true`, or a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hsts {
    /// How long a client remembers it; zero makes it forget.
    pub max_age: Span,
    /// Whether it holds for all names below.
    pub include_subdomains: bool,
    /// Whether browsers may ship it.
    pub preload: bool,
}

impl Hsts {
    /// The value of the header field (RFC 6797 section 6.1).
    #[must_use]
    pub fn field(&self) -> String {
        let mut field = format!("max-age={}", self.max_age.0.as_secs());
        if self.include_subdomains {
            field.push_str("; includeSubDomains");
        }
        if self.preload {
            field.push_str("; preload");
        }
        field
    }
}

impl TlsOptions {
    /// What contradicts itself, if anything does.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        if self.client_certificates.is_some() && self.client_ca.is_none() {
            return Some("`client-certificates` needs `client-ca`, the file of the authorities that count");
        }
        if self.hsts.is_some_and(|hsts| hsts.preload && (!hsts.include_subdomains || hsts.max_age < YEAR)) {
            return Some("`preload` needs `include-subdomains` and a `max-age` of at least a year");
        }
        None
    }

    /// The first of `[[proxy.paths]]` that asks for client certificates although nobody's count.
    #[must_use]
    pub fn paths_without_authority(&self, proxy: &Proxy) -> Option<usize> {
        let asks = |path: &PathRules| path.client_certificates.is_some();
        proxy.paths.iter().position(asks).filter(|_| self.client_ca.is_none())
    }
}

impl<'de> Deserialize<'de> for Hsts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HstsVisitor)
    }
}

/// The table form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HstsTable {
    max_age: Option<Span>,
    #[serde(default)]
    include_subdomains: bool,
    #[serde(default)]
    preload: bool,
}

struct HstsVisitor;

impl<'de> Visitor<'de> for HstsVisitor {
    type Value = Hsts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, or a table with `max-age`, `include-subdomains`, `preload`")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<Hsts, E> {
        let max_age = if on { YEAR } else { Span::seconds(0) };
        Ok(Hsts { max_age, include_subdomains: false, preload: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Hsts, A::Error> {
        let table = HstsTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Hsts {
            max_age: table.max_age.unwrap_or(YEAR),
            include_subdomains: table.include_subdomains,
            preload: table.preload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TlsOptions, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn hsts_has_a_short_and_a_long_form() {
        let cases = [
            ("hsts = true", "max-age=31536000"),
            ("hsts = false", "max-age=0"),
            ("hsts = {}", "max-age=31536000"),
            ("hsts = {max-age = '1d'}", "max-age=86400"),
            (
                "[hsts]\nmax-age = '730d'\ninclude-subdomains = true\npreload = true",
                "max-age=63072000; includeSubDomains; preload",
            ),
        ];
        for (text, field) in cases {
            assert_eq!(parse(text).unwrap().hsts.unwrap().field(), field, "{text}");
        }
        for bad in ["hsts = 1", "hsts = {max = 1}", "hsts = 'yes'"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_stored_with_a_release_reads_the_same() {
        let options = parse("redirect = true\nhsts = {max-age = '2d'}\nclient-ca = 'ca.pem'").unwrap();
        let stored = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<TlsOptions>(&stored).unwrap(), options);
    }

    #[test]
    fn contradictions_are_named() {
        let fault = |text| parse(text).unwrap().fault();
        assert_eq!(fault("client-ca = 'ca.pem'\nclient-certificates = 'request'"), None);
        assert!(fault("client-certificates = 'require'").unwrap().contains("client-ca"));
        assert!(fault("hsts = {preload = true}").unwrap().contains("include-subdomains"));
    }
}
