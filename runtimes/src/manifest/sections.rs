//! `hop3.toml` as a person wrote it: the sections that describe what is built and how it runs.
//!
//! Sections about traffic are in `traffic`, about resources and services in `resources`, `[env]` in
//! `environment`, `[waf]` in `waf`. Every type refuses unknown keys.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::environment::EnvSection;
use super::proxy::Proxy;
use super::resources::{
    AddonRequest, Admin, Backup, CronJob, Limits, ProviderForm, Sandbox, SmokeTest, Volume,
};
use super::tls::TlsOptions;
use super::traffic::{Domains, HealthCheckOptions, PortRequest, SeedPorts};
use super::units::{OneOrMany, Span};
use super::waf::WafOptions;

/// The whole file. An absent section is its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Hop3Toml {
    /// Who the app is.
    pub metadata: Metadata,
    /// How it becomes an artifact.
    pub build: BuildSection,
    /// How it is started.
    pub run: RunSection,
    /// How a release replaces the one before.
    pub deploy: DeploySection,
    /// Variables.
    pub env: EnvSection,
    /// Backing services.
    pub addons: Vec<AddonRequest>,
    /// The seed's spelling of `addons`.
    pub provider: Vec<ProviderForm>,
    /// How a healthy instance is told from a sick one.
    pub healthcheck: HealthCheckOptions,
    /// Host names.
    pub domains: Domains,
    /// How requests reach the app.
    pub proxy: Proxy,
    /// `[tls]`.
    pub tls: TlsOptions,
    /// What the app may use.
    pub limits: Limits,
    /// Folders that outlive releases.
    pub volumes: Vec<Volume>,
    /// Ports beside HTTP.
    pub ports: Vec<PortRequest>,
    /// The seed's ports by name.
    pub port: SeedPorts,
    /// Commands by the clock.
    pub cron: Vec<CronJob>,
    /// The firewall.
    pub waf: WafOptions,
    /// What the app may touch.
    pub sandbox: Sandbox,
    /// What is backed up, when, for how long.
    pub backup: Backup,
    /// First account of the app.
    pub admin: Admin,
    /// A smoke test after each deploy.
    pub test: SmokeTest,
    /// The seed's templates for Nix, kept unread until there is a `nix` builder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nix: Option<toml::Table>,
}

/// `[metadata]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Metadata {
    /// The app's name when the command line gives none.
    pub id: Option<crate::names::AppName>,
    /// For people.
    pub title: Option<String>,
    /// The app's own version.
    pub version: Option<String>,
    /// One sentence.
    pub description: Option<String>,
    /// Name and address (seed).
    pub author: Option<String>,
    /// SPDX expression.
    pub license: Option<String>,
    /// URL.
    #[serde(alias = "website")]
    pub homepage: Option<String>,
    /// For the catalogue.
    pub categories: Vec<String>,
    /// For the catalogue.
    pub tags: Vec<String>,
}

/// `[build]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BuildSection {
    /// `auto` (default), `native` (seed: `local`), `python`, `static`, `plain`, `docker`, `nix`.
    pub builder: Option<String>,
    /// Commands before the builder's own work.
    #[serde(alias = "before_build", alias = "prebuild")]
    pub before_build: OneOrMany,
    /// Commands after dependencies are installed.
    pub build: OneOrMany,
    /// Commands after everything.
    #[serde(alias = "after_build", alias = "postbuild")]
    pub after_build: OneOrMany,
    /// System packages needed to build.
    pub packages: Vec<String>,
    /// Python packages to install beside the app's own requirements (seed).
    #[serde(alias = "pip_install")]
    pub pip_install: Vec<String>,
    /// Optional dependency groups of the Python project, e.g. `["postgres"]`.
    pub extras: Vec<String>,
    /// Test commands (seed).
    pub test: OneOrMany,
    /// Folder of a static site, relative to the app.
    #[serde(alias = "static_dir")]
    pub static_dir: Option<PathBuf>,
    /// Names of files and folders that are not copied into the release.
    pub ignore: Vec<String>,
    /// Python version, e.g. `"3.12"`.
    pub python: Option<String>,
    /// Node.js version.
    pub node: Option<String>,
    /// Ruby version.
    pub ruby: Option<String>,
    /// Go version.
    pub go: Option<String>,
    /// Rust version.
    pub rust: Option<String>,
    /// PHP version.
    pub php: Option<String>,
    /// Java version.
    pub java: Option<String>,
}

/// `[run]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RunSection {
    /// The `web` process; a list is joined with `&&` (seed).
    pub start: OneOrMany,
    /// Commands before each start of a release.
    #[serde(alias = "before_run", alias = "prerun")]
    pub before_run: OneOrMany,
    /// Commands once per release, before it receives requests (migrations).
    pub release: OneOrMany,
    /// Other process types by name.
    pub workers: std::collections::BTreeMap<crate::names::ProcessName, String>,
    /// System packages needed to run (seed).
    pub packages: Vec<String>,
    /// How long a start may take until the probe passes. Default: 60 s.
    #[serde(alias = "start_timeout")]
    pub start_timeout: Option<Span>,
    /// How long a process may take to end after SIGTERM. Default: 30 s.
    #[serde(alias = "stop_timeout")]
    pub stop_timeout: Option<Span>,
}

/// `[deploy]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DeploySection {
    /// `auto` (default), `process`, `static`; later `uwsgi`, `docker`, `compose`, `systemd`.
    pub runtime: Option<String>,
    /// Default: `blue-green`.
    pub strategy: Option<Strategy>,
    /// How long requests in flight keep the old release alive. Default: 30 s.
    pub drain: Option<Span>,
}

/// How a release replaces the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Both run until the new one is healthy; then requests move over.
    #[default]
    BlueGreen,
    /// The old one is stopped first, for apps that cannot run twice.
    Recreate,
}
