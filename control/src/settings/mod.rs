//! `hop3-server.toml`: the server's own configuration.
//!
//! [`ServerOptions`] is what a person wrote, [`Settings`] is what it means. Unknown keys are refused with place and
//! nearest key; keys that contradict each other are refused with the place of their section. Reading the file is
//! here, watching it (SIGHUP) is the server's.

mod access_log;
mod acme;
mod bans;
mod clients;
mod firewall;
mod listen;
mod route;
mod tls;
mod traces;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use access_log::{AccessFormat, AccessLogOptions, AccessLogSettings};
pub use acme::{Acme, ChallengeKind, Dns, DnsProvider, DnsServer, TsigAlgorithm, is_for_tests};
pub use bans::{AllowedNetwork, BansOptions, BansSettings, PointsOptions, ban_rules};
pub use clients::{ClientOptions, ClientSettings, Forwarding};
pub use firewall::{FirewallOptions, FirewallSettings};
use hop3_runtimes::manifest::toml_error::Diagnostic;
use hop3_runtimes::manifest::units::Span;
use hop3_runtimes::manifest::waf::WafOptions;
pub use listen::{Address, AddressList, LOW_PORTS, ListenOptions, Listeners, low_ports_allowed};
pub use route::{RouteHost, RouteOptions, RouteUpstream, StaticRoute, Target};
use serde::Deserialize;
pub use tls::TlsSection;
pub use traces::{TraceOptions, TraceSettings};

use crate::failure::Failure;
use crate::model::Domain;

/// How long requests under way may take to end, unless it is said.
const DRAIN: Duration = Duration::from_secs(30);
const UPGRADE_DRAIN: Duration = Duration::from_secs(3600);

/// The whole file as written; an absent key means "default".
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ServerOptions {
    /// `[server]`.
    pub server: ServerSection,
    /// `[[route]]`: hosts that are served without any app.
    pub route: Vec<toml::Spanned<RouteOptions>>,
}

/// `[server]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ServerSection {
    /// Serving threads, 1 to 1024. Default: one per core.
    pub threads: Option<toml::Spanned<u16>>,
    /// Apps without `domains` are served as `APP.DOMAIN`. Default: `localhost`.
    pub domain: Option<Domain>,
    /// `[server.listen]`.
    pub listen: ListenOptions,
    /// `[server.clients]`.
    pub clients: ClientOptions,
    /// `[server.log]`.
    pub log: LogOptions,
    /// How long requests under way may take to end when the server stops. Default: 30s.
    pub drain: Option<Span>,
    /// The same when another process serves already: WebSockets and streams go on as long. Default: 1h.
    pub upgrade_drain: Option<Span>,
    /// `[server.traces]`.
    pub traces: TraceOptions,
    /// `[server.firewall]`.
    pub firewall: FirewallOptions,
    /// `[server.tls]`.
    pub tls: TlsSection,
    /// `[server.acme]`: certificates are ordered when it is there.
    pub acme: Option<toml::Spanned<acme::AcmeOptions>>,
    /// `[server.bans]`.
    pub bans: BansOptions,
    /// `[server.waf]`: what apps and routes get for the keys of `[waf]` they do not set.
    pub waf: WafOptions,
}

/// `[server.log]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LogOptions {
    /// Least severe level that is written. Default: `info`.
    pub level: Option<LogLevel>,
    /// How lines look. Default: `auto`.
    pub format: Option<LogFormat>,
    /// Whether each request is logged. Default: true.
    pub access: Option<bool>,
    /// `[server.log.requests]`.
    pub requests: AccessLogOptions,
}

/// The levels of the server's log, from most to least severe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What broke.
    Error,
    /// What may break.
    Warn,
    /// What changed.
    #[default]
    Info,
    /// What was done.
    Debug,
    /// Everything.
    Trace,
}

/// How the server's log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The file resolved: nothing optional, nothing left to check.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The file it came from, if there was one.
    pub file: Option<PathBuf>,
    /// Serving threads.
    pub threads: usize,
    /// Where apps without domains are found.
    pub domain: Domain,
    /// Listeners.
    pub listen: Listeners,
    /// Least severe level that is logged.
    pub log_level: LogLevel,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Whether each request is logged.
    pub log_access: bool,
    /// One of this many successful requests is logged; failures always are.
    pub log_sample: u64,
    /// The file that requests are logged to, if it is not the server's log.
    pub log_requests: Option<AccessLogSettings>,
    /// Who clients are told by, how many there may be, and how slow.
    pub clients: ClientSettings,
    /// How long requests under way may take to end when the server stops.
    pub drain: Duration,
    /// The same when it was replaced.
    pub upgrade_drain: Duration,
    /// Where traces are exported to.
    pub traces: Option<TraceSettings>,
    /// What firewalls may do outside of themselves.
    pub firewall: FirewallSettings,
    /// How TLS is spoken.
    pub tls: hop3_proxy::TlsOptions,
    /// Which authority issues certificates; `None` when none is asked.
    pub acme: Option<Acme>,
    /// What holds for all bans.
    pub bans: BansSettings,
    /// Defaults of `[waf]`.
    pub waf: WafOptions,
    /// Hosts served without any app.
    pub routes: Vec<StaticRoute>,
}

impl Settings {
    /// Reads `path`; when it was not asked for by name (`required` is false), an absent file means defaults.
    ///
    /// # Errors
    /// The file cannot be read, or a fault in it: file, line, column, caret, nearest key.
    pub fn load(path: &Path, required: bool) -> Result<Settings, Failure> {
        match fs::read_to_string(path) {
            Ok(text) => {
                let mut settings = Settings::parse(path, &text).map_err(|fault| diagnosed(&fault))?;
                settings.file = Some(path.to_owned());
                Ok(settings)
            }
            Err(error) if error.kind() == ErrorKind::NotFound && !required => {
                Settings::parse(path, "").map_err(|fault| diagnosed(&fault))
            }
            Err(error) => {
                Err(Failure::usage(format!("cannot read the configuration `{}`", path.display()))
                    .because(&error))
            }
        }
    }

    /// The meaning of `text`, whose relative paths are relative to the folder of `path`.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn parse(path: &Path, text: &str) -> Result<Settings, Diagnostic> {
        let shown = path.file_name().map_or(path, Path::new);
        let options: ServerOptions =
            toml::from_str(text).map_err(|error| Diagnostic::from_toml(shown, text, &error))?;
        let fault = |span, message: String, hint| Diagnostic::at(shown, text, span, message, hint);
        let server = options.server;
        let threads = match &server.threads {
            None => std::thread::available_parallelism().map_or(1, usize::from),
            Some(threads) if (1..=1024).contains(threads.get_ref()) => usize::from(*threads.get_ref()),
            Some(threads) => {
                return Err(fault(threads.span(), "`threads` must lie between 1 and 1024".into(), None));
            }
        };
        server.waf.resolve().map_err(|error| fault(0..0, format!("[server.waf]: {error}"), None))?;
        let firewall = server
            .firewall
            .resolve()
            .map_err(|error| fault(0..0, format!("[server.firewall]: {error}"), None))?;
        let clients = server
            .clients
            .resolve()
            .map_err(|error| fault(0..0, format!("[server.clients]: {error}"), None))?;
        let bans = server
            .bans
            .resolve(&server.waf)
            .map_err(|error| fault(0..0, format!("[server.bans]: {error}"), None))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (log_sample, log_requests) =
            server.log.requests.resolve(folder).map_err(|(place, error, hint)| {
                fault(place, format!("[server.log.requests]: {error}"), hint)
            })?;
        let traces = server
            .traces
            .resolve(folder)
            .map_err(|error| fault(0..0, format!("[server.traces]: {error}"), None))?;
        let mut routes: Vec<StaticRoute> = Vec::new();
        for (index, written) in options.route.into_iter().enumerate() {
            let span = written.span();
            let route = written
                .into_inner()
                .resolve(folder, &server.waf)
                .map_err(|message| fault(span.clone(), message, None))?;
            route
                .traffic(folder)
                .map_err(|fault| fault.at(shown, text, &["route", &index.to_string(), "proxy"]))?;
            for earlier in &routes {
                if let Some(host) = route.clashes_with(earlier) {
                    let message =
                        format!("host `{host}` with this path is already routed by an earlier [[route]]");
                    return Err(fault(span, message, None));
                }
            }
            routes.push(route);
        }
        let listen = server.listen.resolve(low_ports_allowed());
        if let Some(port) = server.listen.public_https.as_ref().filter(|_| listen.https.is_none()) {
            let message =
                "[server.listen]: `public-https` is the port under which clients reach `https`, which is off";
            let hint = "switch `https` on, or remove `public-https`".to_owned();
            return Err(fault(port.span(), message.into(), Some(hint)));
        }
        let doors = acme::Doors { http: listen.http.is_some(), https: listen.https.is_some() };
        let acme = server.acme.map(|written| {
            let span = written.span();
            let resolved = written.into_inner().resolve(folder, doors);
            resolved.map_err(|message| fault(span, format!("[server.acme]: {message}"), None))
        });
        Ok(Settings {
            file: None,
            threads,
            domain: server.domain.unwrap_or_else(localhost),
            listen,
            log_level: server.log.level.unwrap_or_default(),
            log_format: server.log.format.unwrap_or_default(),
            log_access: server.log.access.unwrap_or(true),
            log_sample,
            log_requests,
            clients,
            drain: server.drain.map_or(DRAIN, |Span(drain)| drain),
            upgrade_drain: server.upgrade_drain.map_or(UPGRADE_DRAIN, |Span(drain)| drain),
            traces,
            firewall,
            tls: server.tls.resolve(),
            acme: acme.transpose()?.flatten(),
            bans,
            waf: server.waf,
            routes,
        })
    }
}

/// A fault in a file a person wrote, as the failure that is printed: place and message, excerpt, hint.
pub fn diagnosed(fault: &Diagnostic) -> Failure {
    let text = fault.to_string();
    let mut lines = text.lines();
    let message = lines.next().unwrap_or_default().to_owned();
    let excerpt = lines.filter(|line| !line.starts_with("hint: "));
    Failure::usage(message)
        .detail(excerpt.map(|line| line.strip_prefix("   ").unwrap_or(line).to_owned()))
        .maybe_hint(fault.hint.clone())
}

#[expect(clippy::expect_used, reason = "a test parses the defaults")]
fn localhost() -> Domain {
    "localhost".parse().expect("a constant host name")
}

#[cfg(test)]
mod tests;
