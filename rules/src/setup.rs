//! SecLang that carries a selection into the ruleset: engine mode, limits, paranoia, thresholds.

use crate::selection::{Mode, Selection};

/// Directives to be read right after the engine's own settings and before any rule.
///
/// Both generations of the Core Rule Set are served: version 3 reads
/// `tx.paranoia_level` and `tx.executing_paranoia_level`, version 4
/// `tx.blocking_paranoia_level` and `tx.detection_paranoia_level`.
pub(crate) fn directives(selection: &Selection) -> String {
    let mode = match selection.mode {
        Mode::Block => "On",
        Mode::Detect => "DetectionOnly",
    };
    let limits = selection.body_limits;
    let response = if selection.inspect_response { "On" } else { "Off" };
    let variables = [
        ("blocking_paranoia_level", u32::from(selection.paranoia_level)),
        ("detection_paranoia_level", u32::from(selection.detection_paranoia_level)),
        ("paranoia_level", u32::from(selection.paranoia_level)),
        ("executing_paranoia_level", u32::from(selection.detection_paranoia_level)),
        ("inbound_anomaly_score_threshold", selection.inbound_threshold),
        ("outbound_anomaly_score_threshold", selection.outbound_threshold),
    ];
    let actions: String =
        variables.iter().map(|(name, value)| format!(",\\\n    setvar:'tx.{name}={value}'")).collect();
    format!(
        "SecRuleEngine {mode}\n\
         SecRequestBodyLimit {}\n\
         SecRequestBodyNoFilesLimit {}\n\
         SecResponseBodyAccess {response}\n\
         SecResponseBodyLimit {}\n\
         SecAction \"id:8100100,phase:1,pass,nolog,t:none{actions}\"\n",
        limits.request, limits.request_no_files, limits.response,
    )
}
