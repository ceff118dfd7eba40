//! `/v1/cache…`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;

use super::{Answer, answer, blocking, body};
use crate::api::wire::{PurgeCache, Purged};
use crate::control::Control;

/// `POST /v1/cache/purge`.
pub async fn purge(State(control): State<Arc<Control>>, bytes: Bytes) -> Answer {
    let PurgeCache { owner, path } = body(&bytes)?;
    let answers = blocking(|| control.purge_cache(&owner, path.as_deref()))?;
    answer(&Purged { answers })
}
