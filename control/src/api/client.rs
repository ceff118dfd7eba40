//! The command line's side of the socket.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{Method, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::wire::ErrorAnswer;
use crate::conversation::{Answer, ask};
use crate::failure::{Failure, Kind};

/// The body of a request.
pub type RequestBody = BoxBody<Bytes, std::io::Error>;

/// Speaks to the server of one data directory; one connection per request.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// For the server that listens on `socket`; nothing is opened yet.
    pub fn new(socket: PathBuf) -> Client {
        Client { socket }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or answers something unreadable.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, empty()).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::DELETE, path, empty()).await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.call(Method::POST, path, json(body)?).await
    }

    /// Sends `body` and hands each JSON line of the answer to `each`, until the answer ends.
    ///
    /// # Errors
    /// See [`Client::get`]; also what `each` returns.
    pub async fn stream<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: RequestBody,
        mut each: impl FnMut(T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut answer = checked(self.send(method, path, body).await?).await?;
        let mut pending: Vec<u8> = Vec::new();
        while let Some(data) = answer.piece().await.map_err(|error| self.broken(&error))? {
            pending.extend_from_slice(&data);
            while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                each(decode(&line)?)?;
            }
        }
        Ok(())
    }

    /// `method path` with any body.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: RequestBody,
    ) -> Result<T, Failure> {
        let answer = checked(self.send(method, path, body).await?).await?;
        let (_, bytes) = answer.whole(usize::MAX).await.map_err(|error| self.broken(&*error))?;
        decode(&bytes)
    }

    async fn send(&self, method: Method, path: &str, body: RequestBody) -> Result<Answer, Failure> {
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|error| unreachable(&self.socket, &error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "hop3")
            .header("content-type", "application/json")
            .body(body)
            .map_err(|error| Failure::internal("the request could not be made").because(&error))?;
        ask(stream, request).await.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &dyn std::error::Error) -> Failure {
        Failure::new(Kind::Unavailable, "the server broke off the conversation").because(error)
    }
}

/// A JSON body.
///
/// # Errors
/// Never for the types of `wire`.
pub fn json(value: &impl Serialize) -> Result<RequestBody, Failure> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| Failure::internal("the request could not be written").because(&error))?;
    Ok(raw(bytes))
}

/// A body of these bytes.
pub fn raw(bytes: Vec<u8>) -> RequestBody {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}

/// No body.
pub fn empty() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed()
}

fn unreachable(socket: &Path, error: &std::io::Error) -> Failure {
    let failure =
        Failure::new(Kind::Unavailable, "no server answers").cause(format!("{}: {error}", socket.display()));
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            failure.hint("use the account that started the server, or root")
        }
        _ => failure.hint("start it with `hop3 serve`, or name its data directory: --data DIR or HOP3_DATA"),
    }
}

/// The answer, if it is a success; otherwise the failure in it.
async fn checked(answer: Answer) -> Result<Answer, Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let bytes = answer.whole(usize::MAX).await.map(|(_, bytes)| bytes).unwrap_or_default();
    Err(match serde_json::from_slice::<ErrorAnswer>(&bytes) {
        Ok(answer) => answer.error,
        Err(_) => Failure::new(Kind::Unavailable, format!("the server answered {status}"))
            .cause(String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>()),
    })
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::new(Kind::Unavailable, "the server's answer is not understood")
            .because(&error)
            .hint("compare `hop3 version` with the version of the running server: `hop3 status`")
    })
}
