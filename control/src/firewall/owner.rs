//! Whose firewall it is: where the owner's rules and configuration lie, and where its logs may.

use std::path::{Path, PathBuf};

use hop3_runtimes::manifest::HOP3_TOML_PLACES;

use super::logs::LogPlace;
use crate::data::DataDir;
use crate::model::AppName;
use crate::settings::Settings;

/// The app, static route or command that a firewall is raised for.
#[derive(Debug, Clone, Default)]
pub struct Owner {
    /// The folder with the app's files; `None` for routes and commands.
    pub folder: Option<PathBuf>,
    /// The configuration files that its `[waf]` may come from.
    pub configuration: Vec<PathBuf>,
    /// Where its logs may lie; `None` when nothing is written.
    pub logs: Option<LogPlace>,
}

impl Owner {
    /// An app whose files lie in `folder`.
    pub fn app(app: &AppName, folder: &Path, data: &DataDir, settings: &Settings) -> Owner {
        let places = HOP3_TOML_PLACES.iter().map(|place| folder.join(place));
        let manifest = places.into_iter().find(|path| path.is_file());
        Owner {
            folder: Some(folder.to_owned()),
            configuration: manifest.into_iter().chain(settings.file.clone()).collect(),
            logs: Some(LogPlace::new(data.app(app).join("logs/waf"), &settings.firewall.log_folders)),
        }
    }

    /// A static route.
    pub fn route(name: &str, data: &DataDir, settings: &Settings) -> Owner {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
        let folder: String = name.chars().map(safe).collect();
        Owner {
            folder: None,
            configuration: settings.file.iter().cloned().collect(),
            logs: Some(LogPlace::new(data.path().join("logs").join(folder), &settings.firewall.log_folders)),
        }
    }
}
