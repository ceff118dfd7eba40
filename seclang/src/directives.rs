//! Every directive of ModSecurity v3 and Coraza, with its state.
//!
//! The parser dispatches on this table and the documentation is made from it,
//! so that none is ever ignored in silence.

/// What happens to a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has its documented meaning.
    Implemented,
    /// It has its documented meaning in part; the reason says which.
    Partial(&'static str),
    /// It is read and has no effect; the reason is reported as a warning.
    Inert(&'static str),
    /// The document is refused; the reason says what to use instead.
    Refused(&'static str),
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Specification {
    /// Canonical spelling; look-up ignores case.
    pub name: &'static str,
    /// What happens to it.
    pub state: State,
    /// Number of arguments: at least, at most.
    pub arguments: (usize, usize),
}

/// Finds a directive, ignoring case.
pub fn find(name: &str) -> Option<&'static Specification> {
    TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// The table as Markdown with a heading: `DIRECTIVES.md` of this crate.
pub fn reference() -> String {
    let count = |wanted: fn(&State) -> bool| TABLE.iter().filter(|row| wanted(&row.state)).count();
    let mut out = format!(
        "# SecLang directives\n\n\
         Generated from the table that the parser dispatches on; `cargo test -p hop3-seclang` fails when the two differ \
         (`HOP3_WRITE_REFERENCE=1` writes this file anew).\n\n\
         {} directives of ModSecurity v3, Coraza and Hop3: {} implemented, {} in part, {} without effect and with a \
         warning, {} refused with an error. None is ignored in silence.\n\n\
         | directive | state | why, and what to use instead |\n|---|---|---|\n",
        TABLE.len(),
        count(|state| matches!(state, State::Implemented)),
        count(|state| matches!(state, State::Partial(_))),
        count(|state| matches!(state, State::Inert(_))),
        count(|state| matches!(state, State::Refused(_))),
    );
    for row in TABLE {
        let (state, why) = match row.state {
            State::Implemented => ("implemented", ""),
            State::Partial(why) => ("in part", why),
            State::Inert(why) => ("no effect, with a warning", why),
            State::Refused(why) => ("refused", why),
        };
        out.push_str(&format!("| `{}` | {state} | {why} |\n", row.name));
    }
    out.push_str(
        "\n## Lints\n\nWhat `hop3 waf check` reports beside errors.\n\n| lint | finds |\n|---|---|\n",
    );
    for (name, finds) in crate::lint::LINTS {
        out.push_str(&format!("| {name} | {finds} |\n"));
    }
    out
}

const fn row(name: &'static str, least: usize, most: usize) -> Specification {
    Specification { name, state: State::Implemented, arguments: (least, most) }
}

const fn inert(name: &'static str, why: &'static str) -> Specification {
    Specification { name, state: State::Inert(why), arguments: (0, usize::MAX) }
}

const fn refused(name: &'static str, why: &'static str) -> Specification {
    Specification { name, state: State::Refused(why), arguments: (0, usize::MAX) }
}

const MANY: usize = usize::MAX;
const NO_HASH: &str = "signing of links in pages is not offered; let the application sign its own links";
const NO_REMOTE: &str = "rules are never fetched while they load, which counts as a failed download (SecRemoteRulesFailAction); download them, check them, and use `Include`, or `hop3 rules install`";
const NO_STREAM: &str = "rewriting of bodies is not offered; use SecRequestBodyAccess, SecResponseBodyAccess and REQUEST_BODY, RESPONSE_BODY";
const NO_UPLOADS: &str =
    "uploads are inspected in memory and never written to disk; part C of the audit log keeps request bodies";
const NO_CONNECTIONS: &str =
    "connections are limited before the firewall; set limits and bans in the server's configuration";

/// The table, in alphabetical order.
pub const TABLE: &[Specification] = &[
    row("Include", 1, 1),
    row("IncludeOptional", 1, 1),
    row("SecAction", 1, 1),
    row("SecArgumentSeparator", 1, 1),
    row("SecArgumentsLimit", 1, 1),
    row("SecAuditEngine", 1, 1),
    row("SecAuditLog", 1, 1),
    row("SecAuditLog2", 1, 1),
    row("SecAuditLogDirMode", 1, 1),
    row("SecAuditLogFileMode", 1, 1),
    row("SecAuditLogFormat", 1, 1),
    row("SecAuditLogParts", 1, 1),
    inert(
        "SecAuditLogPrefix",
        "records have no prefix; name the log with SecAuditLog, and the sensor with SecSensorId",
    ),
    row("SecAuditLogRelevantStatus", 1, 1),
    row("SecAuditLogStorageDir", 1, 1),
    row("SecAuditLogType", 1, 1),
    inert("SecCacheTransformations", "transformed values are always shared between rules"),
    refused("SecChrootDir", "the server has its own sandbox; remove the directive"),
    row("SecCollectionTimeout", 1, 1),
    row("SecCompatibility", 1, 1),
    row("SecComponentSignature", 1, 1),
    refused("SecConnEngine", NO_CONNECTIONS),
    refused("SecConnReadStateLimit", NO_CONNECTIONS),
    refused("SecConnWriteStateLimit", NO_CONNECTIONS),
    refused(
        "SecContentInjection",
        "bodies of responses are not changed; remove the directive, and `append` and `prepend`",
    ),
    inert("SecCookieFormat", "cookies are read as version 0 (RFC 6265), as browsers send them"),
    inert("SecCookieV0Separator", "only `;` separates cookies (RFC 6265)"),
    inert(
        "SecDataDir",
        "records of persistent collections are kept in memory, and by the server in its own store",
    ),
    row("SecDataset", 2, 2),
    row("SecDebugLog", 1, 1),
    row("SecDebugLogLevel", 1, 1),
    row("SecDefaultAction", 1, 1),
    inert("SecDisableBackendCompression", "compressed responses are unpacked for inspection"),
    row("SecGeoLookupDb", 1, 1),
    refused(
        "SecGsbLookupDb",
        "the Safe Browsing list in that form is no longer published; use `@rbl` or `@pmFromFile`",
    ),
    refused(
        "SecGuardianLog",
        "httpd-guardian is not supported; use the access log and the bans of the server",
    ),
    refused("SecHashEngine", NO_HASH),
    refused("SecHashKey", NO_HASH),
    refused("SecHashMethodPm", NO_HASH),
    refused("SecHashMethodRx", NO_HASH),
    refused("SecHashParam", NO_HASH),
    row("SecHttpBlKey", 1, 1),
    row("SecIgnoreRuleCompilationErrors", 1, 1),
    inert("SecInterceptOnError", "errors of the engine always fail closed"),
    row("SecJsonArrayPrefix", 1, 1),
    row("SecMarker", 1, 1),
    row("SecMaskSecrets", 1, 1),
    row("SecParseXmlIntoArgs", 1, 1),
    row("SecPcreMatchLimit", 1, 1),
    inert("SecPcreMatchLimitRecursion", "the matcher does not recurse; SecPcreMatchLimit bounds its steps"),
    refused("SecReadStateLimit", NO_CONNECTIONS),
    Specification { name: "SecRemoteRules", state: State::Partial(NO_REMOTE), arguments: (2, 2) },
    row("SecRemoteRulesFailAction", 1, 1),
    row("SecRequestBodyAccess", 1, 1),
    inert("SecRequestBodyInMemoryLimit", "bodies are inspected in memory, up to SecRequestBodyLimit"),
    row("SecRequestBodyJsonDepthLimit", 1, 1),
    row("SecRequestBodyLimit", 1, 1),
    row("SecRequestBodyLimitAction", 1, 1),
    row("SecRequestBodyNoFilesLimit", 1, 1),
    row("SecRequestBodyProcessor", 1, 1),
    row("SecResponseBodyAccess", 1, 1),
    row("SecResponseBodyLimit", 1, 1),
    row("SecResponseBodyLimitAction", 1, 1),
    row("SecResponseBodyMimeType", 1, MANY),
    row("SecResponseBodyMimeTypesClear", 0, 0),
    row("SecRule", 2, 3),
    row("SecRuleEngine", 1, 1),
    refused("SecRuleInheritance", "every app has its own rules; say in the app's `[waf]` which ones"),
    inert("SecRulePerfTime", "rules are not timed one by one; measure whole rulesets with `hop3 waf bench`"),
    row("SecRuleRemoveById", 1, MANY),
    row("SecRuleRemoveByMsg", 1, MANY),
    row("SecRuleRemoveByTag", 1, MANY),
    row("SecRuleScript", 1, 2),
    row("SecRuleUpdateActionById", 2, 2),
    row("SecRuleUpdateTargetById", 2, 3),
    row("SecRuleUpdateTargetByMsg", 2, 3),
    row("SecRuleUpdateTargetByTag", 2, 3),
    row("SecRxMode", 1, 1),
    inert("SecRxPreFilter", "every pattern has a filter that is proven to lose no match"),
    row("SecSensorId", 1, 1),
    inert("SecServerSignature", "the firewall does not write the `Server` header; the application does"),
    inert("SecStatusEngine", "nothing is reported to anyone"),
    refused("SecStreamInBodyInspection", NO_STREAM),
    refused("SecStreamOutBodyInspection", NO_STREAM),
    inert("SecTmpDir", NO_UPLOADS),
    inert("SecTmpSaveUploadedFiles", NO_UPLOADS),
    inert("SecUnicodeCodePage", "the code page is the second argument of SecUnicodeMapFile"),
    refused("SecUnicodeMap", "use `SecUnicodeMapFile FILE CODEPAGE`"),
    row("SecUnicodeMapFile", 1, 2),
    inert("SecUploadDir", NO_UPLOADS),
    row("SecUploadFileLimit", 1, 1),
    inert("SecUploadFileMode", NO_UPLOADS),
    inert("SecUploadKeepFiles", NO_UPLOADS),
    row("SecWebAppId", 1, 1),
    refused("SecWriteStateLimit", NO_CONNECTIONS),
    row("SecXmlExternalEntity", 1, 1),
];

#[cfg(test)]
mod tests {
    use super::{State, TABLE, find, reference};
    use crate::loader::MemoryLoader;
    use crate::parse_str;

    #[test]
    fn the_table_is_sorted_and_found() {
        assert!(TABLE.is_sorted_by(|a, b| a.name.to_ascii_lowercase() < b.name.to_ascii_lowercase()));
        assert_eq!(find("secruleengine").map(|row| row.name), Some("SecRuleEngine"));
        assert_eq!(find("SecRuleEngines"), None);
    }

    #[test]
    fn the_parser_does_what_the_table_says() {
        for row in TABLE {
            let text = format!("{} {}", row.name, "x ".repeat(row.arguments.0));
            let result = parse_str("table.conf", &text, &MemoryLoader::new());
            let said = result.as_ref().map_or_else(
                |errors| errors.to_string(),
                |document| {
                    document.warnings.iter().map(|warning| warning.render(&document.sources)).collect()
                },
            );
            match row.state {
                State::Implemented => {
                    assert!(!said.contains("has no reader") && !said.contains("not supported"), "{said}")
                }
                State::Partial(why) => assert!(said.contains(why), "{said}"),
                State::Inert(why) => {
                    assert!(result.is_ok() && said.contains("has no effect") && said.contains(why), "{said}")
                }
                State::Refused(why) => assert!(
                    result.is_err() && said.contains("is not supported") && said.contains(why),
                    "{said}"
                ),
            }
        }
    }

    #[test]
    fn the_documentation_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/DIRECTIVES.md");
        let generated = reference();
        assert_eq!(generated.lines().filter(|line| line.starts_with("| `")).count(), TABLE.len());
        if std::env::var_os("HOP3_WRITE_REFERENCE").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == generated, "DIRECTIVES.md is not what the table says: set HOP3_WRITE_REFERENCE=1");
    }
}
