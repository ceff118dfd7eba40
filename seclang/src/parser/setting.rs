//! Settings: one directive, one value.

use std::time::Duration;

use super::Parser;
use super::arguments::{bare, shorten};
use crate::ast::{
    AuditEngine, AuditFormat, AuditType, BodyProcessor, Compatibility, EngineMode, GeoDatabase, LimitAction,
    RemoteRulesFailAction, RxMode, Setting, UnicodeMap, XmlIntoArgs,
};
use crate::diagnostic::Diagnostic;
use crate::text::{Slice, Text, is_blank};

/// The code page of the mapping when a file is named without one: US-ASCII.
const US_ASCII: u32 = 20127;

impl Parser<'_> {
    /// Reads the value of a setting; the number of arguments is checked already.
    pub(super) fn setting(&mut self, name: &str, arguments: &[Text]) -> Option<Setting> {
        use Setting as S;
        let [first, rest @ ..] = arguments else {
            return (name == "SecResponseBodyMimeTypesClear").then_some(S::ResponseBodyMimeTypesClear);
        };
        let value = first.all();
        match name {
            "SecRuleEngine" => self.choice(value, name, EngineMode::SPELLINGS).map(S::RuleEngine),
            "SecRxMode" => self.choice(value, name, RxMode::SPELLINGS).map(S::RxMode),
            "SecCompatibility" => self.choice(value, name, Compatibility::SPELLINGS).map(S::Compatibility),
            "SecRemoteRulesFailAction" => self.remote_rules_fail_action(value, name),
            "SecMaskSecrets" => self.switch(value, name).map(S::MaskSecrets),
            "SecJsonArrayPrefix" => self.switch(value, name).map(S::JsonArrayPrefix),
            "SecRequestBodyAccess" => self.switch(value, name).map(S::RequestBodyAccess),
            "SecRequestBodyLimit" => self.number(value, name).map(S::RequestBodyLimit),
            "SecRequestBodyNoFilesLimit" => self.number(value, name).map(S::RequestBodyNoFilesLimit),
            "SecRequestBodyLimitAction" => {
                self.choice(value, name, LimitAction::SPELLINGS).map(S::RequestBodyLimitAction)
            }
            "SecRequestBodyJsonDepthLimit" => self.number(value, name).map(S::RequestBodyJsonDepthLimit),
            "SecRequestBodyProcessor" => {
                self.choice(value, name, BodyProcessor::SPELLINGS).map(S::RequestBodyProcessor)
            }
            "SecArgumentsLimit" => self.number(value, name).map(S::ArgumentsLimit),
            "SecArgumentSeparator" => self.separator(value).map(S::ArgumentSeparator),
            "SecParseXmlIntoArgs" => {
                self.choice(value, name, XmlIntoArgs::SPELLINGS).map(S::ParseXmlIntoArgs)
            }
            "SecXmlExternalEntity" => self.switch(value, name).map(S::XmlExternalEntity),
            "SecResponseBodyAccess" => self.switch(value, name).map(S::ResponseBodyAccess),
            "SecResponseBodyLimit" => self.number(value, name).map(S::ResponseBodyLimit),
            "SecResponseBodyLimitAction" => {
                self.choice(value, name, LimitAction::SPELLINGS).map(S::ResponseBodyLimitAction)
            }
            "SecResponseBodyMimeType" => self.mime_types(arguments).map(S::ResponseBodyMimeType),
            "SecPcreMatchLimit" => self.number(value, name).map(S::PcreMatchLimit),
            "SecCollectionTimeout" => {
                self.number(value, name).map(|seconds| S::CollectionTimeout(Duration::from_secs(seconds)))
            }
            "SecUnicodeMapFile" => self.unicode_map(first, rest.first()).map(S::UnicodeMapFile),
            "SecGeoLookupDb" => self.geo_database(value, name).map(S::GeoLookupDb),
            "SecIgnoreRuleCompilationErrors" => self.ignore_errors(value),
            "SecDataset" => self.dataset(value, rest.first()?),
            _ => self.log_or_upload(name, value),
        }
    }

    /// Audit and debug log, uploads, and names.
    fn log_or_upload(&mut self, name: &str, value: Slice<'_>) -> Option<Setting> {
        use Setting as S;
        match name {
            "SecAuditEngine" => self.choice(value, name, AuditEngine::SPELLINGS).map(S::AuditEngine),
            "SecAuditLogDirMode" => self.mode(value, name).map(S::AuditLogDirMode),
            "SecAuditLogFileMode" => self.mode(value, name).map(S::AuditLogFileMode),
            "SecAuditLogFormat" => self.choice(value, name, AuditFormat::SPELLINGS).map(S::AuditLogFormat),
            "SecAuditLogParts" => self.audit_parts(value).map(S::AuditLogParts),
            "SecAuditLogType" => self.choice(value, name, AuditType::SPELLINGS).map(S::AuditLogType),
            "SecDebugLogLevel" => {
                self.number_in(value, name, 0, 9).map(|level| S::DebugLogLevel(level as u8))
            }
            "SecUploadFileLimit" => self.number(value, name).map(S::UploadFileLimit),
            _ => self.text_setting(name, value),
        }
    }

    fn text_setting(&mut self, name: &str, value: Slice<'_>) -> Option<Setting> {
        let text: fn(String) -> Setting = match name {
            "SecAuditLog" => Setting::AuditLog,
            "SecAuditLog2" => Setting::AuditLog2,
            "SecAuditLogRelevantStatus" => Setting::AuditLogRelevantStatus,
            "SecAuditLogStorageDir" => Setting::AuditLogStorageDir,
            "SecComponentSignature" => Setting::ComponentSignature,
            "SecDebugLog" => Setting::DebugLog,
            "SecHttpBlKey" => Setting::HttpBlKey,
            "SecSensorId" => Setting::SensorId,
            "SecWebAppId" => Setting::WebAppId,
            _ => {
                // The table and this match are held together by a test.
                self.error(value.span(), format!("{name} has no reader"));
                return None;
            }
        };
        self.word(value, name).map(text)
    }

    fn separator(&mut self, value: Slice<'_>) -> Option<u8> {
        match bare(value).bytes() {
            [byte] => Some(*byte),
            _ => {
                let message =
                    format!("SecArgumentSeparator: `{}` is not one character", shorten(&value.lossy()));
                self.error(value.span(), message);
                None
            }
        }
    }

    fn remote_rules_fail_action(&mut self, value: Slice<'_>, name: &str) -> Option<Setting> {
        let action = self.choice(value, name, RemoteRulesFailAction::SPELLINGS)?;
        self.remote_rules_fail_action = action;
        Some(Setting::RemoteRulesFailAction(action))
    }

    fn ignore_errors(&mut self, value: Slice<'_>) -> Option<Setting> {
        if self.switch(value, "SecIgnoreRuleCompilationErrors")? {
            self.report(
                Diagnostic::error(value.span(), "rules with errors are never left out in silence")
                    .hint("correct them, or remove them from the file"),
            );
            return None;
        }
        Some(Setting::IgnoreRuleCompilationErrors(false))
    }

    fn mime_types(&mut self, arguments: &[Text]) -> Option<Vec<String>> {
        let mut types = Vec::new();
        for part in arguments.iter().flat_map(|argument| argument.all().split(is_blank)) {
            types.push(self.word(part, "the MIME type")?.to_ascii_lowercase());
        }
        Some(types)
    }

    /// An octal mode, or `default`.
    fn mode(&mut self, value: Slice<'_>, name: &str) -> Option<Option<u32>> {
        let text = bare(value).lossy();
        if text.eq_ignore_ascii_case("default") {
            return Some(None);
        }
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if mode <= 0o7777 => Some(Some(mode)),
            _ => {
                let message = format!("{name}: `{}` is no octal mode", shorten(&text));
                self.report(
                    Diagnostic::error(value.span(), message).hint("write a mode like `0600`, or `default`"),
                );
                None
            }
        }
    }

    fn unicode_map(&mut self, file: &Text, page: Option<&Text>) -> Option<UnicodeMap> {
        // `"unicode.mapping 20127"` in one pair of quotes is common.
        let parts = file.all().split(is_blank);
        let (name, inner) = match parts.as_slice() {
            [name, page] => (*name, Some(*page)),
            _ => (file.all(), None),
        };
        let code_page = match page.map(|page| page.all()).or(inner) {
            Some(page) => self.number(page, "code page")?,
            None => US_ASCII,
        };
        let path = self.resolve(&name.lossy());
        let contents = self.data_file(&path, name.span())?;
        Some(UnicodeMap { path, contents, code_page })
    }

    fn geo_database(&mut self, value: Slice<'_>, name: &str) -> Option<GeoDatabase> {
        let path = self.word(value, name)?;
        let path = self.resolve(&path);
        let contents = self.data_file(&path, value.span())?;
        Some(GeoDatabase { path, contents })
    }

    fn dataset(&mut self, name: Slice<'_>, list: &Text) -> Option<Setting> {
        let name = self.word(name, "the name of the data set")?;
        let lines = list
            .lossy()
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        Some(Setting::Dataset { name, lines })
    }
}
