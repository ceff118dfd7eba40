//! From the `[waf]` of an app or route to the compiled rules in front of it.
//!
//! Owns the choice of the ruleset, tuning as SecLang, sharing of compiled rulesets between apps that chose the same,
//! keeping the old rules when new ones fail, and what rules have beyond themselves: logs, persistent collections, block
//! lists. Evaluating is the engine's, installing is `hop3-rules`'.

mod block_lists;
pub mod check;
mod collections;
mod compiled;
mod explain;
mod logs;
mod owner;
mod places;
pub mod rehearsal;
pub mod strategies;
mod tuning;
mod uninspected;
mod watch;

pub use block_lists::{NameServers, SystemResolver};
pub use collections::Collections;
pub use compiled::{Compiled, Rulesets, failed};
pub use explain::explain;
pub use logs::{LogFiles, LogWriter};
pub use owner::Owner;
pub use watch::{Counts, Watch};

use std::sync::Arc;

use hop3_proxy::BanRules;
use hop3_rules::{BodyLimits, Mode, RulesetName, Selection};
use hop3_runtimes::manifest::waf::{CollectionsKept, RulesetChoice, WafMode, WafOptions};

use crate::api::wire::WafDetails;
use crate::failure::Failure;
use crate::settings::ban_rules;

/// The firewall in front of one app or static route.
#[derive(Debug, Clone)]
pub struct Shield {
    /// What verdicts do; `None` when the firewall is switched off by the owner.
    pub mode: Option<WafMode>,
    /// Levels, for display.
    pub paranoia_level: u8,
    /// See `paranoia_level`.
    pub detection_paranoia_level: u8,
    /// The rules in force; `None` when switched off.
    pub compiled: Option<Arc<Compiled>>,
    /// The logs that they ask for.
    pub logs: LogFiles,
    /// Whether persistent collections outlive the server.
    pub keeps_collections: bool,
    /// When clients are banned; `None` when they are not.
    pub bans: Option<Arc<BanRules>>,
    /// Why older rules than the configured ones are in force, when they are.
    pub alarm: Option<String>,
}

impl Shield {
    /// Compiles what `options` ask for, or finds it compiled already.
    ///
    /// # Errors
    /// Contradictions in the options, a ruleset that is not installed (the hint is the command to type), an error
    /// in a rule (file, line, column, caret), or a log where the owner may write none.
    pub fn raise(options: &WafOptions, owner: &Owner, rulesets: &Rulesets) -> Result<Shield, Failure> {
        let waf =
            options.resolve().map_err(|error| Failure::usage("[waf] contradicts itself").because(&error))?;
        let mut shield = Shield {
            mode: waf.enabled.then_some(waf.mode),
            paranoia_level: waf.paranoia_level.get(),
            detection_paranoia_level: waf.detection_paranoia_level.get(),
            compiled: None,
            logs: LogFiles::default(),
            keeps_collections: waf.collections == CollectionsKept::Stored,
            bans: waf.bans.as_ref().map(|bans| Arc::new(ban_rules(bans))),
            alarm: None,
        };
        if !waf.enabled {
            return Ok(shield);
        }
        let unread = uninspected::snippet(&waf.uninspected_bodies);
        let snippets = tuning::snippets(&waf.tuning, &waf.rules, owner)?;
        let defaults = BodyLimits::default();
        let or =
            |size: Option<u64>, default| size.and_then(|size| usize::try_from(size).ok()).unwrap_or(default);
        let request = or(options.request_body_limit.map(|size| size.0), defaults.request);
        let selection = Selection {
            ruleset: ruleset(options.ruleset.as_ref(), owner, rulesets)?,
            mode: match waf.mode {
                WafMode::Block => Mode::Block,
                WafMode::Detect => Mode::Detect,
            },
            paranoia_level: waf.paranoia_level.get(),
            detection_paranoia_level: waf.detection_paranoia_level.get(),
            inbound_threshold: waf.inbound_threshold,
            outbound_threshold: waf.outbound_threshold,
            inspect_response: waf.inspect_response,
            body_limits: BodyLimits {
                request,
                request_no_files: or(
                    options.request_body_no_files_limit.map(|size| size.0),
                    defaults.request_no_files.min(request),
                ),
                response: or(options.response_body_limit.map(|size| size.0), defaults.response),
            },
            // Own rules come later: they may have the last word.
            before: unread.into_iter().chain(snippets.before).collect(),
            after: snippets.after,
        };
        let compiled = rulesets.compiled(&selection)?;
        if let Some(place) = &owner.logs {
            shield.logs = LogFiles::of(&compiled.ruleset, place)?;
        }
        shield.compiled = Some(compiled);
        Ok(shield)
    }

    /// What is shown of it for `app`.
    pub fn details(&self, app: &str, counts: Counts) -> WafDetails {
        let compiled = self.compiled.as_deref();
        WafDetails {
            app: app.to_owned(),
            mode: match self.mode {
                Some(WafMode::Block) => "block",
                Some(WafMode::Detect) => "detect",
                None => "off",
            }
            .to_owned(),
            ruleset: compiled.map_or_else(|| "-".to_owned(), |compiled| compiled.name.clone()),
            version: compiled.and_then(|compiled| compiled.version.clone()),
            rules: compiled.map_or(0, |compiled| compiled.ruleset.rule_count()),
            paranoia_level: self.paranoia_level,
            detection_paranoia_level: self.detection_paranoia_level,
            blocked: counts.blocked,
            detected: counts.detected,
            alarm: self.alarm.clone(),
        }
    }
}

/// The ruleset that is meant: the one chosen; without a choice the Core Rule Set when one is installed, else the base
/// ruleset. The version is fixed here, so that equal selections mean equal rules.
fn ruleset(
    choice: Option<&RulesetChoice>,
    owner: &Owner,
    rulesets: &Rulesets,
) -> Result<RulesetName, Failure> {
    let folder = owner.folder.as_deref();
    let current = || rulesets.store().current().map_err(|error| compiled::failed(&error));
    Ok(match choice {
        Some(RulesetChoice::Base) => RulesetName::Base,
        Some(RulesetChoice::OwaspCrs) => match current()? {
            Some(version) => RulesetName::OwaspCrs(Some(version)),
            None => {
                let who = if folder.is_some() { "the app" } else { "the route" };
                return Err(Failure::conflict(format!("{who} asks for `ruleset = \"owasp-crs\"`"))
                    .cause("no OWASP Core Rule Set is installed on this server")
                    .hint("run `hop3 rules install owasp-crs`"));
            }
        },
        // The path of a static route is the operator's own; that of an app must lie in the app's folder.
        Some(RulesetChoice::Path(path)) => RulesetName::File(match folder {
            Some(folder) => tuning::inside(folder, path)?,
            None => path.clone(),
        }),
        None => match current()? {
            Some(version) => RulesetName::OwaspCrs(Some(version)),
            None => RulesetName::Base,
        },
    })
}
