//! Which parts of a manifest are read but not yet acted on, so that nobody is told a lie by silence.

use super::Manifest;
use super::environment::EnvValue;

/// A part of the manifest that was understood and is not acted on yet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unenforced {
    /// The section or key, e.g. `[limits]`.
    pub part: String,
    /// What that means for the app.
    pub consequence: String,
}

impl std::fmt::Display for Unenforced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is read but not enforced yet: {}", self.part, self.consequence)
    }
}

/// The parts of `manifest` that nothing acts on yet, in the order of the reference. A part that the caller does
/// act on is passed in `enforced` by its name (e.g. `[waf.bans]`) and left out.
#[must_use]
pub fn unenforced(manifest: &Manifest, enforced: &[&str]) -> Vec<Unenforced> {
    let generated = manifest.env.variables.values().any(|value| !matches!(value, EnvValue::Literal(_)));
    let languages = [
        &manifest.build.node,
        &manifest.build.ruby,
        &manifest.build.go,
        &manifest.build.rust,
        &manifest.build.php,
        &manifest.build.java,
    ];
    let parts: &[(bool, &str, &str)] = &[
        (
            !manifest.build.packages.is_empty() || !manifest.run.packages.is_empty(),
            "packages",
            "install the system packages yourself",
        ),
        (
            languages.iter().any(|version| version.is_some()),
            "[build] language versions",
            "the version found is used",
        ),
        (!manifest.build.test.is_empty(), "[build] test", "the commands are not run"),
        (manifest.deploy.strategy.is_some(), "[deploy] strategy", "releases are swapped blue-green"),
        (generated, "[env] generate, from, key", "these variables are not set; use config:set"),
        (!manifest.env.computed.is_empty(), "[env.computed]", "these variables are not set; use config:set"),
        (!manifest.addons.is_empty(), "[[addons]]", "no service is created or attached"),
        (!manifest.domains.is_empty(), "[domains]", "the app answers on its default host name only"),
        (manifest.limits != Default::default(), "[limits]", "the app may use all of the machine"),
        (!manifest.volumes.is_empty(), "[[volumes]]", "the folders do not outlive a release"),
        (
            !manifest.ports.is_empty() || !manifest.seed_ports.is_empty(),
            "[[ports]]",
            "only HTTP reaches the app",
        ),
        (!manifest.cron.is_empty(), "[[cron]]", "the commands are not run"),
        (!manifest.waf.exclusions.is_empty(), "[waf] exclusions", "no exclusion package is loaded"),
        (!manifest.waf.tuning.is_empty(), "[[waf.tuning]]", "the rules stay on"),
        (
            !manifest.waf.uninspected_bodies.is_empty(),
            "[[waf.uninspected-bodies]]",
            "bodies are read whole and inspected",
        ),
        (!manifest.waf.rules.is_empty(), "[[waf.rules]]", "your own rules are not loaded"),
        (manifest.waf.bans.is_some(), "[waf.bans]", "nobody is banned"),
        (manifest.waf.rate_limit.is_some(), "[waf.rate-limit]", "requests are not limited"),
        (manifest.sandbox != Default::default(), "[sandbox]", "the app is not confined"),
        (manifest.backup != Default::default(), "[backup]", "nothing is backed up"),
        (manifest.admin != Default::default(), "[admin]", "no account is created"),
        (manifest.smoke_test != Default::default(), "[test]", "no smoke test is run"),
        (manifest.has_nix, "[nix]", "there is no nix builder yet"),
    ];
    let is_open = |(present, part, _): &&(bool, &str, &str)| *present && !enforced.contains(part);
    let state = |(_, part, consequence): &(bool, &str, &str)| Unenforced {
        part: (*part).to_owned(),
        consequence: (*consequence).to_owned(),
    };
    parts.iter().filter(is_open).map(state).collect()
}
