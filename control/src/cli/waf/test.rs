//! `waf test`: what the rules would make of a request.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use hop3_rules::Store;
use hop3_runtimes::manifest::waf::{ParanoiaLevel, RulesetChoice, Tuning, WafOptions};
use hyper::Method;

use super::super::Context;
use super::super::target::{Surroundings, choose};
use super::report;
use crate::api::client::raw;
use crate::control::at_level;
use crate::failure::{Failure, Kind};
use crate::firewall::rehearsal::{Exchange, RawRequest, RawResponse, inspect, mask, rehearse};
use crate::firewall::{Owner, Rulesets, Shield};
use crate::model::Rehearsal;

/// Options of `waf test`.
#[derive(Debug, Args)]
pub struct Test {
    /// The request: `GET /search?q=word`, or its target alone
    #[arg(value_name = "REQUEST", required_unless_present = "request")]
    line: Option<String>,
    /// A file with a raw HTTP request; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["line", "header", "body"])]
    request: Option<PathBuf>,
    /// A header of the request; can be repeated
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The body of the request
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// A file with a raw HTTP response of the app, to be inspected too
    #[arg(long, value_name = "FILE")]
    response: Option<PathBuf>,
    /// Before the rules of this app, as the server has compiled them
    #[arg(short, long, value_name = "APP", conflicts_with = "ruleset")]
    app: Option<String>,
    /// Before these rules, without a server: base, owasp-crs, or a rule file
    #[arg(long, value_name = "RULESET")]
    ruleset: Option<String>,
    /// At this paranoia level, 1 to 4
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=4))]
    paranoia: Option<u8>,
    /// Show passwords, tokens, cookies and card numbers as they are
    #[arg(long)]
    unmasked: bool,
}

impl Test {
    /// Prints the verdict, the rules that matched and what would silence them.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let exchange = Exchange { request: self.request()?, response: None };
        let response = self.response.as_deref().map(read).transpose()?;
        // Before it is sent, so that its faults are told alike.
        let parsed = response.as_deref().map(RawResponse::parse).transpose()?;
        let mut told = match &self.ruleset {
            Some(ruleset) => self.here(ruleset, &Exchange { response: parsed, ..exchange }, context)?,
            None => {
                let app = choose(None, self.app.as_deref(), &Surroundings::of(Path::new(".")))
                    .map_err(|failure| failure.hint("name an app: --app APP, or rules: --ruleset base"))?;
                let level = self.paranoia.map(|level| format!("&paranoia={level}")).unwrap_or_default();
                let response = response.unwrap_or_default();
                let path = format!("/v1/waf/{app}/test?response={}{level}", response.len());
                let message = [exchange.request.to_bytes(), response].concat();
                context.client.call(Method::POST, &path, raw(message)).await?
            }
        };
        let is_masked = !self.unmasked && mask(&mut told);
        context.output.result(&told, || report::rehearsal(&told, is_masked))
    }

    fn request(&self) -> Result<RawRequest, Failure> {
        let Some(path) = &self.request else {
            return RawRequest::one_line(
                self.line.as_deref().unwrap_or_default(),
                &self.header,
                self.body.as_deref(),
            );
        };
        RawRequest::parse(&read(path)?)
    }

    /// Compiles the rules in this process.
    fn here(&self, ruleset: &str, exchange: &Exchange, context: &Context) -> Result<Rehearsal, Failure> {
        let is_file = Path::new(ruleset).is_file() && !ruleset.contains('/');
        let spelled = if is_file { format!("./{ruleset}") } else { ruleset.to_owned() };
        let choice = RulesetChoice::try_from(spelled).map_err(Failure::usage)?;
        // Only installed rules need the server's directory; nothing is made for the others.
        let scratch = tempfile::tempdir().map_err(|error| {
            Failure::new(Kind::Internal, "cannot make a temporary folder").because(&error)
        })?;
        let root = match choice {
            RulesetChoice::OwaspCrs if context.data.rules().is_dir() => context.data.rules(),
            _ => scratch.path().to_owned(),
        };
        let rulesets = Rulesets::new(Store::open(root).map_err(|error| crate::firewall::failed(&error))?);
        let mut options = WafOptions { ruleset: Some(choice), ..WafOptions::default() };
        if let Some(level) = self.paranoia {
            at_level(&mut options, ParanoiaLevel::try_from(i64::from(level)).map_err(Failure::usage)?);
        }
        let raise = |tuning: &[Tuning]| {
            let options = WafOptions { tuning: tuning.to_vec(), ..options.clone() };
            let compiled = Shield::raise(&options, &Owner::default(), &rulesets)?.compiled;
            compiled.ok_or_else(|| Failure::internal("the rules were not compiled"))
        };
        rehearse(&*raise(&[])?, exchange, |tuning| Ok(inspect(&*raise(tuning)?, exchange)))
    }
}

/// Longest message that is read, in bytes.
const LONGEST: u64 = 256 << 20;

/// The content of a file; `-` is standard input.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut text),
        false => std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut text)),
    };
    let shown = path.display();
    match read {
        Ok(length) if length as u64 > LONGEST => Err(Failure::usage(format!("`{shown}` is too long"))
            .cause(format!("more than {} MiB are not read", LONGEST >> 20))
            .hint("name a file with one HTTP message")),
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::not_found(format!("cannot read `{shown}`"))
            .because(&error)
            .hint("name a file with one HTTP message, or `-` for standard input")),
    }
}
