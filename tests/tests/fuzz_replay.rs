//! Every input that the fuzzer kept, through the same functions, in the ordinary test run.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use hop3_tests::fuzz_inputs::{self, TARGETS};
use hop3_tests::report::Report;

/// Most files in one corpus: it is read by people, and replayed on every run.
const MOST_FILES: usize = 60;

#[test]
fn every_input_of_the_corpora_still_holds() {
    let mut report = Report::new("fuzz-replay");
    for (target, _) in TARGETS {
        let inputs = inputs(&corpora().join(target));
        assert!(!inputs.is_empty(), "{target} has no corpus");
        assert!(inputs.len() <= MOST_FILES, "{target} has {} files; minimise it", inputs.len());
        for path in inputs {
            let input = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            match catch_unwind(|| fuzz_inputs::run(target, &input)) {
                Ok(()) => report.pass(),
                Err(_) => report.fail(path.display().to_string(), "panicked; the message stands above"),
            }
        }
    }
    report.print();
    assert!(report.failed().is_empty(), "{} inputs fail", report.failed().len());
}

/// A target that the fuzzer does not run, or a corpus that nobody replays, would go unnoticed.
#[test]
fn targets_binaries_and_corpora_are_the_same() {
    let names = |folder: &str| -> BTreeSet<String> {
        let path = fuzz_folder().join(folder);
        let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        entries.flatten().filter_map(|entry| stem(entry.path())).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn corpora() -> PathBuf {
    fuzz_folder().join("corpus")
}

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}
