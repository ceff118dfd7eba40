//! Between accepting a connection and its first byte of TLS or HTTP: whose it is, and whether it may stay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::admission::{Admission, Admitted};
use crate::config::ProxyConfig;
use crate::conn::ConnectionInfo;
use crate::http1::target::Scheme;
use crate::proxy_protocol::read_header;

/// Why a connection is closed without a word. The text is the label `reason` in `hop3_http_rejected_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// Its client has too many.
    TooMany,
    /// It comes from a proxy that must tell the client, and does not.
    ProxyHeader,
    /// It broke.
    Broken,
}

impl Turned {
    /// The value of the label.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::TooMany => Some("too_many_connections"),
            Self::ProxyHeader => Some("proxy_protocol"),
            Self::Broken => None,
        }
    }
}

/// Prepares the socket, reads the PROXY header where one is due, and counts the client's connections.
///
/// Peers in `proxy_protocol` must send the header, nobody else may: a client could otherwise claim any address.
pub async fn receive(
    config: &ProxyConfig,
    admission: &Arc<Admission>,
    stream: &mut TcpStream,
    peer: SocketAddr,
) -> Result<(ConnectionInfo, Admitted), Turned> {
    let (Ok(()), Ok(server)) = (stream.set_nodelay(true), stream.local_addr()) else {
        return Err(Turned::Broken);
    };
    let mut info = ConnectionInfo {
        client: peer,
        server,
        scheme: Scheme::Http,
        server_name: None,
        client_certificate: None,
    };
    if config.proxy_protocol.iter().any(|network| network.contains(peer.ip())) {
        let limit: Duration = config.limits.handshake_timeout;
        let header = tokio::time::timeout(limit, read_header(stream)).await;
        let ends = header.map_err(|_| Turned::ProxyHeader)?.map_err(|error| {
            tracing::debug!(%peer, %error, "no PROXY header");
            Turned::ProxyHeader
        })?;
        if let Some(ends) = ends {
            (info.client, info.server) = (ends.source, ends.destination);
        }
    }
    let admitted = admission.admit(info.client.ip()).ok_or(Turned::TooMany)?;
    Ok((info, admitted))
}
