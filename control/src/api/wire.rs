//! What travels between the command line and the server; `--json` prints these very types.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::bans::NftablesState;
use crate::doctor::Finding;
use crate::failure::Failure;
use crate::model::{AppName, AuditRecord, BanRecord, FirewallEvent, ReleaseNumber, Timestamp};

/// `app:list`, one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSummary {
    /// Name.
    pub name: AppName,
    /// What it is doing.
    pub status: AppStatus,
    /// The release that counts.
    pub release: Option<ReleaseNumber>,
    /// Host names it is served under.
    pub domains: Vec<String>,
}

/// What an app is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AppStatus {
    /// Every wanted instance is healthy, or its files are served.
    Running,
    /// Instances are on their way up.
    Starting,
    /// Stopped on purpose, or never deployed.
    Stopped,
    /// It should run and does not.
    Failed,
}

impl std::fmt::Display for AppStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            AppStatus::Running => "RUNNING",
            AppStatus::Starting => "STARTING",
            AppStatus::Stopped => "STOPPED",
            AppStatus::Failed => "FAILED",
        })
    }
}

/// `app:status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppDetails {
    /// Name.
    pub name: AppName,
    /// What it is doing.
    pub status: AppStatus,
    /// Why it failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its processes.
    pub instances: Vec<InstanceDetails>,
    /// The release that counts.
    pub release: Option<ReleaseNumber>,
    /// Builder and runtime of that release, e.g. `native (python)` and `process`.
    pub builder: Option<String>,
    /// See `builder`.
    pub runtime: Option<String>,
    /// Where it answers on this machine, through the proxy.
    pub local_url: Option<String>,
    /// Host names it is served under.
    pub domains: Vec<String>,
    /// Its firewall.
    pub waf: Option<WafDetails>,
}

/// One process of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceDetails {
    /// E.g. `web.1`.
    pub name: String,
    /// E.g. `healthy`, `backing off`.
    pub state: String,
    /// Process id while it runs.
    pub pid: Option<u32>,
    /// Where it listens.
    pub address: Option<String>,
    /// Restarts since the release started.
    pub restarts: u64,
}

/// `waf status`: the firewall of one app or static route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WafDetails {
    /// App or static route.
    pub app: String,
    /// `block`, `detect` or `off`.
    pub mode: String,
    /// `base`, `owasp-crs`, or a path.
    pub ruleset: String,
    /// Version of the ruleset.
    pub version: Option<String>,
    /// Rules that are loaded.
    pub rules: usize,
    /// Paranoia level that blocks.
    pub paranoia_level: u8,
    /// Paranoia level that is evaluated.
    pub detection_paranoia_level: u8,
    /// Refused transactions since the server started.
    pub blocked: u64,
    /// Transactions with matches that were let through since the server started.
    pub detected: u64,
    /// Why the rules in force are older than the configuration, when they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
}

/// `app:ping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ping {
    /// Name.
    pub name: AppName,
    /// The URL that was asked.
    pub url: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// Milliseconds from the request's first byte to the answer's head.
    pub response_time_ms: f64,
}

/// Body of `POST /v1/apps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateApp {
    /// Name.
    pub name: AppName,
}

/// Body of `PATCH …/config`: values to set (`Some`) and to remove (`None`).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// By variable.
    pub variables: BTreeMap<String, Option<String>>,
}

/// The configuration of an app; values only for those who asked to reveal them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Its version.
    pub version: u64,
    /// By variable; `None` when the value is hidden.
    pub variables: BTreeMap<String, Option<String>>,
}

/// First line of a deploy request's body; a tar of the source follows it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployRequest {
    /// Variables to set with this release.
    pub env: BTreeMap<String, String>,
    /// Check and report, change nothing.
    pub dry_run: bool,
}

/// One line of a deployment's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// A line for the person who waits.
    Line(String),
    /// A line of the build's output, shown with `-v`.
    Output(String),
    /// It succeeded; the last line.
    Done(Deployed),
    /// It failed; the last line.
    Failed(Failure),
}

/// What a deployment led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployed {
    /// Name.
    pub app: AppName,
    /// The new release; `None` after a dry run, or when the app has none yet.
    pub release: Option<ReleaseNumber>,
    /// Where it answers.
    pub url: Option<String>,
    /// Seconds from the first start to the first good probe.
    pub healthy_after: Option<f64>,
}

/// `releases`, one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSummary {
    /// Number.
    pub release: ReleaseNumber,
    /// What became of it.
    pub state: String,
    /// When.
    pub created: Timestamp,
    /// Why.
    pub reason: String,
    /// Configuration version.
    pub config_version: u64,
    /// SHA-256 of the packed source.
    pub digest: String,
}

/// Body of `POST …/rollback`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The release to return to; the one before the current one when absent.
    pub to: Option<ReleaseNumber>,
}

/// What to read of an app's logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// The newest so many lines of each process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<usize>,
    /// Only lines that contain this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grep: Option<String>,
    /// Only this process type or instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The build's log instead of the app's.
    #[serde(default)]
    pub build: bool,
    /// Go on as new lines come.
    #[serde(default)]
    pub follow: bool,
}

/// One line of an app's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// E.g. `web.1`, or `build`.
    pub source: String,
    /// The line, without its end.
    pub line: String,
}

/// `rules list`, one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesetSummary {
    /// `base` or `owasp-crs`.
    pub name: String,
    /// Version.
    pub version: String,
    /// Whether apps that choose this ruleset get this version.
    pub in_use: bool,
    /// Where it came from.
    pub source: String,
    /// Whether its content is that of the official release.
    pub official: bool,
}

/// Body of `POST /v1/rules/install`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallRules {
    /// Version; the pinned one when absent.
    pub version: Option<String>,
    /// A path on the server or an address.
    pub from: Option<String>,
}

/// Body of `POST /v1/rules/use` and `…/verify`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesVersion {
    /// Version; the one in use when absent.
    pub version: Option<String>,
}

/// What installing or switching led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesChanged {
    /// The ruleset concerned.
    pub ruleset: RulesetSummary,
    /// Sources tried before, and why they did not serve.
    pub passed_over: Vec<String>,
    /// Apps and routes that kept their old rules, and why.
    pub alarms: Vec<String>,
}

/// `rules verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesVerified {
    /// The ruleset concerned.
    pub ruleset: RulesetSummary,
    /// Files compared.
    pub files: usize,
    /// Changed, missing or additional files; empty when all is well.
    pub changes: Vec<String>,
}

/// `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Version of the executable.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Since when.
    pub started: Timestamp,
    /// The data directory.
    pub data: String,
    /// The file its settings came from; absent where the defaults hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// Addresses that were opened.
    pub listen: Addresses,
    /// How many apps there are.
    pub apps: usize,
    /// How many of them run.
    pub running: usize,
    /// How many static routes there are.
    pub routes: usize,
    /// What needs the operator's attention, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `upgrade`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The process that serves now.
    pub now: ServerProcess,
    /// The one that served before; it ends when its last requests do.
    pub before: ServerProcess,
}

/// One process of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerProcess {
    /// Version of its executable.
    pub version: String,
    /// Process id.
    pub pid: u32,
}

/// Body of `POST /v1/certificates/add`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddCertificate {
    /// App or static route.
    pub owner: String,
    /// PEM, the server's own certificate first.
    pub chain: String,
    /// PEM.
    pub key: String,
}

/// Body of `POST /v1/certificates/remove` and `…/renew`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateOwner {
    /// App or static route; `None` for all, where that makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// `certs renew`: whose certificates are ordered.
pub type Renewing = Vec<String>;

/// Body of `POST /v1/cache/purge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeCache {
    /// App or static route.
    pub owner: String,
    /// One path, or the beginning of paths with a final `*`; `None` for everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// What `cache purge` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// How many answers were forgotten.
    pub answers: usize,
}

/// What a running server found out about itself, for `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerDiagnosis {
    /// Its findings.
    pub findings: Vec<Finding>,
    /// The hosts that are served, for the DNS to be asked.
    pub hosts: BTreeSet<String>,
}

/// `DATA/run/addresses.json`: the addresses this run has opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Plain HTTP.
    pub http: Option<SocketAddr>,
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// Metrics and health.
    pub admin: Option<SocketAddr>,
}

/// `waf bans list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanList {
    /// The bans that hold.
    pub bans: Vec<BanRecord>,
    /// Networks that are never banned.
    pub never: Vec<String>,
    /// Whether the bans are in force in the kernel, too.
    pub nftables: NftablesState,
}

/// Body of `POST /v1/bans`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddBan {
    /// Address or network.
    pub network: String,
    /// How long; until it is cleared when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Why.
    #[serde(default)]
    pub note: String,
}

/// Body of `POST /v1/bans/clear`: networks, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearBans {
    /// Addresses or networks.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Every ban.
    #[serde(default)]
    pub all: bool,
}

/// `waf logs`.
pub type FirewallEvents = Vec<FirewallEvent>;

/// `audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLog {
    /// The newest records, oldest first.
    pub records: Vec<AuditRecord>,
    /// How many there are in all.
    pub length: u64,
    /// Whether the chain was walked.
    pub verified: bool,
    /// The first record that does not fit.
    pub broken_at: Option<u64>,
}

/// An answer that carries a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// The failure.
    pub error: Failure,
}

/// An answer that carries nothing but success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}
