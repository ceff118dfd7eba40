//! Everything one transaction holds besides its ruleset.

use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::ast::{
    AuditEngine, AuditParts, BodyProcessor, EngineMode, Severity, Variable, XmlIntoArgs,
};

use crate::collections::fields::{Collections, Field, Fields};
use crate::collections::persistent::{CollectionStore, OpenRecord};
use crate::collections::tx::TxVariables;
use crate::masking::Secrets;
use crate::operators::Captures;
use crate::rule_control::RuleChanges;
use crate::rule_match::RuleMatch;
use crate::ruleset::Ruleset;
use crate::scan::{Place, Progress};
use crate::text::{TextId, TextStore};
use crate::variables::found::Found;
use crate::variables::scalars::Scalars;
use crate::verdict::{Allowance, Interruption};

/// The working memory of a transaction.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) texts: TextStore,
    pub(crate) scalars: Scalars,
    pub(crate) collections: Collections,
    pub(crate) tx: TxVariables,
    pub(crate) records: Vec<OpenRecord>,
    /// Values of collections that no rule opened.
    pub(crate) unkept: Vec<OpenRecord>,
    pub(crate) store: Option<Arc<dyn CollectionStore>>,
    pub(crate) block_lists: Option<Arc<dyn crate::operators::BlockLists>>,

    pub(crate) trace: Option<Arc<dyn crate::trace::Trace>>,
    /// Whether matches tell where in the request they stood.
    pub(crate) references: bool,
    /// What matched so far of the rule that is evaluated, and where.
    pub(crate) reference: String,
    pub(crate) engine: EngineMode,
    pub(crate) request_body_access: bool,
    pub(crate) request_body_limit: usize,
    pub(crate) response_body_access: bool,
    pub(crate) response_body_limit: usize,
    pub(crate) processor: Option<BodyProcessor>,
    pub(crate) xml_into_args: XmlIntoArgs,
    pub(crate) force_request_body: bool,
    /// Whether the response body is inspected whatever its type.
    pub(crate) force_response_body: bool,
    /// What the response body is read as, besides RESPONSE_BODY.
    pub(crate) response_processor: Option<BodyProcessor>,
    pub(crate) audit_engine: AuditEngine,
    pub(crate) audit_log_parts: AuditParts,

    /// What is left to the scripts of rules.
    pub(crate) script_instructions: u64,
    /// The tree of an XML body, when a rule asks for it.
    pub(crate) xml: Option<crate::xml_body::XmlBody>,
    pub(crate) response_body: Vec<u8>,
    pub(crate) inbound_data_error: bool,
    pub(crate) outbound_data_error: bool,
    pub(crate) urlencoded_error: bool,
    pub(crate) too_many_arguments: bool,
    /// Bytes of a multipart body that are not the content of files.
    pub(crate) no_files_length: usize,
    pub(crate) limits_exceeded: bool,

    pub(crate) unix_time: Duration,
    pub(crate) elapsed: Duration,

    pub(crate) changes: RuleChanges,
    pub(crate) matched_var: Option<Found>,
    pub(crate) matched_vars: Vec<Found>,
    pub(crate) highest_severity: Option<Severity>,
    pub(crate) allowance: Option<Allowance>,
    pub(crate) matches: Vec<RuleMatch>,
    pub(crate) interruption: Option<Interruption>,

    pub(crate) masks_secrets: bool,
    pub(crate) secrets: Secrets,

    /// Whether values are scanned, or every rule is evaluated.
    pub(crate) scans: bool,
    /// The phases that began, one bit each.
    pub(crate) begun: u8,
    pub(crate) progress: Progress,
    /// The rule that is evaluated.
    pub(crate) place: Place,
    /// The rule that captured last.
    pub(crate) captured_at: Option<Place>,
    pub(crate) captures: Captures,
    pub(crate) candidates: Vec<Found>,
    pub(crate) argument: Vec<u8>,
}

impl State {
    pub(crate) fn new(ruleset: &Ruleset, unix_time: Duration) -> Self {
        let settings = &ruleset.settings;
        Self {
            texts: TextStore::new(),
            scalars: Scalars::new(),
            collections: Collections::default(),
            tx: TxVariables::new(ruleset.tx_names.len()),
            records: Vec::new(),
            unkept: Vec::new(),
            store: None,
            block_lists: None,
            trace: None,
            references: false,
            reference: String::new(),
            engine: settings.engine,
            request_body_access: settings.request_body_access,
            request_body_limit: settings.request_body_limit,
            response_body_access: settings.response_body_access,
            response_body_limit: settings.response_body_limit,
            processor: None,
            xml_into_args: settings.xml_into_args,
            force_request_body: false,
            force_response_body: false,
            response_processor: None,
            audit_engine: settings.audit_engine,
            audit_log_parts: settings.audit_log_parts,
            script_instructions: hop3_lua::INSTRUCTIONS,
            xml: None,
            response_body: Vec::new(),
            inbound_data_error: false,
            outbound_data_error: false,
            urlencoded_error: false,
            too_many_arguments: false,
            no_files_length: 0,
            limits_exceeded: false,
            unix_time,
            elapsed: Duration::ZERO,
            changes: RuleChanges::default(),
            matched_var: None,
            matched_vars: Vec::new(),
            highest_severity: None,
            allowance: None,
            matches: Vec::new(),
            interruption: None,
            masks_secrets: settings.mask_secrets,
            secrets: Secrets::default(),
            scans: true,
            begun: 0,
            place: (0, 0),
            captured_at: None,
            progress: Progress::new(ruleset.phases.each_ref().map(Vec::len)),
            captures: Captures::default(),
            candidates: Vec::new(),
            argument: Vec::new(),
        }
    }

    /// Tells the observer, if there is one.
    #[inline]
    pub(crate) fn trace<'a>(&'a self, event: impl FnOnce(&'a Self) -> crate::trace::Event<'a>) {
        if let Some(trace) = &self.trace {
            trace.event(&event(self));
        }
    }

    /// Sets a variable that has a single value.
    pub(crate) fn set(&mut self, variable: Variable, value: &[u8]) {
        let text = self.texts.add(value);
        self.scalars.set(variable, text);
    }

    /// Sets a variable to `1` or `0`.
    pub(crate) fn set_flag(&mut self, variable: Variable, flag: bool) {
        self.scalars.set(variable, if flag { TextId::ONE } else { TextId::ZERO });
    }

    /// Sets a variable to a number.
    pub(crate) fn set_number(&mut self, variable: Variable, number: usize) {
        let text = self.texts.add_number(number);
        self.scalars.set(variable, text);
    }

    /// The text of a single value; empty when it is not set.
    pub(crate) fn bytes(&self, variable: Variable) -> &[u8] {
        self.scalars.get(variable).map_or(&[], |text| self.texts.bytes(text))
    }

    /// Keeps a named value.
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) -> Field {
        Field { name: self.texts.add(name), value: self.texts.add(value) }
    }

    /// The first value of a header, names compared without regard to case.
    pub(crate) fn header<'a>(&'a self, headers: &Fields, name: &str) -> Option<&'a [u8]> {
        let found =
            headers.iter().find(|field| self.texts.bytes(field.name).eq_ignore_ascii_case(name.as_bytes()));
        found.map(|field| self.texts.bytes(field.value))
    }

    /// Number of arguments so far.
    pub(crate) fn argument_count(&self) -> usize {
        self.collections.args_get.len() + self.collections.args_post.len()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.texts.leave();
        self.tx.leave();
        std::mem::take(&mut self.progress).leave();
    }
}
