//! Content codings of bodies: rules see what the body means, the back end and
//! the client get the bytes as they were.

use hop3_codings::{Decoded, decode, parse};
use hop3_seclang::ast::{EngineMode, LimitAction, Phase};

use crate::collections::fields::Fields;
use crate::ruleset::Ruleset;
use crate::state::State;

/// A body for inspection.
pub(crate) struct Inspected {
    pub(crate) body: Vec<u8>,
    /// Why it is not all there is.
    pub(crate) failure: Option<String>,
}

impl State {
    /// Undoes the codings of the request body. A body that would be larger than
    /// the limit is treated as one that is; what cannot be read is a failure,
    /// and what came before it is inspected, or else the bytes as they were.
    pub(crate) fn decode_request_body(&mut self, ruleset: &Ruleset, body: Vec<u8>) -> Inspected {
        let codings = self.content_codings(&self.collections.request_headers);
        let Some(decoded) = undo(&codings, &body, self.request_body_limit) else {
            return Inspected { body, failure: None };
        };
        let was_cut = self.inbound_data_error;
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(failure) => return Inspected { body, failure: Some(failure) },
        };
        if decoded.over_limit {
            self.inbound_data_error = true;
            if ruleset.settings.request_body_limit_action == LimitAction::Reject {
                let reason = "The decompressed request body is larger than SecRequestBodyLimit.";
                self.refuse(Phase::RequestBody, 413, reason);
            }
        }
        let failure = decoded.error.filter(|_| !was_cut).map(|error| error.to_string());
        let body = if decoded.bytes.is_empty() && failure.is_some() { body } else { decoded.bytes };
        Inspected { body, failure }
    }

    /// Undoes the codings of the response body. What cannot be read is told by
    /// OUTBOUND_DATA_ERROR: it was not inspected completely.
    pub(crate) fn decode_response_body(&mut self, ruleset: &Ruleset, body: Vec<u8>) -> Vec<u8> {
        let codings = self.content_codings(&self.collections.response_headers);
        let decoded = match undo(&codings, &body, self.response_body_limit) {
            None => return body,
            Some(Ok(decoded)) => decoded,
            Some(Err(_)) => {
                self.outbound_data_error = true;
                return body;
            }
        };
        self.outbound_data_error |= decoded.over_limit || decoded.error.is_some();
        if decoded.over_limit && ruleset.settings.response_body_limit_action == LimitAction::Reject {
            let reason = "The decompressed response body is larger than SecResponseBodyLimit.";
            self.refuse(Phase::ResponseBody, 502, reason);
        }
        if decoded.bytes.is_empty() { body } else { decoded.bytes }
    }

    /// The values of all Content-Encoding lines, joined.
    fn content_codings(&self, headers: &Fields) -> Vec<u8> {
        if self.engine == EngineMode::Off {
            return Vec::new();
        }
        let is_wanted = |name: &[u8]| name.eq_ignore_ascii_case(b"content-encoding");
        let lines = headers.iter().filter(|field| is_wanted(self.texts.bytes(field.name)));
        let values: Vec<&[u8]> = lines.map(|field| self.texts.bytes(field.value)).collect();
        values.join(&b',')
    }
}

/// `None` when there is nothing to undo.
fn undo(codings: &[u8], body: &[u8], limit: usize) -> Option<Result<Decoded, String>> {
    if codings.is_empty() || body.is_empty() {
        return None;
    }
    match parse(codings) {
        Ok(codings) if codings.is_empty() => None,
        Ok(codings) => Some(Ok(decode(&codings, body, limit))),
        Err(error) => Some(Err(error.to_string())),
    }
}
