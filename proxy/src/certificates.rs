//! Certificates by server name: replaced by pointer swap, self-signed where none is at hand.
//!
//! Owns which certificate a client is shown and when each expires. Where they come from (an authority, an import) is
//! the control plane's; handshakes are [`crate::tls`]'s.

pub mod facts;
mod self_signed;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use self::facts::CertificateFacts;
use self::self_signed::{RENEWED_BEFORE, self_signed};
use crate::config::UnknownNames;
use crate::hosts::HostPattern;
use crate::metrics::text::Exposition;
use crate::route::RouteTable;

/// The name of the certificate for clients that ask for no name or an unknown one.
pub const FALLBACK_NAME: &str = "localhost";

/// A certificate chain and its key, both PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificatePem {
    /// The chain, the server's own certificate first.
    pub chain: String,
    /// The private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: String,
    /// Where it came from.
    pub origin: CertificateOrigin,
}

/// Where a certificate came from: the label in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateOrigin {
    /// Made here; no client trusts it by itself.
    SelfSigned,
    /// Issued by an authority over ACME.
    Acme,
    /// Given by the operator.
    Imported,
}

impl CertificateOrigin {
    /// `self-signed`, `acme` or `imported`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelfSigned => "self-signed",
            Self::Acme => "acme",
            Self::Imported => "imported",
        }
    }
}

impl std::fmt::Debug for CertificatePem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = out.debug_struct("CertificatePem");
        shown.field("chain", &self.chain).field("key", &"…").field("origin", &self.origin).finish()
    }
}

impl CertificatePem {
    /// Checks that chain and key can be used together.
    ///
    /// # Errors
    /// A part cannot be read, the key is of no supported kind, or it is another certificate's.
    pub fn check(&self) -> Result<(), CertificateError> {
        certified_key("the certificate", self).map(drop)
    }
}

/// Where certificates are kept between runs. Asked when routes are published, never while requests are served.
pub trait CertificateStore: Send + Sync {
    /// The certificate that an app's host (`example.org`, `*.example.org`) should be shown with, if there is one.
    fn load(&self, app: &str, host: &str) -> std::io::Result<Option<CertificatePem>>;
    /// Stores a self-signed certificate that was made for a host.
    fn save(&self, host: &str, certificate: &CertificatePem) -> std::io::Result<()>;
}

/// Keeps certificates for the life of the process only.
#[derive(Debug, Default)]
pub struct MemoryCertificates(Mutex<HashMap<String, CertificatePem>>);

impl CertificateStore for MemoryCertificates {
    fn load(&self, _app: &str, host: &str) -> std::io::Result<Option<CertificatePem>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned())
    }

    fn save(&self, host: &str, certificate: &CertificatePem) -> std::io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), certificate.clone());
        Ok(())
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The chain is no PEM, or holds no certificate.
    #[error("the chain of `{host}` cannot be read: {cause}")]
    Chain {
        /// The host.
        host: String,
        /// What is wrong.
        cause: String,
    },
    /// The key is no PEM, of no supported kind, or does not belong to the certificate.
    #[error("the key of `{host}` cannot be used: {cause}")]
    Key {
        /// The host.
        host: String,
        /// What is wrong.
        cause: String,
    },
    /// A self-signed certificate could not be made.
    #[error("cannot make a certificate for `{host}`: {cause}")]
    Generate {
        /// The host.
        host: String,
        /// What is wrong.
        cause: String,
    },
}

/// A certificate in force.
#[derive(Debug)]
struct InForce {
    key: Arc<CertifiedKey>,
    app: Arc<str>,
    origin: CertificateOrigin,
    not_after: SystemTime,
}

impl InForce {
    /// Whether it is one of ours and so near its end that another should take its place.
    fn is_stale(&self, now: SystemTime) -> bool {
        self.origin == CertificateOrigin::SelfSigned && self.not_after < now + RENEWED_BEFORE
    }
}

type ByName = HashMap<String, Arc<InForce>>;

/// The certificates in force.
pub struct Certificates {
    store: Arc<dyn CertificateStore>,
    by_name: ArcSwap<ByName>,
    fallback: ArcSwap<InForce>,
    unknown: UnknownNames,
    /// Keeps two publications from overwriting each other.
    changing: Mutex<()>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Certificates").field("names", &self.by_name.load().keys()).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Only the fallback, loaded or made.
    pub fn new(
        store: Arc<dyn CertificateStore>,
        unknown: UnknownNames,
        now: SystemTime,
    ) -> Result<Self, CertificateError> {
        let fallback = ArcSwap::from_pointee(load_or_make(&*store, &"".into(), FALLBACK_NAME, now)?);
        Ok(Self { store, by_name: ArcSwap::default(), fallback, unknown, changing: Mutex::default() })
    }

    /// Makes sure that every host of the table has a certificate, that of [`RouteTable::owner_of`], and forgets those of hosts that are gone.
    ///
    /// A host whose certificate can neither be loaded nor made gets the fallback; the error is logged.
    pub fn provide(&self, table: &RouteTable, now: SystemTime) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.by_name.load();
        let mut names = ByName::new();
        for route in table.routes() {
            for host in route.hosts.iter().filter(|host| **host != HostPattern::Any) {
                let name = host.to_string();
                if names.contains_key(&name) {
                    continue;
                }
                let app = table.owner_of(host).unwrap_or(&route.app);
                let kept = known.get(&name).filter(|kept| kept.app == *app && !kept.is_stale(now));
                let found = kept
                    .cloned()
                    .map_or_else(|| load_or_make(&*self.store, app, &name, now).map(Arc::new), Ok);
                match found {
                    Ok(found) => drop(names.insert(name, found)),
                    Err(error) => {
                        tracing::error!(host = %name, %error, "no certificate; clients get the fallback")
                    }
                }
            }
        }
        self.by_name.store(Arc::new(names));
        if self.fallback.load().is_stale(now)
            && let Ok(fallback) = load_or_make(&*self.store, &"".into(), FALLBACK_NAME, now)
        {
            self.fallback.store(Arc::new(fallback));
        }
    }

    /// Asks the store again for the hosts of an app whose certificate changed. Connections that are open keep theirs.
    ///
    /// What cannot be used is logged, and what was in force stays.
    pub fn reload(&self, app: &str, now: SystemTime) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = ByName::clone(&self.by_name.load());
        for (host, kept) in names.iter_mut().filter(|(_, kept)| *kept.app == *app) {
            match load_or_make(&*self.store, &kept.app.clone(), host, now) {
                Ok(fresh) => *kept = Arc::new(fresh),
                Err(error) => tracing::error!(%host, %error, "the certificate in force stays"),
            }
        }
        self.by_name.store(Arc::new(names));
    }

    /// Puts a certificate into force at once, without storing it.
    pub fn replace(&self, host: &str, certificate: &CertificatePem) -> Result<(), CertificateError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = ByName::clone(&self.by_name.load());
        let app = names.get(host).map_or_else(|| "".into(), |kept| kept.app.clone());
        names.insert(host.to_ascii_lowercase(), Arc::new(in_force(&app, host, certificate)?));
        self.by_name.store(Arc::new(names));
        Ok(())
    }

    /// The gauge `hop3_certificate_expiry_seconds`.
    pub(crate) fn expose(&self, now: SystemTime) -> String {
        let name = "hop3_certificate_expiry_seconds";
        let mut out = Exposition::default();
        out.family(
            name,
            "gauge",
            "Seconds until the certificate shown for a host expires; negative afterwards.",
        );
        let names = self.by_name.load();
        let mut sorted: Vec<_> = names.iter().collect();
        sorted.sort_by_key(|(host, _)| *host);
        let seconds =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64().floor();
        for (host, shown) in sorted {
            let labels = [("app", &*shown.app), ("host", host.as_str()), ("origin", shown.origin.as_str())];
            out.sample(name, &labels, seconds(shown.not_after) - seconds(now));
        }
        out.finish()
    }

    /// The certificate for a name: its own, or the wildcard's one label above.
    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let names = self.by_name.load();
        let name = name.to_ascii_lowercase();
        if let Some(found) = names.get(&name) {
            return Some(found.key.clone());
        }
        let (_, domain) = name.split_once('.')?;
        names.get(&format!("*.{domain}")).map(|found| found.key.clone())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fallback = || self.fallback.load().key.clone();
        match hello.server_name() {
            Some(name) => self.find(name).or_else(|| (self.unknown == UnknownNames::Fallback).then(fallback)),
            None => Some(fallback()),
        }
    }
}

fn load_or_make(
    store: &dyn CertificateStore,
    app: &Arc<str>,
    host: &str,
    now: SystemTime,
) -> Result<InForce, CertificateError> {
    match store.load(app, host) {
        Ok(Some(certificate)) => match in_force(app, host, &certificate) {
            Ok(found) if found.is_stale(now) => {}
            Ok(found) => return Ok(found),
            Err(error) => {
                tracing::error!(host, %error, "the stored certificate is not used; making a self-signed one");
                // What is stored may be precious although we cannot use it: it is not overwritten.
                return in_force(app, host, &self_signed(host, now)?);
            }
        },
        Ok(None) => {}
        Err(error) => {
            tracing::error!(host, %error, "cannot load the certificate; making a self-signed one");
            return in_force(app, host, &self_signed(host, now)?);
        }
    }
    let certificate = self_signed(host, now)?;
    if let Err(error) = store.save(host, &certificate) {
        tracing::warn!(host, %error, "cannot store the self-signed certificate; it will change at the next start");
    }
    in_force(app, host, &certificate)
}

fn in_force(app: &Arc<str>, host: &str, pem: &CertificatePem) -> Result<InForce, CertificateError> {
    let key = certified_key(host, pem)?;
    let facts = CertificateFacts::of_pem(&pem.chain)
        .map_err(|error| CertificateError::Chain { host: host.to_owned(), cause: error.to_string() })?;
    Ok(InForce { key, app: app.clone(), origin: pem.origin, not_after: facts.not_after })
}

fn certified_key(host: &str, pem: &CertificatePem) -> Result<Arc<CertifiedKey>, CertificateError> {
    let chain_error = |cause: String| CertificateError::Chain { host: host.to_owned(), cause };
    let key_error = |cause: String| CertificateError::Key { host: host.to_owned(), cause };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.chain.as_bytes()).collect();
    let chain = chain.map_err(|error| chain_error(error.to_string()))?;
    if chain.is_empty() {
        return Err(chain_error("it holds no certificate".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).map_err(|error| key_error(error.to_string()))?;
    let key = any_supported_type(&key).map_err(|error| key_error(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Arc::new(certified))
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(key_error("it is not the key of the certificate".to_owned()))
        }
        Err(error) => Err(key_error(error.to_string())),
    }
}
