//! `/v1/certificates…`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;

use super::{Answer, Asker, answer, blocking, body};
use crate::api::wire::{AddCertificate, CertificateOwner, Done};
use crate::control::Control;
use crate::failure::Failure;

/// `GET /v1/certificates`.
pub async fn list(State(control): State<Arc<Control>>) -> Answer {
    answer(&blocking(|| control.certificates()))
}

/// `POST /v1/certificates/add`.
pub async fn add(State(control): State<Arc<Control>>, Asker(actor): Asker, bytes: Bytes) -> Answer {
    let AddCertificate { owner, chain, key } = body(&bytes)?;
    answer(&blocking(|| control.import_certificate(&actor, &owner, &chain, &key))?)
}

/// `POST /v1/certificates/remove`.
pub async fn remove(State(control): State<Arc<Control>>, Asker(actor): Asker, bytes: Bytes) -> Answer {
    let CertificateOwner { owner } = body(&bytes)?;
    let owner = owner.ok_or_else(|| Failure::usage("no app was named"))?;
    blocking(|| control.remove_certificate(&actor, &owner))?;
    answer(&Done {})
}

/// `POST /v1/certificates/renew`.
pub async fn renew(State(control): State<Arc<Control>>, Asker(actor): Asker, bytes: Bytes) -> Answer {
    let CertificateOwner { owner } = body(&bytes)?;
    answer(&blocking(|| control.renew_certificates(&actor, owner.as_deref()))?)
}
