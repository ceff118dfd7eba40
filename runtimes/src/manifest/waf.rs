//! `[waf]` of `hop3.toml`, also `[route.waf]` and the defaults of the server's configuration.
//!
//! [`WafOptions`] is what a person wrote, [`Waf`] is what it means. Compiling and evaluating rules is
//! elsewhere; nothing here knows SecLang.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::bans::{BanOptions, Bans};
pub use self::own_rules::{OwnRules, RulesPosition};
pub use self::rate_limit::{RateLimit, RateLimitKey};
pub use self::ruleset::{ParanoiaLevel, RulesetChoice};
pub use self::tuning::{RuleSelector, Tuning};
use super::uninspected::UninspectedBodies;
use super::units::ByteSize;

mod bans;
mod own_rules;
mod rate_limit;
mod ruleset;
mod tuning;

/// Requests at or above this anomaly score are refused. Source: CRS, `tx.inbound_anomaly_score_threshold`.
pub const DEFAULT_INBOUND_THRESHOLD: u32 = 5;
/// Responses at or above this anomaly score are refused. Source: CRS, `tx.outbound_anomaly_score_threshold`.
pub const DEFAULT_OUTBOUND_THRESHOLD: u32 = 4;
/// Largest request body that is inspected: 12.5 MiB. Source: ModSecurity's recommended `SecRequestBodyLimit`.
pub const DEFAULT_REQUEST_BODY_LIMIT: ByteSize = ByteSize(13_107_200);
/// The same without uploaded files: 128 KiB. Source: recommended `SecRequestBodyNoFilesLimit`.
pub const DEFAULT_REQUEST_BODY_NO_FILES_LIMIT: ByteSize = ByteSize(131_072);
/// Largest part of a response that is inspected: 512 KiB. Source: recommended `SecResponseBodyLimit`.
pub const DEFAULT_RESPONSE_BODY_LIMIT: ByteSize = ByteSize(524_288);

/// `[waf]` as a person wrote it; an absent key means "the server's default, else the product's".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct WafOptions {
    /// Whether requests are inspected. Default: true.
    pub enabled: Option<bool>,
    /// `block` refuses, `detect` only records. Default: `block`.
    pub mode: Option<WafMode>,
    /// `base` (embedded), `owasp-crs` (installed), or a path to SecLang files. Default: `base`.
    pub ruleset: Option<RulesetChoice>,
    /// Rules up to this level count towards refusal, 1–4. Default: 1.
    #[serde(alias = "paranoia_level")]
    pub paranoia_level: Option<ParanoiaLevel>,
    /// Rules up to this level are evaluated and recorded. Default: the paranoia level; never lower.
    #[serde(alias = "detection_paranoia_level")]
    pub detection_paranoia_level: Option<ParanoiaLevel>,
    /// Anomaly score at which a request is refused. Default: 5; zero is refused.
    #[serde(alias = "inbound_threshold", alias = "inbound-anomaly-threshold")]
    pub inbound_threshold: Option<u32>,
    /// Anomaly score at which a response is refused. Default: 4; zero is refused.
    #[serde(alias = "outbound_threshold", alias = "outbound-anomaly-threshold")]
    pub outbound_threshold: Option<u32>,
    /// Whether response headers and bodies are inspected (phases 3 and 4). Default: true.
    #[serde(alias = "inspect_response")]
    pub inspect_response: Option<bool>,
    /// Largest request body; larger ones are answered 413. Default: 12.5 MiB.
    #[serde(alias = "request_body_limit")]
    pub request_body_limit: Option<ByteSize>,
    /// Largest request body without uploaded files. Default: 128 KiB.
    #[serde(alias = "request_body_no_files_limit")]
    pub request_body_no_files_limit: Option<ByteSize>,
    /// How much of a response body is inspected. Default: 512 KiB.
    #[serde(alias = "response_body_limit")]
    pub response_body_limit: Option<ByteSize>,
    /// Whether what rules remember of clients and sessions (`initcol`) outlives the server. Default: `memory`.
    pub collections: Option<CollectionsKept>,
    /// Exclusion packages by name, e.g. `wordpress`, `nextcloud`.
    pub exclusions: Vec<String>,
    /// Exceptions for this app.
    pub tuning: Vec<Tuning>,
    /// Request bodies that are not inspected. Default: none.
    #[serde(alias = "uninspected_bodies")]
    pub uninspected_bodies: Vec<UninspectedBodies>,
    /// Own rules of this app.
    pub rules: Vec<OwnRules>,
    /// Temporary bans of clients that attack repeatedly.
    pub bans: Option<BanOptions>,
    /// Request rate per client.
    #[serde(alias = "rate_limit")]
    pub rate_limit: Option<RateLimit>,
}

/// What happens to a request that the rules refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WafMode {
    /// It is refused (`SecRuleEngine On`).
    #[default]
    Block,
    /// It is recorded and passed (`SecRuleEngine DetectionOnly`).
    Detect,
}

/// Where the rules' persistent collections live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CollectionsKept {
    /// In memory: they outlive reloads and deployments, not the server.
    #[default]
    Memory,
    /// In the server's store too.
    Stored,
}

/// `[waf]` resolved: nothing optional, nothing left to check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waf {
    /// Whether requests are inspected.
    pub enabled: bool,
    /// What happens to refused requests.
    pub mode: WafMode,
    /// Which rules.
    pub ruleset: RulesetChoice,
    /// Level whose rules count towards refusal.
    pub paranoia_level: ParanoiaLevel,
    /// Level whose rules are evaluated; at least `paranoia_level`.
    pub detection_paranoia_level: ParanoiaLevel,
    /// Score at which a request is refused; at least 1.
    pub inbound_threshold: u32,
    /// Score at which a response is refused; at least 1.
    pub outbound_threshold: u32,
    /// Whether phases 3 and 4 run.
    pub inspect_response: bool,
    /// Bytes.
    pub request_body_limit: ByteSize,
    /// Bytes; at most `request_body_limit`.
    pub request_body_no_files_limit: ByteSize,
    /// Bytes.
    pub response_body_limit: ByteSize,
    /// Where persistent collections live.
    #[serde(default)]
    pub collections: CollectionsKept,
    /// Exclusion packages.
    pub exclusions: Vec<String>,
    /// Exceptions.
    pub tuning: Vec<Tuning>,
    /// Request bodies that are not inspected.
    #[serde(default)]
    pub uninspected_bodies: Vec<UninspectedBodies>,
    /// Own rules.
    pub rules: Vec<OwnRules>,
    /// Bans, when switched on.
    pub bans: Option<Bans>,
    /// Request rate, when limited.
    pub rate_limit: Option<RateLimit>,
}

/// Keys of `[waf]` that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WafOptionsError {
    /// Detection below blocking would block with rules that are not evaluated.
    #[error("`detection-paranoia-level` ({detection}) is lower than `paranoia-level` ({blocking})")]
    DetectionBelowBlocking {
        /// `paranoia-level`.
        blocking: u8,
        /// `detection-paranoia-level`.
        detection: u8,
    },
    /// A threshold of zero refuses every request.
    #[error("`{key}` must be at least 1: zero would refuse everything")]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// A smaller whole than its part.
    #[error("`request-body-no-files-limit` ({part}) is larger than `request-body-limit` ({whole})")]
    PartAboveWhole {
        /// `request-body-no-files-limit`.
        part: ByteSize,
        /// `request-body-limit`.
        whole: ByteSize,
    },
    /// An exception that excepts nothing, or whose path is none.
    #[error("`[[waf.tuning]]` number {index}: {problem}")]
    Tuning {
        /// From 1.
        index: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// Bodies of no type, or whose path is none.
    #[error("`[[waf.uninspected-bodies]]` number {index}: {problem}")]
    UninspectedBodies {
        /// From 1.
        index: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// Rules without text, or with two.
    #[error("`[[waf.rules]]` number {index}: {problem}")]
    Rules {
        /// From 1.
        index: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

impl WafOptions {
    /// The same options with keys that are absent here taken from `defaults`. Lists are joined, the defaults'
    /// entries first.
    #[must_use]
    pub fn or(self, defaults: &Self) -> Self {
        let joined = |mine: Vec<String>, other: &[String]| {
            let mut all = other.to_vec();
            all.extend(mine.into_iter().filter(|name| !other.contains(name)));
            all
        };
        Self {
            enabled: self.enabled.or(defaults.enabled),
            mode: self.mode.or(defaults.mode),
            ruleset: self.ruleset.or_else(|| defaults.ruleset.clone()),
            paranoia_level: self.paranoia_level.or(defaults.paranoia_level),
            detection_paranoia_level: self.detection_paranoia_level.or(defaults.detection_paranoia_level),
            inbound_threshold: self.inbound_threshold.or(defaults.inbound_threshold),
            outbound_threshold: self.outbound_threshold.or(defaults.outbound_threshold),
            inspect_response: self.inspect_response.or(defaults.inspect_response),
            request_body_limit: self.request_body_limit.or(defaults.request_body_limit),
            request_body_no_files_limit: self
                .request_body_no_files_limit
                .or(defaults.request_body_no_files_limit),
            response_body_limit: self.response_body_limit.or(defaults.response_body_limit),
            collections: self.collections.or(defaults.collections),
            exclusions: joined(self.exclusions, &defaults.exclusions),
            tuning: [defaults.tuning.clone(), self.tuning].concat(),
            uninspected_bodies: [defaults.uninspected_bodies.clone(), self.uninspected_bodies].concat(),
            rules: [defaults.rules.clone(), self.rules].concat(),
            bans: self.bans.or_else(|| defaults.bans.clone()),
            rate_limit: self.rate_limit.or_else(|| defaults.rate_limit.clone()),
        }
    }

    /// What the options mean, with the product's defaults for absent keys.
    ///
    /// # Errors
    /// When keys contradict each other; the error names them.
    pub fn resolve(&self) -> Result<Waf, WafOptionsError> {
        let paranoia_level = self.paranoia_level.unwrap_or(ParanoiaLevel::ONE);
        let request_body_limit = self.request_body_limit.unwrap_or(DEFAULT_REQUEST_BODY_LIMIT);
        let no_files = DEFAULT_REQUEST_BODY_NO_FILES_LIMIT.min(request_body_limit);
        let waf = Waf {
            enabled: self.enabled.unwrap_or(true),
            mode: self.mode.unwrap_or_default(),
            ruleset: self.ruleset.clone().unwrap_or_default(),
            paranoia_level,
            detection_paranoia_level: self.detection_paranoia_level.unwrap_or(paranoia_level),
            inbound_threshold: self.inbound_threshold.unwrap_or(DEFAULT_INBOUND_THRESHOLD),
            outbound_threshold: self.outbound_threshold.unwrap_or(DEFAULT_OUTBOUND_THRESHOLD),
            inspect_response: self.inspect_response.unwrap_or(true),
            request_body_limit,
            request_body_no_files_limit: self.request_body_no_files_limit.unwrap_or(no_files),
            response_body_limit: self.response_body_limit.unwrap_or(DEFAULT_RESPONSE_BODY_LIMIT),
            collections: self.collections.unwrap_or_default(),
            exclusions: self.exclusions.clone(),
            tuning: self.tuning.clone(),
            uninspected_bodies: self.uninspected_bodies.clone(),
            rules: self.rules.clone(),
            bans: self.bans.as_ref().and_then(BanOptions::resolve),
            rate_limit: self.rate_limit.clone(),
        };
        waf.check()?;
        Ok(waf)
    }
}

impl Default for Waf {
    /// The product's defaults: on, blocking, base ruleset, paranoia level 1.
    #[expect(clippy::expect_used, reason = "a test resolves the empty options")]
    fn default() -> Self {
        WafOptions::default().resolve().expect("defaults agree")
    }
}

impl Waf {
    fn check(&self) -> Result<(), WafOptionsError> {
        let (blocking, detection) = (self.paranoia_level.get(), self.detection_paranoia_level.get());
        if detection < blocking {
            return Err(WafOptionsError::DetectionBelowBlocking { blocking, detection });
        }
        let numbers = [
            ("inbound-threshold", u64::from(self.inbound_threshold)),
            ("outbound-threshold", u64::from(self.outbound_threshold)),
            ("request-body-limit", self.request_body_limit.0),
            ("bans.threshold", self.bans.as_ref().map_or(1, |bans| u64::from(bans.threshold))),
            ("rate-limit.requests", self.rate_limit.as_ref().map_or(1, |rate| u64::from(rate.requests))),
            ("rate-limit.per", self.rate_limit.as_ref().map_or(1, |rate| u64::from(!rate.per.0.is_zero()))),
        ];
        if let Some((key, _)) = numbers.into_iter().find(|(_, value)| *value == 0) {
            return Err(WafOptionsError::Zero { key });
        }
        let (part, whole) = (self.request_body_no_files_limit, self.request_body_limit);
        if part > whole {
            return Err(WafOptionsError::PartAboveWhole { part, whole });
        }
        for (index, tuning) in self.tuning.iter().enumerate() {
            tuning.check().map_err(|problem| WafOptionsError::Tuning { index: index + 1, problem })?;
        }
        for (index, bodies) in self.uninspected_bodies.iter().enumerate() {
            let refuse = |problem| WafOptionsError::UninspectedBodies { index: index + 1, problem };
            bodies.check().map_err(refuse)?;
        }
        for (index, rules) in self.rules.iter().enumerate() {
            rules.check().map_err(|problem| WafOptionsError::Rules { index: index + 1, problem })?;
        }
        Ok(())
    }
}

impl fmt::Display for WafMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::Detect => "detect",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> WafOptions {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn absent_means_on_blocking_base_level_one() {
        let waf = Waf::default();
        assert!(waf.enabled && waf.inspect_response);
        assert_eq!((waf.mode, waf.ruleset), (WafMode::Block, RulesetChoice::Base));
        assert_eq!((waf.paranoia_level.get(), waf.inbound_threshold, waf.outbound_threshold), (1, 5, 4));
    }

    #[test]
    fn app_overrides_server_defaults() {
        let server = options("mode = 'detect'\nruleset = 'owasp-crs'\nexclusions = ['a']");
        let app = options("mode = 'block'\nparanoia_level = 2\nexclusions = ['a', 'b']");
        let waf = app.or(&server).resolve().unwrap();
        assert_eq!((waf.mode, waf.ruleset), (WafMode::Block, RulesetChoice::OwaspCrs));
        assert_eq!(waf.detection_paranoia_level.get(), 2);
        assert_eq!(waf.exclusions, ["a", "b"]);
    }

    #[test]
    fn contradictions_name_the_keys() {
        for (text, message) in [
            ("paranoia-level = 3\ndetection-paranoia-level = 2", "is lower than `paranoia-level` (3)"),
            ("inbound-threshold = 0", "`inbound-threshold` must be at least 1"),
            ("request-body-limit = '1k'\nrequest-body-no-files-limit = '2k'", "(2K) is larger"),
            ("[[tuning]]\npath = '/x'", "number 1: `disable` names no rule"),
            ("[[tuning]]\ndisable = [1]\npath = 'x'", "must start with `/`"),
            ("[[tuning]]\ndisable = [1]\ntargets = ['ARGS:a\"']", "one per entry"),
            (
                "[[uninspected-bodies]]\npath = '/x'",
                "`[[waf.uninspected-bodies]]` number 1: `content-types` names",
            ),
            ("[[rules]]\nname = 'x'", "`seclang` or `file` is missing"),
            ("[[rules]]\nfile = '../x.conf'", "must lie inside"),
            ("[rate-limit]\nrequests = 0", "rate-limit.requests"),
        ] {
            let error = options(text).resolve().unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn resolved_form_round_trips_through_json() {
        let waf = options("ruleset = './own/'\n[[tuning]]\ndisable = ['1-2']\n[bans]\nwindow = '5m'")
            .resolve()
            .unwrap();
        let json = serde_json::to_string(&waf).unwrap();
        assert_eq!(serde_json::from_str::<Waf>(&json).unwrap(), waf);
    }
}
