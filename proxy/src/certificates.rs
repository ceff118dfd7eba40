//! Certificates by server name: replaced by pointer swap, self-signed where none is at hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::route::{HostPattern, RouteTable};

/// The name of the certificate for clients that ask for no name or an unknown one.
pub const FALLBACK_NAME: &str = "localhost";

/// A certificate chain and its key, both PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificatePem {
    /// The chain, the server's own certificate first.
    pub chain: String,
    /// The private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: String,
}

impl std::fmt::Debug for CertificatePem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("CertificatePem").field("chain", &self.chain).field("key", &"…").finish()
    }
}

/// Where certificates are kept between runs. Asked when routes are published, never while requests are served.
pub trait CertificateStore: Send + Sync {
    /// The stored certificate for a host (`example.org`, `*.example.org`), if there is one.
    fn load(&self, host: &str) -> std::io::Result<Option<CertificatePem>>;
    /// Stores a certificate that was made for a host.
    fn save(&self, host: &str, certificate: &CertificatePem) -> std::io::Result<()>;
}

/// Keeps certificates for the life of the process only.
#[derive(Debug, Default)]
pub struct MemoryCertificates(Mutex<HashMap<String, CertificatePem>>);

impl CertificateStore for MemoryCertificates {
    fn load(&self, host: &str) -> std::io::Result<Option<CertificatePem>> {
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

type ByName = HashMap<String, Arc<CertifiedKey>>;

/// The certificates in force.
pub struct Certificates {
    store: Arc<dyn CertificateStore>,
    by_name: ArcSwap<ByName>,
    fallback: Arc<CertifiedKey>,
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
    pub fn new(store: Arc<dyn CertificateStore>) -> Result<Self, CertificateError> {
        let fallback = load_or_make(&*store, FALLBACK_NAME)?;
        Ok(Self { store, by_name: ArcSwap::default(), fallback, changing: Mutex::default() })
    }

    /// Makes sure that every host of the table has a certificate, and forgets those of hosts that are gone.
    ///
    /// A host whose certificate can neither be loaded nor made gets the fallback; the error is logged.
    pub fn provide(&self, table: &RouteTable) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.by_name.load();
        let mut names = ByName::new();
        for host in
            table.routes().iter().flat_map(|route| &route.hosts).filter(|host| **host != HostPattern::Any)
        {
            let name = host.to_string();
            if names.contains_key(&name) {
                continue;
            }
            let key = known.get(&name).cloned().map_or_else(|| load_or_make(&*self.store, &name), Ok);
            match key {
                Ok(key) => drop(names.insert(name, key)),
                Err(error) => {
                    tracing::error!(host = %name, %error, "no certificate; clients get the fallback")
                }
            }
        }
        self.by_name.store(Arc::new(names));
    }

    /// Puts a certificate into force at once, without storing it.
    pub fn replace(&self, host: &str, certificate: &CertificatePem) -> Result<(), CertificateError> {
        let key = certified_key(host, certificate)?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = ByName::clone(&self.by_name.load());
        names.insert(host.to_ascii_lowercase(), key);
        self.by_name.store(Arc::new(names));
        Ok(())
    }

    /// The certificate for a name: its own, or the wildcard's one label above.
    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let names = self.by_name.load();
        let name = name.to_ascii_lowercase();
        if let Some(key) = names.get(&name) {
            return Some(key.clone());
        }
        let (_, domain) = name.split_once('.')?;
        names.get(&format!("*.{domain}")).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(hello.server_name().and_then(|name| self.find(name)).unwrap_or_else(|| self.fallback.clone()))
    }
}

fn load_or_make(store: &dyn CertificateStore, host: &str) -> Result<Arc<CertifiedKey>, CertificateError> {
    match store.load(host) {
        Ok(Some(certificate)) => match certified_key(host, &certificate) {
            Ok(key) => return Ok(key),
            Err(error) => {
                tracing::error!(host, %error, "the stored certificate is not used; making a self-signed one")
            }
        },
        Ok(None) => {
            let certificate = self_signed(host)?;
            if let Err(error) = store.save(host, &certificate) {
                tracing::warn!(host, %error, "cannot store the self-signed certificate; it will change at the next start");
            }
            return certified_key(host, &certificate);
        }
        Err(error) => tracing::error!(host, %error, "cannot load the certificate; making a self-signed one"),
    }
    // What is stored may be precious although we cannot use it: it is not overwritten.
    certified_key(host, &self_signed(host)?)
}

fn self_signed(host: &str) -> Result<CertificatePem, CertificateError> {
    let error =
        |cause: rcgen::Error| CertificateError::Generate { host: host.to_owned(), cause: cause.to_string() };
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let mut names = vec![name];
    if host == FALLBACK_NAME {
        names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    }
    let mut params = CertificateParams::new(names).map_err(error)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{host} (self-signed)").chars().take(64).collect::<String>());
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(error)?;
    let certificate = params.self_signed(&key).map_err(error)?;
    Ok(CertificatePem { chain: certificate.pem(), key: key.serialize_pem() })
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
        Err(error) => Err(key_error(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::route::Route;

    fn table(hosts: &[&str]) -> RouteTable {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        RouteTable::new(vec![Route::new("a", hosts, Backend::Unavailable { reason: "".into() })]).unwrap()
    }

    #[test]
    fn hosts_get_stored_certificates_and_keep_them() {
        let store = Arc::new(MemoryCertificates::default());
        let certificates = Certificates::new(store.clone()).unwrap();
        certificates.provide(&table(&["a.org", "*.b.org", "[::1]", "*"]));
        let first = certificates.find("A.org").unwrap();
        assert!(certificates.find("x.b.org").is_some());
        assert!(certificates.find("y.x.b.org").is_none());
        assert!(certificates.find("c.org").is_none());
        certificates.provide(&table(&["a.org"]));
        assert!(Arc::ptr_eq(&first, &certificates.find("a.org").unwrap()));
        assert!(certificates.find("x.b.org").is_none());
        let again = Certificates::new(store.clone()).unwrap();
        again.provide(&table(&["a.org"]));
        assert_eq!(again.find("a.org").unwrap().cert, first.cert);
        let imported = store.load("*.b.org").unwrap().unwrap();
        again.replace("a.org", &imported).unwrap();
        assert_ne!(again.find("a.org").unwrap().cert, first.cert);
    }

    #[test]
    fn unusable_certificates_are_refused() {
        let (one, other) = (self_signed("a.org").unwrap(), self_signed("b.org").unwrap());
        let certificates = Certificates::new(Arc::new(MemoryCertificates::default())).unwrap();
        let mixed = CertificatePem { chain: one.chain.clone(), key: other.key };
        assert!(matches!(certificates.replace("a.org", &mixed), Err(CertificateError::Key { .. })));
        let empty = CertificatePem { chain: String::new(), key: one.key };
        assert!(matches!(certificates.replace("a.org", &empty), Err(CertificateError::Chain { .. })));
        let no_key = CertificatePem { chain: one.chain, key: "x".to_owned() };
        assert!(matches!(certificates.replace("a.org", &no_key), Err(CertificateError::Key { .. })));
        assert!(!format!("{other:?}", other = self_signed("x").unwrap()).contains("PRIVATE"));
    }
}
