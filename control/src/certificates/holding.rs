//! What is remembered of one owner (an app or a static route) and of one authority. Sealed whole in the store, since
//! private keys are in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hop3_proxy::{CertificateFacts, CertificateOrigin, CertificatePem};
use serde::{Deserialize, Serialize};

use super::pem_chain::PemChain;
use crate::model::Timestamp;
use crate::settings::is_for_tests;

/// Everything about the certificates of one owner.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holding {
    /// Given by the operator.
    pub imported: Option<Imported>,
    /// Issued by an authority.
    pub issued: Option<Issued>,
    /// An order that was begun, so that a restart goes on with it.
    pub order: Option<PendingOrder>,
    /// Names that could not be proved.
    pub names: BTreeMap<String, Trouble>,
    /// Why no order as a whole came through.
    pub refused: Option<Trouble>,
    /// The certificates of the last days: when, and for which names.
    pub issuances: Vec<Issuance>,
    /// The operator asked for a new certificate.
    pub renew_now: bool,
    /// Since when there is no owner any more.
    pub ownerless: Option<Timestamp>,
}

/// A certificate of the operator's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// PEM, own certificate first.
    pub chain: PemChain,
    /// PEM.
    pub key: String,
    /// When it was given.
    pub added: Timestamp,
}

/// A certificate of an authority's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// PEM, own certificate first.
    pub chain: PemChain,
    /// PEM.
    pub key: String,
    /// Whose it is: the directory's URL.
    pub directory: String,
    /// When it came.
    pub at: Timestamp,
    /// What the authority says about renewing it.
    #[serde(default)]
    pub advice: Option<Advice>,
}

/// Renewal information (RFC 9773).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// The moment chosen within the suggested window; `None` when the authority suggests none.
    pub renew: Option<Timestamp>,
    /// The window it was chosen from.
    #[serde(default)]
    pub window: Option<(Timestamp, Timestamp)>,
    /// When to ask again.
    pub ask_again: Timestamp,
    /// Where the authority explains the window.
    #[serde(default)]
    pub explanation: Option<String>,
}

/// An order under way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingOrder {
    /// Its URL.
    pub url: String,
    /// Whose it is.
    pub directory: String,
    /// What it is for.
    pub names: Vec<String>,
    /// PEM key of the certificate to come.
    pub key: String,
    /// When it began.
    pub began: Timestamp,
}

/// What keeps going wrong, and when it is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Failures in a row.
    pub failures: u32,
    /// When the latest of them were, oldest first.
    pub recent: Vec<Timestamp>,
    /// Not before.
    pub retry: Timestamp,
    /// Why, in the words of who refused.
    pub reason: String,
    /// Whether the authority itself named the pause: then nobody shortens it.
    #[serde(default)]
    pub asked: bool,
}

/// One certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuance {
    /// When.
    pub at: Timestamp,
    /// For which names, sorted.
    pub names: Vec<String>,
}

/// What is remembered of one authority.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthorityRecord {
    /// The account, as the ACME library writes it; holds its key.
    pub account: Option<serde_json::Value>,
    /// When orders were begun, the latest hours.
    pub orders: Vec<Timestamp>,
    /// The authority does not answer, or wants to be left alone.
    pub trouble: Option<Trouble>,
}

/// What a host is shown with.
#[derive(Clone)]
pub struct Shown {
    /// PEM, own certificate first.
    pub chain: PemChain,
    /// PEM.
    pub key: String,
    /// Where it came from.
    pub origin: CertificateOrigin,
    /// What it says.
    pub facts: Arc<CertificateFacts>,
}

impl Shown {
    /// Whether it has not expired.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        now < Timestamp::from(self.facts.not_after)
    }
}

impl From<Shown> for CertificatePem {
    fn from(Shown { chain, key, origin, .. }: Shown) -> Self {
        Self { chain: chain.to_string(), key, origin }
    }
}

impl Holding {
    /// The certificate to show for a host now: an imported one first, unless another is better.
    pub fn show(&self, host: &str, now: Timestamp) -> Option<Shown> {
        let imported = self.imported.as_ref();
        let imported = imported.map(|held| (&held.chain, &held.key, CertificateOrigin::Imported));
        let issued = self.issued.as_ref().map(|held| (&held.chain, &held.key, CertificateOrigin::Acme));
        let covering = |(chain, key, origin): (&PemChain, &String, CertificateOrigin)| {
            let facts = chain.facts().filter(|facts| facts.covers(host))?;
            Some(Shown { chain: chain.clone(), key: key.clone(), origin, facts })
        };
        let both = [imported.and_then(covering), issued.and_then(covering)];
        let valid = both.iter().flatten().find(|shown| shown.is_valid(now));
        // An expired one still tells a client more than a self-signed one does.
        valid.or_else(|| both.iter().flatten().next()).cloned()
    }

    /// Whether clients trust what a host is shown with now, as far as can be told: it is valid, somebody else issued
    /// it, and that was no authority for tests.
    pub fn is_trusted(&self, host: &str, now: Timestamp) -> bool {
        let Some(Shown { origin, facts, .. }) = self.show(host, now) else { return false };
        let tests = origin == CertificateOrigin::Acme
            && self.issued.as_ref().is_some_and(|issued| is_for_tests(&issued.directory));
        let valid = Timestamp::from(facts.not_before)..Timestamp::from(facts.not_after);
        valid.contains(&now) && !facts.self_signed && !tests
    }

    /// What the issued certificate says, if there is one.
    pub fn issued_facts(&self) -> Option<Arc<CertificateFacts>> {
        self.issued.as_ref()?.chain.facts()
    }

    /// What the imported certificate says, if there is one.
    pub fn imported_facts(&self) -> Option<Arc<CertificateFacts>> {
        self.imported.as_ref()?.chain.facts()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        *self == Holding::default()
    }
}

impl std::fmt::Debug for Holding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys are in it.
        f.debug_struct("Holding")
            .field("names", &self.names)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

    use super::super::schedule::tests::{DAY, START, chain};
    use super::*;

    fn imported(names: &[&str], days: u32) -> Option<Imported> {
        let (chain, key) = chain(names, START, DAY * days);
        Some(Imported { chain: chain.into(), key, added: START })
    }

    fn issued(names: &[&str], days: u32) -> Option<Issued> {
        let (chain, key) = chain(names, START, DAY * days);
        Some(Issued { chain: chain.into(), key, directory: "d".into(), at: START, advice: None })
    }

    #[test]
    fn an_imported_certificate_wins_while_it_is_valid() {
        let holding = Holding {
            imported: imported(&["a.org"], 10),
            issued: issued(&["a.org", "b.org"], 90),
            ..Holding::default()
        };
        let origin = |host: &str, days: u32| {
            holding.show(host, START.after(DAY * days)).map(|shown| shown.origin.as_str())
        };
        assert_eq!(origin("a.org", 1), Some("imported"));
        assert_eq!(origin("b.org", 1), Some("acme"));
        assert_eq!(origin("a.org", 11), Some("acme"), "the imported one has expired");
        assert_eq!(origin("a.org", 100), Some("imported"), "both have expired");
        assert_eq!(origin("c.org", 1), None);
        assert!(!format!("{holding:?}").contains("PRIVATE"));
    }

    #[test]
    fn only_what_clients_trust_is_trusted() {
        let held = |(chain, key): (String, String), directory: &str| Holding {
            issued: Some(Issued {
                chain: chain.into(),
                key,
                directory: directory.into(),
                at: START,
                advice: None,
            }),
            ..Holding::default()
        };
        let staging = "https://acme-staging-v02.api.letsencrypt.org/directory";
        let good = held(chain_of_authority(&["a.org"], START, 90 * DAY), "d");
        assert!(good.is_trusted("a.org", START.after(DAY)));
        assert!(!good.is_trusted("b.org", START.after(DAY)));
        assert!(!good.is_trusted("a.org", START.after(91 * DAY)), "expired");
        assert!(!good.is_trusted("a.org", Timestamp(START.0 - 1000)), "not yet valid");
        let tests = held(chain_of_authority(&["a.org"], START, 90 * DAY), staging);
        assert!(!tests.is_trusted("a.org", START.after(DAY)));
        let own = Holding { imported: imported(&["a.org"], 90), ..Holding::default() };
        assert!(own.show("a.org", START).is_some() && !own.is_trusted("a.org", START.after(DAY)));
    }

    /// Like [`chain`], issued by somebody else.
    fn chain_of_authority(names: &[&str], from: Timestamp, life: Duration) -> (String, String) {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_millis(from.0);
        params.not_after = params.not_before + life;
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    }
}
