//! `[waf.bans]`: who is refused too often is turned away for a while.

use serde::{Deserialize, Serialize};

use crate::manifest::units::Span;

/// `[waf.bans]` as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BanOptions {
    /// Default: true when the section is present.
    pub enabled: Option<bool>,
    /// Refused requests within the window that lead to a ban. Default: 10.
    pub threshold: Option<u32>,
    /// Default: 10 minutes.
    pub window: Option<Span>,
    /// Default: 1 hour.
    pub duration: Option<Span>,
}

/// `[waf.bans]` resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bans {
    /// Refused requests within `window` that lead to a ban; at least 1.
    pub threshold: u32,
    /// How long refusals are counted.
    pub window: Span,
    /// How long a ban lasts.
    pub duration: Span,
}

impl BanOptions {
    /// What they mean; none when switched off.
    pub(super) fn resolve(&self) -> Option<Bans> {
        self.enabled.unwrap_or(true).then(|| Bans {
            threshold: self.threshold.unwrap_or(10),
            window: self.window.unwrap_or(Span::seconds(600)),
            duration: self.duration.unwrap_or(Span::seconds(3600)),
        })
    }
}
