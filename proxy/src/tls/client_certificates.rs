//! Client certificates (mutual TLS): which a route asks for, and the one a client has shown.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

/// What a route asks of its clients.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientCertificates {
    /// Whose certificates count.
    pub authority: Arc<ClientAuthority>,
    /// Whether a request without one is refused with 403. Otherwise the back end decides by the field `Client-Cert`.
    pub required: bool,
}

/// The authorities that may issue client certificates.
#[derive(Debug)]
pub struct ClientAuthority {
    roots: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl PartialEq for ClientAuthority {
    fn eq(&self, other: &Self) -> bool {
        self.roots == other.roots
    }
}

/// Why a text names no authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientAuthorityError {
    /// It is damaged, or holds no certificate.
    #[error("the client authority is no PEM certificate: {0}")]
    Pem(String),
    /// A certificate cannot be a root.
    #[error("the client authority cannot be used: {0}")]
    Root(String),
}

impl ClientAuthority {
    /// From one or more root certificates in PEM.
    ///
    /// # Errors
    /// See [`ClientAuthorityError`].
    pub fn from_pem(text: &str) -> Result<Self, ClientAuthorityError> {
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let roots = roots.map_err(|error| ClientAuthorityError::Pem(error.to_string()))?;
        if roots.is_empty() {
            return Err(ClientAuthorityError::Pem("it holds no certificate".to_owned()));
        }
        Self::new(roots).map_err(ClientAuthorityError::Root)
    }

    /// Several authorities as one.
    pub(super) fn union<'a>(authorities: impl Iterator<Item = &'a Self>) -> Result<Self, String> {
        let mut roots: Vec<CertificateDer<'static>> = Vec::new();
        for root in authorities.flat_map(|authority| &authority.roots) {
            if !roots.contains(root) {
                roots.push(root.clone());
            }
        }
        Self::new(roots)
    }

    fn new(roots: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|error| error.to_string())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { roots, verifier })
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.clone()
    }

    fn accepts(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((own, rest)) = chain.split_first() else { return false };
        self.verifier.verify_client_cert(own, rest, UnixTime::now()).is_ok()
    }
}

/// The certificate a client has shown in its handshake; its key was proved.
#[derive(Debug)]
pub struct ClientCertificate {
    /// The authorities that vouch for it.
    accepted_by: Vec<Arc<ClientAuthority>>,
    /// The value of `Client-Cert` (RFC 9440 section 2.2).
    field: String,
}

impl ClientCertificate {
    /// Judges a chain once for the whole connection, by each authority that a route of the host asks for.
    pub(super) fn judge(chain: &[CertificateDer<'_>], authorities: &[Arc<ClientAuthority>]) -> Option<Self> {
        let own = chain.first()?;
        let accepted_by = authorities.iter().filter(|authority| authority.accepts(chain)).cloned().collect();
        Some(Self { accepted_by, field: format!(":{}:", STANDARD.encode(own)) })
    }

    /// Whether one of the authorities vouches for it.
    pub(crate) fn is_accepted_by(&self, authority: &Arc<ClientAuthority>) -> bool {
        self.accepted_by.iter().any(|known| Arc::ptr_eq(known, authority) || known == authority)
    }

    /// The value of the field `Client-Cert` for back ends.
    pub(crate) fn field(&self) -> &str {
        &self.field
    }
}
