//! Which method and path leads to which handler, behind one check of who is asking.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::Peer;
use super::handlers::{apps, bans, cache, certificates, deployments, rules, server, waf};
use super::wire::ErrorAnswer;
use crate::control::Control;
use crate::failure::{Failure, Kind};

/// Largest request that is put before rules, in bytes: 64 MiB.
const LARGEST_REHEARSAL: usize = 64 << 20;

/// A failure on its way out as a response.
#[derive(Debug)]
pub struct ApiError(pub Failure);

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> ApiError {
        ApiError(failure)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(message = self.0.message, cause = self.0.cause, "a request to the API failed");
        }
        json(status, &ErrorAnswer { error: self.0 })
    }
}

/// All routes. Every one of them is behind [`authenticate`].
pub fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/v1/status", get(server::status))
        .route("/v1/doctor", get(server::doctor))
        .route("/v1/audit", get(server::audit))
        .route("/v1/upgrade", post(server::upgrade))
        .route("/v1/apps", get(apps::list).post(apps::create))
        .route("/v1/apps/{app}", get(apps::details).delete(apps::destroy))
        .route("/v1/apps/{app}/ping", get(apps::ping))
        .route("/v1/apps/{app}/logs", post(apps::logs))
        .route("/v1/apps/{app}/start", post(deployments::start))
        .route("/v1/apps/{app}/stop", post(deployments::stop))
        .route("/v1/apps/{app}/restart", post(deployments::restart))
        .route("/v1/apps/{app}/deploy", post(deployments::deploy))
        .route("/v1/apps/{app}/rollback", post(deployments::rollback))
        .route("/v1/apps/{app}/releases", get(apps::releases))
        .route("/v1/apps/{app}/config", get(apps::config).patch(deployments::configure))
        .route("/v1/waf", get(waf::all))
        .route("/v1/waf/{app}", get(waf::one))
        .route("/v1/waf/{app}/logs", get(waf::logs))
        .route("/v1/waf/{app}/test", post(waf::test).layer(DefaultBodyLimit::max(LARGEST_REHEARSAL)))
        .route("/v1/waf/transactions/{id}", get(waf::explain))
        .route("/v1/waf/routes/{host}/logs", get(waf::route_logs))
        .route("/v1/bans", get(bans::list).post(bans::add))
        .route("/v1/bans/clear", post(bans::clear))
        .route("/v1/rules", get(rules::list))
        .route("/v1/rules/install", post(rules::install))
        .route("/v1/rules/use", post(rules::switch))
        .route("/v1/rules/verify", post(rules::verify))
        .route("/v1/certificates", get(certificates::list))
        .route("/v1/certificates/add", post(certificates::add))
        .route("/v1/certificates/remove", post(certificates::remove))
        .route("/v1/certificates/renew", post(certificates::renew))
        .route("/v1/cache/purge", post(cache::purge))
        .fallback(unknown)
        .layer(middleware::from_fn(authenticate))
        .with_state(control)
}

/// Lets only trusted peers through, and tells the handlers who it is.
async fn authenticate(ConnectInfo(peer): ConnectInfo<Peer>, mut request: Request, next: Next) -> Response {
    match peer.trusted() {
        Some(actor) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        None => ApiError(
            Failure::new(Kind::Forbidden, "this account may not control the server")
                .hint("use root or the account that started the server"),
        )
        .into_response(),
    }
}

async fn unknown() -> ApiError {
    ApiError(
        Failure::not_found("the server does not know this request")
            .hint("compare `hop3 version` with the version of the running server: `hop3 status`"),
    )
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            (status, [(header::CONTENT_TYPE, "application/json")], Body::from(bytes)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
