//! `[server.log.requests]`: where a line for each request goes, and what it looks like.

use std::path::{Path, PathBuf};

use hop3_proxy::AccessLogFormat;
use serde::Deserialize;

/// `[server.log.requests]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AccessLogOptions {
    /// The file; without one, requests are in the server's own log.
    pub file: Option<PathBuf>,
    /// How lines of the file look. Default: `json`.
    pub format: AccessFormat,
    /// One of this many successful requests is written; failures always are. Default: 1.
    pub sample: Option<u64>,
    /// Query parameters whose values are hidden; `*` hides all. Default: names that usually are secrets.
    pub mask: Option<Vec<String>>,
}

/// The values of `format`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// Common Log Format.
    Common,
    /// The same with referer and user agent.
    Combined,
    /// One JSON object a line.
    #[default]
    Json,
}

/// `[server.log.requests]` resolved: a file of request lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// The file.
    pub file: PathBuf,
    /// How lines look.
    pub format: AccessLogFormat,
    /// One of this many successful requests is written.
    pub sample: u64,
    /// Query parameters whose values are hidden; none means the usual ones.
    pub mask: Option<Vec<String>>,
}

impl AccessLogOptions {
    /// Its meaning, or what is wrong with it. A relative file lies in `folder`.
    pub(super) fn resolve(self, folder: &Path) -> Result<Option<AccessLogSettings>, String> {
        if self.sample == Some(0) {
            return Err("`sample` must be at least 1, which writes every request".to_owned());
        }
        let format = match self.format {
            AccessFormat::Common => AccessLogFormat::Common,
            AccessFormat::Combined => AccessLogFormat::Combined,
            AccessFormat::Json => AccessLogFormat::Json,
        };
        Ok(self.file.map(|file| AccessLogSettings {
            file: folder.join(file),
            format,
            sample: self.sample.unwrap_or(1),
            mask: self.mask,
        }))
    }
}
