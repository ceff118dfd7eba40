//! `waf bench`: what inspecting a recorded corpus costs, label by label, in CPU time of one thread.
//!
//! Nothing is kept from one request to the next: each has a transaction of its own on the shared, compiled rules.

mod corpus;
mod rounds;
mod ruleset;

use std::io::BufRead;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::super::Context;
use super::super::table::{Table, printable};
use crate::failure::{Failure, Kind};
use corpus::Corpus;
use rounds::{Phases, Rounds, Wrong};

/// Most wrong answers that are told one by one.
const TOLD: usize = 20;

/// Options of `waf bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Requests, one JSON object a line: id, label, expect (pass, block or any), method, uri, version, headers
    /// ([[name, value], …]), body (base64)
    #[arg(value_name = "CORPUS.jsonl")]
    corpus: PathBuf,
    /// base, owasp-crs, owasp-crs@VERSION, a folder or archive of a CRS release, or a .conf file that brings its engine
    /// settings itself [default: the installed owasp-crs, else base]
    #[arg(long, value_name = "RULESET")]
    ruleset: Option<String>,
    /// At this paranoia level, 1 to 4
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    paranoia: u8,
    /// 12: requests alone; 14: each with a short answer of the application
    #[arg(long, value_name = "12|14", default_value = "12", value_parser = ["12", "14"])]
    phases: String,
    /// How often all requests are measured, after one time unmeasured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Within a round, inspect the requests of a label again until they used this much CPU time: a short round would
    /// measure how long it takes to fill the processor's caches
    #[arg(long, value_name = "MS", default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    least: u64,
    /// Say `ready` on standard error and begin each round when a line comes on standard input, so that several
    /// engines can take turns
    #[arg(long, hide = true)]
    stepwise: bool,
}

/// What one label costs.
#[derive(Debug, Serialize)]
struct Line<'r> {
    label: &'r str,
    /// Requests with that label.
    n: usize,
    /// CPU nanoseconds per request of each round.
    rounds: Vec<u64>,
    /// How many of them are refused.
    blocked: usize,
    /// Resident memory of this process after the last round.
    rss_kb: u64,
    /// Time to read, parse and compile the rules.
    load_ms: f64,
    /// CPU nanoseconds of single requests, all rounds together.
    p50_ns: u64,
    p99_ns: u64,
    /// How many of them are answered otherwise than expected.
    wrong: usize,
}

impl Bench {
    /// Prints a line for each label.
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let corpus = Corpus::read(&self.corpus)?;
        let loaded = ruleset::load(self.ruleset.as_deref(), self.paranoia, &context.data)?;
        let phases = if self.phases == "14" { Phases::UpToFour } else { Phases::UpToTwo };
        // What loading took is no part of what the rules take.
        hop3_allocator::give_back_now();
        let mut rounds = Rounds::start(&loaded.ruleset, &corpus, phases, Duration::from_millis(self.least));
        for _ in 0..self.rounds {
            if self.stepwise && !next_turn()? {
                break;
            }
            rounds.measure();
        }
        let rss_kb = resident_kb();
        let lines: Vec<Line<'_>> = rounds
            .labels()
            .map(|label| Line {
                label: label.name,
                n: label.requests,
                rounds: label.rounds.clone(),
                blocked: label.blocked,
                rss_kb,
                load_ms: loaded.time.as_secs_f64() * 1_000.0,
                p50_ns: label.quantile(0.5),
                p99_ns: label.quantile(0.99),
                wrong: label.wrong,
            })
            .collect();
        if context.output.is_json() {
            lines.iter().try_for_each(|line| context.output.json_line(line))?;
        } else {
            context.output.line(&shown(&lines, &loaded, self.paranoia, &self.phases))?;
        }
        judged(rounds.wrong())
    }
}

/// Waits for a line; false when there will be none.
fn next_turn() -> Result<bool, Failure> {
    eprintln!("ready");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let read = read.map_err(|error| Failure::internal("cannot read standard input").because(&error))?;
    Ok(read > 0)
}

/// Resident memory of this process; 0 where the system does not tell.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn shown(lines: &[Line<'_>], loaded: &ruleset::Loaded, paranoia: u8, phases: &str) -> String {
    let mut table =
        Table::new(["Label", "Requests", "Blocked", "CPU µs (median)", "Rounds", "p50 µs", "p99 µs"]);
    for line in lines {
        let rounds: Vec<String> = line.rounds.iter().map(|time| micros(*time)).collect();
        table.row([
            line.label.to_owned(),
            line.n.to_string(),
            line.blocked.to_string(),
            micros(rounds::median(&line.rounds)),
            rounds.join(" "),
            micros(line.p50_ns),
            micros(line.p99_ns),
        ]);
    }
    let memory = lines.first().map_or(0, |line| line.rss_kb) as f64 / 1024.0;
    format!(
        "{}, {} rules, paranoia level {paranoia}, phases 1 to {}\n{table}\n\
         loaded in {:.0} ms, {memory:.0} MB resident; times are CPU time of one thread per request",
        printable(&loaded.name),
        loaded.ruleset.rule_count(),
        if phases == "14" { 4 } else { 2 },
        loaded.time.as_secs_f64() * 1_000.0,
    )
}

/// Microseconds with three digits that count.
fn micros(nanoseconds: u64) -> String {
    let micros = nanoseconds as f64 / 1_000.0;
    match micros {
        _ if micros < 10.0 => format!("{micros:.2}"),
        _ if micros < 100.0 => format!("{micros:.1}"),
        _ => format!("{micros:.0}"),
    }
}

/// An error when an answer was not the expected one.
fn judged(wrong: &[Wrong<'_>]) -> Result<(), Failure> {
    if wrong.is_empty() {
        return Ok(());
    }
    let told = wrong.iter().take(TOLD).map(|wrong| printable(&wrong.to_string()));
    let rest = wrong.len().saturating_sub(TOLD);
    let more = (rest > 0).then(|| format!("… and {rest} more"));
    let message = match wrong.len() {
        1 => "1 request was not answered as the corpus expects".to_owned(),
        count => format!("{count} requests were not answered as the corpus expects"),
    };
    Err(Failure::new(Kind::Conflict, message)
        .detail(told.chain(more))
        .hint("`hop3 waf test` tells why a request is refused; `\"expect\": \"any\"` accepts both answers"))
}

#[cfg(test)]
mod tests;
