//! `/v1/apps…`, what is answered at once.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::{Answer, Asker, answer, app, blocking, body};
use crate::api::wire::{CreateApp, Done, LogQuery};
use crate::control::Control;

/// `GET /v1/apps`.
pub async fn list(State(control): State<Arc<Control>>) -> Answer {
    answer(&blocking(|| control.apps())?)
}

/// `POST /v1/apps`.
pub async fn create(State(control): State<Arc<Control>>, Asker(actor): Asker, bytes: Bytes) -> Answer {
    let CreateApp { name } = body(&bytes)?;
    answer(&blocking(|| control.create(&actor, &name))?)
}

/// `GET /v1/apps/{app}`.
pub async fn details(State(control): State<Arc<Control>>, Path(name): Path<String>) -> Answer {
    let name = app(&name)?;
    answer(&blocking(|| control.details(&name))?)
}

/// `DELETE /v1/apps/{app}`.
pub async fn destroy(
    State(control): State<Arc<Control>>,
    Asker(actor): Asker,
    Path(name): Path<String>,
) -> Answer {
    let name = app(&name)?;
    // Goes on when the client leaves: half a destroyed app is no app.
    let task = tokio::spawn(async move { control.destroy(&actor, &name).await });
    task.await.map_err(|error| crate::failure::Failure::internal("the server stopped").because(&error))??;
    answer(&Done {})
}

/// `GET /v1/apps/{app}/ping`.
pub async fn ping(State(control): State<Arc<Control>>, Path(name): Path<String>) -> Answer {
    answer(&control.ping(&app(&name)?).await?)
}

/// `GET /v1/apps/{app}/releases`.
pub async fn releases(State(control): State<Arc<Control>>, Path(name): Path<String>) -> Answer {
    let name = app(&name)?;
    answer(&blocking(|| control.releases(&name))?)
}

/// `GET /v1/apps/{app}/config`.
pub async fn config(
    State(control): State<Arc<Control>>,
    Asker(actor): Asker,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let name = app(&name)?;
    let reveal = query.get("reveal").is_some_and(|value| value == "true");
    answer(&blocking(|| control.config(&actor, &name, reveal))?)
}

/// `POST /v1/apps/{app}/logs`: NDJSON of `LogEntry`.
pub async fn logs(State(control): State<Arc<Control>>, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let name = app(&name)?;
    let query: LogQuery = body(&bytes)?;
    let receiver = blocking(|| control.logs(&name, query))?;
    Ok(lines(receiver))
}

/// An answer of one JSON value a line, as they come.
pub(super) fn lines<T: serde::Serialize + Send + 'static>(
    receiver: tokio::sync::mpsc::Receiver<T>,
) -> Response {
    let stream = ReceiverStream::new(receiver).map(|value| {
        serde_json::to_vec(&value).map(|mut line| {
            line.push(b'\n');
            Bytes::from(line)
        })
    });
    ([("content-type", "application/x-ndjson")], Body::from_stream(stream)).into_response()
}
