//! TLS towards instances: which authorities are believed, which name is asked for and checked.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::backend::Endpoint;
use crate::tls::key_proof::KeyProof;

/// Where systems keep the certificates of public authorities; the first that exists is read.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What is wanted of TLS towards instances.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTlsOptions {
    /// The name that is asked for (SNI) and that the certificate must carry; none for the endpoint's host.
    pub server_name: Option<String>,
    /// Authorities that are believed, as PEM; none for those of the system.
    pub authorities: Option<Vec<u8>>,
    /// Whether the certificate is checked at all.
    pub verify: bool,
    /// Our own certificate chain and key as PEM, for instances that ask for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

impl Default for UpstreamTlsOptions {
    fn default() -> Self {
        Self { server_name: None, authorities: None, verify: true, identity: None, http2: true }
    }
}

/// Ready to connect.
pub struct UpstreamTls {
    any: TlsConnector,
    http1: TlsConnector,
    server_name: Option<ServerName<'static>>,
    fingerprint: u64,
}

/// Why options make no TLS.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamTlsError {
    /// Not a host name or address.
    #[error("`{0}` is no server name")]
    ServerName(String),
    /// A file that should hold certificates or a key does not.
    #[error("no usable {0} in the PEM text: {1}")]
    Pem(&'static str, String),
    /// The system has no list of authorities.
    #[error("this system has no list of certificate authorities; name a file with `ca`")]
    NoAuthorities,
    /// rustls refuses the combination.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl UpstreamTls {
    /// Checks the options and reads what they name.
    pub fn new(options: &UpstreamTlsOptions) -> Result<Self, UpstreamTlsError> {
        let server_name = match &options.server_name {
            Some(name) => {
                let parsed = ServerName::try_from(name.clone());
                Some(parsed.map_err(|_| UpstreamTlsError::ServerName(name.clone()))?)
            }
            None => None,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = if options.verify {
            let roots = match &options.authorities {
                Some(pem) => Arc::new(authorities(pem)?),
                None => system_authorities().ok_or(UpstreamTlsError::NoAuthorities)?,
            };
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider);
            builder.with_webpki_verifier(
                verifier.build().map_err(|error| UpstreamTlsError::Pem("authority", error.to_string()))?,
            )
        } else {
            // `verify = false`: encrypted, to whomever it may be.
            builder.dangerous().with_custom_certificate_verifier(Arc::new(KeyProof(provider)))
        };
        let mut config = match &options.identity {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| UpstreamTlsError::Pem("private key", error.to_string()))?;
                builder.with_client_auth_cert(certificates(chain)?, key)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = TlsConnector::from(Arc::new(config.clone()));
        if options.http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        let mut hasher = DefaultHasher::new();
        options.hash(&mut hasher);
        let any = TlsConnector::from(Arc::new(config));
        Ok(Self { any, http1, server_name, fingerprint: hasher.finish() })
    }

    /// Equal for equal options, so that connections outlive a new table.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Runs the handshake.
    pub async fn connect(
        &self,
        endpoint: &Endpoint,
        stream: TcpStream,
        http2: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = match (&self.server_name, endpoint) {
            (Some(name), _) => name.clone(),
            (None, Endpoint::Tcp(address)) => ServerName::IpAddress(address.ip().into()),
            (None, Endpoint::Named(name)) => {
                let host = name.rsplit_once(':').map_or(&**name, |(host, _)| host);
                ServerName::try_from(host.to_owned()).map_err(io::Error::other)?
            }
            (None, Endpoint::Unix(_)) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let connector = if http2 { &self.any } else { &self.http1 };
        connector.connect(name, stream).await
    }
}

/// Of equal options.
impl PartialEq for UpstreamTls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for UpstreamTls {}

impl std::fmt::Debug for UpstreamTls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("UpstreamTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, UpstreamTlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(found) if found.is_empty() => Err(UpstreamTlsError::Pem("certificate", "there is none".into())),
        Ok(found) => Ok(found),
        Err(error) => Err(UpstreamTlsError::Pem("certificate", error.to_string())),
    }
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, UpstreamTlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| UpstreamTlsError::Pem("authority", error.to_string()))?;
    }
    Ok(roots)
}

/// Read once; systems change their list by restarting what uses it.
fn system_authorities() -> Option<Arc<RootCertStore>> {
    static ROOTS: OnceLock<Option<Arc<RootCertStore>>> = OnceLock::new();
    let read = || {
        let bundle = SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read(path).ok())?;
        let mut roots = RootCertStore::empty();
        // One odd certificate in the bundle must not take the others with it.
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bundle).flatten());
        (!roots.is_empty()).then(|| Arc::new(roots))
    };
    ROOTS.get_or_init(read).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_options_are_named() {
        let tls = |options: UpstreamTlsOptions| {
            UpstreamTls::new(&options).map(|_| ()).map_err(|error| error.to_string())
        };
        let pem = Some(b"not pem".to_vec());
        let bad_name =
            UpstreamTlsOptions { server_name: Some("a b".into()), verify: false, ..Default::default() };
        assert_eq!(tls(bad_name), Err("`a b` is no server name".to_owned()));
        let bad_authority = UpstreamTlsOptions { authorities: pem, ..Default::default() };
        assert_eq!(
            tls(bad_authority),
            Err("no usable certificate in the PEM text: there is none".to_owned())
        );
        assert_eq!(tls(UpstreamTlsOptions { verify: false, ..Default::default() }), Ok(()));
    }
}
