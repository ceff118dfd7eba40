//! What happens to a request before the firewall sees it, and the answers that come of it.

use std::cell::LazyCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::bans::Offence;
use crate::error_page::error_page;
use crate::exchange::{Exchange, Stop};
use crate::forwarding::is_secure;
use crate::headers::Headers;
use crate::http1::response::ResponseHead;
use crate::metrics::app::Limited;
use crate::policy::basic_auth::Verdict;
use crate::policy::cache::{Cache, CacheKey, Entry, Origin};
use crate::table::LiveRoute;

/// An answer of the proxy's own with more to it than a status.
#[derive(Debug, Default)]
pub(crate) struct OwnAnswer {
    pub(crate) status: u16,
    /// For the log; empty where nothing went wrong.
    pub(crate) note: String,
    /// Fields beside those of every page.
    pub(crate) fields: Headers,
    /// The page; none for the ordinary one of the status.
    pub(crate) page: Option<Bytes>,
    /// An answer to a preflight: without any page, and with all the fields of the route's rule.
    pub(crate) preflight: bool,
}

impl OwnAnswer {
    /// A page that asks the client to come again.
    pub(crate) fn retry(status: u16, after: Duration, note: impl Into<String>) -> Self {
        let mut fields = Headers::default();
        // Rounded up: too early is in vain.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        fields.push("retry-after", seconds.max(1).to_string());
        Self { status, note: note.into(), fields, ..Self::default() }
    }
}

/// An answer where no file can be shown.
pub(crate) fn no_file(status: u16) -> Stop {
    let mut fields = Headers::default();
    if status == 405 {
        fields.push("allow", "GET, HEAD");
    }
    OwnAnswer { status, note: "static files".into(), fields, ..OwnAnswer::default() }.into()
}

impl From<OwnAnswer> for Stop {
    fn from(answer: OwnAnswer) -> Self {
        Self::Own(Box::new(answer))
    }
}

impl Exchange<'_> {
    /// Addresses, maintenance, rates, redirects, preflights, passwords: in this order, cheap ones first. A rate that the
    /// request was counted in at an `earlier` route does not count it again.
    pub(crate) async fn admit(&mut self, live: &LiveRoute, earlier: Option<&LiveRoute>) -> Result<(), Stop> {
        let Some(policy) = live.route.policy.as_deref() else { return Ok(()) };
        if !policy.addresses.admits(self.client) {
            live.metrics.count_limited(Limited::Address);
            return Err(Stop::answer(403, "the client's address is not allowed"));
        }
        if let Some(maintenance) = &policy.maintenance
            && !maintenance.lets_through(self.client)
        {
            live.metrics.count_limited(Limited::Maintenance);
            let after = maintenance.retry_after.unwrap_or(Duration::from_secs(300));
            let answer = OwnAnswer::retry(503, after, "maintenance");
            return Err(OwnAnswer { page: maintenance.page.clone(), ..answer }.into());
        }
        let counted = earlier.and_then(|earlier| earlier.state.limiter.as_ref());
        if let Some(limiter) = &live.state.limiter
            && counted.is_none_or(|counted| !Arc::ptr_eq(counted, limiter))
            && let Err(exhausted) = limiter.take(self.client, &self.request.headers)
        {
            live.metrics.count_limited(Limited::Rate);
            // Whoever comes when others have emptied a shared bucket did nothing wrong.
            self.offence = exhausted.by_client.then_some(Offence::RateLimit);
            return Err(OwnAnswer::retry(429, exhausted.wait, "too many requests").into());
        }
        if let Some((status, to)) = policy.redirects.iter().find_map(|redirect| redirect.answer(self.request))
        {
            return Err(Stop::Redirect(status, to));
        }
        if let Some(head) = policy.cors.as_ref().and_then(|cors| cors.preflight(self.request)) {
            let answer = OwnAnswer { status: head.status, fields: head.headers, ..OwnAnswer::default() };
            return Err(OwnAnswer { preflight: true, ..answer }.into());
        }
        let Some(auth) = &policy.basic_auth else { return Ok(()) };
        match auth.admits(&self.request.headers, self.client, &live.state.doorman).await {
            Verdict::Admitted => Ok(()),
            Verdict::Busy => {
                Err(OwnAnswer::retry(503, Duration::from_secs(5), "too many passwords to check").into())
            }
            Verdict::Refused => {
                live.metrics.count_limited(Limited::Password);
                let mut answer =
                    OwnAnswer { status: 401, note: "no or wrong password".into(), ..OwnAnswer::default() };
                answer.fields.push("www-authenticate", auth.challenge());
                Err(answer.into())
            }
        }
    }

    /// Waits for the request's turn where the route limits how many are under way. Keep what it gives until the end.
    pub(crate) async fn enter(&self, live: &LiveRoute) -> Result<Option<OwnedSemaphorePermit>, Stop> {
        let Some(gate) = &live.state.gate else { return Ok(None) };
        match gate.enter().await {
            Some(permit) => Ok(Some(permit)),
            None => {
                live.metrics.count_limited(Limited::Concurrency);
                Err(OwnAnswer::retry(503, Duration::from_secs(1), "too many requests under way").into())
            }
        }
    }

    /// A kept answer to this request.
    pub(crate) fn kept(&self, live: &LiveRoute) -> Option<Arc<Entry>> {
        let cache = self.cache(live).filter(|_| Cache::serves(self.request))?;
        let seen = LazyCell::new(|| self.seen_fields(live));
        let found = cache.find(&self.cache_key(live), self.request, &seen, SystemTime::now());
        let counter = if found.is_some() { &live.metrics.cache_hits } else { &live.metrics.cache_misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// The cache that may answer this request and keep what is answered to it. What is said to a client that has shown a
    /// certificate is for that client, as with `Authorization`.
    pub(crate) fn cache<'l>(&self, live: &'l LiveRoute) -> Option<&'l Arc<Cache>> {
        live.state.cache.as_ref().filter(|_| self.vouched_certificate(live).is_none())
    }

    pub(crate) fn cache_key(&self, live: &LiveRoute) -> CacheKey {
        let config = &self.context.config;
        let trusted = config.trusts(self.connection.client.ip().to_canonical());
        let told = |name| self.request.headers.get(name).filter(|_| trusted).map(|value| &value[..]);
        let origin = Origin {
            secure: is_secure(self.request, self.connection, config),
            canary: live.is_for_canary(&self.request.headers, self.client),
            told_host: told("x-forwarded-host"),
            told_port: told("x-forwarded-port"),
        };
        CacheKey::of(self.request, origin)
    }

    /// The page for a status: the route's own, or the ordinary one.
    pub(crate) fn page(&self, status: u16) -> (ResponseHead, Bytes) {
        let policy = self.live.as_ref().and_then(|live| live.route.policy.as_deref());
        match policy.and_then(|policy| policy.error_pages.page(status, &self.id)) {
            Some(page) => (html(status), page),
            None => error_page(status, &self.id, Some(self.request)),
        }
    }

    /// Head and page of an answer of our own.
    pub(crate) fn own_page(&self, answer: OwnAnswer) -> (ResponseHead, Bytes) {
        let OwnAnswer { status, fields, page, preflight, .. } = answer;
        let (mut head, page) = match page {
            _ if preflight => (ResponseHead::new(status), Bytes::new()),
            Some(page) => (html(status), page),
            None => self.page(status),
        };
        fields.iter().for_each(|field| head.headers.push(field.name.clone(), field.value.clone()));
        (head, page)
    }
}

fn html(status: u16) -> ResponseHead {
    let mut head = ResponseHead::new(status);
    head.headers.push("content-type", "text/html; charset=utf-8");
    head.headers.push("cache-control", "no-store");
    head.headers.push("x-content-type-options", "nosniff");
    head
}
