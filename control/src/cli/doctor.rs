//! `doctor`: what is in order and what is not, with cause and next step.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;

use super::Context;
use super::table::printable;
use crate::api::wire::{AuditLog, ServerDiagnosis, ServerStatus};
use crate::doctor::clock::{Clock, TIME_SERVER, offset};
use crate::doctor::machine::Machine;
use crate::doctor::ports::{self, LowPorts, free};
use crate::doctor::{Diagnosis, Finding, State, names};
use crate::failure::{Failure, Kind};
use crate::settings::{Listeners, Settings};

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The server's configuration [default: the file that the running server uses; without a server, hop3-server.toml in
    /// the data directory, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Whom to ask for the time; `none` for nobody
    #[arg(long, value_name = "HOST[:PORT]", default_value = TIME_SERVER)]
    time_server: String,
}

impl Doctor {
    /// Runs all checks and prints what they found. Fails when something is broken.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let status = context.client.get::<ServerStatus>("/v1/status").await;
        let server = status.as_ref().ok().map(|status| status.pid);
        let mut findings = Vec::new();
        let used = status.as_ref().ok().and_then(|status| status.settings.clone());
        let settings = self.settings(context, used.map(PathBuf::from), &mut findings);
        findings.extend(data_directory(context));
        let mut hosts = BTreeSet::new();
        match status {
            Ok(status) => {
                let since =
                    format!("hop3 {} runs (pid {}, since {})", status.version, status.pid, status.started);
                findings.push(Finding::ok("server", since));
                findings.push(LowPorts::look(server).finding(&[]));
                match context.client.get::<ServerDiagnosis>("/v1/doctor").await {
                    Ok(diagnosis) => {
                        findings.extend(diagnosis.findings);
                        hosts = diagnosis.hosts;
                    }
                    Err(failure) => findings.push(Finding::of("server", State::Fail, failure)),
                }
            }
            Err(failure) if failure.kind == Kind::Unavailable => {
                let hint = "start it with `hop3 serve` to have certificates, store, rules and apps looked at";
                let cause = failure.cause.unwrap_or(failure.message);
                findings.push(
                    Finding::warn("server", "no server runs on this data directory").cause(cause).hint(hint),
                );
                findings
                    .extend(settings.as_ref().map(|settings| unbound(&settings.listen)).unwrap_or_default());
                hosts = settings.iter().flat_map(route_hosts).collect();
            }
            Err(failure) => findings.push(Finding::of("server", State::Fail, failure)),
        }
        findings.extend(names::check(hosts).await);
        findings.push(self.clock(context).await.finding());
        findings.extend(Machine::look(server, context.data.path()).findings());
        report(context, &findings.into())
    }

    /// Those of the given file, else of the file that the server has `used`, else of the one in the data directory.
    fn settings(
        &self,
        context: &Context,
        used: Option<PathBuf>,
        findings: &mut Vec<Finding>,
    ) -> Option<Settings> {
        let default = context.data.settings();
        let loaded = match self.config.as_ref().or(used.as_ref()) {
            Some(path) => Settings::load(path, true),
            None => Settings::load(&default, false),
        };
        match loaded {
            Ok(settings) => {
                let text = match &settings.file {
                    Some(file) => format!("{} is understood", file.display()),
                    None => format!("there is no {}; the defaults hold", default.display()),
                };
                findings.push(match (&self.config, &used) {
                    (Some(given), Some(used)) if !is_same_file(given, used) => {
                        Finding::warn("settings", text)
                            .cause(format!("the running server uses {}", used.display()))
                            .hint("leave out --config to have that one looked at")
                    }
                    _ => Finding::ok("settings", text),
                });
                Some(settings)
            }
            Err(failure) => {
                let hint = "correct the file; the running server goes on with the old one";
                let failure = Failure { hint: failure.hint.clone().or(Some(hint.into())), ..failure };
                findings.push(Finding::of("settings", State::Fail, failure));
                None
            }
        }
    }

    async fn clock(&self, context: &Context) -> Clock {
        let newest = context.client.get::<AuditLog>("/v1/audit?lines=1").await.ok();
        let newest = newest.and_then(|log| Some(log.records.last()?.time.system_time()));
        let built = std::env::current_exe().and_then(fs::metadata).and_then(|file| file.modified()).ok();
        let server = self.time_server.clone();
        // Away from this thread: a resolver without a network takes its time.
        let asked =
            tokio::task::spawn_blocking(move || if server == "none" { None } else { offset(&server) });
        let patience = std::time::Duration::from_secs(8);
        let offset = tokio::time::timeout(patience, asked).await.ok().and_then(Result::ok).flatten();
        let known_past = newest.into_iter().chain(built).max().unwrap_or(SystemTime::UNIX_EPOCH);
        Clock { now: SystemTime::now(), known_past, offset }
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// The folder and the key in it.
fn data_directory(context: &Context) -> Vec<Finding> {
    let folder = context.data.path();
    let Ok(metadata) = fs::metadata(folder) else {
        return vec![Finding::ok("data", format!("{} will be made at the first start", folder.display()))];
    };
    let mut findings = Vec::new();
    for (path, mode) in [(folder.to_owned(), metadata.permissions().mode())].into_iter().chain(
        [context.data.key(), context.data.store()]
            .into_iter()
            .filter_map(|path| fs::metadata(&path).ok().map(|found| (path, found.permissions().mode()))),
    ) {
        if mode & 0o077 != 0 {
            findings.push(
                Finding::fail("data", format!("others may reach {}", path.display()))
                    .cause(format!("its mode is {:o}", mode & 0o777))
                    .hint(format!("chmod go= {}", path.display())),
            );
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("data", format!("{} belongs to its owner alone", folder.display())));
    }
    findings
}

/// The addresses that a server would open.
fn unbound(listen: &Listeners) -> Vec<Finding> {
    let wanted = [("http", listen.http), ("https", listen.https), ("admin", listen.admin)];
    let further = listen.further.iter().map(|(purpose, address)| (ports::word(*purpose), *address));
    let wanted = wanted.into_iter().filter_map(|(purpose, address)| Some((purpose, address?)));
    let wanted: Vec<_> = wanted.chain(further).collect();
    let numbers: Vec<u16> = wanted.iter().map(|(_, address)| address.port()).collect();
    let permissions = LowPorts::look(None).finding(&numbers);
    std::iter::once(permissions)
        .chain(wanted.into_iter().map(|(purpose, address)| free(purpose, address)))
        .collect()
}

fn route_hosts(settings: &Settings) -> Vec<String> {
    settings.routes.iter().flat_map(|route| route.hosts.iter().map(ToString::to_string)).collect()
}

fn report(context: &Context, diagnosis: &Diagnosis) -> Result<(), Failure> {
    context.output.result(diagnosis, || {
        let lines: Vec<String> = diagnosis.findings.iter().map(line).collect();
        format!(
            "{}\n{} in order, {} warnings, {} failures",
            lines.join("\n"),
            diagnosis.ok,
            diagnosis.warnings,
            diagnosis.failures
        )
    })?;
    match diagnosis.failures {
        0 => Ok(()),
        1 => Err(Failure::internal("one check failed")),
        failures => Err(Failure::internal(format!("{failures} checks failed"))),
    }
}

fn line(finding: &Finding) -> String {
    let mark = match finding.state {
        State::Ok => "✓ ok  ",
        State::Warn => "! warn",
        State::Fail => "✗ fail",
    };
    let mut text = format!("{mark}  {:<12}  {}", finding.check, printable(&finding.message));
    for (name, part) in [("cause", &finding.cause), ("hint", &finding.hint)] {
        if let Some(part) = part {
            text.push_str(&format!("\n                        {name}: {}", printable(part)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_cause_and_next_step() {
        let finding = Finding::warn("clock", "slow").cause("\x1b[2J").hint("wind it");
        assert_eq!(
            line(&finding),
            "! warn  clock         slow\n                        cause: \u{fffd}[2J\n                        hint: wind it"
        );
        assert_eq!(line(&Finding::ok("disk", "empty")), "✓ ok    disk          empty");
    }
}
