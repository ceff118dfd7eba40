//! `app:ping`: the start page of an app, asked for through the proxy as a client would.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use tokio::net::TcpStream;

use super::{Control, locked};
use crate::api::wire::Ping;
use crate::conversation;
use crate::doctor::ports::reachable;
use crate::failure::{Failure, Kind};
use crate::model::AppName;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

impl Control {
    /// Asks for the path of the app's health check over plain HTTP.
    ///
    /// # Errors
    /// The app does not exist or was not deployed, plain HTTP is switched off, or nothing answers.
    pub async fn ping(&self, name: &AppName) -> Result<Ping, Failure> {
        self.existing(name)?;
        let Some(serving) = locked(&self.deployed).get(name).cloned() else {
            return Err(Failure::conflict(format!("app '{name}' has no release"))
                .hint(format!("deploy it: hop3 deploy {name} FOLDER")));
        };
        let manifest = &serving.release.manifest;
        let address = self.listen.http.map(reachable).ok_or_else(|| {
            Failure::conflict("plain HTTP is switched off")
                .hint("open it: [server.listen] http in hop3-server.toml")
        })?;
        let host = self.host_names(name, manifest).into_iter().next().unwrap_or_default();
        let path = manifest.health_check.path.as_str();
        let url = format!("http://{host}:{}{path}", address.port());
        let started = Instant::now();
        let asked = tokio::time::timeout(LIMIT, ask(address, &host, path)).await;
        match asked {
            Ok(Ok(status)) => {
                let elapsed = started.elapsed().as_secs_f64() * 1000.0;
                Ok(Ping {
                    name: name.clone(),
                    url,
                    status,
                    response_time_ms: (elapsed * 100.0).round() / 100.0,
                })
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::new(Kind::Unavailable, format!("app '{name}' does not answer"))
                .cause(format!("no answer from {url} within {} s", LIMIT.as_secs()))),
        }
    }
}

async fn ask(address: SocketAddr, host: &str, path: &str) -> Result<u16, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::new(Kind::Unavailable, format!("the proxy on {address} does not answer")).because(error)
    };
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let request = Request::get(path)
        .header("host", host.trim_start_matches("*."))
        .header("user-agent", "hop3-ping")
        .header("accept", "*/*")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let answer = conversation::ask(stream, request).await.map_err(|error| failed(&error))?;
    Ok(answer.status().as_u16())
}
