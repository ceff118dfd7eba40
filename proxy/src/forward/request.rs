//! What a back end gets of a request.

use bytes::Bytes;

use crate::exchange::Exchange;
use crate::forwarding::{is_secure, request_headers};
use crate::headers::Headers;
use crate::http1::framing::BodyLength;
use crate::path_prefix::without_prefix;
use crate::spool::Spool;
use crate::table::LiveRoute;
use crate::trace_context::new_traceparent;
use crate::upstream::http::ForwardedRequest;
use crate::upstream::pool::Protocol;

impl Exchange<'_> {
    /// The request for an instance that speaks this protocol, with the body that was read, if it was.
    pub(super) fn forwarded_request(
        &self,
        live: &LiveRoute,
        spool: Option<&Spool>,
        protocol: &Protocol,
    ) -> ForwardedRequest {
        let headers = self.forwarded_fields(live);
        let stripped = stripped_prefix(live);
        let path_and_query = match stripped {
            Some(prefix) => without_prefix(&self.request.path_and_query, prefix.as_bytes()),
            None => self.request.path_and_query.clone(),
        };
        let script_name =
            stripped.map_or_else(Bytes::new, |prefix| Bytes::copy_from_slice(prefix.as_bytes()));
        let body = match spool.map(Spool::length) {
            None => self.request.body,
            Some(0) => BodyLength::Empty,
            Some(length) => BodyLength::Known(length),
        };
        ForwardedRequest {
            method: self.request.method.clone(),
            path_and_query,
            script_name,
            headers,
            body,
            websocket: self.request.websocket && matches!(protocol, Protocol::Http),
            client: self.client,
            tls: is_secure(self.request, self.connection, &self.context.config),
            server: self.connection.server,
            protocol: self.request.version.as_str(),
        }
    }

    /// The fields that the route's back end sees of the request.
    pub(crate) fn forwarded_fields(&self, live: &LiveRoute) -> Headers {
        let config = &self.context.config;
        let identity_only = live.route.waf.as_ref().is_some_and(|protection| protection.inspects_responses());
        let mut headers = request_headers(self.request, self.connection, config, &self.id, identity_only);
        if let Some(certificate) = self.vouched_certificate(live) {
            headers.push("client-cert", certificate.field().to_owned());
        }
        if let Some(span) = &self.trace {
            headers.set("traceparent", span.traceparent());
        } else if config.new_traces && !headers.contains("traceparent") {
            let entropy = [(); 3].map(|()| self.context.entropy());
            headers.push("traceparent", new_traceparent(entropy));
        }
        if let Some(prefix) = stripped_prefix(live) {
            // Behind what a trusted proxy took off before.
            let earlier = headers.get("x-forwarded-prefix").map_or(&b""[..], |earlier| earlier);
            let whole = [earlier.strip_suffix(b"/").unwrap_or(earlier), prefix.as_bytes()].concat();
            headers.set("x-forwarded-prefix", whole);
        }
        if let Some(policy) = &live.route.policy {
            policy.request_headers.apply(&mut headers);
        }
        headers
    }
}

/// The path prefix that the back end does not see.
pub(super) fn stripped_prefix(live: &LiveRoute) -> Option<&str> {
    let strips = live.route.policy.as_ref().is_some_and(|policy| policy.strip_prefix);
    let prefix = live.route.path_prefix.trim_end_matches('/');
    (strips && !prefix.is_empty()).then_some(prefix)
}
