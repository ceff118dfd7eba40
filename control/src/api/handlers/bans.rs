//! `/v1/bans…`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;

use super::{Answer, Asker, answer, blocking, body};
use crate::api::wire::{AddBan, ClearBans};
use crate::control::Control;

/// `GET /v1/bans`.
pub async fn list(State(control): State<Arc<Control>>) -> Answer {
    answer(&blocking(|| control.banned()))
}

/// `POST /v1/bans`.
pub async fn add(State(control): State<Arc<Control>>, Asker(actor): Asker, bytes: Bytes) -> Answer {
    let request: AddBan = body(&bytes)?;
    answer(&blocking(|| control.add_ban(&actor, &request))?)
}

/// `POST /v1/bans/clear`.
pub async fn clear(State(control): State<Arc<Control>>, Asker(actor): Asker, bytes: Bytes) -> Answer {
    let request: ClearBans = body(&bytes)?;
    answer(&blocking(|| control.clear_bans(&actor, &request))?)
}
