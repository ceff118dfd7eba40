//! Certificates from elsewhere: checked whole before anything is replaced.

use hop3_proxy::{CertificateError, CertificateFacts, CertificateOrigin, CertificatePem};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::holding::Imported;
use crate::failure::Failure;
use crate::model::Timestamp;

/// Longest chain or key that is read, in bytes.
const LONGEST: usize = 256 * 1024;
/// Who imports a certificate with less left is told.
const SOON: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// A certificate that may take its place, and what its owner should know.
#[derive(Debug)]
pub struct Accepted {
    /// What is kept.
    pub imported: Imported,
    /// What it says.
    pub facts: CertificateFacts,
    /// What is not wrong, but should be known.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for Imported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Imported").field("added", &self.added).finish_non_exhaustive()
    }
}

/// Checks a PEM chain and key for the hosts of an owner.
///
/// # Errors
/// A part cannot be read, the key is not the certificate's, it has expired or is not valid yet, or it names none of the
/// hosts.
pub fn check(chain: &str, key: &str, hosts: &[String], now: Timestamp) -> Result<Accepted, Failure> {
    if chain.len() > LONGEST || key.len() > LONGEST {
        return Err(Failure::usage("the certificate is not taken over")
            .cause(format!("a chain or key of more than {LONGEST} bytes")));
    }
    let refuse = |cause: String| Failure::usage("the certificate is not taken over").cause(cause);
    let pem =
        CertificatePem { chain: chain.to_owned(), key: key.to_owned(), origin: CertificateOrigin::Imported };
    pem.check().map_err(|error| {
        let failure = refuse(error.to_string());
        match error {
            CertificateError::Key { cause, .. } if cause.contains("not the key") => {
                failure.hint("give the key that the certificate was requested with")
            }
            CertificateError::Key { .. } => failure.hint(
                "the key file holds one unencrypted PEM block: PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY",
            ),
            _ => failure.hint("the chain file holds PEM blocks, the server's own certificate first"),
        }
    })?;
    let facts = CertificateFacts::of_pem(chain).map_err(|error| refuse(error.to_string()))?;
    let (from, to) = (Timestamp::from(facts.not_before), Timestamp::from(facts.not_after));
    if now >= to {
        return Err(refuse(format!("it expired at {to}")).hint("ask its authority for a new one"));
    }
    if now < from {
        return Err(refuse(format!("it is valid from {from} only"))
            .hint("import it then, or correct this machine's clock"));
    }
    let (covered, rest): (Vec<&String>, Vec<&String>) = hosts.iter().partition(|host| facts.covers(host));
    if covered.is_empty() {
        let names = facts.names.join(", ");
        return Err(refuse(format!("it names {names}, the app answers for {}", hosts.join(", ")))
            .hint("add its names to `domains` of the app first, or choose the app whose certificate it is"));
    }
    let mut notes = Vec::new();
    if !rest.is_empty() {
        let rest: Vec<&str> = rest.into_iter().map(String::as_str).collect();
        notes.push(format!("it does not name {}; these get their certificate elsewhere", rest.join(", ")));
    }
    if to.since(now) < SOON {
        notes.push(format!("it expires at {to}"));
    }
    notes.extend(chain_notes(chain, &facts));
    let imported = Imported { chain: chain.into(), key: key.to_owned(), added: now };
    Ok(Accepted { imported, facts, notes })
}

/// What clients may miss in the chain.
fn chain_notes(chain: &str, facts: &CertificateFacts) -> Option<String> {
    let links: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).filter_map(Result::ok).collect();
    if facts.self_signed {
        return Some("it is self-signed: clients trust it only where it was installed".into());
    }
    if links.len() == 1 {
        return Some(format!(
            "the chain holds no intermediate certificate of `{}`; some clients will not trust it",
            facts.issuer
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::schedule::tests::{DAY, START, chain};
    use super::*;

    fn hosts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_sound_certificate_is_taken_over_with_notes() {
        let (pem, key) = chain(&["a.org", "*.b.org"], START, DAY * 90);
        let accepted = check(&pem, &key, &hosts(&["a.org", "x.b.org", "c.org"]), START.after(DAY)).unwrap();
        assert_eq!(accepted.facts.names, ["a.org", "*.b.org"]);
        assert_eq!(accepted.notes.len(), 2, "{:?}", accepted.notes);
        assert!(accepted.notes[0].contains("c.org") && accepted.notes[1].contains("self-signed"));
        let late = check(&pem, &key, &hosts(&["a.org"]), START.after(DAY * 70)).unwrap();
        assert!(late.notes[0].contains("expires"), "{:?}", late.notes);
        assert!(!format!("{accepted:?}").contains("PRIVATE"));
    }

    #[test]
    fn each_fault_is_named() {
        let (pem, key) = chain(&["a.org"], START, DAY * 90);
        let (_, other) = chain(&["a.org"], START, DAY * 90);
        let wanted = hosts(&["a.org"]);
        let now = START.after(DAY);
        let damaged = pem.replace('M', "!");
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let huge = "x".repeat(LONGEST + 1);
        let cases: [(&str, &str, &[String], Timestamp, &str); 9] = [
            (&pem, &other, &wanted, now, "not the key of the certificate"),
            (&pem, "", &wanted, now, "the key of"),
            (&pem, &encrypted, &wanted, now, "the key of"),
            ("", &key, &wanted, now, "holds no certificate"),
            (&damaged, &key, &wanted, now, "the chain of"),
            (&pem, &key, &hosts(&["b.org"]), now, "it names a.org, the app answers for b.org"),
            (&pem, &key, &wanted, START.after(DAY * 91), "expired"),
            (&pem, &key, &wanted, Timestamp(START.0 - 1), "valid from"),
            (&huge, &key, &wanted, now, "more than"),
        ];
        for (chain, key, hosts, now, cause) in cases {
            let failure = check(chain, key, hosts, now).map(drop).unwrap_err();
            assert!(failure.cause.as_deref().unwrap().contains(cause), "{failure}");
        }
    }
}
