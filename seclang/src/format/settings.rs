//! Settings as text.

use super::quoted;
use crate::ast::Setting;

/// Name of the directive and its arguments.
pub(super) fn arguments(setting: &Setting) -> (&'static str, Vec<String>) {
    use Setting as S;
    let switch = |on: &bool| vec![String::from(if *on { "On" } else { "Off" })];
    let number = |value: &u64| vec![value.to_string()];
    let text = |value: &String| vec![quoted(value)];
    let mode = |mode: &Option<u32>| vec![mode.map_or_else(|| "default".into(), |mode| format!("{mode:04o}"))];
    match setting {
        S::RuleEngine(mode) => ("SecRuleEngine", vec![mode.to_string()]),
        S::RxMode(mode) => ("SecRxMode", vec![mode.to_string()]),
        S::Compatibility(meaning) => ("SecCompatibility", vec![meaning.to_string()]),
        S::RemoteRulesFailAction(action) => ("SecRemoteRulesFailAction", vec![action.to_string()]),
        S::MaskSecrets(on) => ("SecMaskSecrets", switch(on)),
        S::JsonArrayPrefix(on) => ("SecJsonArrayPrefix", switch(on)),
        S::RequestBodyAccess(on) => ("SecRequestBodyAccess", switch(on)),
        S::RequestBodyLimit(n) => ("SecRequestBodyLimit", number(n)),
        S::RequestBodyNoFilesLimit(n) => ("SecRequestBodyNoFilesLimit", number(n)),
        S::RequestBodyLimitAction(action) => ("SecRequestBodyLimitAction", vec![action.to_string()]),
        S::RequestBodyJsonDepthLimit(n) => ("SecRequestBodyJsonDepthLimit", number(n)),
        S::RequestBodyProcessor(name) => ("SecRequestBodyProcessor", vec![name.to_string()]),
        S::ArgumentsLimit(n) => ("SecArgumentsLimit", number(n)),
        S::ArgumentSeparator(byte) => ("SecArgumentSeparator", vec![quoted(&char::from(*byte).to_string())]),
        S::ParseXmlIntoArgs(mode) => ("SecParseXmlIntoArgs", vec![mode.to_string()]),
        S::XmlExternalEntity(on) => ("SecXmlExternalEntity", switch(on)),
        S::ResponseBodyAccess(on) => ("SecResponseBodyAccess", switch(on)),
        S::ResponseBodyLimit(n) => ("SecResponseBodyLimit", number(n)),
        S::ResponseBodyLimitAction(action) => ("SecResponseBodyLimitAction", vec![action.to_string()]),
        S::ResponseBodyMimeType(types) => ("SecResponseBodyMimeType", types.clone()),
        S::ResponseBodyMimeTypesClear => ("SecResponseBodyMimeTypesClear", vec![]),
        S::PcreMatchLimit(n) => ("SecPcreMatchLimit", number(n)),
        S::CollectionTimeout(time) => ("SecCollectionTimeout", number(&time.as_secs())),
        S::UnicodeMapFile(map) => {
            ("SecUnicodeMapFile", vec![quoted(&map.path.to_string_lossy()), map.code_page.to_string()])
        }
        S::AuditEngine(engine) => ("SecAuditEngine", vec![engine.to_string()]),
        S::AuditLog(path) => ("SecAuditLog", text(path)),
        S::AuditLog2(path) => ("SecAuditLog2", text(path)),
        S::AuditLogDirMode(value) => ("SecAuditLogDirMode", mode(value)),
        S::AuditLogFileMode(value) => ("SecAuditLogFileMode", mode(value)),
        S::AuditLogFormat(format) => ("SecAuditLogFormat", vec![format.to_string()]),
        S::AuditLogParts(parts) => ("SecAuditLogParts", vec![parts.letters().collect()]),
        S::AuditLogRelevantStatus(pattern) => ("SecAuditLogRelevantStatus", text(pattern)),
        S::AuditLogStorageDir(path) => ("SecAuditLogStorageDir", text(path)),
        S::AuditLogType(kind) => ("SecAuditLogType", vec![kind.to_string()]),
        S::DebugLog(path) => ("SecDebugLog", text(path)),
        S::DebugLogLevel(level) => ("SecDebugLogLevel", vec![level.to_string()]),
        S::UploadFileLimit(n) => ("SecUploadFileLimit", number(n)),
        S::ComponentSignature(name) => ("SecComponentSignature", text(name)),
        S::SensorId(name) => ("SecSensorId", text(name)),
        S::WebAppId(name) => ("SecWebAppId", text(name)),
        S::GeoLookupDb(database) => ("SecGeoLookupDb", vec![quoted(&database.path.to_string_lossy())]),
        S::HttpBlKey(key) => ("SecHttpBlKey", text(key)),
        S::IgnoreRuleCompilationErrors(on) => ("SecIgnoreRuleCompilationErrors", switch(on)),
        S::Dataset { name, lines } => {
            ("SecDataset", vec![name.clone(), format!("`\n{}\n`", lines.join("\n"))])
        }
    }
}
