//! `/v1/rules…`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;

use super::{Answer, Asker, answer, blocking, body, detached};
use crate::api::wire::{InstallRules, RulesVersion};
use crate::control::Control;

/// `GET /v1/rules`.
pub async fn list(State(control): State<Arc<Control>>) -> Answer {
    answer(&blocking(|| control.rulesets())?)
}

/// `POST /v1/rules/install`.
pub async fn install(State(control): State<Arc<Control>>, Asker(actor): Asker, bytes: Bytes) -> Answer {
    let request: InstallRules = body(&bytes)?;
    answer(&detached(move || control.install_rules(&actor, &request)).await?)
}

/// `POST /v1/rules/use`.
pub async fn switch(State(control): State<Arc<Control>>, Asker(actor): Asker, bytes: Bytes) -> Answer {
    let RulesVersion { version } = body(&bytes)?;
    answer(&detached(move || control.use_rules(&actor, version.as_deref())).await?)
}

/// `POST /v1/rules/verify`.
pub async fn verify(State(control): State<Arc<Control>>, bytes: Bytes) -> Answer {
    let RulesVersion { version } = body(&bytes)?;
    answer(&blocking(|| control.verify_rules(version.as_deref()))?)
}
