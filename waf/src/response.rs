//! The response: its status, headers and body become variables.

use hop3_seclang::ast::Variable;

use crate::ruleset::Ruleset;
use crate::state::State;

impl State {
    /// Keeps a header line as the back end sent it.
    pub(crate) fn add_response_header(&mut self, name: &[u8], value: &[u8]) {
        let field = self.field(name, value);
        self.collections.response_headers.push(field);
        if name.eq_ignore_ascii_case(b"content-type") {
            let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
            self.set(Variable::ResponseContentType, value[..end].trim_ascii());
        }
    }

    /// Sets status and protocol.
    pub(crate) fn set_response_line(&mut self, status: u16, protocol: &[u8]) {
        let number = status.to_string();
        self.set(Variable::ResponseStatus, number.as_bytes());
        self.set(Variable::Status, number.as_bytes());
        self.set(Variable::ResponseProtocol, protocol);
        let line = [protocol, number.as_bytes()].join(&b' ');
        self.set(Variable::StatusLine, &line);
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
            self.set(Variable::ResponseContentLength, body.len().to_string().as_bytes());
            let body = self.decode_response_body(ruleset, body);
            self.set(Variable::ResponseBody, &body);
            self.response_body = body;
        }
    }
}
