//! `/v1/apps/{app}/…`, what takes time: the answer is NDJSON of `Progress`, and the work goes on when the client leaves.

use std::future::Future;
use std::io::{Seek, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

use super::apps::lines;
use super::{Answer, Asker, app, blocking, body};
use crate::api::wire::{ConfigChange, DeployRequest, Deployed, Progress, Rollback};
use crate::control::{Control, Reporter, Upload};
use crate::failure::Failure;
use crate::model::hexadecimal;
use crate::source::Limits;

/// Longest first line of a deploy request.
const LONGEST_REQUEST: usize = 1 << 20;

/// `POST /v1/apps/{app}/start`.
pub async fn start(
    State(control): State<Arc<Control>>,
    Asker(actor): Asker,
    Path(name): Path<String>,
) -> Answer {
    let name = app(&name)?;
    Ok(run(|report| async move { control.start(&actor, &name, &report).await }))
}

/// `POST /v1/apps/{app}/stop`.
pub async fn stop(
    State(control): State<Arc<Control>>,
    Asker(actor): Asker,
    Path(name): Path<String>,
) -> Answer {
    let name = app(&name)?;
    Ok(run(|report| async move { control.stop(&actor, &name, &report).await }))
}

/// `POST /v1/apps/{app}/restart`.
pub async fn restart(
    State(control): State<Arc<Control>>,
    Asker(actor): Asker,
    Path(name): Path<String>,
) -> Answer {
    let name = app(&name)?;
    Ok(run(|report| async move { control.restart(&actor, &name, &report).await }))
}

/// `POST /v1/apps/{app}/rollback`.
pub async fn rollback(
    State(control): State<Arc<Control>>,
    Asker(actor): Asker,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Answer {
    let name = app(&name)?;
    let Rollback { to } = body(&bytes)?;
    Ok(run(move |report| async move { control.rollback(&actor, &name, to, &report).await }))
}

/// `PATCH /v1/apps/{app}/config`.
pub async fn configure(
    State(control): State<Arc<Control>>,
    Asker(actor): Asker,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Answer {
    let name = app(&name)?;
    let change: ConfigChange = body(&bytes)?;
    Ok(run(move |report| async move { control.configure(&actor, &name, change, &report).await }))
}

/// `POST /v1/apps/{app}/deploy`: a line of JSON, then a tar of the source.
pub async fn deploy(
    State(control): State<Arc<Control>>,
    Asker(actor): Asker,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    let name = app(&name)?;
    let spool = blocking(|| control.spool())?;
    let (request, upload) = receive(body, spool).await?;
    Ok(run(move |report| async move { control.deploy(&actor, &name, request, upload, &report).await }))
}

/// Starts `work` as a task of its own and streams what it reports, its end last.
fn run<W, F>(work: W) -> Response
where
    W: FnOnce(Reporter) -> F + Send + 'static,
    F: Future<Output = Result<Deployed, Failure>> + Send + 'static,
{
    let (sender, receiver) = tokio::sync::mpsc::channel(1024);
    tokio::spawn(async move {
        let end = match work(Reporter::new(sender.clone())).await {
            Ok(deployed) => Progress::Done(deployed),
            Err(failure) => Progress::Failed(failure),
        };
        // Nobody waits for it any more: then nobody needs it.
        let _ = sender.send(end).await;
    });
    lines(receiver)
}

/// Reads the request line, and spools the archive while hashing it.
async fn receive(mut body: Body, mut spool: std::fs::File) -> Result<(DeployRequest, Upload), Failure> {
    let broken = |error: &dyn std::error::Error| Failure::usage("the upload broke off").because(error);
    let disk = |error: std::io::Error| Failure::internal("the upload cannot be kept").because(&error);
    // Headers of the archive come on top of the content.
    let limit = Limits::DEFAULT.bytes + (Limits::DEFAULT.files << 11);
    let mut head: Option<Vec<u8>> = Some(Vec::new());
    let mut request = None;
    let (mut hash, mut size) = (Sha256::new(), 0_u64);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let Some(mut data) = frame.data_ref().cloned() else { continue };
        if let Some(line) = &mut head {
            let end = data.iter().position(|&byte| byte == b'\n');
            line.extend_from_slice(&data[..end.unwrap_or(data.len())]);
            if line.len() > LONGEST_REQUEST {
                return Err(Failure::usage("the deploy request's first line is too long"));
            }
            let Some(end) = end else { continue };
            request = Some(super::body::<DeployRequest>(line)?);
            head = None;
            data = data.slice(end + 1..);
        }
        size += data.len() as u64;
        if size > limit {
            return Err(
                Failure::usage("the upload is too large").cause(format!("more than {} MiB", limit >> 20))
            );
        }
        hash.update(&data);
        blocking(|| spool.write_all(&data)).map_err(disk)?;
    }
    let Some(request) = request else {
        return Err(Failure::usage("the deploy request has no first line"));
    };
    blocking(|| spool.rewind()).map_err(disk)?;
    Ok((request, Upload { archive: spool, digest: hexadecimal(&hash.finalize()) }))
}
