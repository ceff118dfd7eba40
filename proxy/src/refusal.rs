//! A request that is refused before it is served: the answer, the firewall's log, the access record, the counters.
//!
//! The app that its `Host` names sees it like any other request. The rules judge what came of the head, for the
//! log only: the answer is the refusal's, and nothing reaches a back end.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::bans::Offence;
use crate::conn::ConnectionInfo;
use crate::context::Context;
use crate::downstream::ResponseSink;
use crate::error_page::{METHODS, error_page};
use crate::events::{AccessRecord, Event, loggable};
use crate::exchange::send_page;
use crate::firewall::{Firewall, InspectedHead, TransactionContext};
use crate::forwarding::client_address;
use crate::http1::framing::Refusal;
use crate::http1::refused::{RefusedHead, RefusedRequest};
use crate::http1::target::{normalized_path, parse_target};
use crate::metrics::UNROUTED;
use crate::record::{NO_ANSWER, report_offence};
use crate::request::Version;
use crate::table::LiveRoute;

/// Answers, counts and logs a request whose head or framing is malformed.
pub async fn refuse(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    request: RefusedRequest,
    sink: &mut ResponseSink<'_>,
) {
    let (time, started) = (SystemTime::now(), Instant::now());
    let RefusedRequest { refusal, line, head, complete } = request;
    context.metrics.count_rejected(refusal.reason());
    let host: Arc<str> = head.as_ref().map(RefusedHead::host).unwrap_or_default().into();
    let live = head.as_ref().and_then(|head| route(context, &host, head));
    let head = head.unwrap_or_default();
    let peer = connection.client.ip();
    // Of a head in pieces nobody but its sender is known. (A trusted proxy is never banned for what it passes on.)
    let client = match complete {
        true => client_address(peer, &head.headers, &context.config),
        false => peer.to_canonical(),
    };
    let transaction = TransactionContext {
        id: context.ids.next(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()),
        time,
        app: live.as_ref().map_or_else(|| UNROUTED.into(), |live| live.route.app.clone()),
        client,
        client_port: connection.client.port(),
        server: connection.server,
        entropy: context.entropy(),
    };
    if let Some(live) = &live {
        inspect(context, live, &transaction, &host, &head, refusal);
    }
    let TransactionContext { id, app, client, .. } = transaction;
    // A head that came too slowly may be an honest client's.
    if refusal != Refusal::HeadTimeout {
        report_offence(context, live.as_deref(), client, Offence::Malformed, &id);
    }
    sink.close_after();
    let (mut answer, page) = error_page(refusal.status(), &id, None);
    answer.headers.push("x-request-id", id.clone());
    if answer.status == 405 {
        answer.headers.push("allow", METHODS);
    }
    let sent = send_page(sink, answer, page).await;
    let metrics = live.map_or_else(|| context.metrics.app(&app), |live| live.metrics.clone());
    metrics.count_request(&head.method, refusal.status(), started.elapsed());
    if !context.events.wants_access() {
        return;
    }
    let text = |name: &str| head.headers.get(name).map(|value| loggable(value));
    let record = AccessRecord {
        id,
        time,
        app,
        client,
        method: String::new(),
        host,
        // The line as it came: its parts may mean something else than they seem to.
        target: loggable(&line),
        protocol: "",
        status: refusal.status(),
        received: 0,
        sent: sink.sent,
        duration: started.elapsed(),
        upstream: None,
        user_agent: text("user-agent"),
        referer: text("referer"),
        note: Some(match sent {
            Ok(()) => refusal.to_string(),
            Err(error) => format!("{refusal}; client: {error}"),
        }),
        trace: None,
    };
    context.events.send(Event::Access(Box::new(record)), &context.metrics);
}

/// Counts and logs streams that the HTTP/2 library ended as malformed without a word to us (RFC 9113 section 8.1.1). All
/// that is known of them is who sent them, and to whom he shook hands.
pub fn refuse_unseen(context: &Context, connection: &ConnectionInfo, count: usize) {
    let host = connection.server_name.clone().unwrap_or_default();
    let live = context.table.load().find(&host, b"/").cloned();
    let app = live.as_ref().map_or_else(|| UNROUTED.into(), |live| live.route.app.clone());
    let client = connection.client.ip().to_canonical();
    for _ in 0..count {
        let time = SystemTime::now();
        let id = context.ids.next(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        context.metrics.count_rejected("http2_stream");
        report_offence(context, live.as_deref(), client, Offence::Malformed, &id);
        if !context.events.wants_access() {
            continue;
        }
        let record = AccessRecord {
            id,
            time,
            app: app.clone(),
            client,
            method: String::new(),
            host: host.clone(),
            target: String::new(),
            protocol: Version::Http2.as_str(),
            status: NO_ANSWER,
            received: 0,
            sent: 0,
            duration: Duration::ZERO,
            upstream: None,
            user_agent: None,
            referer: None,
            note: Some("the HTTP/2 stream was reset as malformed".to_owned()),
            trace: None,
        };
        context.events.send(Event::Access(Box::new(record)), &context.metrics);
    }
}

/// The route that would have served it.
fn route(context: &Context, host: &str, head: &RefusedHead) -> Option<Arc<LiveRoute>> {
    let parsed = parse_target(&head.target, &head.method);
    let path = parsed.map_or_else(|| head.target.clone(), |target| target.path_and_query);
    context.table.load().find(host, &normalized_path(&path)).cloned()
}

/// Lets the rules of the route see the head, and logs what they say.
fn inspect(
    context: &Arc<Context>,
    live: &LiveRoute,
    transaction: &TransactionContext,
    host: &Arc<str>,
    head: &RefusedHead,
    refusal: Refusal,
) {
    let Some(protection) = &live.route.waf else { return };
    let inspected = InspectedHead {
        method: &head.method,
        target: &head.target,
        protocol: &head.protocol,
        host,
        headers: &head.headers,
    };
    Firewall::begin(protection, transaction.clone(), inspected, live.metrics.clone(), context.clone())
        .refused(refusal, head.announces_body());
}
