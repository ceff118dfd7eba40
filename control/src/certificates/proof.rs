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

/// The proofs of an order that are in place. What is still there when this is dropped, because the order took too long,
/// is withdrawn behind the caller's back.
pub(super) struct Standing {
    prover: Arc<Prover>,
    /// Answered by the proxy until they are dropped.
    answered: Vec<PendingChallenge>,
    /// TXT records.
    records: Vec<Record>,
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

    /// For the proofs of one order; there are none yet.
    pub(super) fn standing(self: &Arc<Self>) -> Standing {
        Standing { prover: self.clone(), answered: Vec::new(), records: Vec::new() }
    }

    /// Removes TXT records. What cannot be removed is logged: it harms nobody, but is litter.
    async fn clean_up(&self, records: Vec<Record>) {
        let Some(dns) = &self.dns else { return };
        for record in records {
            if let Err(error) = dns.clean_up(&record).await {
                tracing::warn!(record = record.name, error, "a TXT record could not be removed");
            }
        }
    }
}

impl Standing {
    /// Puts a proof for `name` (without `*.`) into place. It can be looked at after [`Standing::settle`].
    ///
    /// # Errors
    /// Why it could not be put into place.
    pub(super) async fn put(
        &mut self,
        kind: ChallengeKind,
        name: &str,
        token: &str,
        authorization: &KeyAuthorization,
    ) -> Result<(), String> {
        let challenges = &self.prover.challenges;
        match kind {
            ChallengeKind::Http01 => {
                self.answered.push(challenges.put_http(name, token, authorization.as_str()));
            }
            ChallengeKind::TlsAlpn01 => {
                let digest = authorization.digest();
                let digest: &[u8; 32] =
                    digest.as_ref().try_into().map_err(|_| "the digest is no SHA-256".to_owned())?;
                let pending = challenges.put_tls_alpn(name, digest);
                self.answered.push(pending.map_err(|error| error.to_string())?);
            }
            ChallengeKind::Dns01 => {
                let prover = self.prover.clone();
                let dns = prover.dns.as_ref().ok_or("dns-01 is not configured")?;
                let record = Record::new(name, &authorization.dns_value());
                // First: who is interrupted does not know whether it was made.
                self.records.push(record.clone());
                if let Err(error) = dns.present(&record).await {
                    self.records.pop();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits until all servers of the zones should know the records, if there are any.
    pub(super) async fn settle(&self) {
        if let (Some(dns), false) = (&self.prover.dns, self.records.is_empty()) {
            dns.propagated().await;
        }
    }

    /// Withdraws all.
    pub(super) async fn withdraw(mut self) {
        self.answered.clear();
        while let Some(record) = self.records.last().cloned() {
            self.prover.clean_up(vec![record]).await;
            self.records.pop();
        }
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let records = std::mem::take(&mut self.records);
        if let (false, Ok(runtime)) = (records.is_empty(), tokio::runtime::Handle::try_current()) {
            let prover = self.prover.clone();
            runtime.spawn(async move { prover.clean_up(records).await });
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
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::settings::{Dns, DnsProvider};

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

    /// A prover whose records a program makes, which writes what it is asked for to a file.
    fn by_hook(folder: &std::path::Path, propagation: Duration) -> Arc<Prover> {
        let program = folder.join("hook");
        let script = format!("#!/bin/sh\necho \"$1 $2\" >> {}\n", folder.join("calls").display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let provider = DnsProvider::Hook(vec![program.display().to_string()]);
        let dns = Some(RecordKeeper::new(Dns { provider, propagation }));
        Arc::new(Prover { challenges: Arc::default(), dns, kinds: vec![ChallengeKind::Dns01] })
    }

    async fn put(standing: &mut Standing, name: &str) {
        let record = Record::new(name, "value");
        standing.records.push(record.clone());
        standing.prover.clone().dns.as_ref().unwrap().present(&record).await.unwrap();
    }

    #[tokio::test]
    async fn records_wait_once_and_go_also_when_the_order_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let calls = || std::fs::read_to_string(folder.path().join("calls")).unwrap();
        let prover = by_hook(folder.path(), Duration::from_millis(300));
        let started = std::time::Instant::now();
        let mut standing = prover.standing();
        for name in ["a.org", "b.org", "c.org"] {
            put(&mut standing, name).await;
        }
        let before = started.elapsed();
        standing.settle().await;
        assert!(started.elapsed() - before >= Duration::from_millis(300));
        standing.withdraw().await;
        assert_eq!(calls().lines().count(), 6, "{}", calls());

        // Given up while it waits.
        let mut standing = by_hook(folder.path(), Duration::from_secs(3600)).standing();
        put(&mut standing, "d.org").await;
        let waiting = async move { standing.settle().await };
        assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err());
        while !calls().ends_with("cleanup _acme-challenge.d.org.\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
