//! Everything a runtime needs to start one instance.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app_user::AppUser;
use crate::artifact::Artifact;
use crate::environment::{Environment, HostEnvironment};
use crate::instance::InstanceId;
use crate::manifest::{HealthCheck, ProcessCommand};

/// How to start one instance, and how to tell that it works. Serialisable, so that it can be stored with the
/// release; `config` holds secrets, so store it accordingly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// Which slot.
    pub id: InstanceId,
    /// Marks the server that owns the instance, so that two servers on one machine leave each other's apps
    /// alone. Letters, digits, `-`.
    pub owner: String,
    /// What was built.
    pub artifact: Artifact,
    /// What is run.
    pub command: ProcessCommand,
    /// Configuration of the app, complete; overrides the artifact's variables, is overridden by the injected ones.
    pub config: BTreeMap<String, String>,
    /// `HOP3_PUBLIC_URL`, if known.
    pub public_url: Option<String>,
    /// `HOME`: a folder that outlives releases.
    pub home: PathBuf,
    /// Folder for the log file `TYPE.N.log`.
    pub log_dir: PathBuf,
    /// Whom to run as; `None` runs as the server's own user.
    pub user: Option<AppUser>,
    /// How health is probed.
    pub health_check: HealthCheck,
    /// Time until the first probe must have passed.
    pub start_timeout: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    /// What happens when it ends by itself.
    pub restart: RestartPolicy,
}

/// What happens when an instance ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Started again, always. For apps that are known to work.
    #[default]
    Always,
    /// Started again only once it has been healthy; an end before that is final. For the first start of a release.
    OnceHealthy,
}

impl LaunchSpec {
    /// The complete environment of the instance, port and marker included.
    #[must_use]
    pub fn environment(
        &self,
        host: &HostEnvironment,
        port: Option<u16>,
        marker: Option<&str>,
    ) -> Environment {
        let mut environment = Environment::base(host, &self.home, &self.artifact.path);
        environment.extend(self.artifact.env.clone());
        // A user's PATH is put behind the artifact's folders, not in place of them.
        for (name, value) in &self.config {
            if name == "PATH" {
                let mut path = std::ffi::OsString::new();
                for folder in &self.artifact.path {
                    path.push(folder);
                    path.push(":");
                }
                path.push(value);
                environment.set("PATH", path);
            } else {
                environment.set(name.clone(), value.clone());
            }
        }
        environment.set("HOME", self.home.as_os_str());
        environment.set("APP", self.id.app.as_str());
        environment.set("PROC_TYPE", self.id.process.as_str());
        environment.set("HOP3_RELEASE", self.id.release.to_string());
        if let Some(url) = &self.public_url {
            environment.set("HOP3_PUBLIC_URL", url);
        }
        if let Some(port) = port {
            environment.set("PORT", port.to_string());
        }
        if let Some(marker) = marker {
            environment.set(crate::process_tree::MARKER_VARIABLE, marker);
        }
        environment
    }
}
