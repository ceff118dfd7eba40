//! `certs …` (`cert …`): list, add, remove, renew.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Context;
use super::confirm::by_name;
use super::table::{Table, printable};
use super::target::{Surroundings, choose};
use crate::api::wire::{AddCertificate, CertificateOwner, Done, Renewing};
use crate::certificates::report::{CertificateStatus, HostCertificate, ImportedCertificate};
use crate::failure::{Failure, did_you_mean};
use crate::model::Timestamp;

/// Longest file that is read, in bytes; the server's own bound is lower.
const LONGEST: u64 = 1 << 20;

/// The verbs of the group.
#[derive(Debug, Subcommand)]
pub enum CertsCommand {
    /// Which certificate each host is shown with, until when, and what is wrong
    #[command(visible_aliases = ["status", "info", "report"])]
    List(Owner),
    /// Take over a certificate from elsewhere: PEM chain and key; replaces an earlier one
    #[command(visible_aliases = ["import", "update"])]
    Add(Add),
    /// Forget an imported certificate
    Remove(Owner),
    /// Order a new certificate now, of one app or of all
    Renew(Owner),
}

/// An app, or the host of a static route.
#[derive(Debug, Args)]
pub struct Owner {
    /// The app, or the name of a static route
    #[arg(value_name = "APP")]
    name: Option<String>,
    /// The same, as an option
    #[arg(short, long, value_name = "APP")]
    app: Option<String>,
}

/// Options of `certs add`.
#[derive(Debug, Args)]
pub struct Add {
    /// [APP] CHAIN KEY: PEM files, the server's own certificate first; `-` is standard input
    #[arg(value_name = "[APP] CHAIN KEY", required = true, num_args = 2..=3)]
    words: Vec<String>,
    /// The app, as an option
    #[arg(short, long, value_name = "APP")]
    app: Option<String>,
}

impl CertsCommand {
    /// Runs the verb.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            CertsCommand::List(owner) => list(owner, context).await,
            CertsCommand::Add(add) => add.run(context).await,
            CertsCommand::Remove(owner) => remove(&owner, context).await,
            CertsCommand::Renew(owner) => renew(owner, context).await,
        }
    }
}

impl Owner {
    /// The one that was named, if one was.
    fn named(&self) -> Option<&str> {
        self.name.as_deref().or(self.app.as_deref())
    }

    /// The one that is meant. A static route's name is no app's, and need not look like one.
    fn resolve(&self) -> Result<String, Failure> {
        match self.named() {
            Some(name) if name.contains(['.', '/', '*']) => Ok(name.to_owned()),
            _ => {
                let around = Surroundings::of(Path::new("."));
                choose(self.name.as_deref(), self.app.as_deref(), &around).map(|app| app.to_string())
            }
        }
    }
}

async fn list(owner: Owner, context: &Context) -> Result<(), Failure> {
    let mut all: Vec<CertificateStatus> = context.client.get("/v1/certificates").await?;
    if let Some(name) = owner.named() {
        if !all.iter().any(|status| status.owner == name) {
            let nearest = did_you_mean(name, all.iter().map(|status| status.owner.as_str()));
            return Err(Failure::not_found(format!("no app or static route '{name}' is served"))
                .maybe_hint(nearest.or_else(|| Some("`hop3 certs list` shows all".into()))));
        }
        all.retain(|status| status.owner == name);
    }
    context.output.result(&all, || shown(&all))
}

fn shown(all: &[CertificateStatus]) -> String {
    if all.is_empty() {
        return "No hosts are served yet.".into();
    }
    let mut table = Table::new(["App", "Host", "Certificate", "Expires", "Renewal", "Issuer"]);
    let mut remarks = String::new();
    for status in all {
        for host in &status.hosts {
            let HostCertificate { host, origin, expires, issuer, reason, holder } = host;
            let renewal = status.renewal.filter(|_| origin == "acme" && holder.is_none());
            let origin = match holder {
                Some(holder) => format!("{origin}, of {holder}"),
                None => origin.clone(),
            };
            table.row([
                status.owner.clone(),
                host.clone(),
                origin,
                expires.map_or_else(|| "-".into(), day),
                renewal.map_or_else(|| "-".into(), day),
                issuer.clone().or_else(|| reason.clone()).unwrap_or_else(|| "-".into()),
            ]);
        }
        for problem in &status.problems {
            remarks.push_str(&format!("\n! '{}': {}", status.owner, printable(problem)));
        }
        if let Some(explanation) = &status.explanation {
            remarks.push_str(&format!(
                "\n  '{}': the authority explains its renewal: {}",
                status.owner,
                printable(explanation)
            ));
        }
    }
    format!("{table}{remarks}")
}

/// To the minute; seconds and milliseconds say nothing here.
fn day(time: Timestamp) -> String {
    time.to_string().chars().take(16).collect::<String>().replace('T', " ")
}

impl Add {
    async fn run(mut self, context: &Context) -> Result<(), Failure> {
        let owner = if self.words.len() == 3 { Some(self.words.remove(0)) } else { None };
        let owner = Owner { name: owner, app: self.app }.resolve()?;
        let [chain, key] = self.words.as_slice() else {
            return Err(Failure::usage("a chain and a key are needed"));
        };
        let (chain, key) = (read(chain)?, read(key)?);
        let body = AddCertificate { owner: owner.clone(), chain, key };
        let added: ImportedCertificate = context.client.post("/v1/certificates/add", &body).await?;
        context.output.done(&added, || {
            let notes: String = added.notes.iter().map(|note| format!("\n! {}", printable(note))).collect();
            let names = added.names.join(", ");
            format!("Certificate of '{owner}' in force: {names}, until {}.{notes}", day(added.expires))
        })
    }
}

fn read(file: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("cannot read `{file}`")).because(&error);
    let mut text = String::new();
    if file == "-" {
        std::io::stdin().take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    } else {
        let path = PathBuf::from(file);
        fs::File::open(path).map_err(failed)?.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}

async fn remove(owner: &Owner, context: &Context) -> Result<(), Failure> {
    let name = owner.resolve()?;
    by_name(context, &name, &format!("The imported certificate of '{name}' and its key are forgotten."))?;
    let body = CertificateOwner { owner: Some(name.clone()) };
    let done: Done = context.client.post("/v1/certificates/remove", &body).await?;
    context.output.done(&done, || format!("The imported certificate of '{name}' is forgotten."))
}

async fn renew(owner: Owner, context: &Context) -> Result<(), Failure> {
    let body = CertificateOwner { owner: owner.named().map(str::to_owned) };
    let renewing: Renewing = context.client.post("/v1/certificates/renew", &body).await?;
    context.output.done(&renewing, || match renewing.as_slice() {
        [] => "No app has names that an authority could be asked for.".into(),
        names => format!("Ordering for {}; `hop3 certs list` shows the outcome.", names.join(", ")),
    })
}
