//! Between accepting a connection and its first byte of TLS or HTTP: whose it is, and whether it may stay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;

use crate::admission::{Admission, Admitted};
use crate::bans::Met;
use crate::conn::ConnectionInfo;
use crate::context::Context;
use crate::http1::target::Scheme;
use crate::proxy_protocol::read_header;

/// Why a connection is closed without a word. The text is the label `reason` in `hop3_http_rejected_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// Its client has too many.
    TooMany,
    /// It comes from a proxy that must tell the client, and does not.
    ProxyHeader,
    /// Its client is banned; counted by [`crate::bans::Bans`].
    Banned,
    /// It broke.
    Broken,
}

impl Turned {
    /// The value of the label.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::TooMany => Some("too_many_connections"),
            Self::ProxyHeader => Some("proxy_protocol"),
            Self::Banned | Self::Broken => None,
        }
    }
}

/// Prepares the socket, reads the PROXY header where one is due, and counts the client's connections.
///
/// Peers in `proxy_protocol` must send the header, nobody else may: a client could otherwise claim any address.
pub async fn receive(
    context: &Context,
    admission: &Arc<Admission>,
    stream: &mut TcpStream,
    peer: SocketAddr,
) -> Result<(ConnectionInfo, Admitted), Turned> {
    let config = &context.config;
    let (Ok(()), Ok(server)) = (stream.set_nodelay(true), stream.local_addr()) else {
        return Err(Turned::Broken);
    };
    let mut info = ConnectionInfo {
        client: peer,
        server,
        scheme: Scheme::Http,
        server_name: None,
        client_certificate: None,
        asked_for_certificate: false,
        budget: context.budget.clone(),
    };
    if config.proxy_protocol.iter().any(|network| network.holds(peer.ip())) {
        let limit: Duration = config.limits.handshake_timeout;
        let header = tokio::time::timeout(limit, read_header(stream)).await;
        let ends = header.map_err(|_| Turned::ProxyHeader)?.map_err(|error| {
            tracing::debug!(%peer, %error, "no PROXY header");
            Turned::ProxyHeader
        })?;
        if let Some(ends) = ends {
            (info.client, info.server) = (ends.source, ends.destination);
        }
        // Only now is it known whose connection it is.
        if context.bans.turns_away(info.client.ip(), Met::Connection, SystemTime::now()) {
            return Err(Turned::Banned);
        }
    }
    let admitted = admission.admit(info.client.ip()).ok_or(Turned::TooMany)?;
    Ok((info, admitted))
}

/// Closes a connection at once: it is reset, so that neither side keeps anything of it.
pub fn turn_away(stream: TcpStream) {
    // Where it cannot be reset it is closed.
    let _reset = stream.set_zero_linger();
}
