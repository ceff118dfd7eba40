//! Where a route leads: kinds of back ends and the addresses of their instances.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::static_files::StaticFiles;
use crate::upstream::pool::{Pool, Protocol};

/// What answers the requests of a route.
#[derive(Clone, Debug)]
pub enum Backend {
    /// One or several instances that speak one protocol.
    Pool(Arc<Pool>),
    /// Files below a folder.
    Static(StaticFiles),
    /// Nothing can answer now; the reason is logged, the client gets 503.
    Unavailable {
        /// Why, for the log.
        reason: Arc<str>,
    },
}

impl Backend {
    /// HTTP/1.1 over plain sockets, everything else at its default.
    pub fn http(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self::Pool(Arc::new(Pool::new(Protocol::Http, endpoints)))
    }

    /// Whether the other one gives the same answers: kept ones stay good.
    pub(crate) fn same_source(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pool(one), Self::Pool(other)) => one.same_source(other),
            (Self::Static(one), Self::Static(other)) => one == other,
            (Self::Unavailable { .. }, Self::Unavailable { .. }) => true,
            _ => false,
        }
    }

    /// The uwsgi protocol, everything else at its default.
    pub fn uwsgi(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self::Pool(Arc::new(Pool::new(Protocol::Uwsgi, endpoints)))
    }
}

/// The address of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// TCP to an address.
    Tcp(SocketAddr),
    /// TCP to `host:port`, resolved at each connection.
    Named(Arc<str>),
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no endpoint; write http://host:port, host:port, or unix:/path/to/socket")]
pub struct EndpointError(String);

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || EndpointError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(error()) };
        }
        let (address, default_port) = match text.strip_prefix("http://") {
            Some(rest) => (rest.strip_suffix('/').unwrap_or(rest), Some(80)),
            None => (text, None),
        };
        if let Ok(address) = address.parse() {
            return Ok(Self::Tcp(address));
        }
        crate::http1::target::host_of(address.as_bytes()).ok_or_else(error)?;
        let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        match default_port {
            _ if has_port => Ok(Self::Named(address.into())),
            Some(port) => Ok(format!("{address}:{port}")
                .parse()
                .map_or_else(|_| Self::Named(format!("{address}:{port}").into()), Self::Tcp)),
            None => Err(error()),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "{address}"),
            Self::Named(name) => write!(out, "{name}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let cases = [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("http://app", "app:80"),
            ("app:3000", "app:3000"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
        ];
        for (text, shown) in cases {
            assert_eq!(
                text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()).as_deref(),
                Ok(shown),
                "{text}"
            );
        }
        for bad in ["", "app", "unix:a", "https://a", "http://a/b", "a:b", "http://u@a"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
