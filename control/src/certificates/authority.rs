//! Speaking to an ACME authority (RFC 8555): the account, the certificate of an order, advice on renewal (RFC 9773). An order's
//! steps are in `ordering`.
//!
//! Whatever is needed to go on after a crash is on the [`Shelf`] before the authority is asked for the next thing: the
//! account's key, an order's URL and the key of its certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hop3_proxy::{CertificateFacts, CertificateOrigin, CertificatePem};
use instant_acme::{
    Account, AccountCredentials, Error, ExternalAccountKey, Identifier, NewAccount, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::failed::{Failed, is_limit, said, shelved};
use super::holding::{Advice, Issued, PendingOrder};
use super::https::{AuthorityClient, attending, heard};
use super::limits::next_order;
use super::ordering::identifier;
use super::proof::Prover;
use super::schedule::{advice, no_advice};
use super::shelf::Shelf;
use crate::failure::chain;
use crate::model::Timestamp;
use crate::settings::Acme;

/// How long an authority may take to look at proofs, and to issue.
pub(super) const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// One authority, and our account with it.
pub(super) struct Authority {
    pub(super) acme: Acme,
    client: AuthorityClient,
    pub(super) shelf: Arc<Shelf>,
    account: tokio::sync::Mutex<Option<Account>>,
    /// The authority said that it does not know our account (any more).
    unknown: AtomicBool,
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
    /// See [`Failed`]. The order is forgotten unless the authority merely could not be reached, or takes its time.
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

    pub(super) fn remember(&self, owner: &str, order: Option<PendingOrder>) -> Result<(), Failed> {
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

    pub(super) fn classify(&self, error: Error) -> Failed {
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
            Error::Timeout(_) => Failed::Late("the authority takes too long".into(), retry_after),
            // No problem document in the answer: a gateway's page, or no answer at all.
            Error::Json(error) => Failed::Authority(
                format!("its answer (status {status}) is not understood: {error}"),
                retry_after,
            ),
            error => Failed::Authority(chain(&error), retry_after),
        }
    }
}

fn signing_request(names: &[String], key: &KeyPair) -> Result<Vec<u8>, String> {
    let mut params = CertificateParams::new(names).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key).map_err(|error| error.to_string())?;
    Ok(request.der().to_vec())
}
