//! The steps of an order: taken up again or begun, its names proved, and which of them were refused.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, Error,
    Identifier, NewOrder, Order, OrderStatus,
};
use rcgen::KeyPair;
use rustls::pki_types::Der;

use super::authority::{Authority, PATIENCE};
use super::failed::{Failed, is_limit, is_rate_limit, kind_name, said, shelved};
use super::holding::{Holding, Issued, PendingOrder};
use super::limits::note_order;
use super::pem_chain::PemChain;
use super::proof::{Prover, Standing, challenge_type};
use crate::model::Timestamp;
use crate::settings::ChallengeKind;

/// An order that is older than this is begun anew.
const OLDEST_ORDER: Duration = Duration::from_secs(24 * 3600);

impl Authority {
    /// The order that was begun before a restart, if it is still of use.
    pub(super) async fn resume(
        &self,
        account: &Account,
        owner: &str,
        names: &[String],
        holding: &Holding,
    ) -> Result<Option<(Order, KeyPair)>, Failed> {
        let Some(pending) = &holding.order else { return Ok(None) };
        let fits = pending.directory == self.acme.directory
            && pending.names == names
            && Timestamp::now().since(pending.began) < OLDEST_ORDER;
        if let (true, Ok(key)) = (fits, KeyPair::from_pem(&pending.key)) {
            match account.order(pending.url.clone()).await {
                Ok(mut order) => {
                    if order.state().status != OrderStatus::Invalid {
                        tracing::info!(owner, "going on with the order that was begun");
                        return Ok(Some((order, key)));
                    }
                }
                Err(Error::Api(_)) => {}
                Err(error) => return Err(self.classify(error)),
            }
        }
        self.remember(owner, None)?;
        Ok(None)
    }

    pub(super) async fn begin(
        &self,
        account: &Account,
        owner: &str,
        names: &[String],
        holding: &Holding,
    ) -> Result<(Order, KeyPair), Failed> {
        let directory = &self.acme.directory;
        tokio::task::block_in_place(|| {
            self.shelf.note_authority(directory, |record| note_order(&mut record.orders, Timestamp::now()))
        })
        .map_err(|error| shelved(&error))?;
        let identifiers: Vec<_> = names.iter().map(|name| Identifier::Dns(name.clone())).collect();
        let key = KeyPair::generate().map_err(|error| Failed::Order(error.to_string(), None))?;
        let replaced = holding
            .issued
            .as_ref()
            .filter(|issued| issued.directory == self.acme.directory && advises(issued))
            .and_then(|issued| identifier(&issued.chain));
        let replacing = match replaced {
            Some(replaced) => {
                let order = NewOrder::new(&identifiers).replaces(replaced);
                match account.new_order(&order).await {
                    Ok(order) => Some(order),
                    Err(error) if is_rate_limit(&error) => return Err(self.classify(error)),
                    // Replaced already, or too old for the authority to know: a plain order does as well.
                    Err(Error::Api(_) | Error::Unsupported(_) | Error::Other(_)) => None,
                    Err(error) => return Err(self.classify(error)),
                }
            }
            None => None,
        };
        let order = match replacing {
            Some(order) => order,
            None => {
                let order = NewOrder::new(&identifiers);
                account.new_order(&order).await.map_err(|error| self.classify(error))?
            }
        };
        let pending = PendingOrder {
            url: order.url().to_owned(),
            directory: self.acme.directory.clone(),
            names: names.to_vec(),
            key: key.serialize_pem(),
            began: Timestamp::now(),
        };
        self.remember(owner, Some(pending))?;
        Ok((order, key))
    }

    /// Puts a proof for each name into place, waits until all can be seen, and then until the authority has looked.
    pub(super) async fn prove(
        &self,
        order: &mut Order,
        holding: &Holding,
        prover: &Prover,
        standing: &mut Standing,
    ) -> Result<(), Failed> {
        let mut failed = Vec::new();
        let mut put = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let authorization = next.map_err(|error| self.classify(error))?;
            let name = authorization.identifier().to_string();
            let kind = match authorization.status {
                AuthorizationStatus::Valid => None,
                AuthorizationStatus::Pending => {
                    let failures = holding.names.get(&name).map_or(0, |trouble| trouble.failures);
                    let outcome = put_proof(authorization, &name, failures, prover, standing).await;
                    outcome.map_err(|reason| failed.push((name, reason))).ok()
                }
                other => {
                    failed.push((name, format!("its authorization is {other:?}").to_lowercase()));
                    None
                }
            };
            put.push(kind);
        }
        if !failed.is_empty() {
            return Err(Failed::Names(failed));
        }
        standing.settle().await;
        // The same authorizations again; nothing is asked anew.
        let mut authorizations = order.authorizations();
        let mut put = put.into_iter();
        while let Some(next) = authorizations.next().await {
            let mut authorization = next.map_err(|error| self.classify(error))?;
            let Some(kind) = put.next().flatten() else { continue };
            let name = authorization.identifier().to_string();
            let Some(mut challenge) = authorization.challenge(challenge_type(kind)) else { continue };
            if challenge.status != ChallengeStatus::Pending {
                // The authority is at it since an earlier try.
                continue;
            }
            match challenge.set_ready().await {
                Ok(()) => {}
                Err(Error::Api(problem)) if !is_limit(&problem) => {
                    failed.push((name, format!("{}: {}", kind.as_str(), said(&problem))));
                }
                Err(error) => return Err(self.classify(error)),
            }
        }
        if !failed.is_empty() {
            return Err(Failed::Names(failed));
        }
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Invalid) => Err(self.refusals(order).await),
            Ok(_) => Ok(()),
            Err(error) => {
                // Before anything else is asked: the answer's status and its wish to wait belong to this one.
                let names = matches!(&error, Error::Api(problem) if !is_limit(problem));
                match self.classify(error) {
                    Failed::Authority(reason, after) => Err(Failed::Authority(reason, after)),
                    other if names => match self.refusals(order).await {
                        Failed::Names(names) => Err(Failed::Names(names)),
                        _ => Err(other),
                    },
                    other => Err(other),
                }
            }
        }
    }

    /// Which names an invalid order stumbled over.
    pub(super) async fn refusals(&self, order: &mut Order) -> Failed {
        let mut refused = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if authorization.refresh().await.is_err() || authorization.status != AuthorizationStatus::Invalid
            {
                continue;
            }
            let reason = authorization.challenges.iter().find_map(|challenge| {
                let problem = challenge.error.as_ref()?;
                Some(format!("{}: {}", kind_name(&challenge.r#type), said(problem)))
            });
            let reason = reason.unwrap_or_else(|| "the authority does not say why".into());
            refused.push((authorization.identifier().to_string(), reason));
        }
        if refused.is_empty() {
            let error = order.state().error.as_ref().map_or_else(|| "it became invalid".into(), said);
            return Failed::Order(error, None);
        }
        Failed::Names(refused)
    }
}

/// Puts the proof of one name into place: in which way that is, or why there is none.
async fn put_proof(
    mut authorization: AuthorizationHandle<'_>,
    name: &str,
    failures: u32,
    prover: &Prover,
    standing: &mut Standing,
) -> Result<ChallengeKind, String> {
    let kind = prover
        .kind(name, authorization.wildcard, failures)
        .ok_or("there is no way to prove it: a wildcard needs dns-01")?;
    let challenge = authorization
        .challenge(challenge_type(kind))
        .ok_or_else(|| format!("the authority offers no {}", kind.as_str()))?;
    let (token, authorization) = (challenge.token.clone(), challenge.key_authorization());
    let put = standing.put(kind, name.trim_start_matches("*."), &token, &authorization).await;
    put.map(|()| kind).map_err(|reason| format!("{}: {reason}", kind.as_str()))
}

/// Whether the authority has given advice for a certificate; only then does it understand `replaces`.
pub(super) fn advises(issued: &Issued) -> bool {
    issued.advice.as_ref().is_some_and(|advice| advice.window.is_some())
}

/// How renewal information names a certificate (RFC 9773 section 4.1).
pub(super) fn identifier(chain: &PemChain) -> Option<CertificateIdentifier<'static>> {
    let facts = chain.facts()?;
    let authority = facts.authority_key.as_ref()?;
    Some(CertificateIdentifier::new(Der::from_slice(authority), Der::from_slice(&facts.serial)).into_owned())
}
