//! The record of a finished transaction: bounded, masked, and nothing but text
//! (bytes that are no UTF-8 are replaced).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hop3_seclang::ast::{AuditEngine, EngineMode, Variable};
use serde::Serialize;

use crate::collections::fields::{Field, Fields};
use crate::masking::Source;
use crate::rule_match::{LogContext, RuleMatch, Severity};
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::transaction::ShownHead;
use crate::verdict::{Disruption, Interruption};

/// Most bytes of each body.
const BODY_LIMIT: usize = 64 * 1024;
/// Most bytes of a header, an argument or the target.
const TEXT_LIMIT: usize = 8 * 1024;
/// Most headers of a shown head.
const HEAD_COUNT: usize = 64;
/// Most bytes of the target and of each header's value in a shown head.
const HEAD_VALUE: usize = 1024;
/// Most bytes of all headers of a shown head.
const HEAD_ROOM: usize = 8 * 1024;
/// Most headers, arguments, files and messages of each kind.
const COUNT_LIMIT: usize = 1000;

/// Everything the audit log says about a transaction.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditTransaction {
    /// The transaction's id.
    pub id: String,
    /// When it began, in seconds since the epoch.
    pub unix_time: u64,
    /// Address of the client.
    pub client: SocketAddr,
    /// Our address.
    pub server: SocketAddr,
    /// Parts B, C, I and J.
    pub request: AuditRequest,
    /// Parts E and F.
    pub response: AuditResponse,
    /// Part H: rules that matched and are to be audited.
    pub messages: Vec<AuditMessage>,
    /// Part K: ids of all rules that matched, in order.
    pub rules: Vec<u64>,
    /// The decision against it.
    pub interruption: Option<AuditInterruption>,
    /// `Off`, `DetectionOnly` or `On`.
    pub engine: String,
    /// Name and version of the engine.
    pub producer: String,
    /// `SecComponentSignature`s.
    pub components: Vec<String>,
    /// `SecSensorId`; empty when there is none.
    pub sensor: String,
}

/// The request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRequest {
    /// Method.
    pub method: String,
    /// Target.
    pub uri: String,
    /// Protocol, e.g. `HTTP/1.1`.
    pub protocol: String,
    /// Header lines in order.
    pub headers: Vec<(String, String)>,
    /// The body as it was inspected.
    pub body: Option<AuditBody>,
    /// Arguments of the body: what part I shows instead of it.
    pub arguments: Vec<(String, String)>,
    /// Uploaded files.
    pub files: Vec<AuditFile>,
}

/// The response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditResponse {
    /// Protocol, e.g. `HTTP/1.1`.
    pub protocol: String,
    /// Status: that of the interruption, else the back end's, else 200.
    pub status: u16,
    /// Header lines in order.
    pub headers: Vec<(String, String)>,
    /// The body as it was inspected.
    pub body: Option<AuditBody>,
}

/// A body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditBody {
    /// Its beginning.
    pub text: String,
    /// Bytes that are left out at the end.
    pub omitted: usize,
}

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFile {
    /// Name of the form field.
    pub field: String,
    /// Name of the file.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditMessage {
    /// The rule.
    pub rule_id: u64,
    /// The phase, 1 to 5.
    pub phase: u8,
    /// `msg`.
    pub message: String,
    /// `Matched "Operator …`.
    pub matched: String,
    /// `logdata`.
    pub data: String,
    /// `severity`, 0 to 7.
    pub severity: u8,
    /// `tag`s.
    pub tags: Vec<String>,
    /// The file the rule stands in.
    pub file: String,
    /// Its line there.
    pub line: u32,
    /// `rev`.
    pub rev: String,
    /// `ver`.
    pub ver: String,
    /// `maturity`.
    pub maturity: u8,
    /// `accuracy`.
    pub accuracy: u8,
    /// Where values matched, with the values.
    pub values: Vec<(String, String)>,
    /// The line of the error log.
    pub log_line: String,
}

/// A decision against a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditInterruption {
    /// The rule; 0 for a limit of the engine.
    pub rule_id: u64,
    /// `deny`, `drop`, `redirect` or `proxy`.
    pub action: String,
    /// The status.
    pub status: u16,
    /// The phase.
    pub phase: u8,
    /// Why.
    pub reason: String,
}

impl State {
    /// Whether the transaction belongs in the audit log.
    pub(crate) fn is_audit_relevant(&self, ruleset: &Ruleset, status: Option<u16>) -> bool {
        match self.audit_engine {
            AuditEngine::Off => false,
            AuditEngine::On => true,
            AuditEngine::RelevantOnly => {
                self.matches.iter().any(|found| found.audit) || self.has_relevant_status(ruleset, status)
            }
        }
    }

    /// Whether the status fits SecAuditLogRelevantStatus. A pattern without an answer makes it relevant.
    fn has_relevant_status(&self, ruleset: &Ruleset, status: Option<u16>) -> bool {
        let Some(pattern) = &ruleset.settings.audit_relevant_pattern else { return false };
        let status = status.unwrap_or_else(|| self.audit_status()).to_string();
        pattern.is_match(status.as_bytes(), ruleset.settings.pcre_match_limit).unwrap_or(true)
    }

    fn audit_status(&self) -> u16 {
        let answered = || std::str::from_utf8(self.bytes(Variable::ResponseStatus)).ok()?.parse().ok();
        self.interruption.as_ref().map(|decision| decision.status).or_else(answered).unwrap_or(200)
    }

    /// The record of the transaction.
    pub(crate) fn audit_record(
        &mut self,
        ruleset: &Ruleset,
        context: &LogContext,
        client: SocketAddr,
        server: SocketAddr,
    ) -> AuditTransaction {
        self.learn_secrets();
        let c = &self.collections;
        let audited = self.matches.iter().filter(|found| found.audit).take(COUNT_LIMIT);
        let engine = match self.engine {
            EngineMode::Off => "Off",
            EngineMode::DetectionOnly => "DetectionOnly",
            EngineMode::On => "On",
        };
        AuditTransaction {
            id: context.unique_id.clone(),
            unix_time: self.unix_time.as_secs(),
            client: canonical(client),
            server: canonical(server),
            request: AuditRequest {
                method: lossy(&self.shown_text(self.bytes(Variable::RequestMethod), TEXT_LIMIT)),
                uri: lossy(&self.shown_text(self.bytes(Variable::RequestUriRaw), TEXT_LIMIT)),
                protocol: lossy(&self.shown_text(self.bytes(Variable::RequestProtocol), TEXT_LIMIT)),
                headers: self.audit_fields(Source::RequestHeader, &c.request_headers),
                body: self.audit_body(self.texts.body()),
                arguments: self.audit_fields(Source::Argument, &c.args_post),
                files: c
                    .files
                    .iter()
                    .zip(&c.files_sizes)
                    .take(COUNT_LIMIT)
                    .map(|(f, s)| self.audit_file(f, s))
                    .collect(),
            },
            response: AuditResponse {
                protocol: lossy(self.bytes(Variable::ResponseProtocol)),
                status: self.audit_status(),
                headers: self.audit_fields(Source::ResponseHeader, &c.response_headers),
                body: self.audit_body(&self.response_body),
            },
            messages: audited.map(|found| message(found, context)).collect(),
            rules: self.matches.iter().map(|found| found.rule_id).collect(),
            interruption: self.interruption.as_ref().map(interruption),
            engine: engine.to_owned(),
            producer: concat!("Hop3/", env!("CARGO_PKG_VERSION")).to_owned(),
            components: ruleset.signatures.clone(),
            sensor: ruleset.settings.sensor_id.clone(),
        }
    }

    /// The request's head, with as many headers as events keep.
    pub(crate) fn shown_head(&mut self) -> ShownHead {
        self.learn_secrets();
        let mut room = HEAD_ROOM;
        let mut headers = Vec::new();
        for field in self.collections.request_headers.iter().take(HEAD_COUNT) {
            let (name, value) = (self.texts.bytes(field.name), self.texts.bytes(field.value));
            let shown = self.shown_field(Source::RequestHeader, name, value, HEAD_VALUE);
            let Some(rest) = room.checked_sub(name.len() + shown.len()) else { break };
            room = rest;
            headers.push((lossy(name), lossy(&shown)));
        }
        let target = lossy(&self.shown_text(self.bytes(Variable::RequestUriRaw), HEAD_VALUE));
        ShownHead { target, headers }
    }

    fn audit_fields(&self, source: Source, fields: &Fields) -> Vec<(String, String)> {
        let shown = fields.iter().take(COUNT_LIMIT).map(|field| {
            let (name, value) = (self.texts.bytes(field.name), self.texts.bytes(field.value));
            (
                lossy(&name[..name.len().min(TEXT_LIMIT)]),
                lossy(&self.shown_field(source, name, value, TEXT_LIMIT)),
            )
        });
        shown.collect()
    }

    fn audit_body(&self, body: &[u8]) -> Option<AuditBody> {
        let text = || lossy(&self.shown_text(body, BODY_LIMIT));
        (!body.is_empty()).then(|| AuditBody { text: text(), omitted: body.len().saturating_sub(BODY_LIMIT) })
    }

    fn audit_file(&self, file: &Field, size: &Field) -> AuditFile {
        let text = |bytes: &[u8]| lossy(&bytes[..bytes.len().min(TEXT_LIMIT)]);
        AuditFile {
            field: text(self.texts.bytes(file.name)),
            name: text(self.texts.bytes(file.value)),
            size: text(self.texts.bytes(size.value)).parse().unwrap_or(0),
        }
    }
}

impl AuditTransaction {
    /// When the transaction began.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.unix_time)
    }
}

fn message(found: &RuleMatch, context: &LogContext) -> AuditMessage {
    AuditMessage {
        rule_id: found.rule_id,
        phase: found.phase,
        message: found.message.clone(),
        matched: found.match_text(),
        data: found.data.clone(),
        severity: found.severity.map_or(0, Severity::number),
        tags: found.tags.clone(),
        file: found.rule_file.to_string(),
        line: found.rule_line,
        rev: found.rev.clone(),
        ver: found.ver.clone(),
        maturity: found.maturity,
        accuracy: found.accuracy,
        values: found.matched.iter().map(|value| (value.variable.clone(), lossy(&value.value))).collect(),
        log_line: found.log_line(context),
    }
}

fn interruption(decision: &Interruption) -> AuditInterruption {
    let action = match decision.action {
        Disruption::Deny => "deny",
        Disruption::Drop => "drop",
        Disruption::Redirect => "redirect",
        Disruption::Proxy => "proxy",
    };
    AuditInterruption {
        rule_id: decision.rule_id,
        action: action.to_owned(),
        status: decision.status,
        phase: decision.phase,
        reason: decision.log.clone(),
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = address.ip().to_canonical();
    SocketAddr::new(ip, address.port())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
