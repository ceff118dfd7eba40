//! Proofs for an ACME authority that asks whether a host is ours (RFC 8555 section 8.3, RFC 8737).
//!
//! Owns answering while a challenge is pending. Ordering certificates is the control plane's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// The protocol name of a tls-alpn-01 probe (RFC 8737 section 6.2).
pub(crate) const ALPN: &[u8] = b"acme-tls/1";
/// Where a http-01 probe asks (RFC 8555 section 8.3).
const PATH: &[u8] = b"/.well-known/acme-challenge/";

/// The challenges that are pending now; usually none.
#[derive(Debug, Default)]
pub struct Challenges {
    http: ArcSwap<HashMap<HttpProbe, Bytes>>,
    tls: ArcSwap<HashMap<String, Arc<ServerConfig>>>,
    /// Keeps two changes from overwriting each other.
    changing: Mutex<()>,
}

/// Host and token.
type HttpProbe = (String, Vec<u8>);

/// A proof cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the certificate of a tls-alpn-01 challenge: {0}")]
pub struct ChallengeError(String);

/// Withdraws its proof when dropped.
#[derive(Debug)]
pub struct PendingChallenge {
    challenges: Arc<Challenges>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Http(HttpProbe),
    Tls(String),
}

impl Challenges {
    /// Answers http-01 probes for `token` of `host` with the key authorization.
    pub fn put_http(self: &Arc<Self>, host: &str, token: &str, key_authorization: &str) -> PendingChallenge {
        let probe = (host.to_ascii_lowercase(), token.as_bytes().to_vec());
        let proof = Bytes::copy_from_slice(key_authorization.as_bytes());
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut http = HashMap::clone(&self.http.load());
        http.insert(probe.clone(), proof);
        self.http.store(Arc::new(http));
        PendingChallenge { challenges: self.clone(), place: Place::Http(probe) }
    }

    /// Answers tls-alpn-01 probes of `host` with the SHA-256 digest of the key authorization.
    ///
    /// # Errors
    /// The certificate that carries the digest cannot be made.
    pub fn put_tls_alpn(
        self: &Arc<Self>,
        host: &str,
        digest: &[u8; 32],
    ) -> Result<PendingChallenge, ChallengeError> {
        let host = host.to_ascii_lowercase();
        let config = Arc::new(probe_config(&host, digest)?);
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tls = HashMap::clone(&self.tls.load());
        tls.insert(host.clone(), config);
        self.tls.store(Arc::new(tls));
        Ok(PendingChallenge { challenges: self.clone(), place: Place::Tls(host) })
    }

    /// The answer to a http-01 probe; `None` for every other request.
    pub(crate) fn http(&self, host: &str, path_and_query: &[u8]) -> Option<Bytes> {
        let token = path_and_query.strip_prefix(PATH)?;
        self.http.load().get(&(host.to_owned(), token.to_vec())).cloned()
    }

    /// What a tls-alpn-01 probe of a host is answered with.
    pub(crate) fn tls_alpn(&self, host: &str) -> Option<Arc<ServerConfig>> {
        self.tls.load().get(&host.to_ascii_lowercase()).cloned()
    }

    fn withdraw(&self, place: &Place) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        match place {
            Place::Http(probe) => {
                let mut http = HashMap::clone(&self.http.load());
                http.remove(probe);
                self.http.store(Arc::new(http));
            }
            Place::Tls(host) => {
                let mut tls = HashMap::clone(&self.tls.load());
                tls.remove(host);
                self.tls.store(Arc::new(tls));
            }
        }
    }
}

impl Drop for PendingChallenge {
    fn drop(&mut self) {
        self.challenges.withdraw(&self.place);
    }
}

/// A self-signed certificate with the digest in `acmeIdentifier`, and nothing but `acme-tls/1` (RFC 8737 section 3).
fn probe_config(host: &str, digest: &[u8; 32]) -> Result<ServerConfig, ChallengeError> {
    let failed = |error: &dyn std::fmt::Display| ChallengeError(error.to_string());
    let mut params = CertificateParams::new([host.to_owned()]).map_err(|error| failed(&error))?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
    let key = any_supported_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into());
    // Not checked against each other: the checker knows no critical acmeIdentifier.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key.map_err(|error| failed(&error))?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_answers_its_own_host_and_token_until_it_is_dropped() {
        let challenges = Arc::new(Challenges::default());
        let pending = challenges.put_http("A.org", "tok-1", "tok-1.thumb");
        let other = challenges.put_http("b.org", "tok-2", "tok-2.thumb");
        let ask = |host, path: &str| challenges.http(host, path.as_bytes());
        assert_eq!(ask("a.org", "/.well-known/acme-challenge/tok-1").as_deref(), Some(&b"tok-1.thumb"[..]));
        for (host, path) in [
            ("b.org", "/.well-known/acme-challenge/tok-1"),
            ("a.org", "/.well-known/acme-challenge/tok-2"),
            ("a.org", "/.well-known/acme-challenge/"),
            ("a.org", "/.well-known/acme-challenge/tok-1/x"),
            ("a.org", "/tok-1"),
        ] {
            assert_eq!(ask(host, path), None, "{host}{path}");
        }
        drop(pending);
        assert_eq!(ask("a.org", "/.well-known/acme-challenge/tok-1"), None);
        assert!(ask("b.org", "/.well-known/acme-challenge/tok-2").is_some());
        drop(other);
        let tls = challenges.put_tls_alpn("C.org", &[7; 32]).unwrap();
        assert_eq!(challenges.tls_alpn("c.org").unwrap().alpn_protocols, [ALPN]);
        drop(tls);
        assert!(challenges.tls_alpn("c.org").is_none());
    }
}
