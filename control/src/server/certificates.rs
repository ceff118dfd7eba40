//! Certificates in the store, their keys sealed like every other secret.

use std::io;
use std::sync::Arc;

use hop3_proxy::{CertificateOrigin, CertificatePem, CertificateStore};

use crate::failure::chain;
use crate::model::Secret;
use crate::store::{Durable, Store, StoreError};

/// The proxy's way to the certificates in the store.
#[derive(Debug)]
pub struct StoredCertificates(Arc<Store>);

impl StoredCertificates {
    /// In `store`.
    pub fn new(store: Arc<Store>) -> StoredCertificates {
        StoredCertificates(store)
    }
}

impl CertificateStore for StoredCertificates {
    fn load(&self, _app: &str, host: &str) -> io::Result<Option<CertificatePem>> {
        let found =
            self.0.read().and_then(|snapshot| snapshot.certificate(host)).map_err(|error| other(&error))?;
        Ok(found.map(|(chain, key)| CertificatePem {
            chain,
            key: key.reveal().clone(),
            origin: CertificateOrigin::SelfSigned,
        }))
    }

    fn save(&self, host: &str, certificate: &CertificatePem) -> io::Result<()> {
        let key = Secret::new(certificate.key.clone());
        self.0
            .note(Durable::Now, |change| change.put_certificate(host, &certificate.chain, &key))
            .map_err(|error| other(&error))
    }
}

fn other(error: &StoreError) -> io::Error {
    io::Error::other(chain(error))
}
