//! The response: its status, headers and body become variables.

use hop3_bodies::{Limits, json, xml};
use hop3_seclang::ast::{BodyProcessor, Variable};

use crate::collections::fields::push;
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::text::{MOST_DIGITS, push_decimal};

impl State {
    /// Keeps a header line as the back end sent it.
    pub(crate) fn add_response_header(&mut self, name: &[u8], value: &[u8]) {
        let field = self.field(name, value);
        self.collections.response_headers.push(field);
        if name.eq_ignore_ascii_case(b"content-type") {
            let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
            let kind = &value[..end];
            let start = kind.len() - kind.trim_ascii_start().len();
            let text = self.texts.part(field.value, start..start + kind.trim_ascii().len());
            self.scalars.set(Variable::ResponseContentType, text);
        }
    }

    /// Sets status and protocol.
    pub(crate) fn set_response_line(&mut self, status: u16, protocol: &[u8]) {
        let number = self.texts.add_number(status.into());
        self.scalars.set(Variable::ResponseStatus, number);
        self.scalars.set(Variable::Status, number);
        let line = self.texts.add_with(protocol.len() + 1 + MOST_DIGITS, |out| {
            out.extend_from_slice(protocol);
            out.push(b' ');
            push_decimal(status.into(), out);
        });
        self.scalars.set(Variable::StatusLine, line);
        let protocol = self.texts.part(line, 0..protocol.len());
        self.scalars.set(Variable::ResponseProtocol, protocol);
    }

    /// Sets what the body is read as.
    pub(crate) fn choose_response_processor(&mut self, processor: BodyProcessor) {
        self.response_processor = Some(processor);
        self.set(Variable::ResBodyProcessor, processor.name().as_bytes());
    }

    /// Whether the body is to be inspected: access is on, and its type is listed or does not matter.
    pub(crate) fn inspects_response_body(&self, ruleset: &Ruleset) -> bool {
        if self.force_response_body {
            return self.response_body_access;
        }
        let kind = self.bytes(Variable::ResponseContentType);
        let listed = &ruleset.settings.response_body_mime_types;
        self.response_body_access && listed.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(kind))
    }

    /// Makes the body visible to rules.
    pub(crate) fn read_response_body(&mut self, ruleset: &Ruleset) {
        if self.inspects_response_body(ruleset) {
            let body = std::mem::take(&mut self.response_body);
            self.set_number(Variable::ResponseContentLength, body.len());
            let body = self.decode_response_body(ruleset, body);
            self.set(Variable::ResponseBody, &body);
            self.process_response(ruleset, &body);
            self.response_body = body;
        }
    }

    /// Reads the body as JSON or XML, as far as it is that.
    fn process_response(&mut self, ruleset: &Ruleset, body: &[u8]) {
        let settings = &ruleset.settings;
        let limits = Limits {
            arguments: settings.arguments_limit,
            name_bytes: Limits::names_of(settings.arguments_limit, body.len()),
            depth: settings.json_depth_limit,
            files: 0,
        };
        let error = match self.response_processor {
            Some(BodyProcessor::Json) => {
                let naming = match settings.json_array_prefix {
                    true => json::Naming::ModSecurity3,
                    false => json::Naming::Plain,
                };
                let error = json::read(body, &json::Options { limits, naming }, |name, value| {
                    let field = self.field(name, value.bytes(body));
                    push(&mut self.collections.response_args, field);
                });
                error.map(|error| error.to_string())
            }
            Some(BodyProcessor::Xml) => {
                let xml = xml::parse(body, &limits);
                let text = self.field(b"", &xml.text);
                self.collections.response_xml_text.push(text);
                for attribute in &xml.attributes {
                    let field = self.field(b"", attribute);
                    self.collections.response_xml_attributes.push(field);
                }
                xml.error.map(|error| error.to_string())
            }
            _ => None,
        };
        if let Some(error) = error {
            for (flag, message) in [
                (Variable::ResBodyError, Variable::ResBodyErrorMsg),
                (Variable::ResBodyProcessorError, Variable::ResBodyProcessorErrorMsg),
            ] {
                self.set_flag(flag, true);
                self.set(message, error.as_bytes());
            }
        }
    }
}
