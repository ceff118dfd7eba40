//! The outcome of a suite: every failure and skip with its reason, then one line of counts.

use std::fmt;
use std::io::{self, Write as _};

/// What became of each case of one suite.
#[derive(Debug, Default)]
pub struct Report {
    suite: String,
    passed: usize,
    failed: Vec<(String, String)>,
    skipped: Vec<(String, String)>,
    notes: Vec<String>,
}

impl Report {
    /// An empty report of the suite `name`.
    pub fn new(name: &str) -> Self {
        Self { suite: name.to_owned(), ..Self::default() }
    }

    /// Counts a case that passed.
    pub fn pass(&mut self) {
        self.passed += 1;
    }

    /// Records a case that failed, and why.
    pub fn fail(&mut self, case: impl Into<String>, why: impl Into<String>) {
        self.failed.push((case.into(), why.into()));
    }

    /// Records a case that was not judged, and why.
    pub fn skip(&mut self, case: impl Into<String>, why: impl Into<String>) {
        self.skipped.push((case.into(), why.into()));
    }

    /// Says something about a case that counts as passed.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Cases that ran and were judged.
    pub fn judged(&self) -> usize {
        self.passed + self.failed.len()
    }

    /// Cases that passed.
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// Cases that failed, each with its reason.
    pub fn failed(&self) -> &[(String, String)] {
        &self.failed
    }

    /// Writes the report to standard output past the test harness, which hides the output of passing tests.
    pub fn print(&self) {
        // A closed standard output is no reason to fail a suite.
        let _ = writeln!(io::stdout().lock(), "\n{self}");
    }

    /// The share of judged cases that passed, 0 to 1; 0 when none was judged.
    pub fn rate(&self) -> f64 {
        if self.judged() == 0 { 0.0 } else { self.passed as f64 / self.judged() as f64 }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (case, why) in &self.failed {
            writeln!(f, "FAIL {}: {}", case.replace('\n', " "), why.replace('\n', " "))?;
        }
        for note in &self.notes {
            writeln!(f, "NOTE {note}")?;
        }
        let mut reasons: Vec<(&str, String, usize)> = Vec::new();
        for (case, why) in &self.skipped {
            match reasons.iter_mut().find(|(known, ..)| known == why) {
                Some((_, cases, count)) => {
                    *count += 1;
                    cases.push(' ');
                    cases.push_str(case);
                }
                None => reasons.push((why, case.clone(), 1)),
            }
        }
        for (why, cases, count) in reasons {
            writeln!(f, "SKIP {count} ({why}): {cases}")?;
        }
        let cases = self.judged() + self.skipped.len();
        write!(
            f,
            "suite={} cases={cases} passed={} failed={} skipped={}",
            self.suite,
            self.passed,
            self.failed.len(),
            self.skipped.len()
        )
    }
}
