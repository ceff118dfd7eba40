//! `/v1/status`, `/v1/doctor`, `/v1/audit`, `/v1/upgrade`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};

use super::{Answer, Asker, answer, blocking, detached};
use crate::api::wire::ServerDiagnosis;
use crate::control::Control;

/// `GET /v1/status`.
pub async fn status(State(control): State<Arc<Control>>) -> Answer {
    answer(&blocking(|| control.status())?)
}

/// `GET /v1/doctor`.
pub async fn doctor(State(control): State<Arc<Control>>) -> Answer {
    let work = move || Ok(ServerDiagnosis { findings: control.diagnose(), hosts: control.served_hosts() });
    answer(&detached(work).await?)
}

/// `GET /v1/audit`.
pub async fn audit(
    State(control): State<Arc<Control>>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let lines = query.get("lines").and_then(|lines| lines.parse().ok()).unwrap_or(20);
    let verify = query.get("verify").is_some_and(|value| value == "true");
    answer(&blocking(|| control.audit(lines, verify))?)
}

/// `POST /v1/upgrade`.
pub async fn upgrade(State(control): State<Arc<Control>>, Asker(actor): Asker) -> Answer {
    tracing::info!(%actor, "an upgrade is asked for");
    answer(&control.upgrade().await?)
}
