//! `[server.acme]`: which authority issues certificates, and how names are proved to it.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hop3_runtimes::manifest::units::{OneOrMany, Span};
use serde::Deserialize;

use crate::model::{Domain, Secret};

/// Let's Encrypt, the default authority.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Its test environment: certificates that nobody trusts, generous limits.
const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";
/// Time for DNS servers to agree, when `propagation` is absent.
const PROPAGATION: Duration = Duration::from_secs(10);
/// The longest such time: it has to leave some of the time that an order has as a whole.
const LONGEST_PROPAGATION: Duration = Duration::from_secs(600);
/// Longest key file that is read.
const LONGEST_KEY: usize = 4096;

/// `[server.acme]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AcmeOptions {
    /// Whether certificates are ordered. Default: true, when the section is there.
    pub enabled: Option<bool>,
    /// That the operator has read and accepts the authority's terms of service (RFC 8555 section 7.3.3).
    pub terms_agreed: bool,
    /// Where the authority writes to about the account.
    pub email: Option<String>,
    /// `letsencrypt` (default), `letsencrypt-staging`, or the URL of a directory.
    pub directory: Option<String>,
    /// PEM file of the roots under which the directory itself is trusted. Default: the public ones.
    pub ca: Option<PathBuf>,
    /// Ways to prove a name, the first that fits is tried first. Default: all that are possible.
    pub challenges: Option<Vec<ChallengeKind>>,
    /// `[server.acme.external-account]`.
    pub external_account: Option<ExternalAccountOptions>,
    /// `[server.acme.dns]`.
    pub dns: Option<DnsOptions>,
}

/// `[server.acme.external-account]` (RFC 8555 section 7.3.4).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExternalAccountOptions {
    /// The key's identifier.
    pub id: String,
    /// File with the key, base64url as authorities hand it out.
    pub key_file: PathBuf,
}

/// `[server.acme.dns]` as written: `hook`, or `server` with a key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DnsOptions {
    /// Program, and arguments put before ours: `present|cleanup NAME VALUE`.
    pub hook: OneOrMany,
    /// The zone's primary server, for RFC 2136 updates: `192.0.2.53` or `ns.example.org:53`.
    pub server: Option<String>,
    /// The zone. Default: the nearest one the server answers for.
    pub zone: Option<Domain>,
    /// Name of the TSIG key.
    pub key_name: Option<Domain>,
    /// File with its secret, base64.
    pub key_file: Option<PathBuf>,
    /// Default: `hmac-sha256`.
    pub key_algorithm: Option<TsigAlgorithm>,
    /// How long the authority is kept waiting until all servers of the zone know. Default: 10 s.
    pub propagation: Option<Span>,
}

/// A way to prove that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ChallengeKind {
    /// A file on port 80 (RFC 8555 section 8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A certificate on port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A TXT record (RFC 8555 section 8.4); the only way for wildcards.
    #[serde(rename = "dns-01")]
    Dns01,
}

/// How updates are signed (RFC 8945 section 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum TsigAlgorithm {
    /// HMAC-SHA-256.
    #[default]
    #[serde(rename = "hmac-sha256")]
    Sha256,
    /// HMAC-SHA-384.
    #[serde(rename = "hmac-sha384")]
    Sha384,
    /// HMAC-SHA-512.
    #[serde(rename = "hmac-sha512")]
    Sha512,
}

/// `[server.acme]` resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Acme {
    /// The directory's URL.
    pub directory: String,
    /// Whether the directory belongs to an authority for the public internet, which issues for public names alone.
    pub public: bool,
    /// Roots in PEM under which the directory is trusted; `None` for the public ones.
    pub roots: Option<String>,
    /// Where the authority writes to.
    pub email: Option<String>,
    /// Key identifier and key of an external account.
    pub external_account: Option<(String, Secret<Vec<u8>>)>,
    /// Ways to prove a name, in the order in which they are tried.
    pub challenges: Vec<ChallengeKind>,
    /// How TXT records are made.
    pub dns: Option<Dns>,
}

/// `[server.acme.dns]` resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Dns {
    /// Who makes the records.
    pub provider: DnsProvider,
    /// How long to wait after that.
    pub propagation: Duration,
}

/// Who makes TXT records.
#[derive(Debug, Clone, PartialEq)]
pub enum DnsProvider {
    /// A program and its first arguments.
    Hook(Vec<String>),
    /// An RFC 2136 update.
    Update(DnsServer),
}

/// A server that takes updates.
#[derive(Debug, Clone, PartialEq)]
pub struct DnsServer {
    /// Its address, as written, with a port.
    pub address: String,
    /// The zone, when it was named.
    pub zone: Option<Domain>,
    /// Key name, algorithm and secret.
    pub key: Option<(Domain, TsigAlgorithm, Secret<Vec<u8>>)>,
}

/// Which listeners there are to prove names on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doors {
    pub(super) http: bool,
    pub(super) https: bool,
}

impl AcmeOptions {
    /// Their meaning, or what is wrong. Relative paths are relative to `folder`.
    pub(super) fn resolve(self, folder: &Path, doors: Doors) -> Result<Option<Acme>, String> {
        if self.enabled == Some(false) {
            return Ok(None);
        }
        if !self.terms_agreed {
            return Err("certificates are ordered only with `terms-agreed = true`: \
                        that you accept the authority's terms of service"
                .into());
        }
        let (directory, public) = directory(self.directory.as_deref())?;
        let roots = self.ca.map(|file| read(&folder.join(file), "ca")).transpose()?;
        let external_account = self.external_account.map(|account| {
            let text = read(&folder.join(&account.key_file), "key-file")?;
            let key = URL_SAFE_NO_PAD
                .decode(text.trim().trim_end_matches('='))
                .map_err(|_| "`key-file` of the external account does not hold base64url".to_owned())?;
            Ok::<_, String>((account.id, Secret::new(key)))
        });
        let dns = self.dns.map(|dns| dns.resolve(folder)).transpose()?;
        if let Some(email) = &self.email
            && (!email.contains('@') || email.contains(char::is_whitespace))
        {
            return Err(format!("`{email}` is not an e-mail address"));
        }
        let possible = |kind: &ChallengeKind| match kind {
            ChallengeKind::Http01 => doors.http,
            ChallengeKind::TlsAlpn01 => doors.https,
            ChallengeKind::Dns01 => dns.is_some(),
        };
        let challenges = match self.challenges {
            Some(wanted) => {
                if let Some(kind) = wanted.iter().find(|kind| !possible(kind)) {
                    return Err(kind.missing().into());
                }
                wanted
            }
            None => [ChallengeKind::Http01, ChallengeKind::TlsAlpn01, ChallengeKind::Dns01]
                .into_iter()
                .filter(possible)
                .collect(),
        };
        if challenges.is_empty() {
            return Err("no name can be proved: open a listener or write [server.acme.dns]".into());
        }
        let external_account = external_account.transpose()?;
        Ok(Some(Acme { directory, public, roots, email: self.email, external_account, challenges, dns }))
    }
}

impl ChallengeKind {
    /// Its name in RFC 8555.
    pub fn as_str(self) -> &'static str {
        match self {
            ChallengeKind::Http01 => "http-01",
            ChallengeKind::TlsAlpn01 => "tls-alpn-01",
            ChallengeKind::Dns01 => "dns-01",
        }
    }

    fn missing(self) -> &'static str {
        match self {
            ChallengeKind::Http01 => "`http-01` needs [server.listen] http",
            ChallengeKind::TlsAlpn01 => "`tls-alpn-01` needs [server.listen] https",
            ChallengeKind::Dns01 => "`dns-01` needs [server.acme.dns]",
        }
    }
}

impl DnsOptions {
    fn resolve(self, folder: &Path) -> Result<Dns, String> {
        let propagation = self.propagation.map_or(PROPAGATION, |span| span.0);
        if propagation > LONGEST_PROPAGATION {
            return Err(
                "[server.acme.dns]: `propagation` is at most 10m, since an order is given up after 15".into(),
            );
        }
        let provider = match (self.hook.0, self.server) {
            (hook, None) if !hook.is_empty() => {
                if self.zone.is_some() || self.key_name.is_some() || self.key_file.is_some() {
                    return Err("[server.acme.dns]: `zone` and keys belong to `server`, not to `hook`".into());
                }
                DnsProvider::Hook(hook)
            }
            (hook, Some(server)) if hook.is_empty() => {
                let key = match (self.key_name, self.key_file) {
                    (Some(name), Some(file)) => {
                        let text = read(&folder.join(file), "key-file")?;
                        let secret = STANDARD
                            .decode(text.trim())
                            .map_err(|_| "`key-file` of the TSIG key does not hold base64".to_owned())?;
                        Some((name, self.key_algorithm.unwrap_or_default(), Secret::new(secret)))
                    }
                    (None, None) => None,
                    _ => return Err("[server.acme.dns]: `key-name` and `key-file` go together".into()),
                };
                DnsProvider::Update(DnsServer { address: with_port(&server)?, zone: self.zone, key })
            }
            (_, Some(_)) => return Err("[server.acme.dns] has `hook` or `server`, not both".into()),
            (_, None) => return Err("[server.acme.dns] needs `hook` or `server`".into()),
        };
        Ok(Dns { provider, propagation })
    }
}

fn with_port(server: &str) -> Result<String, String> {
    if let Ok(address) = server.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, 53).to_string());
    }
    let text = if server.contains(':') { server.to_owned() } else { format!("{server}:53") };
    let is_name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    let named =
        text.rsplit_once(':').is_some_and(|(host, port)| is_name(host) && port.parse::<u16>().is_ok());
    // Looking a name up belongs to the moment of use; an address is checked now.
    if named || text.parse::<SocketAddr>().is_ok() {
        Ok(text)
    } else {
        Err(format!("`{server}` is not a server: write 192.0.2.53 or ns.example.org:53"))
    }
}

/// Whether certificates of this directory are for tests, and trusted by nobody.
pub fn is_for_tests(directory: &str) -> bool {
    directory == LETS_ENCRYPT_STAGING
}

/// The directory's URL, and whether it is a public authority's.
fn directory(written: Option<&str>) -> Result<(String, bool), String> {
    match written {
        None | Some("letsencrypt") => Ok((LETS_ENCRYPT.into(), true)),
        Some("letsencrypt-staging") => Ok((LETS_ENCRYPT_STAGING.into(), true)),
        Some(url) => {
            let parsed: Option<http::Uri> = url.parse().ok();
            let host = parsed.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
            // As a literal: names are looked up when they are used.
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let loopback = bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
            match parsed.as_ref().and_then(|uri| uri.scheme_str()) {
                Some("https") if !host.is_empty() => Ok((url.to_owned(), false)),
                // For a test, or an authority behind a tunnel of the operator's.
                Some("http") if loopback => Ok((url.to_owned(), false)),
                _ => Err(format!(
                    "`{url}` is no directory: write `letsencrypt`, `letsencrypt-staging` or an https:// URL"
                )),
            }
        }
    }
}

fn read(file: &Path, key: &str) -> Result<String, String> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("`{key}`: cannot read `{}`: {error}", file.display()))?;
    if key == "key-file" && text.len() > LONGEST_KEY {
        return Err(format!("`{key}`: `{}` is too long for a key", file.display()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_told_apart_without_asking_anybody() {
        for url in ["https://ca.test/dir", "http://127.0.0.1:14000/dir", "http://[::1]:14000/dir"] {
            assert_eq!(directory(Some(url)), Ok((url.to_owned(), false)));
        }
        for url in ["http://localhost/dir", "http://192.0.2.1/dir", "http://[2001:db8::1]/dir", "ca.test"] {
            assert!(directory(Some(url)).is_err(), "{url}");
        }
        let (staging, public) = directory(Some("letsencrypt-staging")).unwrap();
        assert!(public && is_for_tests(&staging) && !is_for_tests(LETS_ENCRYPT));
    }
}
