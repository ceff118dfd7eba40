//! Holds the crate against the reference suite of libinjection 3.10: its unit tests and, for each
//! line of its collections, the recorded answer of the C library.
//!
//! The suite lies at `$HOP3_TEST_DATA/libinjection-tests` and is never copied here; without it the
//! tests say so and pass. Its format is described in the `README.md` beside it.

#![allow(clippy::disallowed_methods, reason = "the engine reads no files; its suites do")]
#![expect(clippy::unwrap_used, reason = "a test that cannot read its suite has failed")]

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use hop3_libinjection::{
    Context, Html5Kind, Html5Start, Html5Tokens, Kind, Token, fold, is_sqli, is_xss, tokens,
};

#[test]
fn unit_tests_of_the_reference() {
    let Some(suite) = suite() else { return };
    let mut score = Score::default();
    for path in files(&suite.join("tests"), "txt") {
        let name = file_stem(&path);
        let test = match UnitTest::read(&path) {
            Ok(test) => test,
            Err(why) => {
                score.skip(&name, &why);
                continue;
            }
        };
        match test.actual(&name) {
            None => score.skip(&name, "unknown kind of test"),
            Some(actual) => score.judge(&name, &test.expected, trim_end(&actual)),
        }
    }
    score.report("libinjection-unit");
}

#[test]
fn collections_of_the_reference() {
    let Some(suite) = suite() else { return };
    let mut score = Score::default();
    for path in files(&suite.join("data"), "txt") {
        let name = file_stem(&path);
        let expected = suite.join("expected").join(format!("{name}.tsv"));
        match fs::read_to_string(&expected) {
            Ok(expected) => judge_collection(&mut score, &name, &fs::read(&path).unwrap(), &expected),
            Err(error) => score.skip(&name, &format!("no recorded answers: {error}")),
        }
    }
    score.report("libinjection-data");
}

fn judge_collection(score: &mut Score, name: &str, data: &[u8], expected: &str) {
    let mut expected = expected.lines();
    for (index, line) in data.split(|&byte| byte == b'\n').enumerate() {
        // The reference reads lines as C strings: a NUL byte, not to be confused with %00, ends one.
        let line = trim_end(line.split(|&byte| byte == 0).next().unwrap_or_default());
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let number = index + 1;
        let input = url_decode(line);
        let fingerprint = is_sqli(&input);
        let actual = format!(
            "{number}\t{}\t{}\t{}",
            u8::from(fingerprint.is_some()),
            fingerprint.map(|fingerprint| fingerprint.to_string()).unwrap_or_default(),
            u8::from(is_xss(&input)),
        );
        let case = format!("{name}:{number} {}", input.escape_ascii());
        score.judge(&case, expected.next().unwrap_or("no line").as_bytes(), actual.as_bytes());
    }
    for line in expected {
        score.judge(&format!("{name}: expected but not in the data"), line.as_bytes(), b"");
    }
}

/// One file of unit tests: what to read and what should come of it, ends trimmed.
struct UnitTest {
    input: Vec<u8>,
    expected: Vec<u8>,
}

impl UnitTest {
    fn read(path: &Path) -> Result<UnitTest, String> {
        let text = fs::read(path).map_err(|error| error.to_string())?;
        let mut sections = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        let marks: [&[u8]; 3] = [b"--TEST--", b"--INPUT--", b"--EXPECTED--"];
        let mut section = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            if marks.get(section).is_some_and(|mark| line.strip_suffix(b"\n").unwrap_or(line) == *mark) {
                section += 1;
            } else {
                sections[section].extend_from_slice(line);
            }
        }
        if section != marks.len() {
            return Err("it lacks a section".to_owned());
        }
        let [_, _, input, expected] = sections;
        Ok(UnitTest { input: trim_end(&input).to_vec(), expected: trim_end(&expected).to_vec() })
    }

    /// What the crate makes of the input, printed as the file's kind wants it.
    fn actual(&self, name: &str) -> Option<Vec<u8>> {
        let kind = name.strip_prefix("test-")?.split('-').next()?;
        let mut out = Vec::new();
        match kind {
            "tokens" => tokens(&self.input, Context::default()).for_each(|token| print_sql(&mut out, &token)),
            "folding" => {
                fold(&self.input, Context::default())
                    .tokens()
                    .iter()
                    .for_each(|token| print_sql(&mut out, token));
            }
            "sqli" => out.extend(is_sqli(&self.input).iter().flat_map(|found| found.as_str().bytes())),
            "xss" => out.push(b'0' + u8::from(is_xss(&self.input))),
            "html5" => print_html5(&mut out, &self.input),
            _ => return None,
        }
        Some(out)
    }
}

fn print_sql(out: &mut Vec<u8>, token: &Token) {
    out.extend([token.kind().letter(), b' ']);
    let quoted = matches!(token.kind(), Kind::Text | Kind::Variable);
    if token.kind() == Kind::Variable {
        out.extend(std::iter::repeat_n(b'@', usize::from(token.sigils())));
    }
    out.extend(token.opening_quote().filter(|_| quoted));
    out.extend(token.value());
    out.extend(token.closing_quote().filter(|_| quoted));
    out.push(b'\n');
}

fn print_html5(out: &mut Vec<u8>, input: &[u8]) {
    for token in Html5Tokens::new(input, Html5Start::Data) {
        let kind = match token.kind {
            Html5Kind::Text => "DATA_TEXT",
            Html5Kind::TagOpen => "TAG_NAME_OPEN",
            Html5Kind::TagEnd => "TAG_NAME_CLOSE",
            Html5Kind::TagSelfClose => "TAG_NAME_SELFCLOSE",
            Html5Kind::TagClose => "TAG_CLOSE",
            Html5Kind::AttributeName => "ATTR_NAME",
            Html5Kind::AttributeValue => "ATTR_VALUE",
            Html5Kind::Comment => "TAG_COMMENT",
            Html5Kind::Doctype => "DOCTYPE",
        };
        out.extend(format!("{kind},{},", token.text.len()).bytes());
        out.extend(token.text);
        out.push(b'\n');
    }
}

/// Counts cases and collects what is wrong, to tell it all at once.
#[derive(Default)]
struct Score {
    passed: usize,
    skipped: usize,
    failed: usize,
    findings: String,
}

impl Score {
    fn judge(&mut self, case: &str, expected: &[u8], actual: &[u8]) {
        if expected == actual {
            self.passed += 1;
            return;
        }
        self.failed += 1;
        let (expected, actual) = (expected.escape_ascii(), actual.escape_ascii());
        writeln!(self.findings, "FAIL {case}: expected `{expected}`, found `{actual}`").unwrap();
    }

    fn skip(&mut self, case: &str, reason: &str) {
        self.skipped += 1;
        writeln!(self.findings, "SKIP 1 ({reason}): {case}").unwrap();
    }

    fn report(&self, suite: &str) {
        let cases = self.passed + self.failed + self.skipped;
        // Past the test harness, which hides the output of passing tests; a closed standard output is no failure.
        let _ = writeln!(
            io::stdout().lock(),
            "\n{}suite={suite} cases={cases} passed={} failed={} skipped={}",
            self.findings,
            self.passed,
            self.failed,
            self.skipped
        );
        assert!(cases > 0, "the suite {suite} has no cases");
        assert_eq!(self.failed, 0, "the differences are printed above");
    }
}

/// The folder of the suite; `None`, and a word about it, when it is not there.
fn suite() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data = workspace.join(std::env::var_os("HOP3_TEST_DATA").unwrap_or_else(|| "../shared".into()));
    let suite = data.join("libinjection-tests");
    if !suite.is_dir() {
        println!("skipped: {} is not there; set HOP3_TEST_DATA to the folder of the suites", suite.display());
        return None;
    }
    Some(suite)
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn file_stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn trim_end(text: &[u8]) -> &[u8] {
    let kept = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\n' | b'\t' | b'\r'));
    &text[..kept.map_or(0, |last| last + 1)]
}

fn url_decode(line: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(line.len());
    let mut rest = line;
    while let [byte, tail @ ..] = rest {
        let escape = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)),
            _ => None,
        };
        if let Some((high, low)) = escape {
            decoded.push((high * 16 + low) as u8);
            rest = &rest[3..];
        } else {
            decoded.push(if *byte == b'+' { b' ' } else { *byte });
            rest = tail;
        }
    }
    decoded
}
