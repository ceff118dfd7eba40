//! Certificates as the API shows and changes them, and what `[tls]` means for a route.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::{ClientAuthority, ClientCertificates, HostPattern, HttpsRedirect, RouteTable, RouteTls};
use hop3_runtimes::manifest::tls::{CertificateChoice, ClientCertificateMode, TlsOptions};

use super::{Control, locked};
use crate::certificates::import;
use crate::certificates::report::{CertificateStatus, ImportedCertificate};
use crate::certificates::{Notice, Wanted};
use crate::failure::{Failure, chain, did_you_mean};
use crate::model::{Actor, Entry, Timestamp};
use crate::store::StoreError;

/// How long the certificates of a static route outlive it.
const OWNERLESS: Duration = Duration::from_secs(30 * 86_400);

impl Control {
    /// The certificates of all apps and static routes.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        self.keeper.status(Timestamp::now())
    }

    /// What is wrong with certificates, in sentences that name the owner.
    pub(super) fn certificate_warnings(&self) -> Vec<String> {
        let problems = |status: CertificateStatus| {
            let owner = status.owner;
            status.problems.into_iter().map(move |problem| format!("'{owner}': {problem}"))
        };
        self.certificates().into_iter().flat_map(problems).collect()
    }

    /// Takes over a certificate from elsewhere and puts it into force.
    ///
    /// # Errors
    /// There is no such owner, or the certificate cannot be used; the one in force stays.
    pub fn import_certificate(
        &self,
        actor: &Actor,
        owner: &str,
        chain: &str,
        key: &str,
    ) -> Result<ImportedCertificate, Failure> {
        let wanted = self.wanted_of(owner)?;
        check_hosts(&wanted)?;
        let accepted = import::check(chain, key, &wanted.hosts, Timestamp::now())?;
        let expires = Timestamp::from(accepted.facts.not_after);
        let entry = Entry::new(actor, "certs:add", owner)
            .detail(format!("{}, until {expires}", accepted.facts.names.join(" ")));
        self.keeper.shelf().change(&entry, owner, |holding| holding.imported = Some(accepted.imported))?;
        self.certificate_changed(owner);
        Ok(ImportedCertificate {
            owner: owner.to_owned(),
            names: accepted.facts.names,
            expires,
            notes: accepted.notes,
        })
    }

    /// Forgets an imported certificate; the authority's takes its place, or a self-signed one until then.
    ///
    /// # Errors
    /// There is no such owner, or none was imported.
    pub fn remove_certificate(&self, actor: &Actor, owner: &str) -> Result<(), Failure> {
        self.wanted_of(owner)?;
        if self.keeper.shelf().get(owner).imported.is_none() {
            return Err(Failure::conflict(format!("no certificate was imported for '{owner}'"))
                .hint("`hop3 certs list` shows where each certificate comes from"));
        }
        let entry = Entry::new(actor, "certs:remove", owner);
        self.keeper.shelf().change(&entry, owner, |holding| holding.imported = None)?;
        self.certificate_changed(owner);
        Ok(())
    }

    /// Orders a new certificate as soon as limits allow, for one owner or all that have one or wait for one.
    ///
    /// # Errors
    /// There is no such owner, none of its names can be ordered, or no authority is configured.
    pub fn renew_certificates(&self, actor: &Actor, owner: Option<&str>) -> Result<Vec<String>, Failure> {
        let Some(acme) = self.keeper.acme() else {
            return Err(Failure::conflict("no authority is configured")
                .hint("add [server.acme] with `terms-agreed = true` to hop3-server.toml"));
        };
        let now = Timestamp::now();
        let orders = |wanted: &Wanted| {
            let holding = self.keeper.shelf().get(&wanted.owner);
            wanted.automatic
                && !crate::certificates::schedule::orderable(&wanted.hosts, &holding, &acme, now).is_empty()
        };
        let chosen = match owner {
            Some(owner) => {
                let wanted = self.wanted_of(owner)?;
                check_hosts(&wanted)?;
                if !orders(&wanted) {
                    return Err(Failure::conflict(format!("no certificate can be ordered for '{owner}'"))
                        .hint("`hop3 certs list` says why for each host"));
                }
                vec![wanted]
            }
            None => self.keeper.wanted().into_iter().filter(|wanted| orders(wanted)).collect(),
        };
        for wanted in &chosen {
            self.keeper.renew(actor, &wanted.owner)?;
        }
        Ok(chosen.into_iter().map(|wanted| wanted.owner).collect())
    }

    /// Follows what the keeper tells.
    pub fn heed(&self, notice: &Notice) {
        match notice {
            Notice::Changed(owner) => self.certificate_changed(owner),
            Notice::Daily => {
                self.publish();
                if let Err(error) = tokio::task::block_in_place(|| self.release_certificates()) {
                    tracing::error!(error = chain(&error), "certificates of routes that are gone are kept");
                }
            }
        }
    }

    /// Gives up the certificates of static routes that have been gone for long; those of apps go with them.
    fn release_certificates(&self) -> Result<(), StoreError> {
        let apps = self.store.read()?.apps()?;
        let settings = self.settings.load();
        let is_there = |owner: &str| {
            apps.iter().any(|app| app.name.as_str() == owner)
                || settings.routes.iter().any(|route| route.name() == owner)
        };
        for owner in self.keeper.shelf().release(is_there, OWNERLESS, Timestamp::now())? {
            tracing::info!(owner, "the certificates of a route that is gone are forgotten");
        }
        Ok(())
    }

    /// Puts the certificate into force; the routes follow, since redirects to HTTPS depend on it.
    fn certificate_changed(&self, owner: &str) {
        if let Some(proxy) = locked(&self.proxy).as_ref() {
            proxy.reload_certificates(owner);
        }
        self.publish();
        self.keeper.wake();
    }

    /// Tells the keeper which hosts are routed; whether that is news.
    pub(super) fn want_certificates(&self, table: &RouteTable) -> bool {
        let mut wanted: Vec<Wanted> = Vec::new();
        for route in table.routes() {
            // An app has several routes, and one certificate.
            if wanted.iter().any(|wanted| *wanted.owner == *route.app) {
                continue;
            }
            let named = route.hosts.iter().filter(|host| **host != HostPattern::Any);
            let (mut hosts, mut elsewhere) = (Vec::new(), BTreeMap::new());
            for host in named {
                match table.owner_of(host) {
                    Some(holder) if *holder != route.app => {
                        elsewhere.insert(host.to_string(), holder.to_string());
                    }
                    _ => hosts.push(host.to_string()),
                }
            }
            let automatic = self.tls_options(&route.app).certificate.unwrap_or_default();
            wanted.push(Wanted {
                owner: route.app.to_string(),
                hosts,
                elsewhere,
                automatic: automatic == CertificateChoice::Auto,
            });
        }
        self.keeper.want(wanted)
    }

    /// What `[tls]` means for a route whose clients' certificates are of `authority`, and what of plain HTTP is
    /// redirected: by itself nothing that clients would be warned of.
    pub(super) fn route_tls(
        &self,
        owner: &str,
        hosts: &[HostPattern],
        options: &TlsOptions,
        authority: Option<&Arc<ClientAuthority>>,
    ) -> (RouteTls, HttpsRedirect) {
        let now = Timestamp::now();
        let trusted = || {
            self.listen.https.is_some()
                && !hosts.is_empty()
                && hosts.iter().all(|host| self.keeper.is_trusted(owner, &host.to_string(), now))
        };
        let redirect = match options.redirect {
            Some(true) if self.listen.https.is_some() => HttpsRedirect::Always,
            None if trusted() => HttpsRedirect::Covered,
            _ => HttpsRedirect::Never,
        };
        let mode = options.client_certificates.unwrap_or_default();
        let client_certificates = authority.map(|authority| ClientCertificates {
            authority: authority.clone(),
            required: mode == ClientCertificateMode::Require,
        });
        let tls = RouteTls {
            strict_transport_security: options.hsts.map(|hsts| hsts.field().into()),
            client_certificates,
        };
        (tls, redirect)
    }

    /// `[tls]` of an app or static route.
    fn tls_options(&self, owner: &str) -> TlsOptions {
        let routes = &self.settings.load().routes;
        if let Some(route) = routes.iter().find(|route| route.name() == owner) {
            return route.tls.clone();
        }
        let deployed = locked(&self.deployed);
        let app = deployed.iter().find(|(app, _)| app.as_str() == owner);
        app.map(|(_, serving)| serving.release.manifest.tls.clone()).unwrap_or_default()
    }

    fn wanted_of(&self, name: &str) -> Result<Wanted, Failure> {
        let all = self.keeper.wanted();
        if let Some(found) = all.iter().find(|wanted| wanted.owner == name) {
            return Ok(found.clone());
        }
        let nearest = did_you_mean(name, all.iter().map(|wanted| wanted.owner.as_str()));
        Err(Failure::not_found(format!("no app or static route '{name}' is served"))
            .maybe_hint(nearest.or_else(|| Some("`hop3 certs list` shows all".into()))))
    }
}

/// Whether an owner has a certificate of its own at all.
///
/// # Errors
/// All its hosts are shown with another owner's.
fn check_hosts(wanted: &Wanted) -> Result<(), Failure> {
    match wanted.elsewhere.iter().next() {
        Some((host, holder)) if wanted.hosts.is_empty() => Err(Failure::conflict(format!(
            "the certificate of `{host}` is that of '{holder}'"
        ))
        .hint(format!("both serve parts of the host: name '{holder}' in place of '{}'", wanted.owner))),
        _ => Ok(()),
    }
}
