//! Why there is no certificate, and what authorities say about it in words.

use std::time::Duration;

use instant_acme::{Error, Problem};

use crate::failure::chain;

/// Why there is no certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The authority cannot be reached, or is out of order: nobody's order will come through now.
    Authority(String, Option<Duration>),
    /// It refused this order.
    Order(String, Option<Duration>),
    /// It is not done with this order yet, which goes on later.
    Late(String, Option<Duration>),
    /// It could not verify these names, for these reasons.
    Names(Vec<(String, String)>),
}

pub(super) fn is_rate_limit(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if is_limit(problem))
}

pub(super) fn is_limit(problem: &Problem) -> bool {
    problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:rateLimited")
}

/// A problem in words.
pub(super) fn said(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next());
    match (&problem.detail, kind) {
        (Some(detail), Some(kind)) => format!("{detail} ({kind})"),
        (Some(detail), None) => detail.clone(),
        (None, Some(kind)) => kind.to_owned(),
        (None, None) => "it does not say why".to_owned(),
    }
}

pub(super) fn kind_name(kind: &instant_acme::ChallengeType) -> &'static str {
    match kind {
        instant_acme::ChallengeType::Http01 => "http-01",
        instant_acme::ChallengeType::TlsAlpn01 => "tls-alpn-01",
        instant_acme::ChallengeType::Dns01 => "dns-01",
        _ => "challenge",
    }
}

pub(super) fn shelved(error: &crate::store::StoreError) -> Failed {
    Failed::Order(chain(error), None)
}
