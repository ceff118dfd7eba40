//! `[server.firewall]`: what the firewalls of this server may do outside of themselves.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// `[server.firewall]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FirewallOptions {
    /// Folders besides an app's own in which `SecAuditLog` and `SecDebugLog` may write. Default: none.
    pub log_folders: Vec<PathBuf>,
    /// Whether `@rbl` asks name servers. Default: false.
    pub rbl: Option<bool>,
}

/// `[server.firewall]` resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirewallSettings {
    /// Folders besides an app's own in which logs may be written, absolute.
    pub log_folders: Vec<PathBuf>,
    /// Whether `@rbl` asks name servers.
    pub rbl: bool,
}

impl FirewallOptions {
    /// Its meaning, or what is wrong with it.
    pub(super) fn resolve(self) -> Result<FirewallSettings, String> {
        let is_folder = |path: &Path| {
            path.is_absolute() && path.components().all(|part| part != std::path::Component::ParentDir)
        };
        if let Some(wrong) = self.log_folders.iter().find(|path| !is_folder(path)) {
            return Err(format!(
                "`log-folders` holds absolute paths without `..`, such as \"/var/log/hop3\", not \"{}\"",
                wrong.display()
            ));
        }
        Ok(FirewallSettings { log_folders: self.log_folders, rbl: self.rbl.unwrap_or(false) })
    }
}
