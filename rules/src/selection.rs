//! What one application asks of the firewall, resolved: nothing optional that has a default.

use std::fmt;
use std::path::PathBuf;

use crate::Version;

/// Which rules an application gets, and how they are set up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// The ruleset.
    pub ruleset: RulesetName,
    /// Whether verdicts are carried out.
    pub mode: Mode,
    /// Paranoia level whose rules can refuse, 1 to 4.
    pub paranoia_level: u8,
    /// Paranoia level whose rules are evaluated, at least `paranoia_level`.
    pub detection_paranoia_level: u8,
    /// Score at which a request is refused.
    pub inbound_threshold: u32,
    /// Score at which a response is withheld.
    pub outbound_threshold: u32,
    /// Whether response bodies are inspected.
    pub inspect_response: bool,
    /// Limits of the bodies that are inspected.
    pub body_limits: BodyLimits,
    /// The application's SecLang that has to come before the ruleset (run-time exclusions).
    pub before: Vec<Snippet>,
    /// The application's SecLang that has to come after it (own rules, removals).
    pub after: Vec<Snippet>,
}

impl Selection {
    /// The product's defaults for `ruleset`.
    pub fn new(ruleset: RulesetName) -> Self {
        Self {
            ruleset,
            mode: Mode::Block,
            paranoia_level: 1,
            detection_paranoia_level: 1,
            inbound_threshold: 5,
            outbound_threshold: 4,
            inspect_response: true,
            body_limits: BodyLimits::default(),
            before: Vec::new(),
            after: Vec::new(),
        }
    }
}

/// Which rules are read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RulesetName {
    /// The embedded ruleset.
    Base,
    /// The OWASP Core Rule Set: the given version, or the one in use.
    OwaspCrs(Option<Version>),
    /// A SecLang file of the operator's own; `Include` works from there.
    File(PathBuf),
}

impl fmt::Display for RulesetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::OwaspCrs(None) => f.write_str("owasp-crs"),
            Self::OwaspCrs(Some(version)) => write!(f, "owasp-crs {version}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Whether verdicts are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Refuse what the rules refuse.
    Block,
    /// Evaluate and log only.
    Detect,
}

/// Limits of inspected bodies, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BodyLimits {
    /// Largest request body; above it the answer is 413.
    pub request: usize,
    /// Largest part of a request body that is no uploaded file.
    pub request_no_files: usize,
    /// Inspected prefix of a response body.
    pub response: usize,
}

impl Default for BodyLimits {
    /// 50 MiB, 1 MiB and 512 KiB.
    fn default() -> Self {
        Self { request: 50 << 20, request_no_files: 1 << 20, response: 512 << 10 }
    }
}

/// A piece of SecLang with the name that its errors are reported under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snippet {
    /// For example `hop3.toml [[waf.rules]] 1`.
    pub name: String,
    /// SecLang.
    pub text: String,
}
