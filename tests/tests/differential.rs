//! The engine beside libmodsecurity on 10,000 mixed requests: each difference is explained, or fails.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use hop3_tests::data;
use hop3_tests::differential::generate::{self, Exchange, Words};
use hop3_tests::differential::known::{self, Known, Right};
use hop3_tests::differential::observe::{self, Difference, Observed};
use hop3_tests::differential::ours;
use hop3_tests::differential::setup::Setup;
use hop3_tests::differential::theirs::{Engine, Library};
use hop3_tests::report::Report;
use hop3_waf::Ruleset;

const SUITE: &str = "differential-libmodsecurity";

/// How many requests are made; `$HOP3_DIFFERENTIAL_CASES` overrides it.
const CASES: u64 = 10_000;

/// Which requests are made; `$HOP3_DIFFERENTIAL_SEED` overrides it.
const SEED: u64 = 3;

/// The files of the rule set whose rules can be logged, by the start of their ids.
const FILES: &[u64] = &[
    911, 913, 920, 921, 922, 930, 931, 932, 933, 934, 941, 942, 943, 944, 949, 950, 951, 952, 953, 954, 955,
    956, 959,
];

/// Blocking is compared on every third request, detection on all: the library takes milliseconds for each.
const BLOCKING_EVERY: u64 = 3;

/// Processes that run the library at the same time.
const WORKERS: u64 = 2;

#[test]
fn differences_from_libmodsecurity_are_understood() {
    let Some(crs) = data::suite("crs") else { return };
    let library = match Library::prepare() {
        Ok(library) => library,
        Err(why) => return eprintln!("{SUITE}: not run: {why}"),
    };
    let known = known();
    let words = Words::read(&crs.join("rules")).unwrap_or_else(|error| panic!("{error}"));
    let (seed, cases) = (number("HOP3_DIFFERENTIAL_SEED", SEED), number("HOP3_DIFFERENTIAL_CASES", CASES));
    let rulesets =
        Setup::ALL.map(|setup| ours::ruleset(&crs, setup).unwrap_or_else(|error| panic!("{error}")));
    let suite = Suite { crs: &crs, library: &library, known: &known, words: &words, rulesets, seed };
    if let Ok(case) = std::env::var("HOP3_DIFFERENTIAL_CASE") {
        return suite.show(case.parse().expect("the number of a case"));
    }
    let parts: Vec<Part> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|first| {
                scope.spawn({
                    let suite = &suite;
                    move || suite.run((first..cases).step_by(WORKERS as usize))
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker ends well")).collect()
    });
    finish(&known, &suite.rulesets, parts, cases);
}

fn known() -> Known {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("differential/differences.yaml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Known::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// What the workers share.
struct Suite<'s> {
    crs: &'s Path,
    library: &'s Library,
    known: &'s Known,
    words: &'s Words,
    rulesets: [Arc<Ruleset>; 2],
    seed: u64,
}

/// What one worker found.
#[derive(Default)]
struct Part {
    /// Cases without an unexplained difference.
    passed: usize,
    /// Those without any.
    identical: usize,
    /// Those with one.
    failed: Vec<(u64, String)>,
    /// The cases of each listed cause.
    explained: BTreeMap<usize, BTreeSet<u64>>,
    /// Rules that the library logged at least once.
    rules: BTreeSet<u64>,
    version: String,
}

impl Suite<'_> {
    fn start(&self, setup: Setup) -> Engine {
        self.library.start(self.crs, setup).unwrap_or_else(|error| panic!("{setup:?}: {error}"))
    }

    fn run(&self, cases: impl Iterator<Item = u64>) -> Part {
        let mut engines = Setup::ALL.map(|setup| self.start(setup));
        let mut part = Part { version: engines[0].version().to_owned(), ..Part::default() };
        for case in cases {
            let exchange = generate::exchange(self.seed, case, self.words);
            let wire = known::wire(&exchange);
            let (mut is_identical, mut unexplained) = (true, Vec::new());
            for (index, setup) in Setup::ALL.into_iter().enumerate() {
                if setup == Setup::Blocking && case % BLOCKING_EVERY != 0 {
                    continue;
                }
                let (ours, theirs) = match observe_both(&mut engines[index], &self.rulesets[index], &exchange)
                {
                    Ok(both) => both,
                    Err(error) => {
                        unexplained.push(format!("{setup:?}: the library crashed: {error}"));
                        engines[index] = self.start(setup);
                        continue;
                    }
                };
                part.rules.extend(theirs.rules.keys());
                for difference in observe::differences(&ours, &theirs) {
                    is_identical = false;
                    match self.known.explain(&difference, &ours, &theirs, &wire) {
                        Some(entry) => drop(part.explained.entry(entry).or_default().insert(case)),
                        None => unexplained.push(format!("{setup:?}: {difference}")),
                    }
                }
            }
            if unexplained.is_empty() {
                part.passed += 1;
                part.identical += usize::from(is_identical);
            } else {
                let request = exchange.request.to_bytes().escape_ascii().to_string();
                part.failed.push((case, format!("{}: {}: {request}", exchange.kind, unexplained.join("; "))));
            }
        }
        part
    }

    /// Prints one case in full.
    fn show(&self, case: u64) {
        let exchange = generate::exchange(self.seed, case, self.words);
        println!(
            "{}\n{}\n",
            exchange.kind,
            known::wire(&exchange).escape_ascii().to_string().replace("\\r\\n", "\n")
        );
        for (setup, ruleset) in Setup::ALL.into_iter().zip(&self.rulesets) {
            let (ours, theirs) = observe_both(&mut self.start(setup), ruleset, &exchange)
                .unwrap_or_else(|error| panic!("{error}"));
            for (name, observed) in [("hop3", &ours), ("libmodsecurity", &theirs)] {
                println!("{setup:?} {name}: {:?} {:?} {}", observed.rules, observed.stop, observed.scores);
            }
            for difference in observe::differences(&ours, &theirs) {
                println!("  {difference}");
                let Difference::Logged { rule, .. } = difference else { continue };
                let mark = format!("[id \"{rule}\"]");
                ours.lines
                    .iter()
                    .chain(&theirs.lines)
                    .filter(|line| line.contains(&mark))
                    .for_each(|line| println!("    {line}"));
            }
        }
    }
}

fn observe_both(
    engine: &mut Engine,
    ruleset: &Arc<Ruleset>,
    exchange: &Exchange,
) -> std::io::Result<(Observed, Observed)> {
    engine.send(exchange)?;
    let ours = ours::observe(ruleset, exchange);
    Ok((ours, engine.receive()?))
}

fn finish(known: &Known, rulesets: &[Arc<Ruleset>], parts: Vec<Part>, cases: u64) {
    let mut all = Part { version: parts[0].version.clone(), ..Part::default() };
    for part in parts {
        all.passed += part.passed;
        all.identical += part.identical;
        all.failed.extend(part.failed);
        all.rules.extend(part.rules);
        for (entry, cases) in part.explained {
            all.explained.entry(entry).or_default().extend(cases);
        }
    }
    all.failed.sort();
    tell(known, &all);
    let mut report = Report::new(SUITE);
    (0..all.passed).for_each(|_| report.pass());
    all.failed.into_iter().for_each(|(case, why)| report.fail(format!("#{case}"), why));
    let is_loaded =
        |file: &u64| rulesets.iter().any(|rules| rules.rule_ids().any(|rule| rule / 1000 == *file));
    let is_silent = |file: &u64| is_loaded(file) && !all.rules.iter().any(|rule| rule / 1000 == *file);
    let silent: Vec<u64> = FILES.iter().copied().filter(is_silent).collect();
    report.print();
    assert!(report.judged() > 0, "no request was compared");
    assert!(cases < CASES || silent.is_empty(), "no request exercises the files of {silent:?}");
    assert!(report.failed().is_empty(), "{} requests differ for no known reason", report.failed().len());
}

/// Writes what is explained, past the test harness, which hides the output of passing tests.
fn tell(known: &Known, all: &Part) {
    let mut out = std::io::stdout().lock();
    let mut say = |line: String| {
        // A closed standard output is no reason to fail a suite.
        let _ = writeln!(out, "{line}");
    };
    say(format!(
        "\n{}: it logged {} different rules; {} requests without any difference",
        all.version,
        all.rules.len(),
        all.identical
    ));
    for (number, entry) in known.entries().iter().enumerate() {
        let count = all.explained.get(&number).map_or(0, BTreeSet::len);
        let right = match entry.right {
            Right::Hop3 => "hop3 is right",
            Right::Libmodsecurity => "DEFECT, to be fixed",
            Right::Either => "both are right",
        };
        say(format!("DIFFERENCE {count} ({}; {right}): {}", entry.cause, entry.why.trim()));
    }
}
