//! What an app or static route says about requests, with all that it names already read: files, passwords, authorities.
//!
//! Made when an app is deployed, started or found again, and when the configuration is loaded. Publishing routes reads
//! nothing, so a file that is gone since then changes nothing for what serves.

use std::path::Path;
use std::sync::Arc;

use hop3_proxy::ClientAuthority;
use hop3_runtimes::manifest::tls::TlsOptions;

use super::traffic::traffic_of_route;
use super::{Control, locked};
use crate::failure::Failure;
use crate::model::{AppName, Release};
use crate::settings::{Settings, StaticRoute};
use crate::traffic::{Files, Traffic};

/// `[proxy]` and `[tls]` of an app or static route, ready for the proxy.
#[derive(Debug)]
pub(super) struct Front {
    /// Who says it; `None` for the operator, who wrote a static route.
    pub(super) app: Option<AppName>,
    /// `[proxy]`.
    pub(super) traffic: Traffic,
    /// Whose client certificates count.
    pub(super) client_authority: Option<Arc<ClientAuthority>>,
}

impl Control {
    /// That of a release that is built. Blocking.
    ///
    /// # Errors
    /// The first fault in it, or the store cannot be read.
    pub(super) fn front_of(&self, app: &AppName, release: &Release) -> Result<Arc<Front>, Failure> {
        let traffic = self.traffic_of(app, release)?;
        let source = self.data.release(app, release.source).join("source");
        let client_authority = client_authority(&release.manifest.tls, Files::Inside(&source))?;
        Ok(Arc::new(Front { app: Some(app.clone()), traffic, client_authority }))
    }

    /// The one that serves, if it is that of this release and configuration; else a new one. Blocking.
    ///
    /// # Errors
    /// See [`Control::front_of`].
    pub(super) fn front_for(&self, app: &AppName, release: &Release) -> Result<Arc<Front>, Failure> {
        let serving = locked(&self.deployed).get(app).cloned();
        let version = |release: &Release| (release.number, release.config_version);
        let same = serving.filter(|serving| version(&serving.release) == version(release));
        match same.and_then(|serving| serving.front.ok()) {
            Some(front) => Ok(front),
            None => self.front_of(app, release),
        }
    }

    /// Those of all apps under new settings; old ones stay where that fails, and the alarms say whose.
    pub(super) fn reload_fronts(&self) -> Vec<String> {
        let serving = locked(&self.deployed).clone();
        let mut alarms = Vec::new();
        for (app, serving) in serving {
            let fresh = self.front_of(&app, &serving.release);
            if let Err(failure) = &fresh {
                alarms.push(format!("{app}: its old [proxy] stays in force: {}", failure.message));
            }
            if let Some(current) = locked(&self.deployed).get_mut(&app)
                && Arc::ptr_eq(&current.release, &serving.release)
                && (fresh.is_ok() || current.front.is_err())
            {
                current.front = fresh;
            }
        }
        alarms
    }
}

/// That of a static route. Blocking.
///
/// # Errors
/// The first fault in it.
pub(super) fn front_of_route(route: &StaticRoute, settings: &Settings) -> Result<Arc<Front>, Failure> {
    let traffic = traffic_of_route(route, settings).map_err(|fault| {
        let name = route.name();
        Failure::usage(format!("route `{name}`: [route.proxy] {}: {}", fault.shown(), fault.message))
            .maybe_hint(fault.hint)
    })?;
    let client_authority = client_authority(&route.tls, Files::Anywhere(Path::new("")))?;
    Ok(Arc::new(Front { app: None, traffic, client_authority }))
}

/// The authorities whose client certificates count, if `[tls]` names some.
///
/// # Errors
/// They cannot be read.
pub(super) fn client_authority(
    options: &TlsOptions,
    files: Files<'_>,
) -> Result<Option<Arc<ClientAuthority>>, Failure> {
    let Some(file) = &options.client_ca else { return Ok(None) };
    let refuse = |cause: String| Failure::usage("[tls] client-ca cannot be used").cause(cause);
    let text = files.pem(file).map_err(refuse)?;
    let text = String::from_utf8(text).map_err(|error| refuse(format!("`{}`: {error}", file.display())))?;
    let authority = ClientAuthority::from_pem(&text).map_err(|error| refuse(error.to_string()))?;
    Ok(Some(Arc::new(authority)))
}
