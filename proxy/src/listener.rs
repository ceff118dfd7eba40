//! The loops that accept connections from listening sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::admission::Admission;
use crate::arrival;
use crate::bans::Met;
use crate::conn::Conn;
use crate::context::Context;
use crate::drain::{Drain, OpenConnections};
use crate::http1::target::Scheme;
use crate::tls::{Handshake, Handshakes};
use crate::{http1, http2};

/// What an accept loop needs.
#[derive(Clone)]
pub(crate) struct Acceptance {
    pub(crate) context: Arc<Context>,
    /// Bounds the connections of all listeners together.
    pub(crate) permits: Arc<Semaphore>,
    /// Bounds those of one client.
    pub(crate) admission: Arc<Admission>,
    pub(crate) open: Arc<OpenConnections>,
    pub(crate) drain: Drain,
    /// Turns true when clients are to be served.
    pub(crate) gate: watch::Receiver<bool>,
    /// TLS on this listener.
    pub(crate) tls: Option<Arc<Handshakes>>,
}

/// Accepts until the shutdown begins. The connections live in tasks that end with the returned set.
pub(crate) async fn accept_loop(listener: TcpListener, mut acceptance: Acceptance) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let mut drain = acceptance.drain.clone();
    tokio::select! {
        _ = drain.begun() => return connections,
        // An error means that the proxy's handle is gone, which the drain tells, too.
        _ = acceptance.gate.wait_for(|open| *open) => {}
    }
    loop {
        let accepted = tokio::select! {
            biased;
            _ = drain.begun() => return connections,
            accepted = accept(&listener, &acceptance.permits) => accepted,
        };
        let (stream, client, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: waiting lets some connections end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if acceptance.context.bans.turns_away(client.ip(), Met::Connection, SystemTime::now()) {
            arrival::turn_away(stream);
            continue;
        }
        let acceptance = acceptance.clone();
        let guard = acceptance.open.open();
        // A task copies its future about, so it gets a small one.
        connections.spawn(Box::pin(async move {
            let metrics = acceptance.context.metrics.clone();
            metrics.connections.fetch_add(1, Ordering::Relaxed);
            let counted = Counted(metrics);
            serve(acceptance, stream, client).await;
            drop((counted, permit, guard));
        }));
    }
}

/// Takes one from the gauge of open connections, also when the task is cancelled.
struct Counted(Arc<crate::metrics::Metrics>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, client) = listener.accept().await?;
    Ok((stream, client, permit))
}

async fn serve(acceptance: Acceptance, mut stream: TcpStream, client: SocketAddr) {
    let Acceptance { context, admission, mut drain, tls, .. } = acceptance;
    let received = Box::pin(arrival::receive(&context, &admission, &mut stream, client)).await;
    let (mut info, _admitted) = match received {
        Ok(received) => received,
        Err(turned) => {
            if let Some(reason) = turned.reason() {
                context.metrics.count_rejected(reason);
            }
            return;
        }
    };
    info.scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
    let Some(handshakes) = tls else {
        return http1::connection::serve_connection(&context, &info, Conn::Tcp(stream), &mut drain).await;
    };
    // A connection is its future's largest part, so what does not last lies elsewhere.
    let handshake = Box::pin(handshakes.accept(stream, context.config.limits.handshake_timeout));
    let accepted = match handshake.await {
        Handshake::Accepted(accepted) => accepted,
        Handshake::Probe => return,
        Handshake::Failed => {
            context.metrics.handshakes_failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    info.server_name = accepted.server_name;
    info.client_certificate = accepted.client_certificate;
    info.asked_for_certificate = accepted.asked_for_certificate;
    let conn = Conn::Tls(accepted.stream);
    if accepted.http2 {
        info.budget = info.budget.shared_by_streams();
        Box::pin(http2::connection::serve_connection(context, Arc::new(info), conn, &mut drain)).await;
    } else {
        http1::connection::serve_connection(&context, &info, conn, &mut drain).await;
    }
}
