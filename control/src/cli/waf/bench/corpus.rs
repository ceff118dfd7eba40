//! Recorded requests: one JSON object a line.

use std::io::{BufRead, BufReader};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::failure::Failure;

/// All requests of a file, in its order.
#[derive(Debug, Default)]
pub struct Corpus {
    /// The requests.
    pub requests: Vec<Request>,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    /// Its name in reports.
    pub id: String,
    /// Requests of one label are counted together.
    pub label: String,
    /// The right answer.
    pub expect: Expect,
    /// Method.
    pub method: String,
    /// Target, as in the request line.
    pub uri: String,
    /// E.g. `HTTP/1.1`.
    pub version: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// Body, decoded.
    pub body: Vec<u8>,
}

/// Which answer is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// The request goes on.
    Pass,
    /// It is refused.
    Block,
    /// Either.
    Any,
}

/// A line as it is written.
#[derive(Deserialize)]
struct Recorded {
    id: Id,
    label: String,
    expect: Expect,
    method: String,
    uri: String,
    version: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

/// Names and numbers both serve.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Name(String),
    Number(u64),
}

impl Corpus {
    /// Reads a corpus; empty lines are passed over.
    ///
    /// # Errors
    /// The file cannot be read, holds no request, or a line is wrong: which, and why.
    pub fn read(path: &Path) -> Result<Corpus, Failure> {
        let shown = path.display();
        let failed = |error: &std::io::Error| {
            Failure::not_found(format!("cannot read the corpus `{shown}`")).because(error)
        };
        let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
        let mut corpus = Corpus::default();
        for (number, line) in BufReader::new(file).split(b'\n').enumerate() {
            let line = line.map_err(|error| failed(&error))?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let request = Request::parse(&line).map_err(|cause| {
                Failure::usage(format!("{shown}:{}: this is no request of a corpus", number + 1))
                    .cause(cause)
                    .hint("a line is an object like {\"id\":\"1\",\"label\":\"search\",\"expect\":\"pass\",\"method\":\"GET\",\
                           \"uri\":\"/\",\"version\":\"HTTP/1.1\",\"headers\":[[\"Host\",\"a.example\"]],\"body\":\"\"}")
            })?;
            corpus.requests.push(request);
        }
        if corpus.requests.is_empty() {
            return Err(Failure::usage(format!("the corpus `{shown}` holds no request")));
        }
        Ok(corpus)
    }
}

impl Request {
    /// Reads one line; the error is the cause in words.
    pub fn parse(line: &[u8]) -> Result<Request, String> {
        let recorded: Recorded = serde_json::from_slice(line).map_err(|error| {
            // A corpus line is line 1 to its parser.
            error.to_string().replace(" at line 1 column ", " at column ")
        })?;
        let body = recorded.body.unwrap_or_default();
        Ok(Request {
            id: match recorded.id {
                Id::Name(name) => name,
                Id::Number(number) => number.to_string(),
            },
            label: recorded.label,
            expect: recorded.expect,
            method: recorded.method,
            uri: recorded.uri,
            version: match recorded.version {
                None => "HTTP/1.1".to_owned(),
                // libmodsecurity's interface wants the number alone; corpora made for it have that.
                Some(version) if version.starts_with(|first: char| first.is_ascii_digit()) => {
                    format!("HTTP/{version}")
                }
                Some(version) => version,
            },
            headers: recorded.headers,
            body: STANDARD.decode(&body).map_err(|error| format!("`body` is not base64: {error}"))?,
        })
    }
}
