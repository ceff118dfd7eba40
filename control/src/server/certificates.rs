//! The proxy's way to certificates: an app's own from the shelf, self-signed ones from the store.

use std::io;
use std::sync::Arc;

use hop3_proxy::{CertificateOrigin, CertificatePem, CertificateStore};

use crate::certificates::Shelf;
use crate::failure::chain;
use crate::model::{Secret, Timestamp};
use crate::store::{Durable, Store, StoreError};

/// What the proxy asks when routes are published.
#[derive(Debug)]
pub struct StoredCertificates {
    store: Arc<Store>,
    shelf: Arc<Shelf>,
}

impl StoredCertificates {
    /// Issued and imported ones on `shelf`, self-signed ones in `store`.
    pub fn new(store: Arc<Store>, shelf: Arc<Shelf>) -> StoredCertificates {
        StoredCertificates { store, shelf }
    }
}

impl CertificateStore for StoredCertificates {
    fn load(&self, app: &str, host: &str) -> io::Result<Option<CertificatePem>> {
        if let Some(shown) = self.shelf.show(app, host, Timestamp::now()) {
            return Ok(Some(shown.into()));
        }
        let found = self.store.read().and_then(|snapshot| snapshot.certificate(host));
        let found = found.map_err(|error| other(&error))?;
        Ok(found.map(|(chain, key)| CertificatePem {
            chain,
            key: key.reveal().clone(),
            origin: CertificateOrigin::SelfSigned,
        }))
    }

    fn save(&self, host: &str, certificate: &CertificatePem) -> io::Result<()> {
        let key = Secret::new(certificate.key.clone());
        self.store
            .note(Durable::Now, |change| change.put_certificate(host, &certificate.chain, &key))
            .map_err(|error| other(&error))
    }
}

fn other(error: &StoreError) -> io::Error {
    io::Error::other(chain(error))
}
