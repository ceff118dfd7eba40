//! Runs a corpus round by round and keeps what each request cost.

use std::fmt;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart, Verdict};
use rustix::time::{ClockId, clock_gettime};

use super::corpus::{Corpus, Expect, Request};

/// How far a transaction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phases {
    /// The request's head and body.
    UpToTwo,
    /// A short answer too.
    UpToFour,
}

/// The answer that phases 3 and 4 see.
const ANSWER: &[u8] =
    b"<!doctype html><html><head><title>Hello</title></head><body><p>Hello, world!</p></body></html>";

/// A corpus being measured.
#[derive(Debug)]
pub struct Rounds<'c> {
    ruleset: Arc<Ruleset>,
    phases: Phases,
    /// CPU nanoseconds that a label's requests are repeated for within a round.
    least: u64,
    labels: Vec<Label<'c>>,
    wrong: Vec<Wrong<'c>>,
}

/// What is known about the requests of one label.
#[derive(Debug)]
pub struct Label<'c> {
    /// Its name.
    pub name: &'c str,
    /// How many there are.
    pub requests: usize,
    /// How many are refused.
    pub blocked: usize,
    /// How many are answered otherwise than expected.
    pub wrong: usize,
    /// CPU nanoseconds per request of each round.
    pub rounds: Vec<u64>,
    /// CPU nanoseconds of each request of each round.
    samples: Vec<u64>,
    members: Vec<&'c Request>,
}

/// A request with another answer than the expected one.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong<'c> {
    id: &'c str,
    label: &'c str,
    /// The rule that refused it and the status; `None` when it passed.
    refusal: Option<(u64, u16)>,
}

impl<'c> Rounds<'c> {
    /// Inspects every request once, unmeasured: the answers are noted, and what is built at its first use is there.
    /// `least` is the CPU time for which the requests of a label are repeated within a round.
    pub fn start(ruleset: &Arc<Ruleset>, corpus: &'c Corpus, phases: Phases, least: Duration) -> Rounds<'c> {
        let least = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX);
        let mut rounds =
            Rounds { ruleset: Arc::clone(ruleset), phases, least, labels: Vec::new(), wrong: Vec::new() };
        for request in &corpus.requests {
            let refusal = inspect(&rounds.ruleset, request, phases);
            let wrong = match request.expect {
                Expect::Pass => refusal.is_some(),
                Expect::Block => refusal.is_none(),
                Expect::Any => false,
            };
            let label = rounds.label(&request.label);
            label.requests += 1;
            label.blocked += usize::from(refusal.is_some());
            label.wrong += usize::from(wrong);
            label.members.push(request);
            if wrong {
                rounds.wrong.push(Wrong { id: &request.id, label: &request.label, refusal });
            }
        }
        rounds
    }

    /// Measures every request, label by label: all of them as one, again and again until the least time is used, then one
    /// by one. Asking for the time costs about half a microsecond, which the mean is not to hold.
    pub fn measure(&mut self) {
        for label in &mut self.labels {
            // The answers are known from the start; the same bytes give the same one.
            let begin = thread_cpu();
            let mut before = begin;
            let mut inspected = 0;
            while inspected == 0 || before - begin < self.least {
                for request in &label.members {
                    black_box(inspect(&self.ruleset, request, self.phases));
                }
                inspected += label.members.len() as u64;
                before = thread_cpu();
            }
            label.rounds.push((before - begin) / inspected);
            for request in &label.members {
                black_box(inspect(&self.ruleset, request, self.phases));
                let now = thread_cpu();
                label.samples.push(now - before);
                before = now;
            }
        }
    }

    /// The labels, in the order in which the corpus names them first.
    pub fn labels(&self) -> impl Iterator<Item = &Label<'c>> {
        self.labels.iter()
    }

    /// The requests with a wrong answer, in the order of the corpus.
    pub fn wrong(&self) -> &[Wrong<'c>] {
        &self.wrong
    }

    fn label(&mut self, name: &'c str) -> &mut Label<'c> {
        let found = self.labels.iter().position(|label| label.name == name);
        let index = found.unwrap_or_else(|| {
            self.labels.push(Label {
                name,
                requests: 0,
                blocked: 0,
                wrong: 0,
                rounds: Vec::new(),
                samples: Vec::new(),
                members: Vec::new(),
            });
            self.labels.len() - 1
        });
        &mut self.labels[index]
    }
}

impl Label<'_> {
    /// The time below which `share` of the requests stay, in CPU nanoseconds; 0 before the first round.
    pub fn quantile(&self, share: f64) -> u64 {
        quantile(&self.samples, share)
    }
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): ", self.id, self.label)?;
        match self.refusal {
            Some((0, status)) => write!(f, "refused with {status} by a limit, expected to pass"),
            Some((rule, status)) => write!(f, "refused with {status} by rule {rule}, expected to pass"),
            None => f.write_str("passed, expected to be refused"),
        }
    }
}

/// The middle one; 0 of none.
pub fn median(times: &[u64]) -> u64 {
    quantile(times, 0.5)
}

fn quantile(times: &[u64], share: f64) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

/// CPU time that this thread has used so far, in nanoseconds.
fn thread_cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// The rule and the status of a refusal.
fn inspect(ruleset: &Arc<Ruleset>, request: &Request, phases: Phases) -> Option<(u64, u16)> {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let start = TransactionStart {
        id: "benchmark-transaction".to_owned(),
        unix_time: Duration::from_secs(1_700_000_000),
        entropy: 1,
    };
    let connection = Connection { client: address(50_000), server: address(80) };
    let mut transaction = Transaction::new(Arc::clone(ruleset), start, connection);
    let refused = |verdict| match verdict {
        Verdict::Interrupt(interruption) => Some((interruption.rule_id, interruption.status)),
        Verdict::Pass => None,
    };
    transaction.set_request_line(
        request.method.as_bytes(),
        request.uri.as_bytes(),
        request.version.as_bytes(),
    );
    for (name, value) in &request.headers {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    if let Some(refusal) = refused(transaction.process_request_headers()) {
        return Some(refusal);
    }
    let _ = transaction.append_request_body(&request.body);
    let refusal = refused(transaction.process_request_body());
    if refusal.is_some() || phases == Phases::UpToTwo {
        return refusal;
    }
    transaction.add_response_header(b"Content-Type", b"text/html; charset=utf-8");
    transaction.add_response_header(b"Content-Length", ANSWER.len().to_string().as_bytes());
    if let Some(refusal) = refused(transaction.process_response_headers(200, b"HTTP/1.1")) {
        return Some(refusal);
    }
    let _ = transaction.append_response_body(ANSWER);
    refused(transaction.process_response_body())
}
