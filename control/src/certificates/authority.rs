//! Speaking to an ACME authority (RFC 8555): the account, orders from their first to their last request, advice on
//! renewal (RFC 9773).
//!
//! Whatever is needed to go on after a crash is on the [`Shelf`] before the authority is asked for the next thing: the
//! account's key, an order's URL and the key of its certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hop3_proxy::{CertificateFacts, CertificateOrigin, CertificatePem};
use instant_acme::{
    Account, AccountCredentials, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, Error,
    ExternalAccountKey, Identifier, NewAccount, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::Der;

use super::holding::{Advice, Holding, Issued, PendingOrder};
use super::https::{AuthorityClient, attending, heard};
use super::limits::{next_order, note_order};
use super::pem_chain::PemChain;
use super::proof::{Prover, Standing, challenge_type};
use super::schedule::{advice, no_advice};
use super::shelf::Shelf;
use crate::failure::chain;
use crate::model::Timestamp;
use crate::settings::{Acme, ChallengeKind};

/// How long an authority may take to look at proofs, and to issue.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));
/// An order that is older than this is begun anew.
const OLDEST_ORDER: Duration = Duration::from_secs(24 * 3600);

/// One authority, and our account with it.
pub(super) struct Authority {
    acme: Acme,
    client: AuthorityClient,
    shelf: Arc<Shelf>,
    account: tokio::sync::Mutex<Option<Account>>,
    /// The authority said that it does not know our account (any more).
    unknown: AtomicBool,
}

/// Why there is no certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The authority cannot be reached, or is out of order: nobody's order will come through now.
    Authority(String, Option<Duration>),
    /// It refused this order.
    Order(String, Option<Duration>),
    /// It could not verify these names, for these reasons.
    Names(Vec<(String, String)>),
}

impl Authority {
    /// The authority of the configuration; nothing is sent yet.
    ///
    /// # Errors
    /// Its roots cannot be read.
    pub(super) fn new(acme: Acme, shelf: Arc<Shelf>) -> Result<Authority, String> {
        let client = AuthorityClient::new(acme.roots.as_deref())?;
        Ok(Authority {
            acme,
            client,
            shelf,
            account: tokio::sync::Mutex::default(),
            unknown: AtomicBool::new(false),
        })
    }

    /// The configuration it was made from.
    pub(super) fn acme(&self) -> &Acme {
        &self.acme
    }

    /// When it may be asked for something again.
    pub(super) fn free_at(&self, now: Timestamp) -> Timestamp {
        match self.shelf.authority(&self.acme.directory) {
            Ok(record) => {
                let trouble = record.trouble.map_or(Timestamp(0), |trouble| trouble.retry);
                trouble.max(next_order(&record.orders, now))
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "what is known of the authority cannot be read");
                now.after(Duration::from_secs(300))
            }
        }
    }

    /// A certificate for `names`: a new order, or the one that was begun.
    ///
    /// # Errors
    /// See [`Failed`]. The order is forgotten unless the authority merely could not be reached.
    pub(super) async fn obtain(
        &self,
        owner: &str,
        names: &[String],
        prover: &Arc<Prover>,
    ) -> Result<Issued, Failed> {
        attending(self.order(owner, names, prover)).await
    }

    async fn order(&self, owner: &str, names: &[String], prover: &Arc<Prover>) -> Result<Issued, Failed> {
        let account = self.account().await?;
        let holding = self.shelf.get(owner);
        let (mut order, key) = match self.resume(&account, owner, names, &holding).await? {
            Some(resumed) => resumed,
            None => self.begin(&account, owner, names, &holding).await?,
        };
        if order.state().status == OrderStatus::Pending {
            let mut standing = prover.standing();
            let proved = self.prove(&mut order, &holding, prover, &mut standing).await;
            standing.withdraw().await;
            proved?;
        }
        if order.state().status == OrderStatus::Ready {
            let request = signing_request(names, &key).map_err(|reason| Failed::Order(reason, None))?;
            order.finalize_csr(&request).await.map_err(|error| self.classify(error))?;
        }
        if order.state().status == OrderStatus::Invalid {
            return Err(self.refusals(&mut order).await);
        }
        let chain = order.poll_certificate(&PATIENCE).await.map_err(|error| self.classify(error))?;
        self.checked(chain, key.serialize_pem(), names)
    }

    /// When the authority wants an issued certificate renewed.
    ///
    /// # Errors
    /// It could not be reached. An authority that gives no advice is no error.
    pub(super) async fn advice(
        &self,
        issued: &Issued,
        now: Timestamp,
        random: u64,
    ) -> Result<Advice, Failed> {
        let earlier = issued.advice.as_ref();
        let Some(identifier) = identifier(&issued.chain) else { return Ok(no_advice(earlier, now, random)) };
        let account = attending(self.account()).await?;
        match account.renewal_info(&identifier).await {
            Ok((said, ask_after)) => {
                let moment = |time: std::time::SystemTime| Timestamp::from(time);
                let window =
                    (moment(said.suggested_window.start.into()), moment(said.suggested_window.end.into()));
                let explanation = said.explanation_url;
                Ok(advice(window, explanation, Some(ask_after), earlier, now, random))
            }
            Err(Error::Unsupported(_)) => Ok(no_advice(None, now, random)),
            Err(error) => {
                tracing::debug!(error = chain(&error), "the authority gives no renewal information");
                Ok(no_advice(earlier, now, random))
            }
        }
    }

    /// Our account: in memory, on the shelf, or a new one.
    async fn account(&self) -> Result<Account, Failed> {
        let mut held = self.account.lock().await;
        if self.unknown.swap(false, Ordering::Relaxed) {
            tracing::warn!(directory = self.acme.directory, "the authority has forgotten our account");
            *held = None;
            tokio::task::block_in_place(|| {
                self.shelf.note_authority(&self.acme.directory, |record| record.account = None)
            })
            .map_err(|error| shelved(&error))?;
        }
        if let Some(account) = &*held {
            return Ok(account.clone());
        }
        let record = self.shelf.authority(&self.acme.directory).map_err(|error| shelved(&error))?;
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let account = match record.account {
            Some(stored) => {
                let credentials: AccountCredentials = serde_json::from_value(stored)
                    .map_err(|error| Failed::Order(format!("the stored account: {error}"), None))?;
                builder.from_credentials(credentials).await.map_err(|error| self.classify(error))?
            }
            None => {
                let contact = self.acme.email.as_ref().map(|email| format!("mailto:{email}"));
                let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
                let new = NewAccount {
                    contact: &contact,
                    terms_of_service_agreed: true,
                    only_return_existing: false,
                };
                let external = self
                    .acme
                    .external_account
                    .as_ref()
                    .map(|(id, key)| ExternalAccountKey::new(id.clone(), key.reveal()));
                let (account, credentials) = builder
                    .create(&new, self.acme.directory.clone(), external.as_ref())
                    .await
                    .map_err(|error| self.unregistered(error))?;
                let stored = serde_json::to_value(&credentials)
                    .map_err(|error| Failed::Order(error.to_string(), None))?;
                let directory = &self.acme.directory;
                tokio::task::block_in_place(|| {
                    self.shelf.note_authority(directory, |record| record.account = Some(stored))
                })
                .map_err(|error| shelved(&error))?;
                tracing::info!(directory, account = account.id(), "registered with the authority");
                account
            }
        };
        *held = Some(account.clone());
        Ok(account)
    }

    /// The order that was begun before a restart, if it is still of use.
    async fn resume(
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

    async fn begin(
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
    async fn prove(
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
    async fn refusals(&self, order: &mut Order) -> Failed {
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

    /// Does not believe an authority blindly either.
    fn checked(&self, chain: String, key: String, names: &[String]) -> Result<Issued, Failed> {
        let wrong = |reason: String| Failed::Order(format!("the certificate that came: {reason}"), None);
        let pem = CertificatePem { chain, key, origin: CertificateOrigin::Acme };
        pem.check().map_err(|error| wrong(error.to_string()))?;
        let facts = CertificateFacts::of_pem(&pem.chain).map_err(|error| wrong(error.to_string()))?;
        if let Some(name) = names.iter().find(|name| !facts.covers(name)) {
            return Err(wrong(format!("it does not name `{name}`")));
        }
        let at = Timestamp::now();
        if at >= Timestamp::from(facts.not_after) {
            return Err(wrong("it has expired; is this machine's clock right?".into()));
        }
        let CertificatePem { chain, key, .. } = pem;
        Ok(Issued { chain: chain.into(), key, directory: self.acme.directory.clone(), at, advice: None })
    }

    fn remember(&self, owner: &str, order: Option<PendingOrder>) -> Result<(), Failed> {
        tokio::task::block_in_place(|| self.shelf.note(owner, |holding| holding.order = order))
            .map_err(|error| shelved(&error))
    }

    /// An account that is not given: every order waits for it.
    fn unregistered(&self, error: Error) -> Failed {
        match self.classify(error) {
            Failed::Order(reason, after) => Failed::Authority(format!("no account: {reason}"), after),
            other => other,
        }
    }

    fn classify(&self, error: Error) -> Failed {
        let (status, retry_after) = heard();
        match error {
            Error::Api(problem) => {
                let reason = said(&problem);
                if problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist") {
                    self.unknown.store(true, Ordering::Relaxed);
                }
                let named: Vec<_> = problem
                    .subproblems
                    .iter()
                    .filter_map(|part| match &part.identifier {
                        Some(Identifier::Dns(name)) => {
                            Some((name.clone(), part.detail.clone().unwrap_or_else(|| reason.clone())))
                        }
                        _ => None,
                    })
                    .collect();
                if status >= 500 {
                    Failed::Authority(reason, retry_after)
                } else if named.is_empty() || is_limit(&problem) {
                    Failed::Order(reason, retry_after)
                } else {
                    Failed::Names(named)
                }
            }
            Error::Timeout(_) => Failed::Order("the authority takes too long".into(), retry_after),
            // No problem document in the answer: a gateway's page, or no answer at all.
            Error::Json(error) => Failed::Authority(
                format!("its answer (status {status}) is not understood: {error}"),
                retry_after,
            ),
            error => Failed::Authority(chain(&error), retry_after),
        }
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
fn advises(issued: &Issued) -> bool {
    issued.advice.as_ref().is_some_and(|advice| advice.window.is_some())
}

fn is_rate_limit(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if is_limit(problem))
}

fn is_limit(problem: &Problem) -> bool {
    problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:rateLimited")
}

/// A problem in words.
fn said(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next());
    match (&problem.detail, kind) {
        (Some(detail), Some(kind)) => format!("{detail} ({kind})"),
        (Some(detail), None) => detail.clone(),
        (None, Some(kind)) => kind.to_owned(),
        (None, None) => "it does not say why".to_owned(),
    }
}

fn kind_name(kind: &instant_acme::ChallengeType) -> &'static str {
    match kind {
        instant_acme::ChallengeType::Http01 => "http-01",
        instant_acme::ChallengeType::TlsAlpn01 => "tls-alpn-01",
        instant_acme::ChallengeType::Dns01 => "dns-01",
        _ => "challenge",
    }
}

fn shelved(error: &crate::store::StoreError) -> Failed {
    Failed::Order(chain(error), None)
}

/// How renewal information names a certificate (RFC 9773 section 4.1).
fn identifier(chain: &PemChain) -> Option<CertificateIdentifier<'static>> {
    let facts = chain.facts()?;
    let authority = facts.authority_key.as_ref()?;
    Some(CertificateIdentifier::new(Der::from_slice(authority), Der::from_slice(&facts.serial)).into_owned())
}

fn signing_request(names: &[String], key: &KeyPair) -> Result<Vec<u8>, String> {
    let mut params = CertificateParams::new(names).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key).map_err(|error| error.to_string())?;
    Ok(request.der().to_vec())
}
