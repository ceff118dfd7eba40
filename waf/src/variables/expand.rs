//! Expansion of macros: `%{tx.score}`, `%{MATCHED_VAR}`, `%{rule.id}`.

use hop3_seclang::ast::{Collection, Variable};

use crate::collections::fields::Field;
use crate::rule::Rule;
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::template::{MacroKey, Piece, Template};

/// Longest expansion, in bytes; what is longer is cut.
const EXPANSION_LIMIT: usize = 16 << 20;

impl State {
    /// Appends a template with its macros replaced; what is unknown or unset is empty.
    pub(crate) fn expand(&self, ruleset: &Ruleset, rule: &Rule, template: &Template, out: &mut Vec<u8>) {
        let start = out.len();
        for piece in template.pieces() {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Tx(slot) => {
                    if let Some(value) = self.tx.get(*slot) {
                        value.write(out);
                    }
                }
                Piece::Variable(variable, key) => {
                    self.write_variable(ruleset, rule, *variable, key.as_ref(), out)
                }
            }
            if out.len() - start > EXPANSION_LIMIT {
                out.truncate(start + EXPANSION_LIMIT);
                break;
            }
        }
    }

    /// The expansion as a new vector.
    pub(crate) fn expanded(&self, ruleset: &Ruleset, rule: &Rule, template: &Template) -> Vec<u8> {
        let mut out = Vec::new();
        self.expand(ruleset, rule, template, &mut out);
        out
    }

    /// Appends the value of a variable, or of the member that the key means.
    pub(crate) fn write_variable(
        &self,
        ruleset: &Ruleset,
        rule: &Rule,
        variable: Variable,
        key: Option<&MacroKey>,
        out: &mut Vec<u8>,
    ) {
        use Variable as V;
        let c = &self.collections;
        let (fields, more): (&[Field], &[Field]) = match variable {
            V::Args | V::ArgsNames => (&c.args_get, &c.args_post),
            V::ArgsGet | V::ArgsGetNames => (&c.args_get, &[]),
            V::ArgsPost | V::ArgsPostNames => (&c.args_post, &[]),
            V::RequestHeaders | V::RequestHeadersNames => (&c.request_headers, &[]),
            V::RequestCookies | V::RequestCookiesNames => (&c.request_cookies, &[]),
            V::ResponseHeaders | V::ResponseHeadersNames => (&c.response_headers, &[]),
            V::Files | V::MultipartFilename => (&c.files, &[]),
            V::FilesNames | V::MultipartName => (&c.files_names, &[]),
            V::FilesSizes => (&c.files_sizes, &[]),
            V::FilesTmpNames => (&c.files_tmp_names, &[]),
            V::FilesTmpContent => (&c.files_content, &[]),
            V::MultipartPartHeaders => (&c.part_headers, &[]),
            V::Env => (&c.env, &[]),
            V::Geo => (&c.geo, &[]),
            V::ArgsPath => (&c.args_path, &[]),
            V::ResponseArgs => (&c.response_args, &[]),
            V::ResponseXml => (&c.response_xml_text, &c.response_xml_attributes),
            V::Xml | V::RequestXml => (&c.xml_text, &c.xml_attributes),
            V::Tx => {
                let fits = |slot| key.is_some_and(|key| key.fits(self.tx.spelling(&ruleset.tx_names, slot)));
                if let Some((_, value)) = self.tx.iter().find(|(slot, _)| fits(*slot)) {
                    value.write(out);
                }
                return;
            }
            V::MatchedVar => {
                if let Some(found) = self.matched_var {
                    out.extend_from_slice(self.texts.bytes(found.value));
                }
                return;
            }
            V::MatchedVars | V::MatchedVarsNames => {
                if let Some(found) = self.matched_vars.first() {
                    match variable {
                        V::MatchedVars => out.extend_from_slice(self.texts.bytes(found.value)),
                        _ => found.write_name(&self.texts, out),
                    }
                }
                return;
            }
            V::Rule => {
                if let Some(MacroKey::Name(name)) = key {
                    let _ = self.write_rule(ruleset, rule, name, out);
                }
                return;
            }
            V::Ip | V::Session | V::User | V::Global | V::Resource => {
                let collection = Collection::ALL.iter().find(|collection| collection.variable() == variable);
                let record = collection.and_then(|collection| self.record(*collection));
                let mut members = record.into_iter().flat_map(|record| record.iter());
                let member = members.find(|(name, _)| key.is_some_and(|key| key.fits(name)));
                match (member, key, record) {
                    (Some((_, value)), ..) => out.extend_from_slice(value),
                    (None, Some(MacroKey::Name(name)), Some(record)) => {
                        let known = record.built_in(name, self.unix_time + self.elapsed);
                        out.extend(known.unwrap_or_default());
                    }
                    _ => {}
                }
                return;
            }
            variable => {
                match self.scalars.get(variable) {
                    Some(text) => out.extend_from_slice(self.texts.bytes(text)),
                    None => drop(self.write_computed(ruleset, variable, out)),
                }
                return;
            }
        };
        let parts: &[Field] = if matches!(variable, V::Args | V::ArgsNames) { &c.args_path } else { &[] };
        let named = |field: &&Field| key.is_none_or(|key| key.fits(self.texts.bytes(field.name)));
        if let Some(field) = fields.iter().chain(more).chain(parts).find(named) {
            let is_name = matches!(
                variable,
                V::ArgsNames
                    | V::ArgsGetNames
                    | V::ArgsPostNames
                    | V::RequestHeadersNames
                    | V::RequestCookiesNames
                    | V::ResponseHeadersNames
            );
            out.extend_from_slice(self.texts.bytes(if is_name { field.name } else { field.value }));
        }
    }

    /// Appends a member of RULE; `None` when there is no such member.
    pub(super) fn write_rule(
        &self,
        ruleset: &Ruleset,
        rule: &Rule,
        key: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<()> {
        match key.to_ascii_lowercase().as_slice() {
            b"id" => out.extend_from_slice(rule.id.to_string().as_bytes()),
            b"rev" => out.extend_from_slice(rule.revision.as_bytes()),
            b"ver" => out.extend_from_slice(rule.version.as_bytes()),
            b"severity" => out.extend_from_slice(rule.severity?.number().to_string().as_bytes()),
            b"maturity" => out.extend_from_slice(rule.maturity.to_string().as_bytes()),
            b"accuracy" => out.extend_from_slice(rule.accuracy.to_string().as_bytes()),
            b"phase" => out.extend_from_slice(rule.phase.number().to_string().as_bytes()),
            b"msg" => self.expand_plain(ruleset, rule, rule.message.as_ref()?, out),
            b"logdata" => self.expand_plain(ruleset, rule, rule.log_data.as_ref()?, out),
            _ => return None,
        }
        Some(())
    }

    /// As [`State::expand`], but `%{rule.msg}` inside a message is empty: it would never end.
    fn expand_plain(&self, ruleset: &Ruleset, rule: &Rule, template: &Template, out: &mut Vec<u8>) {
        for piece in template.pieces() {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Tx(slot) => {
                    if let Some(value) = self.tx.get(*slot) {
                        value.write(out);
                    }
                }
                Piece::Variable(Variable::Rule, _) => {}
                Piece::Variable(variable, key) => {
                    self.write_variable(ruleset, rule, *variable, key.as_ref(), out);
                }
            }
        }
    }
}
