//! How certificates look to the operator: `hop3 certs`, `hop3 status`, the log.

use serde::{Deserialize, Serialize};

use super::Wanted;
use super::holding::{Holding, Shown, Trouble};
use super::names::{MOST_NAMES, unissuable};
use super::schedule::{candidates, last_sixth, renewal};
use crate::model::Timestamp;
use crate::settings::{Acme, ChallengeKind};

/// An imported certificate is warned about when less than this is left.
const IMPORTED_SOON: std::time::Duration = std::time::Duration::from_secs(21 * 86_400);

/// The certificates of one app or static route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// App or static route.
    pub owner: String,
    /// Each of its hosts.
    pub hosts: Vec<HostCertificate>,
    /// When the authority's certificate is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Timestamp>,
    /// Where the authority explains why it wants it renewed then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// What is wrong, in sentences; empty when all is well.
    pub problems: Vec<String>,
}

/// The certificate one host is shown with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCertificate {
    /// The host.
    pub host: String,
    /// `acme`, `imported` or `self-signed`.
    pub origin: String,
    /// When it expires; unknown for self-signed ones, which are remade in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Who issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Why it is self-signed, when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The owner whose certificate it is, where that is another one: both serve parts of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}

/// What importing led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedCertificate {
    /// App or static route.
    pub owner: String,
    /// The names in the certificate.
    pub names: Vec<String>,
    /// When it expires.
    pub expires: Timestamp,
    /// What should be known about it.
    pub notes: Vec<String>,
}

/// The status of an owner. `shown` tells the certificate that an owner's host is shown with.
pub fn status(
    wanted: &Wanted,
    holding: &Holding,
    shown: impl Fn(&str, &str) -> Option<Shown>,
    acme: Option<&Acme>,
    authority: Option<&Trouble>,
    now: Timestamp,
) -> CertificateStatus {
    let Wanted { owner, hosts: names, elsewhere, automatic } = wanted;
    let automatic = *automatic;
    let own = names.iter().map(|host| {
        host_status(host, shown(owner, host), || why_self_signed(host, automatic, holding, acme))
    });
    let mut hosts: Vec<_> = own.collect();
    let facts = holding.issued_facts();
    let uses_acme = hosts.iter().any(|host| host.origin == "acme");
    let facts = facts.filter(|_| uses_acme);
    let advice = holding.issued.as_ref().and_then(|issued| issued.advice.as_ref());
    let mut problems = Vec::new();
    if let Some(facts) = holding.imported_facts() {
        let expires = Timestamp::from(facts.not_after);
        if now >= expires {
            problems.push(format!("the imported certificate expired at {expires}; import a new one"));
        } else if expires.since(now) < IMPORTED_SOON {
            problems.push(format!("the imported certificate expires at {expires}; import a new one"));
        }
    }
    if let Some(facts) = &facts {
        let expires = Timestamp::from(facts.not_after);
        if now >= expires {
            problems.push(format!("the certificate expired at {expires} and could not be renewed"));
        } else if now >= last_sixth(facts) {
            problems.push(format!("the certificate expires at {expires} and could not be renewed yet"));
        }
    }
    if automatic && acme.is_some() {
        let retried = |trouble: &Trouble| {
            format!(
                "{} (failed {} times; not tried before {})",
                trouble.reason,
                trouble.failures,
                trouble.may_retry(now)
            )
        };
        // Of names that are hosts still; others are forgotten with the next certificate.
        let troubles = hosts.iter().filter_map(|host| Some((&host.host, holding.names.get(&host.host)?)));
        problems.extend(
            troubles.map(|(name, trouble)| {
                format!("the authority could not verify `{name}`: {}", retried(trouble))
            }),
        );
        let names = acme.map_or(0, |acme| candidates(names, holding, acme, now).len());
        if names > MOST_NAMES {
            problems.push(format!(
                "a certificate has at most {MOST_NAMES} names, and this needs {names}: the last ones by the \
                 alphabet are left out; deploy a part of the hosts as another app"
            ));
        }
        if let Some(trouble) = &holding.refused {
            problems.push(format!("the authority refused the order: {}", retried(trouble)));
        }
        let waiting = hosts.iter().any(|host| host.origin == "self-signed") || !problems.is_empty();
        if let Some(trouble) = authority.filter(|_| waiting) {
            problems.push(format!("the authority is out of reach: {}", retried(trouble)));
        }
    }
    hosts.extend(elsewhere.iter().map(|(host, holder)| HostCertificate {
        holder: Some(holder.clone()),
        ..host_status(host, shown(holder, host), || format!("the certificate is that of '{holder}'"))
    }));
    CertificateStatus {
        owner: owner.clone(),
        hosts,
        renewal: facts.as_ref().map(|facts| renewal(holding, facts)),
        explanation: advice.and_then(|advice| advice.explanation.clone()),
        problems,
    }
}

fn host_status(
    host: &str,
    shown: Option<Shown>,
    why_self_signed: impl FnOnce() -> String,
) -> HostCertificate {
    match shown {
        Some(Shown { origin, facts, .. }) => HostCertificate {
            host: host.to_owned(),
            origin: origin.as_str().to_owned(),
            expires: Some(facts.not_after.into()),
            issuer: Some(facts.issuer.clone()),
            reason: None,
            holder: None,
        },
        None => HostCertificate {
            host: host.to_owned(),
            origin: "self-signed".to_owned(),
            expires: None,
            issuer: None,
            reason: Some(why_self_signed()),
            holder: None,
        },
    }
}

fn why_self_signed(host: &str, automatic: bool, holding: &Holding, acme: Option<&Acme>) -> String {
    let Some(acme) = acme else {
        return "no authority is configured: [server.acme]".into();
    };
    if !automatic {
        return "chosen in [tls]".into();
    }
    let wildcards = acme.challenges.contains(&ChallengeKind::Dns01);
    if let Some(reason) = unissuable(host, acme.public, wildcards) {
        return reason.into();
    }
    match holding.names.get(host) {
        Some(_) => "the authority could not verify it".into(),
        None => "ordered, not issued yet".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::holding::{Imported, Issued};
    use super::super::schedule::tests::{DAY, START, chain};
    use super::*;

    fn acme() -> Acme {
        Acme {
            directory: "https://ca.example/directory".into(),
            public: true,
            roots: None,
            email: None,
            external_account: None,
            challenges: vec![ChallengeKind::Http01],
            dns: None,
        }
    }

    fn reported(holding: &Holding, hosts: &[&str], now: Timestamp) -> CertificateStatus {
        let shown = |_: &str, host: &str| holding.show(host, now);
        status(&wanted(hosts), holding, shown, Some(&acme()), None, now)
    }

    fn wanted(hosts: &[&str]) -> Wanted {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Wanted { owner: "demo".into(), hosts, elsewhere: Default::default(), automatic: true }
    }

    #[test]
    fn what_is_wrong_is_said_in_time() {
        let (pem, key) = chain(&["a.org"], START, DAY * 90);
        let issued = Issued {
            chain: pem.as_str().into(),
            key: key.clone(),
            directory: acme().directory,
            at: START,
            advice: None,
        };
        let mut holding = Holding { issued: Some(issued), ..Holding::default() };
        let said =
            |holding: &Holding, days: u32| reported(holding, &["a.org"], START.after(DAY * days)).problems;
        assert!(said(&holding, 61).is_empty());
        assert!(said(&holding, 76)[0].contains("could not be renewed yet"));
        assert!(said(&holding, 91)[0].contains("expired"));
        assert_eq!(reported(&holding, &["a.org"], START).renewal, Some(START.after(DAY * 60)));
        let mut trouble = Trouble::default();
        trouble.name_failed("connection refused", START, 200);
        holding.names.insert("b.org".into(), trouble);
        let both = reported(&holding, &["a.org", "b.org"], START.after(DAY)).problems;
        assert!(both[0].contains("`b.org`: connection refused (failed 1 times"), "{both:?}");
        assert!(said(&holding, 1).is_empty(), "a name that is no host any more troubles nobody");
        let imported = Holding {
            imported: Some(Imported { chain: pem.into(), key, added: START }),
            ..Holding::default()
        };
        assert!(said(&imported, 60).is_empty());
        assert!(said(&imported, 70)[0].contains("import a new one"));
        assert!(said(&imported, 90)[0].contains("expired"));
    }

    #[test]
    fn names_that_fit_into_no_certificate_are_told() {
        let hosts: Vec<String> = (0..=MOST_NAMES).map(|number| format!("h{number}.org")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        assert!(reported(&Holding::default(), &hosts[1..], START).problems.is_empty());
        let problems = reported(&Holding::default(), &hosts, START).problems;
        assert!(problems[0].contains("at most 100 names, and this needs 101"), "{problems:?}");
    }

    #[test]
    fn a_self_signed_host_says_why() {
        let hosts = ["shop.org", "demo.localhost", "*.shop.org"];
        let report = reported(&Holding::default(), &hosts, START);
        let reasons: Vec<_> = report.hosts.iter().map(|host| host.reason.clone().unwrap()).collect();
        assert!(reasons[0].contains("not issued yet") && reasons[1].contains("localhost"));
        assert!(reasons[2].contains("dns-01"));
        let none = status(&wanted(&["a.org"]), &Holding::default(), |_, _| None, None, None, START);
        assert!(none.hosts[0].reason.as_ref().unwrap().contains("[server.acme]"));
        let shared = Wanted { elsewhere: [("b.org".into(), "front".into())].into(), ..wanted(&["a.org"]) };
        let shared = status(&shared, &Holding::default(), |_, _| None, Some(&acme()), None, START);
        assert_eq!(shared.hosts[1].holder.as_deref(), Some("front"));
        assert_eq!(shared.hosts[1].reason.as_deref(), Some("the certificate is that of 'front'"));
    }
}
