//! Requests put before the rules of an app, and logged transactions explained.

use std::sync::Arc;

use hop3_runtimes::manifest::waf::{ParanoiaLevel, Tuning, WafOptions};

use super::{Control, locked};
use crate::failure::Failure;
use crate::firewall::rehearsal::{Exchange, Inspection, RawRequest, RawResponse, inspect, rehearse};
use crate::firewall::{Compiled, Owner, Rulesets, Shield, explain};
use crate::model::{AppName, Explanation, Rehearsal};

/// `[waf]` of somebody, with what it means.
struct Protected {
    options: WafOptions,
    owner: Owner,
    compiled: Option<Arc<Compiled>>,
}

impl Control {
    /// Puts a raw HTTP request before the rules of an app, with a response if there is one, at another paranoia level if
    /// one is given.
    ///
    /// # Errors
    /// The app does not exist, was not deployed or has no firewall, or the messages are none.
    pub fn try_request(
        &self,
        name: &AppName,
        request: &[u8],
        response: Option<&[u8]>,
        paranoia: Option<ParanoiaLevel>,
    ) -> Result<Rehearsal, Failure> {
        self.existing(name)?;
        let mut protected = self.protected_app(name)?.ok_or_else(|| {
            Failure::conflict(format!("app '{name}' has no release"))
                .hint(format!("deploy it: hop3 deploy {name} FOLDER"))
        })?;
        let response = response.map(RawResponse::parse).transpose()?;
        let exchange = Exchange { request: RawRequest::parse(request)?, response };
        if let Some(level) = paranoia {
            at_level(&mut protected.options, level);
            protected.compiled = protected.raise(&self.rulesets, &[])?;
        }
        let compiled = protected.compiled.clone().ok_or_else(|| {
            Failure::conflict(format!("the firewall of app '{name}' is switched off")).hint(
                "remove `enabled = false` from [waf] of its hop3.toml, or test a ruleset: --ruleset base",
            )
        })?;
        rehearse(&compiled, &exchange, |tuning| protected.retry(&self.rulesets, tuning, &exchange))
    }

    /// Explains a logged transaction.
    ///
    /// # Errors
    /// There is none with this id, or the store cannot be read.
    pub fn explain(&self, transaction: &str) -> Result<Explanation, Failure> {
        let event = self.store.read()?.firewall_event(transaction)?.ok_or_else(|| {
            Failure::not_found(format!("no transaction '{transaction}' is in the log"))
                .cause("only transactions in which a rule matched are kept, the newest of each app")
                .hint("`hop3 waf logs APP` shows them; the id stands in brackets")
        })?;
        let protected = self.protected(&event.app).unwrap_or_else(|failure| {
            tracing::debug!("the rules are not at hand, so the log alone is explained: {failure}");
            None
        });
        let request = RawRequest::parse(format!("{} {} HTTP/1.1\r\n", event.method, event.uri).as_bytes());
        let compiled = protected.as_ref().and_then(|protected| protected.compiled.clone());
        explain(
            event,
            compiled.as_deref().filter(|_| request.is_ok()),
            &|tuning, exchange| match &protected {
                Some(protected) => protected.retry(&self.rulesets, tuning, exchange),
                None => Err(Failure::internal("there are no rules to try")),
            },
        )
    }

    /// The firewall of an app or a static route by its name.
    fn protected(&self, name: &str) -> Result<Option<Protected>, Failure> {
        if let Ok(app) = AppName::new(name)
            && let Some(protected) = self.protected_app(&app)?
        {
            return Ok(Some(protected));
        }
        let settings = self.settings.load();
        let Some(route) = settings.routes.iter().find(|route| route.name() == name) else { return Ok(None) };
        let shields = locked(&self.routes);
        let shield = shields.iter().find(|shield| shield.name == name);
        let compiled = shield.and_then(|shield| shield.shield.as_ref().ok()?.compiled.clone());
        let owner = Owner::route(name, &self.data, &settings);
        Ok(Some(Protected { options: route.waf.clone(), owner, compiled }))
    }

    fn protected_app(&self, name: &AppName) -> Result<Option<Protected>, Failure> {
        let Some(serving) = locked(&self.deployed).get(name).cloned() else { return Ok(None) };
        let options = serving.release.manifest.waf.clone().or(&self.settings.load().waf);
        let folder = self.data.release(name, serving.release.source).join("source");
        let owner = self.owner(name, &folder);
        Ok(Some(Protected { options, owner, compiled: serving.shield?.compiled }))
    }
}

impl Protected {
    fn raise(&self, rulesets: &Rulesets, tuning: &[Tuning]) -> Result<Option<Arc<Compiled>>, Failure> {
        let mut options = self.options.clone();
        options.tuning.extend_from_slice(tuning);
        Ok(Shield::raise(&options, &self.owner, rulesets)?.compiled)
    }

    fn retry(
        &self,
        rulesets: &Rulesets,
        tuning: &[Tuning],
        exchange: &Exchange,
    ) -> Result<Inspection, Failure> {
        match self.raise(rulesets, tuning)? {
            Some(compiled) => Ok(inspect(&compiled, exchange)),
            None => Err(Failure::conflict("the firewall is switched off")),
        }
    }
}

/// Evaluates and blocks at `level`; a higher detection level stays.
pub(crate) fn at_level(options: &mut WafOptions, level: ParanoiaLevel) {
    options.paranoia_level = Some(level);
    options.detection_paranoia_level =
        options.detection_paranoia_level.filter(|detection| *detection >= level);
}
