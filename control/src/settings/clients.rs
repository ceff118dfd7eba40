//! `[server.clients]`: who clients are told by, how many there may be, and how slow they may be.

use hop3_proxy::{ForwardingFields, Prefix, ServerLimits};
use hop3_runtimes::manifest::units::{ByteSize, Span};
use serde::Deserialize;

/// Least of `body-memory`: one connection may hold as much.
const LEAST_BODY_MEMORY: u64 = 16 * 1024 * 1024;

/// `[server.clients]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ClientOptions {
    /// Addresses or networks whose forwarding fields are believed. Default: none.
    pub trusted_proxies: Vec<String>,
    /// The forwarding fields in use. Default: `x-forwarded`.
    pub forwarding: Forwarding,
    /// Addresses or networks that begin each connection with a PROXY protocol header. Default: none.
    pub proxy_protocol: Vec<String>,
    /// Whether a request without a valid `traceparent` gets a new one. Default: false.
    pub new_traces: bool,
    /// Connections at a time. Default: 20000.
    pub max_connections: Option<usize>,
    /// Connections of one address (one /64 in IPv6) at a time; 0 for any number. Default: 1000.
    pub max_connections_per_address: Option<usize>,
    /// Time for a whole request head. Default: 10s.
    pub head_timeout: Option<Span>,
    /// Time an idle connection is kept. Default: 75s.
    pub keep_alive_timeout: Option<Span>,
    /// Longest pause within a request body. Default: 30s.
    pub body_timeout: Option<Span>,
    /// Longest time spent waiting for a request body in all. Default: 1h.
    pub body_deadline: Option<Span>,
    /// Longest time a client may take to accept some bytes of a response. Default: 60s.
    pub write_timeout: Option<Span>,
    /// Least bytes per second in either direction, after ten seconds of waiting; 0 for none. Default: 240.
    pub min_rate: Option<u64>,
    /// Memory that all connections together may hold of bodies that are inspected, read whole or compressed. Default: 256m.
    pub body_memory: Option<ByteSize>,
}

/// The values of `forwarding`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarding {
    /// `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`, and `X-Real-IP`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Both are written, `X-Forwarded-*` is believed.
    Both,
}

/// `[server.clients]` resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientSettings {
    /// Peers whose forwarding fields are believed.
    pub trusted_proxies: Vec<Prefix>,
    /// The forwarding fields in use.
    pub forwarding: ForwardingFields,
    /// Peers that begin each connection with a PROXY protocol header.
    pub proxy_protocol: Vec<Prefix>,
    /// Whether a request without a valid `traceparent` gets a new one.
    pub new_traces: bool,
    /// Limits and deadlines.
    pub limits: ServerLimits,
}

impl ClientOptions {
    /// Its meaning, or what is wrong with it.
    pub(super) fn resolve(self) -> Result<ClientSettings, String> {
        let networks = |key: &str, texts: &[String]| -> Result<Vec<Prefix>, String> {
            texts.iter().map(|text| text.parse().map_err(|error| format!("`{key}`: {error}"))).collect()
        };
        let mut limits = ServerLimits::default();
        let connections = self.max_connections.unwrap_or(limits.max_connections);
        if connections == 0 {
            return Err("`max-connections` must be at least 1".to_owned());
        }
        limits.max_connections = connections;
        let per_client = &mut limits.max_connections_per_client;
        *per_client = self.max_connections_per_address.unwrap_or(*per_client);
        for (key, written, limit) in [
            ("head-timeout", self.head_timeout, &mut limits.head_timeout),
            ("keep-alive-timeout", self.keep_alive_timeout, &mut limits.keep_alive_timeout),
            ("body-timeout", self.body_timeout, &mut limits.body_timeout),
            ("body-deadline", self.body_deadline, &mut limits.body_deadline),
            ("write-timeout", self.write_timeout, &mut limits.write_timeout),
        ] {
            let Some(Span(written)) = written else { continue };
            if written.is_zero() {
                return Err(format!("`{key}` must be longer than nothing"));
            }
            *limit = written;
        }
        if let Some(rate) = self.min_rate {
            (limits.min_body_rate, limits.min_write_rate) = (rate, rate);
        }
        if let Some(ByteSize(bytes)) = self.body_memory {
            if bytes < LEAST_BODY_MEMORY {
                return Err("`body-memory` must be at least 16m".to_owned());
            }
            limits.body_memory = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        Ok(ClientSettings {
            trusted_proxies: networks("trusted-proxies", &self.trusted_proxies)?,
            forwarding: match self.forwarding {
                Forwarding::XForwarded => ForwardingFields::XForwarded,
                Forwarding::Forwarded => ForwardingFields::Forwarded,
                Forwarding::Both => ForwardingFields::Both,
            },
            proxy_protocol: networks("proxy-protocol", &self.proxy_protocol)?,
            new_traces: self.new_traces,
            limits,
        })
    }
}
