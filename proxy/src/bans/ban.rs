//! One ban: whom, why, from when to when.

use std::sync::Arc;
use std::time::SystemTime;

use crate::prefix::Prefix;

/// What a client did. Its points come from [`super::Points`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Offence {
    /// The firewall refused a request for what the client sent.
    Firewall,
    /// Credentials were shown and not accepted.
    Authentication,
    /// Nothing is found where it asked.
    NotFound,
    /// It went over the rate limit.
    RateLimit,
    /// It sent what is no HTTP.
    Malformed,
}

impl Offence {
    /// All of them, in the order of [`Offence::as_str`]'s values in metrics.
    pub const ALL: [Self; 5] =
        [Self::Firewall, Self::Authentication, Self::NotFound, Self::RateLimit, Self::Malformed];

    /// `firewall`, `authentication`, `not-found`, `rate-limit` or `malformed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firewall => "firewall",
            Self::Authentication => "authentication",
            Self::NotFound => "not-found",
            Self::RateLimit => "rate-limit",
            Self::Malformed => "malformed",
        }
    }
}

/// Why somebody is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An operator said so.
    Manual,
    /// The offence that was one too many.
    Offence(Offence),
    /// Many clients of the network were banned.
    Network,
}

impl Reason {
    /// `manual`, `network`, or as [`Offence::as_str`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Offence(offence) => offence.as_str(),
            Self::Network => "network",
        }
    }

    /// The reason of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let offences = Offence::ALL.into_iter().map(Self::Offence);
        offences.chain([Self::Manual, Self::Network]).find(|reason| reason.as_str() == name)
    }
}

/// One ban. It is kept for a time after its end, because the next one of the same client lasts longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Whom.
    pub prefix: Prefix,
    /// Why.
    pub reason: Reason,
    /// The app where the last offence happened.
    pub app: Option<Arc<str>>,
    /// The transaction id of the last offence, or what the operator had to say.
    pub note: Box<str>,
    /// Its beginning.
    pub since: SystemTime,
    /// Its end; none when it lasts until it is lifted.
    pub until: Option<SystemTime>,
    /// How many bans of this client or network it is, one following the other.
    pub count: u32,
}

impl Ban {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: SystemTime) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    /// Whether it was a person's decision.
    pub const fn is_manual(&self) -> bool {
        matches!(self.reason, Reason::Manual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_reasons_are_read_back() {
        for reason in Offence::ALL.map(Reason::Offence).into_iter().chain([Reason::Manual, Reason::Network]) {
            assert_eq!(Reason::from_name(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::from_name("mood"), None);
    }
}
