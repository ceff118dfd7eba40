//! `hop3.toml`: the sections about services, resources and upkeep. Read and kept; the parts of the product
//! that act on them say so in `enforcement`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::units::{ByteSize, OneOrMany, Span};

/// `[[addons]]`: a backing service that the app needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddonRequest {
    /// `postgres`, `redis`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The instance. Default: made from app and type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Wanted version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The addon's own options, checked by the addon.
    #[serde(flatten)]
    pub options: BTreeMap<String, toml::Value>,
}

/// `[[provider]]`: the seed's spelling of [`AddonRequest`], where `name` is the type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderForm {
    /// `postgres`, `redis`, …
    #[serde(alias = "type")]
    pub name: String,
    /// Wanted version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `plan` and the addon's own options.
    #[serde(flatten)]
    pub options: BTreeMap<String, toml::Value>,
}

impl From<ProviderForm> for AddonRequest {
    fn from(provider: ProviderForm) -> Self {
        Self { kind: provider.name, name: None, version: provider.version, options: provider.options }
    }
}

/// `[limits]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Memory of all processes together.
    pub memory: Option<ByteSize>,
    /// Processor cores, e.g. `1.5`.
    pub cpu: Option<f64>,
    /// Processes and threads together.
    pub processes: Option<u32>,
    /// Disk space of the app's folders.
    pub disk: Option<ByteSize>,
    /// Open files per process.
    #[serde(alias = "open_files")]
    pub open_files: Option<u32>,
}

/// `[[volumes]]`: a folder that outlives releases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Volume {
    /// Identifies the volume within the app.
    pub name: String,
    /// Where the app finds it, relative to its folder or absolute.
    pub target: PathBuf,
    /// Whether backups contain it. Default: true.
    #[serde(default = "yes")]
    pub backup: bool,
}

/// `[[cron]]` and `cron:` lines of a `Procfile`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CronJob {
    /// Five fields as in crontab(5), or `@daily` and the like.
    pub schedule: String,
    /// What is run.
    pub command: String,
}

/// `[sandbox]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Sandbox {
    /// Readable paths beside the app's own.
    pub read: Vec<PathBuf>,
    /// Writable paths beside the app's own.
    pub write: Vec<PathBuf>,
    /// Hosts and networks that may be reached; absent means all.
    pub network: Option<Vec<String>>,
    /// Linux capabilities to keep.
    pub capabilities: Vec<String>,
    /// Weakest sandbox that is acceptable.
    pub require: Option<String>,
}

/// `[backup]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Backup {
    /// Seed. Default: true when there is a schedule.
    pub enabled: Option<bool>,
    /// Paths beside the volumes.
    pub paths: Vec<PathBuf>,
    /// Patterns to leave out.
    pub exclude: Vec<String>,
    /// Five fields as in crontab(5).
    pub schedule: Option<String>,
    /// How many backups are kept.
    pub keep: Option<u32>,
    /// Seed: how many days backups are kept.
    pub retention: Option<u32>,
    /// Where they go.
    pub target: Option<String>,
}

/// `[admin]`: the first account of the app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Admin {
    /// Account name.
    pub username: Option<String>,
    /// Address.
    pub email: Option<String>,
    /// The variable that holds the password.
    #[serde(alias = "password_env")]
    pub password_env: Option<String>,
    /// Creates the account.
    pub command: OneOrMany,
}

/// `[test]`: a smoke test after each deploy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SmokeTest {
    /// A command that must succeed.
    pub command: OneOrMany,
    /// A path that must answer.
    pub path: Option<super::traffic::ProbePath>,
    /// With this status.
    pub status: Option<super::traffic::StatusCode>,
    /// And this text.
    pub contains: Option<String>,
    /// Within this time.
    pub timeout: Option<Span>,
}

fn yes() -> bool {
    true
}
