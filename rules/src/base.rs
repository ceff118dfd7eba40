//! The rule files that are part of the executable.

/// Engine settings that hold for every ruleset.
pub(crate) const ENGINE: (&str, &str) =
    ("hop3/engine/recommended.conf", include_str!("../engine/recommended.conf"));

/// The base ruleset's rule files, in the order in which they are read.
pub(crate) const RULES: &[(&str, &str)] = &[
    ("hop3/base/10-start.conf", include_str!("../base/10-start.conf")),
    ("hop3/base/20-protocol.conf", include_str!("../base/20-protocol.conf")),
    ("hop3/base/30-scanners.conf", include_str!("../base/30-scanners.conf")),
    ("hop3/base/40-traversal.conf", include_str!("../base/40-traversal.conf")),
    ("hop3/base/50-command-injection.conf", include_str!("../base/50-command-injection.conf")),
    ("hop3/base/60-injection.conf", include_str!("../base/60-injection.conf")),
    ("hop3/base/90-decision.conf", include_str!("../base/90-decision.conf")),
    ("hop3/base/95-responses.conf", include_str!("../base/95-responses.conf")),
];

/// The phrase lists that those rules name.
pub(crate) const DATA: &[(&str, &str)] = &[
    ("hop3/base/database-errors.data", include_str!("../base/database-errors.data")),
    ("hop3/base/private-files.data", include_str!("../base/private-files.data")),
    ("hop3/base/scanners.data", include_str!("../base/scanners.data")),
];

/// Version of the base ruleset, as its component signature says it.
pub(crate) const VERSION: &str = "1.0.0";
