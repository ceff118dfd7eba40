//! CPU time of an inspection (phases 1 and 2) by class of request.
//!
//! Usage: `bench-waf [CRS-FOLDER-OR-ARCHIVE] [PARANOIA]`. Without a folder the
//! embedded base ruleset is measured. A class counts only when every attack
//! was refused and nothing else was; otherwise the program fails.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hop3_benches::measure::{Samples, thread_cpu};
use hop3_benches::traffic::{self, Class, Request};
use hop3_rules::{RulesetName, Selection, Source, Store};
use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart, Verdict};

/// CPU time that each class is given.
const BUDGET: Duration = Duration::from_millis(1_500);

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-waf: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let source = arguments.next();
    let paranoia = arguments.next().map_or(Ok(1), |level| level.parse())?;
    let before = thread_cpu();
    let (name, ruleset) = ruleset(source.as_deref(), paranoia)?;
    let load = thread_cpu() - before;
    println!(
        "{name}, paranoia level {paranoia}: {} rules, loaded in {} ms of this thread",
        ruleset.rule_count(),
        load.as_millis()
    );
    println!("{:<26}{:>9}{:>10}{:>12}{:>12}  answers", "class", "bytes", "requests", "median µs", "p99 µs");
    let mut right = true;
    for class in traffic::classes() {
        right &= measure(&ruleset, &class);
    }
    Ok(right)
}

fn ruleset(source: Option<&str>, paranoia: u8) -> Result<(String, Arc<Ruleset>), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path())?;
    let name = match source {
        None => RulesetName::Base,
        Some(source) => {
            store.install(&Source::from_argument(source), SystemTime::now())?;
            RulesetName::OwaspCrs(None)
        }
    };
    let selection =
        Selection { paranoia_level: paranoia, detection_paranoia_level: paranoia, ..Selection::new(name) };
    let assembled = store.assemble(&selection)?;
    let name = format!("{} {}", assembled.name, assembled.version.unwrap_or_default());
    Ok((name, Arc::new(Ruleset::compile(&assembled.document)?)))
}

/// Prints one line; false when an answer was wrong.
fn measure(ruleset: &Arc<Ruleset>, class: &Class) -> bool {
    let mut wrong = 0;
    // One round unmeasured: automata are built while they are first used.
    for request in &class.requests {
        wrong += usize::from(refuses(ruleset, request) != class.attack);
    }
    let mut samples = Samples::default();
    let mut count = 0;
    let start = thread_cpu();
    while count < class.requests.len() || thread_cpu() - start < BUDGET {
        let before = thread_cpu();
        let refused = refuses(ruleset, &class.requests[count % class.requests.len()]);
        samples.push(thread_cpu() - before);
        wrong += usize::from(refused != class.attack);
        count += 1;
    }
    let bytes = class.requests.first().map_or(0, |request| request.body.len());
    let micros = |time: Duration| time.as_nanos() as f64 / 1_000.0;
    let answers = if wrong == 0 { "right".to_owned() } else { format!("{wrong} WRONG") };
    let (median, p99) = (micros(samples.quantile(0.5)), micros(samples.quantile(0.99)));
    println!("{:<26}{bytes:>9}{count:>10}{median:>12.1}{p99:>12.1}  {answers}", class.label);
    wrong == 0
}

fn refuses(ruleset: &Arc<Ruleset>, request: &Request) -> bool {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let start = TransactionStart {
        id: "benchmark-transaction".to_owned(),
        unix_time: Duration::from_secs(1_700_000_000),
        entropy: 1,
    };
    let connection = Connection { client: address(50_000), server: address(443) };
    let mut transaction = Transaction::new(Arc::clone(ruleset), start, connection);
    transaction.set_request_line(request.method.as_bytes(), request.target.as_bytes(), b"HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    if let Verdict::Interrupt(_) = transaction.process_request_headers() {
        return true;
    }
    let _ = transaction.append_request_body(&request.body);
    matches!(transaction.process_request_body(), Verdict::Interrupt(_))
}
