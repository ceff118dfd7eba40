//! One request from its head to its log line: route, firewall phases 1 and 2, back end, phases 3 and 4, answer,
//! phase 5.
//!
//! A request to a protected route reaches a back end only through [`Exchange::inspect_request`].

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use crate::bans::{Met, Offence};
use crate::budget::Grant;
use crate::conn::ConnectionInfo;
use crate::context::Context;
use crate::downstream::{RequestBody, ResponseLength, ResponseSink};
use crate::error_page::METHODS;
use crate::firewall::{Decision, Firewall, TransactionContext};
use crate::forwarding::{client_address, is_secure};
use crate::headers::Headers;
use crate::http1::body::FramingError;
use crate::http1::framing::{BodyLength, Refusal};
use crate::http1::response::ResponseHead;
use crate::http1::source::BodyError;
use crate::http1::target::{Scheme, forwardable, normalized_path};
use crate::policy::admission::OwnAnswer;
use crate::record::Outcome;
use crate::request::{Request, Version};
use crate::rounds;
use crate::spool::Spool;
use crate::table::{LiveBackend, LiveRoute, LiveTable};
use crate::tls::client_certificates::ClientCertificate;
use crate::trace_context::{TraceSpan, traceparent};
use crate::transaction_id::chosen_before;

/// Why an exchange does not end with the back end's answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Answer with an error page; the note goes into the log.
    Answer(u16, String),
    /// The body's framing is broken: count it with the malformed heads.
    Malformed(Refusal),
    /// Redirect there.
    Redirect(u16, Bytes),
    /// Answer with more than a page.
    Own(Box<OwnAnswer>),
    /// Close without an answer.
    Abort(String),
    /// Close at once, without an answer: the client gets no more of our time.
    Cut(String),
}

impl Stop {
    pub(crate) fn answer(status: u16, note: impl Into<String>) -> Self {
        Self::Answer(status, note.into())
    }

    pub(crate) fn client_gone(error: &io::Error) -> Self {
        Self::Abort(format!("client: {error}"))
    }
}

impl From<Decision> for Option<Stop> {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Pass => None,
            Decision::Deny(status) => Some(Stop::answer(status, "refused by the firewall")),
            Decision::Redirect(status, to) => Some(Stop::Redirect(status, to.into())),
            Decision::Drop => Some(Stop::Cut("dropped by the firewall".to_owned())),
        }
    }
}

/// One request under way.
#[derive(Debug)]
pub(crate) struct Exchange<'x> {
    pub(crate) context: &'x Arc<Context>,
    pub(crate) connection: &'x ConnectionInfo,
    pub(crate) request: &'x Request,
    pub(crate) id: String,
    pub(crate) client: IpAddr,
    pub(crate) firewall: Option<Firewall>,
    /// Memory of what the firewall holds.
    pub(crate) held: Vec<Grant>,
    pub(crate) upstream_time: Option<Duration>,
    /// The route, once known.
    pub(crate) live: Option<Arc<LiveRoute>>,
    /// Why the proxy itself answered or gave up.
    pub(crate) note: Option<String>,
    /// The proxy's part of the trace.
    pub(crate) trace: Option<TraceSpan>,
    /// What the client did wrong, where it is known before the end.
    pub(crate) offence: Option<Offence>,
    pub(crate) time: SystemTime,
    pub(crate) started: Instant,
    /// What was sent; as long as nothing is written here the exchange counts as given up.
    pub(crate) outcome: Outcome,
}

/// The proxy's part of the trace that a request belongs to, or that begins with it.
fn span(context: &Context, request: &Request) -> Option<TraceSpan> {
    let config = &context.config;
    if !config.spans {
        return None;
    }
    if traceparent(&request.headers).is_some() {
        return TraceSpan::continuing(&request.headers, context.entropy());
    }
    let one_of = u64::from(config.sample_new_traces);
    let begins = one_of > 0 && context.entropy().is_multiple_of(one_of);
    begins.then(|| TraceSpan::beginning([(); 3].map(|()| context.entropy())))
}

/// The id of a request: the one a trusted proxy chose, else a new one.
fn id(context: &Context, connection: &ConnectionInfo, request: &Request, time: SystemTime) -> String {
    let trusted = context.config.trusts(connection.client.ip().to_canonical());
    let chosen = if trusted { chosen_before(&request.headers) } else { None };
    chosen
        .unwrap_or_else(|| context.ids.next(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()))
}

/// Serves a request. It is recorded when the exchange is dropped, also when that happens half-way.
pub async fn serve(
    context: &Arc<Context>,
    connection: &ConnectionInfo,
    request: &Request,
    body: &mut RequestBody<'_>,
    sink: &mut ResponseSink<'_>,
) {
    let time = SystemTime::now();
    rounds::begin();
    let mut exchange = Exchange {
        context,
        connection,
        request,
        id: id(context, connection, request, time),
        client: client_address(connection.client.ip(), &request.headers, &context.config),
        firewall: None,
        held: Vec::new(),
        upstream_time: None,
        live: None,
        note: None,
        trace: span(context, request),
        offence: None,
        time,
        started: Instant::now(),
        outcome: Outcome::default(),
    };
    exchange.answer(body, sink).await;
    exchange.outcome = Outcome { status: sink.status, received: body.received, sent: sink.sent };
}

impl Exchange<'_> {
    /// Answers, by whoever is to.
    async fn answer(&mut self, body: &mut RequestBody<'_>, sink: &mut ResponseSink<'_>) {
        let (context, request) = (self.context, self.request);
        if let Some(proof) = context.challenges.http(&request.host, &request.path_and_query) {
            // For the authority that asks, not for the route: its redirect and its firewall do not count.
            return self.prove(proof, body, sink).await;
        }
        // Whom an HTTP/2 connection is of was asked about when the stream was taken.
        let asked =
            request.version == Version::Http2 && self.client == self.connection.client.ip().to_canonical();
        if !asked && context.bans.turns_away(self.client, Met::Request, self.time) {
            return self.turn_away(body, sink).await;
        }
        let table = context.table.load_full();
        let live = table.find(&request.host, &normalized_path(&request.path_and_query)).cloned();
        self.live.clone_from(&live);
        let result = match live {
            Some(_) if table.routes().is_ambiguous(&request.host, &request.path_and_query) => {
                Err(Stop::answer(400, "the path can be read in two ways for which different rules hold"))
            }
            Some(live) => self.run(&table, &live, body, sink).await,
            None => Err(Stop::answer(404, "no route for this host and path")),
        };
        if let Err(stop) = result {
            self.stop(stop, body, sink).await;
        }
    }

    async fn run(
        &mut self,
        table: &LiveTable,
        live: &Arc<LiveRoute>,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        self.take_up(table, live, None, body, sink).await?;
        let spool = self.inspect_request(live, body, sink).await?;
        let _turn = self.enter(live).await?;
        let live = self.awaited(live, body, sink).await?;
        match &live.backend {
            // The canary has instances of its own.
            _ if live.is_for_canary(&self.request.headers, self.client) => {
                self.forward(&live, spool, body, sink).await
            }
            LiveBackend::Unavailable(reason) => Err(Stop::answer(503, &**reason)),
            LiveBackend::Static(files) => {
                drop(spool);
                self.serve_file(files, sink).await
            }
            LiveBackend::Pool(_) => self.forward(&live, spool, body, sink).await,
        }
    }

    /// Lets the request in by the rules of its route: when it came, and again by those of the route that follows the one
    /// it was held at.
    pub(crate) async fn take_up(
        &mut self,
        table: &LiveTable,
        live: &Arc<LiveRoute>,
        earlier: Option<&LiveRoute>,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        self.live = Some(live.clone());
        let route = &live.route;
        if self.is_secure() {
            sink.strict_transport_security.clone_from(&route.tls.strict_transport_security);
        }
        self.check_server_name(table, live)?;
        self.check_client_certificate(live, sink)?;
        if route.redirects_to_https(&self.request.host) && !self.is_secure() {
            return Err(self.https_redirect());
        }
        self.admit(live, earlier).await?;
        body.limit = route.limits.max_body;
        body.passes_trailers = route.waf.is_none();
        body.policy.clone_from(&route.policy);
        let announced = if let BodyLength::Known(length) = self.request.body { length } else { 0 };
        if announced.max(body.received) > route.limits.max_body {
            return Err(Stop::answer(413, "request body too large"));
        }
        Ok(())
    }

    /// A TLS client must ask for the app whose certificate it was shown (RFC 9110 section 15.5.20).
    fn check_server_name(&self, table: &LiveTable, live: &LiveRoute) -> Result<(), Stop> {
        let Some(server_name) = &self.connection.server_name else { return Ok(()) };
        let same = *server_name == self.request.host
            || table.routes().app_of_host(server_name).is_some_and(|app| *app == live.route.app);
        if same {
            Ok(())
        } else {
            Err(Stop::answer(421, "Host and TLS server name belong to different apps"))
        }
    }

    fn is_secure(&self) -> bool {
        is_secure(self.request, self.connection, &self.context.config)
    }

    /// A route that asks for client certificates serves only those its authority vouches for.
    fn check_client_certificate(&self, live: &LiveRoute, sink: &mut ResponseSink<'_>) -> Result<(), Stop> {
        let Some(asked) = live.route.tls.client_certificates.as_ref().filter(|asked| asked.required) else {
            return Ok(());
        };
        match &self.connection.client_certificate {
            Some(shown) if shown.is_accepted_by(&asked.authority) => Ok(()),
            // A redirect to HTTPS comes first: there a certificate can be shown.
            None if live.route.redirects_to_https(&self.request.host) && !self.is_secure() => Ok(()),
            // Opened before the route asked, or under no name or another one: a new connection will be asked.
            None if self.connection.scheme == Scheme::Https && !self.connection.asked_for_certificate => {
                sink.close_after();
                Err(Stop::answer(421, "the connection was not asked for a client certificate"))
            }
            _ => Err(Stop::answer(403, "no client certificate of the route's authority")),
        }
    }

    /// The client's certificate, where an authority of the route vouches for it.
    pub(crate) fn vouched_certificate(&self, live: &LiveRoute) -> Option<&ClientCertificate> {
        let asked = live.route.tls.client_certificates.as_ref()?;
        let shown = self.connection.client_certificate.as_deref()?;
        shown.is_accepted_by(&asked.authority).then_some(shown)
    }

    /// Answers an authority's http-01 probe.
    async fn prove(&mut self, proof: Bytes, body: &RequestBody<'_>, sink: &mut ResponseSink<'_>) {
        let mut head = ResponseHead::new(200);
        head.headers.push("content-type", "application/octet-stream");
        if !body.is_finished() {
            sink.close_after();
        }
        if let Err(error) = send_page(sink, head, proof).await {
            self.note = Some(format!("client: {error}"));
            sink.abort();
        }
    }

    /// A banned client's connection is closed; that of a trusted proxy, which others share, is answered.
    async fn turn_away(&mut self, body: &RequestBody<'_>, sink: &mut ResponseSink<'_>) {
        let stop = if self.client == self.connection.client.ip().to_canonical() {
            Stop::Cut("the client is banned".to_owned())
        } else {
            Stop::answer(403, "the client is banned")
        };
        self.stop(stop, body, sink).await;
    }

    fn https_redirect(&self) -> Stop {
        let port = self.context.config.https_port().filter(|port| *port != 443);
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let status = if matches!(&self.request.method[..], b"GET" | b"HEAD") { 301 } else { 308 };
        let location = [
            b"https://",
            self.request.host.as_bytes(),
            port.as_bytes(),
            &forwardable(&self.request.path_and_query),
        ];
        Stop::Redirect(status, location.concat().into())
    }

    /// Phases 1 and 2. The body that was read for phase 2, if it was: one that the rules do not look into is left to whoever
    /// answers. Its client is told to send it once the request has passed.
    async fn inspect_request(
        &mut self,
        live: &LiveRoute,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<Option<Spool>, Stop> {
        let has_body = self.request.body != BodyLength::Empty;
        let Some(protection) = &live.route.waf else {
            if has_body {
                self.tell_to_continue(sink).await?;
            }
            return Ok(None);
        };
        let transaction = TransactionContext {
            id: self.id.clone(),
            time: self.time,
            app: live.route.app.clone(),
            client: self.client,
            client_port: self.connection.client.port(),
            server: self.connection.server,
            entropy: self.context.entropy(),
        };
        let firewall = self.firewall.insert(Firewall::begin(
            protection,
            transaction,
            self.request.into(),
            live.metrics.clone(),
            self.context.clone(),
        ));
        let turn = self.connection.budget.turn().await;
        proceed(firewall.request_headers())?;
        drop(turn);
        let wanted = has_body && firewall.wants_request_body();
        let spool = if wanted {
            self.tell_to_continue(sink).await?;
            Some(self.hold_request(body, sink).await?)
        } else {
            None
        };
        if let Some(firewall) = self.firewall.as_mut() {
            let _turn = self.connection.budget.turn().await;
            proceed(firewall.request_body(&self.connection.budget).await)?;
        }
        if has_body && !wanted {
            live.metrics.uninspected_bodies.fetch_add(1, Ordering::Relaxed);
            self.tell_to_continue(sink).await?;
        }
        Ok(spool)
    }

    /// Asks for the body of a client that waits to be asked.
    async fn tell_to_continue(&self, sink: &mut ResponseSink<'_>) -> Result<(), Stop> {
        if self.request.expects_continue {
            sink.send_continue().await.map_err(|error| Stop::client_gone(&error))?;
        }
        Ok(())
    }

    /// Phase 3, for whichever answer.
    pub(crate) fn inspect_response_head(&mut self, head: &ResponseHead) -> Result<(), Stop> {
        self.firewall.as_mut().map_or(Ok(()), |firewall| proceed(firewall.response_headers(head)))
    }

    /// Ends an exchange that did not end by itself.
    async fn stop(&mut self, stop: Stop, body: &RequestBody<'_>, sink: &mut ResponseSink<'_>) {
        let preflight = matches!(&stop, Stop::Own(answer) if answer.preflight);
        let (mut head, page) = match stop {
            Stop::Answer(status, note) => {
                self.note = Some(note);
                self.page(status)
            }
            Stop::Malformed(refusal) => {
                self.context.metrics.count_rejected(refusal.reason());
                self.offence = Some(Offence::Malformed);
                self.note = Some(refusal.to_string());
                self.page(refusal.status())
            }
            Stop::Redirect(status, location) => {
                let mut head = ResponseHead::new(status);
                head.headers.push("location", location);
                (head, Bytes::new())
            }
            Stop::Own(answer) => {
                self.note = (!answer.note.is_empty()).then(|| answer.note.clone());
                self.own_page(*answer)
            }
            Stop::Abort(note) => {
                self.note = Some(note);
                sink.abort();
                return;
            }
            Stop::Cut(note) => {
                self.note = Some(note);
                sink.cut();
                return;
            }
        };
        if head.status == 405 && !head.headers.contains("allow") {
            head.headers.push("allow", METHODS);
        }
        self.decorate(&mut head.headers, preflight);
        if sink.status.is_some() {
            // The head is out: an incomplete answer must look incomplete.
            sink.abort();
            return;
        }
        if !body.is_finished() {
            sink.close_after();
        }
        if let Err(error) = send_page(sink, head, page).await {
            self.note.get_or_insert_with(|| format!("client: {error}"));
            sink.abort();
        }
    }
}

/// Turns a decision into going on or stopping.
pub(crate) fn proceed(decision: Decision) -> Result<(), Stop> {
    Option::<Stop>::from(decision).map_or(Ok(()), Err)
}

/// What a body that cannot be read means for the exchange.
pub(crate) fn body_stop(error: BodyError) -> Stop {
    match error {
        BodyError::TooLarge => Stop::answer(413, "request body too large"),
        BodyError::Timeout => Stop::answer(408, "request body took too long"),
        BodyError::Framing(FramingError::Chunk) => Stop::Malformed(Refusal::Chunk),
        BodyError::Framing(FramingError::Trailers) => Stop::Malformed(Refusal::Trailers),
        BodyError::Framing(FramingError::Truncated) | BodyError::Io(_) | BodyError::Stream(_) => {
            Stop::Abort(format!("client: {error}"))
        }
    }
}

pub(crate) async fn send_page(
    sink: &mut ResponseSink<'_>,
    head: ResponseHead,
    page: Bytes,
) -> io::Result<()> {
    sink.send_head(head, ResponseLength::Known(page.len() as u64))?;
    sink.send_data(page).await?;
    sink.finish(&Headers::default()).await
}
