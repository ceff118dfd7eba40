//! The response: its status, headers and body become variables.

use hop3_seclang::ast::Variable;

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

    /// Whether the body is to be inspected: access is on and its type is listed.
    pub(crate) fn inspects_response_body(&self, ruleset: &Ruleset) -> bool {
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
            self.response_body = body;
        }
    }
}
