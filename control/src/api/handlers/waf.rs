//! `/v1/waf…`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};

use super::{Answer, answer, app, blocking};
use crate::control::Control;

/// `GET /v1/waf`.
pub async fn all(State(control): State<Arc<Control>>) -> Answer {
    answer(&blocking(|| control.firewalls())?)
}

/// `GET /v1/waf/{app}`.
pub async fn one(State(control): State<Arc<Control>>, Path(name): Path<String>) -> Answer {
    let name = app(&name)?;
    answer(&blocking(|| control.firewall(&name))?)
}

/// `GET /v1/waf/{app}/logs`.
pub async fn logs(
    State(control): State<Arc<Control>>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let name = app(&name)?;
    answer(&blocking(|| control.firewall_events(&name, lines(&query)))?)
}

/// `GET /v1/waf/routes/{host}/logs`.
pub async fn route_logs(
    State(control): State<Arc<Control>>,
    Path(host): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    answer(&blocking(|| control.route_events(&host, lines(&query)))?)
}

fn lines(query: &HashMap<String, String>) -> usize {
    query.get("lines").and_then(|lines| lines.parse().ok()).unwrap_or(20)
}
