//! What a route does to requests and answers besides forwarding them: one noun per file, one value for all of them.
//!
//! A [`Policy`] is published with its route and replaced with it. What has to outlive that (counters of rates, the
//! cache, who is waiting) is in [`state`]. [`admission`] acts on requests before the firewall sees them, `outgoing` on
//! every answer of the route.
//!
//! Bans of addresses are decided before a request has a route: see [`crate::bans`].

pub mod address_rules;
pub mod admission;
pub mod basic_auth;
pub mod cache;
pub mod canary;
pub mod compression;
pub mod concurrency;
pub mod cors;
pub mod error_pages;
pub mod header_rules;
pub mod hold;
pub mod maintenance;
pub mod outgoing;
pub mod rate_limit;
pub mod redirect;
pub mod state;

use std::time::Duration;

use address_rules::AddressRules;
use basic_auth::BasicAuth;
use cache::CacheRules;
use canary::Canary;
use compression::Compression;
use concurrency::ConcurrencyLimit;
use cors::Cors;
use error_pages::ErrorPages;
use header_rules::HeaderRules;
use maintenance::Maintenance;
use rate_limit::RateLimit;
use redirect::Redirect;

/// The policy of one route. The default does nothing.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Who may come at all; 403 for others.
    pub addresses: AddressRules,
    /// Everybody gets 503 and a page.
    pub maintenance: Option<Maintenance>,
    /// How often; 429 beyond it.
    pub rate_limit: Option<RateLimit>,
    /// The path below which the rate limit was written; none where it was written for the whole app. Routes of an app with
    /// the same limit from the same place count together.
    pub rate_limit_of: Option<Box<str>>,
    /// The first that fits answers.
    pub redirects: Vec<Redirect>,
    /// Cross-origin requests.
    pub cors: Option<Cors>,
    /// Name and password.
    pub basic_auth: Option<BasicAuth>,
    /// How many at a time; 503 beyond it.
    pub concurrency: Option<ConcurrencyLimit>,
    /// The path below which that was written, as `rate_limit_of`.
    pub concurrency_of: Option<Box<str>>,
    /// Changes to the header of requests on their way to the back end.
    pub request_headers: HeaderRules,
    /// Changes to the header of every answer.
    pub response_headers: HeaderRules,
    /// Compresses answers.
    pub compression: Option<Compression>,
    /// Keeps answers.
    pub cache: Option<CacheRules>,
    /// Pages for the answers that the proxy gives itself.
    pub error_pages: ErrorPages,
    /// How long a request waits for a back end that is absent, e.g. while the app restarts.
    pub hold: Option<Duration>,
    /// Takes the route's path prefix off before a back end sees the path.
    pub strip_prefix: bool,
    /// Whether a request body is read whole before a back end hears of the request.
    pub request_buffering: bool,
    /// A second group of instances for a part of the requests.
    pub canary: Option<Canary>,
}
