//! `/v1/waf…`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use hop3_runtimes::manifest::waf::ParanoiaLevel;

use super::{Answer, answer, app, blocking, detached};
use crate::control::Control;
use crate::failure::Failure;

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

/// `POST /v1/waf/{app}/test?paranoia=N&response=M`: the body is a raw HTTP request, and in its last M bytes the response.
pub async fn test(
    State(control): State<Arc<Control>>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    mut request: Bytes,
) -> Answer {
    let name = app(&name)?;
    let level = query.get("paranoia").map(|level| paranoia(level)).transpose()?;
    let response = query.get("response").and_then(|length| length.parse().ok()).unwrap_or(0);
    let response = request.split_off(request.len().saturating_sub(response));
    let work = move || {
        let response = (!response.is_empty()).then_some(&response[..]);
        control.try_request(&name, &request, response, level)
    };
    answer(&detached(work).await?)
}

/// `GET /v1/waf/transactions/{id}`.
pub async fn explain(State(control): State<Arc<Control>>, Path(id): Path<String>) -> Answer {
    answer(&detached(move || control.explain(&id)).await?)
}

fn paranoia(level: &str) -> Result<ParanoiaLevel, Failure> {
    let number = level.parse::<i64>().map_err(|_| format!("`{level}` is no paranoia level"));
    number.and_then(ParanoiaLevel::try_from).map_err(Failure::usage)
}

fn lines(query: &HashMap<String, String>) -> usize {
    query.get("lines").and_then(|lines| lines.parse().ok()).unwrap_or(20)
}
