//! `[server.log.requests]`: where a line for each request goes, and what it looks like.

use std::ops::Range;
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
    pub format: Option<toml::Spanned<AccessFormat>>,
    /// One of this many successful requests is written; failures always are. Default: 1.
    pub sample: Option<toml::Spanned<u64>>,
    /// Query parameters whose values are hidden in the file; `*` hides all. Default: names that usually are secrets.
    pub mask: Option<toml::Spanned<Vec<String>>>,
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

/// What is wrong with `[server.log.requests]`: where, what, and the next step.
pub(super) type Fault = (Range<usize>, String, Option<String>);

impl AccessLogOptions {
    /// One of how many successful requests is written, and the file, if there is one; or what is wrong. A relative file
    /// lies in `folder`.
    pub(super) fn resolve(self, folder: &Path) -> Result<(u64, Option<AccessLogSettings>), Fault> {
        let sample = match self.sample {
            None => 1,
            Some(written) if *written.get_ref() == 0 => {
                let message = "`sample` must be at least 1, which writes every request".to_owned();
                return Err((written.span(), message, None));
            }
            Some(written) => written.into_inner(),
        };
        let Some(file) = self.file else {
            // Nothing that is written without effect passes for a setting.
            let (format, mask) = (self.format.map(|format| format.span()), self.mask.map(|mask| mask.span()));
            return match (format, mask) {
                (Some(place), _) => {
                    Err(without_file(place, "`format`", "[server.log] format says how its lines look"))
                }
                (None, Some(place)) => Err(without_file(place, "`mask`", "it never holds queries")),
                (None, None) => Ok((sample, None)),
            };
        };
        let format = match self.format.map(toml::Spanned::into_inner).unwrap_or_default() {
            AccessFormat::Common => AccessLogFormat::Common,
            AccessFormat::Combined => AccessLogFormat::Combined,
            AccessFormat::Json => AccessLogFormat::Json,
        };
        let mask = self.mask.map(toml::Spanned::into_inner);
        Ok((sample, Some(AccessLogSettings { file: folder.join(file), format, sample, mask })))
    }
}

/// A key that means nothing for the server's own log.
fn without_file(place: Range<usize>, key: &str, own: &str) -> Fault {
    let message = format!("{key} needs `file`: requests are in the server's own log, and {own}");
    (place, message, Some("name a `file` for requests, or remove the key".to_owned()))
}
