//! Turns a target of a rule into the values it means.

use hop3_seclang::ast::{Collection, Variable};

use super::found::Found;
use super::time;
use crate::collections::fields::Field;
use crate::operators::number;
use crate::rule::{Rule, Selector, Target};
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::text::TextId;
use crate::trace::Event;

/// Whether a collection's names or its values are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Values,
    Names,
}

/// The members of RULE.
const RULE_MEMBERS: [&str; 9] =
    ["id", "rev", "severity", "logdata", "msg", "ver", "maturity", "accuracy", "phase"];

impl State {
    /// Appends the values of a target, without those that it or a `ctl` leaves out.
    pub(crate) fn select(&mut self, ruleset: &Ruleset, rule: &Rule, target: &Target, out: &mut Vec<Found>) {
        let from = out.len();
        self.select_all(ruleset, rule, target, out);
        let removed =
            self.changes.removed_targets(rule.index).any(|(variable, _)| variable == target.variable);
        if removed || !target.exclusions.is_empty() {
            self.leave_out(ruleset, rule, target, from, out);
        }
        if target.count {
            let count = out.len() - from;
            out.truncate(from);
            let value = self.texts.add_passing(count.to_string().as_bytes());
            let name = match &target.selector {
                Selector::Name(name) => Some(self.texts.add_passing(name)),
                Selector::Slot(slot) => {
                    let spelling = self.tx.spelling(&ruleset.tx_names, *slot).to_vec();
                    Some(self.texts.add_passing(&spelling))
                }
                _ => None,
            };
            out.push(Found { variable: target.variable, name, count: true, value });
        }
    }

    fn select_all(&mut self, ruleset: &Ruleset, rule: &Rule, target: &Target, out: &mut Vec<Found>) {
        use Variable as V;
        let c = &self.collections;
        let (side, lists): (Side, [&[Field]; 2]) = match target.variable {
            V::Args => (Side::Values, [&c.args_get, &c.args_post]),
            V::ArgsGet => (Side::Values, [&c.args_get, &[]]),
            V::ArgsPost => (Side::Values, [&c.args_post, &[]]),
            V::ArgsNames => (Side::Names, [&c.args_get, &c.args_post]),
            V::ArgsGetNames => (Side::Names, [&c.args_get, &[]]),
            V::ArgsPostNames => (Side::Names, [&c.args_post, &[]]),
            V::RequestHeaders => (Side::Values, [&c.request_headers, &[]]),
            V::RequestHeadersNames => (Side::Names, [&c.request_headers, &[]]),
            V::RequestCookies => (Side::Values, [&c.request_cookies, &[]]),
            V::RequestCookiesNames => (Side::Names, [&c.request_cookies, &[]]),
            V::ResponseHeaders => (Side::Values, [&c.response_headers, &[]]),
            V::ResponseHeadersNames => (Side::Names, [&c.response_headers, &[]]),
            V::Files | V::MultipartFilename => (Side::Values, [&c.files, &[]]),
            V::FilesNames | V::MultipartName => (Side::Values, [&c.files_names, &[]]),
            V::FilesSizes => (Side::Values, [&c.files_sizes, &[]]),
            V::FilesTmpNames => (Side::Values, [&c.files_tmp_names, &[]]),
            V::FilesTmpContent => (Side::Values, [&c.files_content, &[]]),
            V::MultipartPartHeaders => (Side::Values, [&c.part_headers, &[]]),
            V::Env => (Side::Values, [&c.env, &[]]),
            V::Geo => (Side::Values, [&c.geo, &[]]),
            V::ArgsPath => (Side::Values, [&c.args_path, &[]]),
            V::ResponseArgs => (Side::Values, [&c.response_args, &[]]),
            V::ResponseXml => match &target.selector {
                Selector::XmlText => (Side::Values, [&c.response_xml_text, &[]]),
                Selector::XmlAttributes => (Side::Values, [&c.response_xml_attributes, &[]]),
                _ => (Side::Values, [&c.response_xml_text, &c.response_xml_attributes]),
            },
            V::Xml | V::RequestXml => match &target.selector {
                Selector::XPath(path) => return self.select_xpath(target.variable, path, out),
                Selector::XmlDocument => return self.select_xml_document(target.variable, out),
                Selector::XmlText => (Side::Values, [&c.xml_text, &[]]),
                Selector::XmlAttributes => (Side::Values, [&c.xml_attributes, &[]]),
                _ => (Side::Values, [&c.xml_text, &c.xml_attributes]),
            },
            V::Tx => return self.select_tx(ruleset, target, out),
            V::Ip | V::Session | V::User | V::Global | V::Resource => return self.select_record(target, out),
            V::MatchedVars | V::MatchedVarsNames => return self.select_matched(target, out),
            V::Rule => return self.select_rule(ruleset, rule, target, out),
            V::MatchedVar => {
                let value = self.matched_var.map(|found| found.value);
                return out.extend(value.map(|value| single(V::MatchedVar, value)));
            }
            variable => {
                let value = self.scalar(ruleset, variable);
                return out.extend(value.map(|value| single(variable, value)));
            }
        };
        let (variable, texts) = (target.variable, &self.texts);
        // As in Coraza, what `@restpath` found in the path is an argument too.
        let parts: &[Field] = if matches!(variable, V::Args | V::ArgsNames) { &c.args_path } else { &[] };
        let found = |field: &Field| Found {
            variable,
            // A member of the names of XML has no name of its own.
            name: (!matches!(variable, V::Xml | V::RequestXml | V::ResponseXml)).then_some(field.name),
            count: false,
            value: if side == Side::Values { field.value } else { field.name },
        };
        for list in lists.into_iter().chain([parts]) {
            match &target.selector {
                Selector::All | Selector::XmlText | Selector::XmlAttributes => {
                    out.extend(list.iter().map(found))
                }
                selector => {
                    let selected = list.iter().filter(|field| selector.selects(texts.bytes(field.name)));
                    out.extend(selected.map(found));
                }
            }
        }
    }

    fn select_tx(&mut self, ruleset: &Ruleset, target: &Target, out: &mut Vec<Found>) {
        let (tx, texts) = (&self.tx, &mut self.texts);
        let mut text = Vec::new();
        let mut add = |slot, value: &crate::collections::tx::Value| {
            text.clear();
            value.write(&mut text);
            let value = texts.add_passing(&text);
            let name = Some(texts.add_passing(tx.spelling(&ruleset.tx_names, slot)));
            out.push(Found { variable: Variable::Tx, name, count: false, value });
        };
        match &target.selector {
            Selector::Slot(slot) => {
                if let Some(value) = tx.get(*slot) {
                    add(*slot, value);
                }
            }
            selector => {
                let known = match selector {
                    Selector::Pattern(pattern) => ruleset.tx_selection(pattern),
                    _ => None,
                };
                let selects = |slot| selector.selects(tx.spelling(&ruleset.tx_names, slot));
                match known {
                    Some(known) => {
                        let is_known = |slot| tx.is_of_ruleset(slot) || selects(slot);
                        let selected = tx.iter_selected(known).filter(|(slot, _)| is_known(*slot));
                        selected.for_each(|(slot, value)| add(slot, value));
                    }
                    None => {
                        let selected = tx.iter().filter(|(slot, _)| selects(*slot));
                        selected.for_each(|(slot, value)| add(slot, value));
                    }
                }
            }
        }
    }

    fn select_record(&mut self, target: &Target, out: &mut Vec<Found>) {
        let variable = target.variable;
        let mut records = self.records.iter().chain(&self.unkept);
        let Some(record) = records.find(|record| record.collection.variable() == variable) else {
            return;
        };
        let before = out.len();
        for (name, value) in record.iter() {
            if target.selector.selects(name) {
                let value = self.texts.add_passing(value);
                let name = Some(self.texts.add_passing(name));
                out.push(Found { variable, name, count: false, value });
            }
        }
        // IS_NEW and the like are found by their names only: whoever looks at
        // the whole collection means what rules stored, as in ModSecurity v3.
        if let (Selector::Name(name), true) = (&target.selector, out.len() == before)
            && let Some(value) = record.built_in(name, self.unix_time + self.elapsed)
        {
            let value = self.texts.add_passing(&value);
            let name = Some(self.texts.add_passing(name));
            out.push(Found { variable, name, count: false, value });
        }
    }

    fn select_matched(&mut self, target: &Target, out: &mut Vec<Found>) {
        let names = target.variable == Variable::MatchedVarsNames;
        let mut text = Vec::new();
        for found in &self.matched_vars {
            text.clear();
            found.write_name(&self.texts, &mut text);
            if target.selector.selects(&text) {
                let name = self.texts.add_passing(&text);
                let value = if names { name } else { found.value };
                out.push(Found { variable: target.variable, name: Some(name), count: false, value });
            }
        }
    }

    fn select_rule(&mut self, ruleset: &Ruleset, rule: &Rule, target: &Target, out: &mut Vec<Found>) {
        let mut text = Vec::new();
        for member in RULE_MEMBERS.iter().filter(|member| target.selector.selects(member.as_bytes())) {
            text.clear();
            if self.write_rule(ruleset, rule, member.as_bytes(), &mut text).is_some() {
                let value = self.texts.add_passing(&text);
                let name = Some(self.texts.add_passing(member.as_bytes()));
                out.push(Found { variable: Variable::Rule, name, count: false, value });
            }
        }
    }

    /// The value of a variable that has only one.
    fn scalar(&mut self, ruleset: &Ruleset, variable: Variable) -> Option<TextId> {
        if let Some(text) = self.scalars.get(variable) {
            return Some(text);
        }
        let mut bytes = Vec::new();
        self.write_computed(ruleset, variable, &mut bytes)?;
        Some(self.texts.add_passing(&bytes))
    }

    /// A single value that is a number, without its text; `None` for other variables.
    pub(crate) fn number(&self, variable: Variable) -> Option<i64> {
        if let Some(text) = self.scalars.get(variable) {
            return Some(number(self.texts.bytes(text)));
        }
        match variable {
            Variable::RequestBodyLength => i64::try_from(self.texts.body().len()).ok(),
            variable => is_zero_at_first(variable).then_some(0),
        }
    }

    /// Appends a value that is worked out when somebody asks.
    pub(super) fn write_computed(
        &self,
        ruleset: &Ruleset,
        variable: Variable,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        use Variable as V;
        let flag = |flag: bool| if flag { "1" } else { "0" }.to_owned();
        let text = match variable {
            V::HighestSeverity => self.highest_severity.map_or(255, |severity| severity.number()).to_string(),
            V::Duration if ruleset.settings.as_v3 => format!("{:.6}", self.elapsed.as_secs_f64()),
            V::Duration => self.elapsed.as_millis().to_string(),
            V::MatchedVarName => {
                self.matched_var?.write_name(&self.texts, out);
                return Some(());
            }
            V::InboundDataError => flag(self.inbound_data_error),
            V::OutboundDataError => flag(self.outbound_data_error),
            V::UrlencodedError => flag(self.urlencoded_error),
            V::MscPcreError | V::MscPcreLimitsExceeded => flag(self.limits_exceeded),
            V::WebappId => ruleset.settings.web_app_id.clone(),
            V::FullRequest => {
                self.write_full_request(out);
                return Some(());
            }
            V::FullRequestLength => {
                let mut full = Vec::new();
                self.write_full_request(&mut full);
                full.len().to_string()
            }
            V::ArgsCombinedSize => {
                let fields = self.collections.args_get.iter().chain(&self.collections.args_post);
                let sizes = fields.map(|f| self.texts.bytes(f.name).len() + self.texts.bytes(f.value).len());
                sizes.sum::<usize>().to_string()
            }
            V::RequestBodyLength => self.texts.body().len().to_string(),
            V::ReqbodyProcessor
            | V::ReqbodyErrorMsg
            | V::ReqbodyProcessorErrorMsg
            | V::ResBodyProcessor
            | V::ResBodyErrorMsg
            | V::ResBodyProcessorErrorMsg => String::new(),
            variable if is_zero_at_first(variable) => "0".to_owned(),
            V::ModsecBuild => "030000000".to_owned(),
            _ => time::value(variable, self.unix_time + self.elapsed)?,
        };
        out.extend_from_slice(text.as_bytes());
        Some(())
    }

    fn write_full_request(&self, out: &mut Vec<u8>) {
        if let Some(line) = self.scalars.get(Variable::RequestLine) {
            out.extend_from_slice(self.texts.bytes(line));
            out.push(b'\n');
        }
        for header in &self.collections.request_headers {
            out.extend_from_slice(self.texts.bytes(header.name));
            out.extend_from_slice(b": ");
            out.extend_from_slice(self.texts.bytes(header.value));
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend_from_slice(self.texts.body());
    }

    /// Removes from `out` what the target or a `ctl` leaves out.
    fn leave_out(&self, ruleset: &Ruleset, rule: &Rule, target: &Target, from: usize, out: &mut Vec<Found>) {
        let mut kept = from;
        for index in from..out.len() {
            let found = out[index];
            let name = found.name.map_or(&[][..], |name| self.texts.bytes(name));
            let excluded = |selector: &Selector| match selector {
                Selector::Slot(slot) => self.tx.spelling(&ruleset.tx_names, *slot).eq_ignore_ascii_case(name),
                selector => selector.excludes(name),
            };
            let removed = target.exclusions.iter().any(excluded)
                || self
                    .changes
                    .removed_targets(rule.index)
                    .any(|(variable, selector)| variable == target.variable && excluded(selector));
            if removed {
                self.trace(|_| Event::Excluded { name });
            } else {
                out[kept] = found;
                kept += 1;
            }
        }
        out.truncate(kept);
    }

    /// The open record of a collection.
    pub(crate) fn record(
        &self,
        collection: Collection,
    ) -> Option<&crate::collections::persistent::OpenRecord> {
        self.records.iter().chain(&self.unkept).find(|record| record.collection == collection)
    }
}

/// Whether a value is 0 until a body says otherwise.
fn is_zero_at_first(variable: Variable) -> bool {
    use Variable as V;
    matches!(
        variable,
        V::ReqbodyError
            | V::ReqbodyProcessorError
            | V::ResBodyError
            | V::ResBodyProcessorError
            // Without a multipart body everything about it is in order.
            | V::FilesCombinedSize
            | V::MultipartBoundaryQuoted
            | V::MultipartBoundaryWhitespace
            | V::MultipartCrlfLfLines
            | V::MultipartDataAfter
            | V::MultipartDataBefore
            | V::MultipartFileLimitExceeded
            | V::MultipartHeaderFolding
            | V::MultipartInvalidHeaderFolding
            | V::MultipartInvalidPart
            | V::MultipartInvalidQuoting
            | V::MultipartLfLine
            | V::MultipartMissingSemicolon
            | V::MultipartStrictError
            | V::MultipartUnmatchedBoundary
    )
}

fn single(variable: Variable, value: TextId) -> Found {
    Found { variable, name: None, count: false, value }
}
