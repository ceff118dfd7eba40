//! What a running server knows about itself for `hop3 doctor`.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, SystemTime};

use hop3_proxy::{Endpoint, HostPattern, is_address};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::{Control, locked};
use crate::api::wire::AppStatus;
use crate::bans::NftablesState;
use crate::doctor::{Finding, State, certificates, ports};
use crate::failure::chain;
use crate::settings::Target;

/// How long a back end may take to accept a connection.
const LIMIT: Duration = Duration::from_secs(2);

impl Control {
    /// Looks at listeners, certificates, store, rules, back ends and bans. Blocks for seconds where something does not answer.
    /// What cannot be looked at is a finding.
    pub fn diagnose(&self) -> Vec<Finding> {
        let mut findings = self.listeners();
        findings.extend(self.certificates_shown());
        findings.push(self.store_health());
        findings.extend(self.rules_installed());
        findings.extend(self.back_ends());
        findings.extend(self.bans_in_force());
        findings
    }

    /// The hosts of all apps and routes, as written.
    pub fn served_hosts(&self) -> BTreeSet<String> {
        let apps = locked(&self.deployed).clone();
        let of_apps = apps.iter().flat_map(|(app, serving)| self.host_names(app, &serving.release.manifest));
        let settings = self.settings.load();
        let of_routes =
            settings.routes.iter().flat_map(|route| route.hosts.iter().map(HostPattern::to_string));
        of_apps.chain(of_routes).collect()
    }

    fn listeners(&self) -> Vec<Finding> {
        let wanted = [("http", self.listen.http), ("https", self.listen.https), ("admin", self.listen.admin)];
        let further = locked(&self.proxy).as_ref().map(|proxy| proxy.addresses().further);
        let further = further.unwrap_or_default().into_iter();
        let open = wanted.into_iter().filter_map(|(purpose, address)| Some((purpose, address?)));
        let open = open.chain(further.map(|(purpose, address)| (ports::word(purpose), address)));
        open.map(|(purpose, address)| ports::answering(purpose, address)).collect()
    }

    fn certificates_shown(&self) -> Vec<Finding> {
        let Some(address) = self.listen.https.map(ports::reachable) else {
            return vec![Finding::ok("certificates", "HTTPS is switched off")];
        };
        let now = SystemTime::now();
        let hosts = self.served_hosts();
        // `*` has no certificate of its own, and addresses are not asked for by name.
        let named = hosts.iter().filter(|host| *host != "*" && !is_address(host));
        named.map(|host| certificates::check(host, address, now)).collect()
    }

    fn store_health(&self) -> Finding {
        let broken = |error: &dyn std::error::Error| {
            Finding::fail("store", "the store cannot be read")
                .cause(chain(error))
                .hint("look at the disk, and restore a backup of the data directory")
        };
        let snapshot = match self.store.read() {
            Ok(snapshot) => snapshot,
            Err(error) => return broken(&error),
        };
        match (snapshot.apps(), snapshot.audit(1, true)) {
            (Err(error), _) | (_, Err(error)) => broken(&error),
            (Ok(_), Ok(audit)) if audit.broken_at.is_some() => {
                let number = audit.broken_at.unwrap_or_default();
                Finding::fail("store", format!("the audit log was changed at record {number}"))
                    .cause("its hash does not fit its content or the record before it")
                    .hint("compare with a backup of the data directory")
            }
            (Ok(apps), Ok(audit)) => Finding::ok(
                "store",
                format!("{} apps are readable; all {} audit records hold together", apps.len(), audit.length),
            ),
        }
    }

    fn rules_installed(&self) -> Vec<Finding> {
        let mut findings = vec![self.ruleset_in_use()];
        for waf in self.firewalls().unwrap_or_default() {
            let name = &waf.app;
            match (&waf.alarm, waf.mode.as_str()) {
                (Some(alarm), "closed") => findings.push(
                    Finding::fail("rules", format!("{name} answers 503: it has no rules"))
                        .cause(alarm.clone())
                        .hint("correct its [waf], then deploy it again or reload the server"),
                ),
                (Some(alarm), _) => findings.push(
                    Finding::warn("rules", format!("{name} stands behind old rules"))
                        .cause(alarm.clone())
                        .hint("correct its [waf], then deploy it again or reload the server"),
                ),
                (None, "off") => findings.push(
                    Finding::warn("rules", format!("{name} is not protected"))
                        .cause("its firewall is switched off")
                        .hint("remove `enabled = false` from its [waf]"),
                ),
                (None, "detect") => findings.push(
                    Finding::warn("rules", format!("{name} is watched and not protected"))
                        .cause("its firewall detects only")
                        .hint("look at `hop3 waf logs`, then set mode = \"block\" in its [waf]"),
                ),
                (None, _) => {
                    findings.push(Finding::ok("rules", format!("{name} stands behind {} rules", waf.rules)))
                }
            }
        }
        findings
    }

    fn ruleset_in_use(&self) -> Finding {
        let installed = match self.rulesets() {
            Ok(installed) => installed,
            Err(failure) => return Finding::of("rules", State::Fail, failure),
        };
        let Some(crs) = installed.iter().find(|ruleset| ruleset.in_use && ruleset.name != "base") else {
            return Finding::warn(
                "rules",
                "no OWASP Core Rule Set is in use; the embedded rules protect the apps",
            )
            .hint("run `hop3 rules install owasp-crs`");
        };
        match self.verify_rules(Some(&crs.version)) {
            Ok(verified) if verified.changes.is_empty() => Finding::ok(
                "rules",
                format!("{} {}: all {} files are as installed", crs.name, crs.version, verified.files),
            ),
            Ok(verified) => {
                Finding::fail("rules", format!("{} {} is not as it was installed", crs.name, crs.version))
                    .cause(verified.changes.join("; "))
                    .hint("install it again: hop3 rules install owasp-crs")
            }
            Err(failure) => Finding::of("rules", State::Fail, failure),
        }
    }

    fn back_ends(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        match self.apps() {
            Err(failure) => findings.push(Finding::of("apps", State::Fail, failure)),
            Ok(apps) => findings.extend(apps.iter().map(|app| {
                match app.status {
                    AppStatus::Running => Finding::ok("apps", format!("{} runs", app.name)),
                    AppStatus::Starting => Finding::warn("apps", format!("{} is starting", app.name))
                        .hint(format!("look again in a moment; hop3 app:logs {}", app.name)),
                    AppStatus::Stopped => Finding::ok("apps", format!("{} is stopped on purpose", app.name)),
                    AppStatus::Failed => {
                        let reason = self.details(&app.name).ok().and_then(|details| details.reason);
                        Finding::fail("apps", format!("{} does not run", app.name))
                            .cause(reason.unwrap_or_else(|| "no instance is healthy".into()))
                            .hint(format!("see hop3 app:logs {}", app.name))
                    }
                }
            })),
        }
        findings
            .extend(self.settings.load().routes.iter().map(|route| upstream(&route.name(), &route.target)));
        findings
    }

    fn bans_in_force(&self) -> Option<Finding> {
        let held = self.bans.list(SystemTime::now()).len();
        match self.nftables.state() {
            NftablesState::Failed { failure } => Some(Finding::of("bans", State::Warn, failure)),
            NftablesState::On { .. } => {
                Some(Finding::ok("bans", format!("{held} bans are in force, also in nftables")))
            }
            NftablesState::Off => Some(Finding::ok("bans", format!("{held} bans are in force"))),
        }
    }
}

/// Whether what answers a static route is there.
fn upstream(route: &str, target: &Target) -> Finding {
    match target {
        Target::Folder(folder) if folder.is_dir() => {
            Finding::ok("routes", format!("{route}: files of {}", folder.display()))
        }
        Target::Folder(folder) => {
            Finding::fail("routes", format!("{route}: there is no folder {}", folder.display()))
                .hint("make it, or correct `static` of the [[route]]")
        }
        Target::Upstream(endpoints) => {
            let silent = endpoints.iter().find_map(|one| Some((one, reach(one).err()?)));
            let all = endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            match silent {
                None => Finding::ok("routes", format!("{route}: {all} answers")),
                Some((endpoint, error)) => {
                    Finding::fail("routes", format!("{route}: {endpoint} does not answer"))
                        .cause(error.to_string())
                        .hint("start it, or correct `upstream` of the [[route]]")
                }
            }
        }
    }
}

fn reach(endpoint: &Endpoint) -> std::io::Result<()> {
    match endpoint {
        Endpoint::Tcp(address) => connect(*address),
        Endpoint::Named(name) => {
            let first = name.to_socket_addrs()?.next();
            connect(first.ok_or_else(|| std::io::Error::other("the name has no address"))?)
        }
        Endpoint::Unix(path) => connect_unix(path),
    }
}

/// Without waiting for a server whose queue is full: it is there.
fn connect_unix(path: &Path) -> std::io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) | Err(Errno::AGAIN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn connect(address: SocketAddr) -> std::io::Result<()> {
    TcpStream::connect_timeout(&address, LIMIT).map(drop)
}
