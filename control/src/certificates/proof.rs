//! Showing an authority that a name is ours: the proof stands while the authority looks, and is withdrawn afterwards.

use std::sync::Arc;

use hop3_proxy::{Challenges, PendingChallenge};
use instant_acme::{ChallengeType, KeyAuthorization};

use super::dns::{Record, RecordKeeper};
use crate::settings::{Acme, ChallengeKind};

/// Puts proofs into place.
pub(super) struct Prover {
    challenges: Arc<Challenges>,
    dns: Option<RecordKeeper>,
    kinds: Vec<ChallengeKind>,
}

/// A proof in place.
pub(super) enum Proof {
    /// Answered by the proxy until it is dropped.
    Answered(#[expect(dead_code, reason = "dropping it withdraws the proof")] PendingChallenge),
    /// A TXT record.
    Record(Record),
}

impl Prover {
    /// With the proxy's `challenges`, and DNS where it is configured.
    pub(super) fn new(challenges: Arc<Challenges>, acme: &Acme) -> Prover {
        let dns = acme.dns.clone().map(RecordKeeper::new);
        Prover { challenges, dns, kinds: acme.challenges.clone() }
    }

    /// How a name is proved after so many failures in a row: each time in the next way, since what failed once may
    /// be impossible here (a port that is closed, a server in front of this one).
    pub(super) fn kind(&self, name: &str, wildcard: bool, failures: u32) -> Option<ChallengeKind> {
        let fits: Vec<_> = self
            .kinds
            .iter()
            .filter(|kind| **kind == ChallengeKind::Dns01 || !(wildcard || name.starts_with("*.")))
            .collect();
        let index = usize::try_from(failures).unwrap_or(0).checked_rem(fits.len())?;
        Some(*fits[index])
    }

    /// Puts a proof for `name` (without `*.`) into place; when this returns it can be looked at.
    ///
    /// # Errors
    /// Why it could not be put into place.
    pub(super) async fn put(
        &self,
        kind: ChallengeKind,
        name: &str,
        token: &str,
        authorization: &KeyAuthorization,
    ) -> Result<Proof, String> {
        match kind {
            ChallengeKind::Http01 => {
                Ok(Proof::Answered(self.challenges.put_http(name, token, authorization.as_str())))
            }
            ChallengeKind::TlsAlpn01 => {
                let digest = authorization.digest();
                let digest: &[u8; 32] =
                    digest.as_ref().try_into().map_err(|_| "the digest is no SHA-256".to_owned())?;
                let pending = self.challenges.put_tls_alpn(name, digest);
                pending.map(Proof::Answered).map_err(|error| error.to_string())
            }
            ChallengeKind::Dns01 => {
                let dns = self.dns.as_ref().ok_or("dns-01 is not configured")?;
                dns.present(name, &authorization.dns_value()).await.map(Proof::Record)
            }
        }
    }

    /// Withdraws a proof. What cannot be withdrawn is logged: it harms nobody, but is litter.
    pub(super) async fn withdraw(&self, proof: Proof) {
        if let (Proof::Record(record), Some(dns)) = (proof, &self.dns)
            && let Err(error) = dns.clean_up(&record).await
        {
            tracing::warn!(record = record.name, error, "a TXT record could not be removed");
        }
    }
}

/// The same in the ACME library's words.
pub(super) fn challenge_type(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        ChallengeKind::Dns01 => ChallengeType::Dns01,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_tries_the_next_way() {
        let prover =
            |kinds: &[ChallengeKind]| Prover { challenges: Arc::default(), dns: None, kinds: kinds.to_vec() };
        let all = prover(&[ChallengeKind::Http01, ChallengeKind::TlsAlpn01, ChallengeKind::Dns01]);
        let ways: Vec<_> =
            (0..4).map(|failures| all.kind("a.org", false, failures).unwrap().as_str()).collect();
        assert_eq!(ways, ["http-01", "tls-alpn-01", "dns-01", "http-01"]);
        for failures in 0..3 {
            assert_eq!(all.kind("a.org", true, failures), Some(ChallengeKind::Dns01));
        }
        assert_eq!(prover(&[ChallengeKind::Http01]).kind("a.org", true, 0), None);
    }
}
