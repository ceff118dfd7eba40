//! What an app says about itself: `hop3.toml`, `Procfile` and `ENV`, merged and checked.
//!
//! Owns the forms and their errors. Reads files, starts nothing, decides nothing about servers.

pub mod enforcement;
pub mod environment;
pub mod nearest;
pub mod procfile;
pub mod proxy;
pub mod resources;
pub mod sections;
pub mod tls;
pub mod toml_error;
pub mod traffic;
pub mod uninspected;
pub mod units;
pub mod waf;

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::enforcement::Unenforced;
use self::environment::{EnvName, EnvSection};
use self::procfile::{Procfile, WsgiTarget};
use self::proxy::Proxy;
use self::resources::{AddonRequest, Admin, Backup, CronJob, Limits, Sandbox, SmokeTest, Volume};
use self::sections::{DeploySection, Hop3Toml, Metadata};
use self::tls::TlsOptions;
use self::toml_error::{Diagnostic, locate};
use self::traffic::{HealthCheckOptions, PortRequest, ProbePath, SeedPorts};
use self::waf::WafOptions;
use crate::names::ProcessName;

/// Where `hop3.toml` may lie, relative to the app; the first that exists is read.
pub const HOP3_TOML_PLACES: [&str; 3] = ["hop3.toml", "hop3/hop3.toml", "src/hop3.toml"];
/// Longest manifest file that is read: 1 MiB.
pub const MAX_FILE_SIZE: u64 = 1 << 20;
/// `[run] start-timeout` when absent.
pub const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(60);
/// `[run] stop-timeout` when absent.
pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// `[deploy] drain` when absent.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// An app's manifest: `hop3.toml` over `Procfile` over defaults. Can be stored with a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// `[metadata]`.
    pub metadata: Metadata,
    /// How the app is built.
    pub build: BuildPlan,
    /// How the app is run.
    pub run: RunPlan,
    /// `[deploy]` as written.
    pub deploy: DeploySection,
    /// `[env]`.
    pub env: EnvSection,
    /// Variables of the `ENV` file; weaker than `[env]`.
    pub env_defaults: BTreeMap<EnvName, String>,
    /// `[[addons]]` and `[[provider]]`.
    pub addons: Vec<AddonRequest>,
    /// `[healthcheck]` with defaults applied.
    pub health_check: HealthCheck,
    /// Host names.
    pub domains: Vec<String>,
    /// `[proxy]`.
    pub proxy: Proxy,
    /// `[tls]`.
    pub tls: TlsOptions,
    /// `[limits]`.
    pub limits: Limits,
    /// `[[volumes]]`.
    pub volumes: Vec<Volume>,
    /// `[[ports]]`.
    pub ports: Vec<PortRequest>,
    /// The seed's `[port]`.
    pub seed_ports: SeedPorts,
    /// `[[cron]]` and the `Procfile`'s `cron` lines.
    pub cron: Vec<CronJob>,
    /// `[waf]` as written; known to resolve.
    pub waf: WafOptions,
    /// `[sandbox]`.
    pub sandbox: Sandbox,
    /// `[backup]`.
    pub backup: Backup,
    /// `[admin]`.
    pub admin: Admin,
    /// `[test]`.
    pub smoke_test: SmokeTest,
    /// Whether there is a `[nix]` section.
    pub has_nix: bool,
    /// The files that were read, relative to the app.
    pub files: Vec<PathBuf>,
}

/// How the app is built: `[build]` and the `Procfile`'s `prebuild`, `postbuild`, `static`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildPlan {
    /// `[build] builder`; `None` is `auto`.
    pub builder: Option<String>,
    /// Before the builder's own work, in order.
    pub before_build: Vec<String>,
    /// After dependencies are installed.
    pub build: Vec<String>,
    /// After everything.
    pub after_build: Vec<String>,
    /// System packages.
    pub packages: Vec<String>,
    /// Further Python packages.
    pub pip_install: Vec<String>,
    /// Optional dependency groups of the Python project.
    pub extras: Vec<String>,
    /// `[build] test`.
    pub test: Vec<String>,
    /// Folder of a static site.
    pub static_dir: Option<PathBuf>,
    /// Names not copied into the release.
    pub ignore: Vec<String>,
    /// Python version.
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

/// How the app is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunPlan {
    /// Process types and what they run.
    pub processes: BTreeMap<ProcessName, ProcessCommand>,
    /// Before each start of a release.
    pub before_run: Vec<String>,
    /// Once per release.
    pub release: Vec<String>,
    /// System packages.
    pub packages: Vec<String>,
    /// How long a start may take.
    pub start_timeout: Duration,
    /// How long an end may take after SIGTERM.
    pub stop_timeout: Duration,
}

/// What a process type runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessCommand {
    /// A command line of the app.
    Command(String),
    /// A WSGI application, under gunicorn or uWSGI.
    Wsgi(WsgiTarget),
    /// No process: a folder, relative to the app.
    Static(PathBuf),
}

/// `[healthcheck]` resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Path that is asked for.
    pub path: ProbePath,
    /// The only healthy status; `None` is any below 500.
    pub status: Option<u16>,
    /// Text that the body must contain.
    pub contains: Option<String>,
    /// Between probes of a running instance.
    pub interval: Duration,
    /// Of one probe.
    pub timeout: Duration,
    /// Failures in a row until a running instance counts as sick; at least 1.
    pub retries: u32,
    /// Whether nothing is asked over HTTP: an instance that takes connections is healthy.
    #[serde(default)]
    pub connect_only: bool,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file says something wrong.
    #[error("{0}")]
    Invalid(Box<Diagnostic>),
    /// The file cannot be read.
    #[error("cannot read `{}`", file.display())]
    Read {
        /// Relative to the app.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not plain: a link, a folder, too long.
    #[error("`{}` {problem}", file.display())]
    Unusable {
        /// Relative to the app.
        file: PathBuf,
        /// Why.
        problem: &'static str,
    },
}

impl Manifest {
    /// Reads and merges the manifest files of the app in `folder`. A folder without any gives the defaults.
    ///
    /// # Errors
    /// The first file that cannot be read or says something wrong, with place and hint.
    pub fn load(folder: &Path) -> Result<Self, ManifestError> {
        let mut files = Vec::new();
        let mut hop3 = Hop3Toml::default();
        let mut hop3_text = None;
        for place in HOP3_TOML_PLACES {
            if let Some(text) = read(folder, place)? {
                hop3 = Self::parse_hop3_toml(Path::new(place), &text)?;
                files.push(PathBuf::from(place));
                hop3_text = Some(text);
                break;
            }
        }
        let mut procfile = Procfile::default();
        if let Some(text) = read(folder, "Procfile")? {
            procfile = Procfile::parse(Path::new("Procfile"), &text).map_err(invalid)?;
            files.push(PathBuf::from("Procfile"));
        }
        let mut env_defaults = BTreeMap::new();
        if let Some(text) = read(folder, "ENV")? {
            env_defaults = environment::parse_env_file(Path::new("ENV"), &text).map_err(invalid)?;
            files.push(PathBuf::from("ENV"));
        }
        let mut manifest = Self::merge(hop3, procfile);
        manifest.env_defaults = env_defaults;
        manifest.check_folders(files.first(), hop3_text.as_deref())?;
        manifest.files = files;
        Ok(manifest)
    }

    /// Reads the text of a `hop3.toml` and checks it across keys.
    ///
    /// # Errors
    /// The first fault, with place and hint.
    pub fn parse_hop3_toml(file: &Path, text: &str) -> Result<Hop3Toml, ManifestError> {
        let hop3: Hop3Toml =
            toml::from_str(text).map_err(|error| invalid(Diagnostic::from_toml(file, text, &error)))?;
        if let Err(error) = hop3.waf.resolve() {
            let at = section_span(text, "waf");
            return Err(invalid(Diagnostic::at(file, text, at, error.to_string(), None)));
        }
        let outside = hop3.tls.client_ca.as_deref().is_some_and(|file| !is_inside(file));
        let outside = outside.then_some("`client-ca` must lie inside the app");
        if let Some(fault) = hop3.tls.fault().or(outside) {
            let at = section_span(text, "tls");
            return Err(invalid(Diagnostic::at(file, text, at, format!("[tls]: {fault}"), None)));
        }
        if let Some(index) = hop3.tls.paths_without_authority(&hop3.proxy) {
            let at = locate(text, &["proxy", "paths", &index.to_string(), "client-certificates"]);
            let message =
                "`client-certificates` needs `client-ca` of [tls], the file of the authorities that count";
            return Err(invalid(Diagnostic::at(file, text, at, message, None)));
        }
        Ok(hop3)
    }

    /// What is read but not acted on yet; see [`enforcement::unenforced`].
    #[must_use]
    pub fn unenforced(&self, enforced: &[&str]) -> Vec<Unenforced> {
        enforcement::unenforced(self, enforced)
    }

    /// What answers requests, if anything does.
    #[must_use]
    pub fn web(&self) -> Option<&ProcessCommand> {
        self.run.processes.get(&ProcessName::web())
    }

    /// Variables that the manifest writes out: `ENV`, then `[env]`'s literals over it.
    #[must_use]
    pub fn literal_env(&self) -> BTreeMap<EnvName, String> {
        let mut variables = self.env_defaults.clone();
        variables.extend(self.env.literals());
        variables
    }

    /// `[deploy] drain` or its default.
    #[must_use]
    pub fn drain(&self) -> Duration {
        self.deploy.drain.map_or(DEFAULT_DRAIN, |span| span.0)
    }

    fn merge(hop3: Hop3Toml, procfile: Procfile) -> Self {
        let run = merge_run(&hop3, &procfile);
        let or = |mine: Vec<String>, other: Option<String>| {
            if mine.is_empty() { other.into_iter().collect() } else { mine }
        };
        let build = hop3.build;
        let build = BuildPlan {
            builder: build.builder.filter(|name| name != "auto"),
            before_build: or(build.before_build.0, procfile.prebuild),
            build: build.build.0,
            after_build: or(build.after_build.0, procfile.postbuild),
            packages: build.packages,
            pip_install: build.pip_install,
            extras: build.extras,
            test: build.test.0,
            static_dir: build.static_dir.or(procfile.static_dir),
            ignore: build.ignore,
            python: build.python,
            node: build.node,
            ruby: build.ruby,
            go: build.go,
            rust: build.rust,
            php: build.php,
            java: build.java,
        };
        Self {
            metadata: hop3.metadata,
            build,
            run,
            deploy: hop3.deploy,
            env: hop3.env,
            env_defaults: BTreeMap::new(),
            addons: hop3.addons.into_iter().chain(hop3.provider.into_iter().map(Into::into)).collect(),
            health_check: HealthCheck {
                connect_only: hop3.proxy.protocol.is_some_and(|protocol| !protocol.answers_probes()),
                ..HealthCheck::from(hop3.healthcheck)
            },
            domains: hop3.domains.0,
            proxy: hop3.proxy,
            tls: hop3.tls,
            limits: hop3.limits,
            volumes: hop3.volumes,
            ports: hop3.ports,
            seed_ports: hop3.port,
            cron: [hop3.cron, procfile.cron].concat(),
            waf: hop3.waf,
            sandbox: hop3.sandbox,
            backup: hop3.backup,
            admin: hop3.admin,
            smoke_test: hop3.test,
            has_nix: hop3.nix.is_some(),
            files: Vec::new(),
        }
    }

    /// Folders that a manifest names must lie inside the app.
    fn check_folders(&self, first: Option<&PathBuf>, hop3: Option<&str>) -> Result<(), ManifestError> {
        let Some(folder) = self.build.static_dir.as_deref() else { return Ok(()) };
        if is_inside(folder) {
            return Ok(());
        }
        let message = format!("the static folder `{}` must lie inside the app", folder.display());
        let file = first.cloned().unwrap_or_else(|| PathBuf::from("Procfile"));
        let text = hop3.unwrap_or_default();
        let at = text.find("static-dir").or_else(|| text.find("static_dir"));
        Err(invalid(match at {
            Some(at) => Diagnostic::at(file, text, at..at + "static-dir".len(), message, None),
            None => Diagnostic::at("Procfile", "", 0..0, message, None).without_source(),
        }))
    }
}

impl Default for RunPlan {
    fn default() -> Self {
        Self {
            processes: BTreeMap::new(),
            before_run: Vec::new(),
            release: Vec::new(),
            packages: Vec::new(),
            start_timeout: DEFAULT_START_TIMEOUT,
            stop_timeout: DEFAULT_STOP_TIMEOUT,
        }
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        HealthCheckOptions::default().into()
    }
}

impl From<HealthCheckOptions> for HealthCheck {
    fn from(options: HealthCheckOptions) -> Self {
        // A probe that may take no time, or is repeated without a pause, would be a mistake with a price.
        let floor = Duration::from_millis(100);
        let or =
            |span: Option<units::Span>, seconds| span.map_or(Duration::from_secs(seconds), |span| span.0);
        Self {
            path: options.path.unwrap_or_default(),
            status: options.status.map(traffic::StatusCode::get),
            contains: options.contains,
            interval: or(options.interval, 10).max(floor),
            timeout: or(options.timeout, 5).max(floor),
            retries: options.retries.unwrap_or(3).max(1),
            connect_only: false,
        }
    }
}

fn merge_run(hop3: &Hop3Toml, procfile: &Procfile) -> RunPlan {
    let mut processes: BTreeMap<_, _> = procfile
        .workers
        .iter()
        .chain(&hop3.run.workers)
        .map(|(name, command)| (name.clone(), ProcessCommand::Command(command.clone())))
        .collect();
    let start = Some(&hop3.run.start.0).filter(|start| !start.is_empty());
    let static_dir = hop3.build.static_dir.as_ref().or(procfile.static_dir.as_ref());
    let web = start
        .map(|start| ProcessCommand::Command(start.join(" && ")))
        .or_else(|| procfile.web.clone().map(ProcessCommand::Command))
        .or_else(|| procfile.wsgi.clone().map(ProcessCommand::Wsgi))
        .or_else(|| static_dir.cloned().map(ProcessCommand::Static));
    if let Some(web) = web {
        processes.insert(ProcessName::web(), web);
    }
    let or = |mine: &[String], other: &Option<String>| {
        if mine.is_empty() { other.iter().cloned().collect() } else { mine.to_vec() }
    };
    RunPlan {
        processes,
        before_run: or(&hop3.run.before_run.0, &procfile.prerun),
        release: or(&hop3.run.release.0, &procfile.release),
        packages: hop3.run.packages.clone(),
        start_timeout: hop3.run.start_timeout.map_or(DEFAULT_START_TIMEOUT, |span| span.0),
        stop_timeout: hop3.run.stop_timeout.map_or(DEFAULT_STOP_TIMEOUT, |span| span.0),
    }
}

fn invalid(diagnostic: Diagnostic) -> ManifestError {
    ManifestError::Invalid(Box::new(diagnostic))
}

/// Whether a path of the app stays beneath the app's folder.
#[must_use]
pub fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Reads a manifest file, `None` when there is none. Links are refused: what lies behind them is not the app's.
fn read(folder: &Path, name: &str) -> Result<Option<String>, ManifestError> {
    let file = PathBuf::from(name);
    let path = folder.join(name);
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(ManifestError::Read { file, source }),
    };
    // A folder called `ENV` is somebody's virtualenv on a case-insensitive disk, not a manifest.
    if metadata.is_dir() && name == "ENV" {
        return Ok(None);
    }
    if !metadata.is_file() {
        return Err(ManifestError::Unusable { file, problem: "is not a plain file" });
    }
    if metadata.len() > MAX_FILE_SIZE {
        return Err(ManifestError::Unusable { file, problem: "is larger than 1 MiB" });
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(ManifestError::Unusable { file, problem: "is not UTF-8 text" })
        }
        Err(source) => Err(ManifestError::Read { file, source }),
    }
}

/// Where `[NAME` or `[[NAME` stands in the text, for faults that no single key causes.
fn section_span(text: &str, name: &str) -> std::ops::Range<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let head = line.trim_start().trim_start_matches('[');
        if line.trim_start().starts_with('[') && head.starts_with(name) {
            return start..start + line.trim_end().len();
        }
        start += line.len();
    }
    0..0
}
