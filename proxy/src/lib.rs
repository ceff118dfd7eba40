//! The data path: listeners, TLS, routing, the firewall in the path, upstreams, access log, metrics.
//!
//! Reads immutable values that the control plane publishes and never asks it
//! anything; knows hosts and back ends, not users or stores.
//!
//! The path of a request: `listener` → `tls` → `http1::connection` or
//! `http2::connection` → `exchange` (route, firewall) → `forward` (files, back ends,
//! held or streamed responses) → the client, then `record` (metrics, events). A malformed
//! request goes to `refusal` instead and never further.
//!
//! HTTP/1.1 is read and written by ourselves on both sides (`http1` says why);
//! HTTP/2 is framed by the `h2` crate with pingora's bounded options.
#![forbid(unsafe_code)]

mod access_log;
mod acme;
mod admin;
mod admission;
mod arrival;
mod backend;
mod bans;
mod budget;
mod certificates;
mod config;
mod conn;
mod context;
mod conversation;
mod counts;
mod date;
mod downstream;
mod drain;
mod error_page;
mod events;
mod exchange;
mod firewall;
mod forward;
mod forwarded;
mod forwarding;
mod headers;
mod held;
mod hosts;
mod http1;
mod http2;
mod listener;
mod metrics;
mod pace;
mod path_prefix;
mod path_readings;
mod patience;
mod policy;
mod prefix;
mod proxy_protocol;
mod record;
mod refusal;
mod request;
mod rounds;
mod route;
mod server;
mod sets;
mod sockets;
mod spool;
mod static_files;
mod table;
mod tls;
mod trace_context;
mod transaction_id;
mod transaction_log;
mod upstream;
mod work_queue;

pub use access_log::{AccessLog, AccessLogFormat, AccessSample};
pub use acme::{ChallengeError, Challenges, PendingChallenge};
pub use backend::{Backend, Endpoint, EndpointError};
pub use bans::{Ban, BanError, BanRules, BanSettings, Bans, Changes, Offence, Points, Reason};
pub use certificates::facts::{CertificateFacts, FactsError};
pub use certificates::{
    CertificateError, CertificateOrigin, CertificatePem, CertificateStore, FALLBACK_NAME, MemoryCertificates,
};
pub use config::{
    ForwardingFields, Hold, ListenConfig, MinVersion, ProxyConfig, Purpose, ServerLimits, TlsOptions,
    UnknownNames,
};
pub use events::{AccessRecord, AuditRecord, Event, EventSender};
pub use firewall::{AppliedAction, Protection, ProtectionMode, RuleMatch};
pub use hosts::{HostPattern, HostPatternError, is_address};
pub use metrics::UNROUTED;
pub use policy::Policy;
pub use policy::address_rules::AddressRules;
pub use policy::basic_auth::{BasicAuth, BasicAuthError};
pub use policy::cache::CacheRules;
pub use policy::canary::Canary;
pub use policy::compression::{Coding, Compression};
pub use policy::concurrency::ConcurrencyLimit;
pub use policy::cors::{Cors, CorsError};
pub use policy::error_pages::ErrorPages;
pub use policy::header_rules::{HeaderRuleError, HeaderRules};
pub use policy::maintenance::Maintenance;
pub use policy::rate_limit::{RateKey, RateLimit};
pub use policy::redirect::{Redirect, RedirectError};
pub use prefix::{Prefix, PrefixError};
pub use rounds::thread_parks;
pub use route::{HttpsRedirect, Route, RouteError, RouteLimits, RouteTable, RouteTls};
pub use server::{Proxy, ProxyHandle, Services, StartError};
pub use sockets::{hand_over, take_handed};
pub use static_files::StaticFiles;
pub use tls::client_certificates::{ClientAuthority, ClientAuthorityError, ClientCertificates};
pub use tls::key_proof::KeyProof;
pub use trace_context::TraceSpan;
pub use transaction_log::{Dropped, TransactionLog};
pub use upstream::fastcgi::{FastCgi, ScriptFiles};
pub use upstream::pool::{Balancing, Breaker, HashKey, HealthCheck, Member, Pool, Protocol, StickyCookie};
pub use upstream::tls::{UpstreamTls, UpstreamTlsError, UpstreamTlsOptions};
