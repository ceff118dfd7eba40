//! Request headers, cookies, and what follows from them.

use hop3_bodies::cookies;
use hop3_seclang::ast::{BodyProcessor, Variable};
use hop3_transformations::{Context, Transformation};

use crate::collections::fields::{Field, push};
use crate::state::State;
use crate::text::TextId;

/// Most header lines kept; the proxy's own limit is far below.
const HEADERS_LIMIT: usize = 10_000;
/// Most cookies; browsers send 180 at most. Those beyond it are one value, and
/// the request is in error as one with too many arguments is.
pub(crate) const COOKIES_LIMIT: usize = 1000;

impl State {
    /// Keeps a header line as sent.
    pub(crate) fn add_request_header(&mut self, name: &[u8], value: &[u8]) {
        if self.collections.request_headers.len() >= HEADERS_LIMIT {
            return;
        }
        let field = self.field(name, value);
        push(&mut self.collections.request_headers, field);
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("cookie") {
            self.add_cookies(field.value, value);
        } else if is("host") {
            let host = self.texts.part(field.value, 0..host_of(value).len());
            self.scalars.set(Variable::ServerName, host);
        } else if is("authorization") {
            self.set_credentials(field.value, value);
        } else if is("content-type") {
            self.choose_processor_by_type(value);
        }
    }

    /// Whether there were more cookies than can be told apart.
    pub(super) fn has_too_many_cookies(&self) -> bool {
        self.collections.request_cookies.len() > COOKIES_LIMIT
    }

    /// Sets the body processor and what rules see of it.
    pub(crate) fn choose_processor(&mut self, processor: BodyProcessor) {
        self.processor = Some(processor);
        self.set(Variable::ReqbodyProcessor, processor.name().as_bytes());
    }

    /// Forms have their processor without a rule; JSON and XML wait for `ctl:requestBodyProcessor`.
    fn choose_processor_by_type(&mut self, content_type: &[u8]) {
        let is = |prefix: &str| {
            content_type
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        if is("application/x-www-form-urlencoded") {
            self.choose_processor(BodyProcessor::UrlEncoded);
        } else if is("multipart/form-data") {
            self.choose_processor(BodyProcessor::Multipart);
        }
    }

    fn add_cookies(&mut self, text: TextId, header: &[u8]) {
        let most = COOKIES_LIMIT.saturating_sub(self.collections.request_cookies.len());
        cookies::read(header, most, |name, value| {
            let field = Field { name: self.found(text, name), value: self.found(text, value) };
            push(&mut self.collections.request_cookies, field);
        });
    }

    /// AUTH_TYPE, and REMOTE_USER of HTTP's Basic scheme (RFC 7617).
    fn set_credentials(&mut self, text: TextId, header: &[u8]) {
        let value = header.trim_ascii();
        let start = header.len() - header.trim_ascii_start().len();
        let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let scheme = self.texts.part(text, start..start + end);
        self.scalars.set(Variable::AuthType, scheme);
        if value[..end].eq_ignore_ascii_case(b"basic") {
            let mut decoded = Vec::new();
            let encoded = value[end..].trim_ascii();
            if Transformation::Base64Decode.apply(encoded, &mut decoded, &Context::default())
                && let Some(colon) = decoded.iter().position(|byte| *byte == b':')
            {
                self.set(Variable::RemoteUser, &decoded[..colon]);
            }
        }
    }
}

/// The host without its port.
fn host_of(value: &[u8]) -> &[u8] {
    let end = match value {
        [b'[', ..] => value.iter().position(|byte| *byte == b']').map(|at| at + 1),
        _ => value.iter().position(|byte| *byte == b':'),
    };
    &value[..end.unwrap_or(value.len())]
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn hosts() {
        assert_eq!(host_of(b"a.example:8080"), b"a.example");
        assert_eq!(host_of(b"[::1]:8080"), b"[::1]");
        assert_eq!(host_of(b"a.example"), b"a.example");
    }
}
