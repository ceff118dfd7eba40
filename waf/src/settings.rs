//! Settings of a ruleset: what the directives that are no rules say.

use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::ast::{
    AuditEngine, AuditParts, BodyProcessor, Compatibility, RxMode, Setting, XmlIntoArgs,
};

pub use hop3_seclang::ast::{AuditFormat, AuditType, EngineMode, LimitAction};

use crate::geo::Places;
use crate::regex::{Flags, Pattern};

/// Settings with their values; the defaults are those of ModSecurity's recommended configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// `SecRuleEngine`.
    pub engine: EngineMode,
    /// `SecRequestBodyAccess`: whether request bodies are inspected.
    pub request_body_access: bool,
    /// `SecRequestBodyLimit`, in bytes.
    pub request_body_limit: usize,
    /// `SecRequestBodyNoFilesLimit`, in bytes.
    pub request_body_no_files_limit: usize,
    /// `SecRequestBodyLimitAction`.
    pub request_body_limit_action: LimitAction,
    /// `SecRequestBodyJsonDepthLimit`, in levels.
    pub json_depth_limit: usize,
    /// `SecArgumentsLimit`: most arguments of a request.
    pub arguments_limit: usize,
    /// `SecArgumentSeparator`.
    pub argument_separator: u8,
    /// `SecUploadFileLimit`: most files in a request.
    pub upload_file_limit: usize,
    /// `SecResponseBodyAccess`: whether response bodies are inspected.
    pub response_body_access: bool,
    /// `SecResponseBodyLimit`, in bytes.
    pub response_body_limit: usize,
    /// `SecResponseBodyLimitAction`.
    pub response_body_limit_action: LimitAction,
    /// `SecResponseBodyMimeType`, in lower case; an empty text stands for responses without a type.
    pub response_body_mime_types: Vec<String>,
    /// `SecPcreMatchLimit`: how often the backtracking engine may return to an earlier choice.
    pub pcre_match_limit: u64,
    /// `SecCollectionTimeout`: how long an idle record of a persistent collection lives.
    pub collection_timeout: Duration,
    /// `SecAuditEngine`.
    pub audit_engine: AuditEngine,
    /// `SecAuditLogParts`.
    pub audit_log_parts: AuditParts,
    /// `SecAuditLogRelevantStatus`, as written.
    pub audit_relevant_status: Option<String>,
    /// Where and how the host writes the audit log.
    pub audit_log: AuditLogSettings,
    /// Where the host writes the debug log, and how much of it.
    pub debug_log: DebugLogSettings,
    /// `SecMaskSecrets` (ours): whether secrets are masked in everything that is told about a transaction.
    pub mask_secrets: bool,
    /// `SecWebAppId`.
    pub web_app_id: String,
    /// `SecSensorId`.
    pub sensor_id: String,
    /// `SecHttpBlKey`, before the names that `@rbl` asks a Project Honey Pot list for.
    pub(crate) http_bl_key: Option<String>,
    /// `SecCompatibility`: whether v3's meaning counts where it differs from all others'.
    pub(crate) as_v3: bool,
    /// Whether every pattern runs within `pcre_match_limit`, on the backtracking engine.
    pub(crate) limits_all_patterns: bool,
    /// `SecXmlExternalEntity`: whether XML may be validated.
    pub(crate) xml_external_entity: bool,
    pub(crate) default_processor: Option<BodyProcessor>,
    pub(crate) xml_into_args: XmlIntoArgs,
    pub(crate) json_array_prefix: bool,
    /// Whether a rule asks more of XML bodies than their text and attributes.
    pub(crate) needs_xml_tree: bool,
    pub(crate) rx_mode: RxMode,
    pub(crate) places: Option<Arc<Places>>,
    pub(crate) audit_relevant_pattern: Option<Arc<Pattern>>,
    pub(crate) unicode_map: Option<Arc<hop3_transformations::UnicodeMap>>,
}

/// `SecAuditLog…`: what a host has to know to write the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditLogSettings {
    /// `SecAuditLog`: the file of the serial log, or the index of the concurrent one.
    pub path: Option<String>,
    /// `SecAuditLog2`: a second index of the concurrent one, written instead of the first.
    pub second_path: Option<String>,
    /// `SecAuditLogType`.
    pub kind: AuditType,
    /// `SecAuditLogFormat`.
    pub format: AuditFormat,
    /// `SecAuditLogStorageDir`: the folder of the concurrent log.
    pub folder: Option<String>,
    /// `SecAuditLogDirMode`; `None` for the default.
    pub folder_mode: Option<u32>,
    /// `SecAuditLogFileMode`; `None` for the default.
    pub file_mode: Option<u32>,
}

/// `SecDebugLog…`: what a host has to know to write the debug log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DebugLogSettings {
    /// `SecDebugLog`: the file.
    pub path: Option<String>,
    /// `SecDebugLogLevel`, 0 (nothing) to 9 (everything).
    pub level: u8,
    /// Whether a rule may raise or lower the level for its transaction (`ctl:debugLogLevel`).
    pub is_controlled: bool,
}

impl Default for AuditLogSettings {
    fn default() -> Self {
        Self {
            path: None,
            second_path: None,
            kind: AuditType::Serial,
            format: AuditFormat::Native,
            folder: None,
            folder_mode: None,
            file_mode: None,
        }
    }
}

/// The backtracking engine never gets a smaller budget than this: the 1,000 of
/// the recommended configuration counts calls of a recursive matcher, and
/// would fail on harmless values.
const LEAST_MATCH_LIMIT: u64 = 100_000;

/// `WEBAPPID` until it is set.
const DEFAULT_APP_ID: &str = "default";

impl Default for Settings {
    fn default() -> Self {
        Self {
            engine: EngineMode::DetectionOnly,
            request_body_access: true,
            request_body_limit: 13_107_200,
            request_body_no_files_limit: 131_072,
            request_body_limit_action: LimitAction::Reject,
            json_depth_limit: 512,
            arguments_limit: 1000,
            argument_separator: b'&',
            upload_file_limit: 100,
            response_body_access: false,
            response_body_limit: 524_288,
            response_body_limit_action: LimitAction::ProcessPartial,
            response_body_mime_types: ["text/plain", "text/html", "text/xml"].map(String::from).to_vec(),
            pcre_match_limit: LEAST_MATCH_LIMIT,
            collection_timeout: Duration::from_secs(3600),
            audit_engine: AuditEngine::Off,
            audit_log_parts: AuditParts::parse("ABIJDEFHZ").unwrap_or_default(),
            audit_relevant_status: None,
            audit_relevant_pattern: None,
            audit_log: AuditLogSettings::default(),
            debug_log: DebugLogSettings::default(),
            mask_secrets: true,
            places: None,
            web_app_id: DEFAULT_APP_ID.to_owned(),
            sensor_id: String::new(),
            http_bl_key: None,
            as_v3: false,
            limits_all_patterns: false,
            xml_external_entity: false,
            default_processor: None,
            xml_into_args: XmlIntoArgs::Off,
            json_array_prefix: false,
            needs_xml_tree: false,
            rx_mode: RxMode::Text,
            unicode_map: None,
        }
    }
}

impl Settings {
    /// Applies one directive; the error says why its value cannot be used.
    pub(crate) fn apply(&mut self, setting: &Setting, state: &mut SettingState) -> Result<(), String> {
        match setting {
            Setting::RuleEngine(mode) => self.engine = *mode,
            Setting::RxMode(mode) => self.rx_mode = *mode,
            Setting::JsonArrayPrefix(on) => self.json_array_prefix = *on,
            Setting::RequestBodyAccess(on) => self.request_body_access = *on,
            Setting::RequestBodyLimit(bytes) => self.request_body_limit = size(*bytes),
            Setting::RequestBodyNoFilesLimit(bytes) => self.request_body_no_files_limit = size(*bytes),
            Setting::RequestBodyLimitAction(action) => self.request_body_limit_action = *action,
            Setting::RequestBodyJsonDepthLimit(levels) => self.json_depth_limit = size(*levels),
            Setting::ArgumentsLimit(count) => self.arguments_limit = size(*count),
            Setting::ArgumentSeparator(byte) => self.argument_separator = *byte,
            Setting::ParseXmlIntoArgs(mode) => self.xml_into_args = *mode,
            Setting::RequestBodyProcessor(processor) => self.default_processor = Some(*processor),
            Setting::UploadFileLimit(count) => self.upload_file_limit = size(*count),
            Setting::ResponseBodyAccess(on) => self.response_body_access = *on,
            Setting::ResponseBodyLimit(bytes) => self.response_body_limit = size(*bytes),
            Setting::ResponseBodyLimitAction(action) => self.response_body_limit_action = *action,
            Setting::ResponseBodyMimeType(types) => self.add_mime_types(types, state),
            Setting::ResponseBodyMimeTypesClear => {
                self.response_body_mime_types.clear();
                state.mime_types_are_ours = false;
            }
            Setting::PcreMatchLimit(limit) => {
                state.match_limit = Some(*limit);
                self.set_match_limit(state);
            }
            Setting::Compatibility(meaning) => {
                self.as_v3 = *meaning == Compatibility::ModSecurity3;
                self.set_match_limit(state);
                self.set_default_app_id(state);
            }
            Setting::XmlExternalEntity(on) => self.xml_external_entity = *on,
            Setting::CollectionTimeout(timeout) => self.collection_timeout = *timeout,
            Setting::UnicodeMapFile(map) => {
                let text = String::from_utf8_lossy(&map.contents);
                let parsed = hop3_transformations::UnicodeMap::parse(&text, map.code_page)
                    .map_err(|error| error.to_string())?;
                self.unicode_map = Some(Arc::new(parsed));
            }
            Setting::AuditEngine(mode) => self.audit_engine = *mode,
            Setting::AuditLogParts(parts) => self.audit_log_parts = *parts,
            Setting::AuditLogRelevantStatus(pattern) => {
                let compiled = Pattern::new(pattern.as_bytes(), Flags::default())
                    .map_err(|error| format!("the pattern cannot be compiled: {error}"))?;
                self.audit_relevant_pattern = Some(Arc::new(compiled));
                self.audit_relevant_status = Some(pattern.clone());
            }
            Setting::AuditLog(path) => self.audit_log.path = Some(path.clone()),
            Setting::AuditLog2(path) => self.audit_log.second_path = Some(path.clone()),
            Setting::DebugLog(path) => self.debug_log.path = Some(path.clone()),
            Setting::DebugLogLevel(level) => self.debug_log.level = *level,
            Setting::AuditLogType(kind) => self.audit_log.kind = *kind,
            Setting::AuditLogFormat(format) => self.audit_log.format = *format,
            Setting::AuditLogStorageDir(folder) => self.audit_log.folder = Some(folder.clone()),
            Setting::AuditLogDirMode(mode) => self.audit_log.folder_mode = *mode,
            Setting::AuditLogFileMode(mode) => self.audit_log.file_mode = *mode,
            Setting::MaskSecrets(on) => self.mask_secrets = *on,
            Setting::GeoLookupDb(database) => {
                let places = Places::open(database.contents.clone())
                    .map_err(|reason| format!("SecGeoLookupDb `{}`: {reason}", database.path.display()))?;
                self.places = Some(Arc::new(places));
            }
            Setting::WebAppId(id) => {
                state.app_id_is_ours = false;
                self.web_app_id.clone_from(id);
            }
            Setting::SensorId(id) => self.sensor_id.clone_from(id),
            Setting::HttpBlKey(key) => self.http_bl_key = Some(key.clone()),
            // The compiler's, and the parser's.
            Setting::ComponentSignature(_)
            | Setting::Dataset { .. }
            | Setting::IgnoreRuleCompilationErrors(_)
            | Setting::RemoteRulesFailAction(_) => {}
            other => return Err(format!("the engine does not know this setting: {other:?}")),
        }
        Ok(())
    }

    /// In v3 the limit counts for every pattern, however small it is.
    fn set_match_limit(&mut self, state: &SettingState) {
        self.limits_all_patterns = self.as_v3 && state.match_limit.is_some();
        self.pcre_match_limit = match state.match_limit {
            Some(limit) if self.as_v3 => limit,
            limit => limit.unwrap_or_default().max(LEAST_MATCH_LIMIT),
        };
    }

    fn set_default_app_id(&mut self, state: &SettingState) {
        if state.app_id_is_ours {
            self.web_app_id = if self.as_v3 { "" } else { DEFAULT_APP_ID }.to_owned();
        }
    }

    /// The first list that is written takes the place of the default one.
    fn add_mime_types(&mut self, types: &[String], state: &mut SettingState) {
        if std::mem::replace(&mut state.mime_types_are_ours, false) {
            self.response_body_mime_types.clear();
        }
        let names = types.iter().map(|name| match name.as_str() {
            "(null)" => String::new(),
            name => name.to_ascii_lowercase(),
        });
        self.response_body_mime_types.extend(names);
    }

    pub(crate) fn transformation_context(&self) -> hop3_transformations::Context<'_> {
        hop3_transformations::Context { unicode_map: self.unicode_map.as_deref() }
    }
}

/// What has to be remembered while directives are applied.
#[derive(Clone, Debug)]
pub(crate) struct SettingState {
    mime_types_are_ours: bool,
    app_id_is_ours: bool,
    /// `SecPcreMatchLimit`, when it is there.
    match_limit: Option<u64>,
}

impl Default for SettingState {
    fn default() -> Self {
        Self { mime_types_are_ours: true, app_id_is_ours: true, match_limit: None }
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
