//! FTW test files as they lie on disk.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::report::Report;

/// One YAML file: the tests of one rule.
#[derive(Debug, Deserialize)]
pub struct TestFile {
    /// The rule under test; its number and `test_id` name a case.
    pub rule_id: u64,
    /// The cases; a file may hold none.
    #[serde(default)]
    pub tests: Vec<Test>,
}

/// One case: stages sent one after the other.
#[derive(Debug, Deserialize)]
pub struct Test {
    /// Number within the file.
    pub test_id: u64,
    /// The requests and what is expected of each.
    pub stages: Vec<Stage>,
}

/// One request and what is expected of it.
#[derive(Debug, Deserialize)]
pub struct Stage {
    /// The request.
    pub input: Input,
    /// The expectation.
    #[serde(default)]
    pub output: Output,
}

/// A request, in parts or as raw bytes.
#[derive(Debug, Default, Deserialize)]
pub struct Input {
    /// Method; GET when absent.
    pub method: Option<String>,
    /// Request target; `/` when absent.
    pub uri: Option<String>,
    /// Protocol; HTTP/1.1 when absent.
    pub version: Option<String>,
    /// Header fields in the order of the file.
    #[serde(default)]
    pub headers: Fields,
    /// Body.
    pub data: Option<String>,
    /// Whether Connection, Content-Length and Content-Type are added; true when absent.
    pub autocomplete_headers: Option<bool>,
    /// Base64 of a whole raw request; nothing else counts then.
    pub encoded_request: Option<String>,
}

/// What must hold after a stage.
#[derive(Debug, Default, Deserialize)]
pub struct Output {
    /// Status that the client receives.
    pub status: Option<u16>,
    /// Whether the connection is expected to fail.
    pub expect_error: Option<bool>,
    /// What the log must and must not say.
    #[serde(default)]
    pub log: LogExpectation,
}

/// What the firewall's log must and must not say.
#[derive(Debug, Default, Deserialize)]
pub struct LogExpectation {
    /// Rules that must be logged.
    #[serde(default)]
    pub expect_ids: Vec<u64>,
    /// Rules that must not be.
    #[serde(default)]
    pub no_expect_ids: Vec<u64>,
    /// A regular expression that some line matches.
    pub match_regex: Option<String>,
    /// A regular expression that no line matches.
    pub no_match_regex: Option<String>,
}

impl Output {
    /// Whether a log alone can judge the stage.
    pub fn judged_by_log(&self) -> bool {
        let log = &self.log;
        !log.expect_ids.is_empty()
            || !log.no_expect_ids.is_empty()
            || log.match_regex.is_some()
            || log.no_match_regex.is_some()
    }
}

/// Header fields in file order; a YAML map, whose scalars all count as text.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of header fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry::<String, Option<String>>()? {
                    fields.push((field.0, field.1.unwrap_or_default()));
                }
                Ok(Fields(fields))
            }

            fn visit_unit<E>(self) -> Result<Fields, E> {
                Ok(Fields::default())
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Reads every `.yaml` and `.yml` below `dir`, by path; a file that is no test file fails in `report` and keeps no
/// other from being run.
///
/// # Errors
/// When a folder cannot be read.
pub fn load(dir: &Path, report: &mut Report) -> io::Result<Vec<TestFile>> {
    let mut paths = Vec::new();
    collect(dir, &mut paths).map_err(|error| io::Error::other(format!("{}: {error}", dir.display())))?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        match read(&path) {
            Ok(file) => files.extend(file),
            Err(why) => report.fail(path.display().to_string(), why),
        }
    }
    Ok(files)
}

/// A file; `None` when it holds comments only.
fn read(path: &Path) -> Result<Option<TestFile>, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.lines().all(|line| line.trim().is_empty() || line.starts_with(['#', '-'])) {
        return Ok(None);
    }
    serde_saphyr::from_str(&text).map(Some).map_err(|error| error.to_string())
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            paths.push(path);
        }
    }
    Ok(())
}
