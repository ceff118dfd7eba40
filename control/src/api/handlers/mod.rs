//! From a request to a call of the control plane, and back.

pub mod apps;
pub mod bans;
pub mod cache;
pub mod certificates;
pub mod deployments;
pub mod rules;
pub mod server;
pub mod waf;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::router::{ApiError, json};
use crate::failure::Failure;
use crate::model::{Actor, AppName, parse_app_name};

/// What a handler answers.
pub type Answer = Result<Response, ApiError>;

/// Who is asking, as the router found out.
pub struct Asker(pub Actor);

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asker, ApiError> {
        let actor = parts.extensions.get::<Actor>().cloned();
        actor.map(Asker).ok_or_else(|| ApiError(Failure::internal("a request came past the authentication")))
    }
}

/// A typed answer.
fn answer(value: &impl Serialize) -> Answer {
    Ok(json(StatusCode::OK, value))
}

/// The typed body of a request.
fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::usage("the request's body is not understood").because(&error))
}

/// The app in a path.
fn app(name: &str) -> Result<AppName, Failure> {
    parse_app_name(name)
}

/// Runs what takes seconds on a thread of its own.
async fn detached<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Failure::internal("the operation was cut off").because(&error)))
}

/// Runs what blocks for a moment without holding up the other requests.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
