//! Drives the engine through one case, step by step as v3's own tool does.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::diagnostic::Diagnostic;
use hop3_seclang::loader::{Files, Loader};
use hop3_seclang::source::Sources;
use hop3_seclang::{Dialect, Document, Parser};
use hop3_waf::trace::{DebugLog, RuleTexts};
use hop3_waf::{Connection, MemoryStore, Ruleset, Transaction, TransactionStart, Verdict};

use super::audit_log;
use super::case::{Case, End};

/// What a case is judged by when its rules load.
#[derive(Debug)]
pub struct Outcome {
    /// The status of the last intervention; 200 without one.
    pub status: u16,
    /// The URL of the last intervention.
    pub url: Option<String>,
    /// The server's log.
    pub error_log: String,
    /// The audit log.
    pub audit_log: String,
    /// The debug log at level 9, in v3's wording.
    pub debug_log: String,
}

/// Whether the rules loaded, and what came of it.
#[derive(Debug)]
pub enum Loaded {
    /// They did not.
    Refused {
        /// All findings.
        diagnostics: Vec<Diagnostic>,
        /// The texts they speak about.
        sources: Arc<Sources>,
    },
    /// They did.
    Ran(Outcome),
}

/// What v3 means where this engine follows v2 and Coraza, and v3's defaults.
const V3: &str = "SecCompatibility ModSecurity3\n\
    SecRxMode Multiline\n\
    SecJsonArrayPrefix On\n\
    SecRequestBodyLimitAction ProcessPartial\n\
    SecMaskSecrets Off\n\
    SecResponseBodyAccess On\n\
    SecAction \"id:4294967295,phase:1,nolog,noauditlog,pass,ctl:forceRequestBodyVariable=On\"\n";

/// Loads the rules of a case and sends its request. `root` is the folder that holds `data`.
pub fn run(root: &Path, case: &Case) -> Loaded {
    let loader = SuiteFiles { root: root.to_owned(), files: Files::beneath([root]) };
    let mut parser = Parser::new(&loader).dialect(Dialect::ModSecurity3);
    parser.text("v3.conf", V3);
    parser.text(root.join(&case.file), case.text());
    let document = match parser.finish() {
        Ok(document) => document,
        Err(found) => {
            return Loaded::Refused { diagnostics: found.list, sources: found.sources };
        }
    };
    match Ruleset::compile(&document) {
        Ok(ruleset) => Loaded::Ran(send(&Arc::new(ruleset), &document, case)),
        Err(found) => Loaded::Refused { diagnostics: found.diagnostics, sources: found.sources },
    }
}

fn send(ruleset: &Arc<Ruleset>, document: &Document, case: &Case) -> Outcome {
    let texts = Arc::new(RuleTexts::new(document, ruleset));
    let debug_log = Arc::new(DebugLog::at_level(texts, 9));
    let start = TransactionStart {
        id: "1700000000.123456".to_owned(),
        unix_time: Duration::new(1_700_000_000, 123_456_000),
        entropy: 1,
    };
    let connection = Connection { client: address(&case.client), server: address(&case.server) };
    let mut exchange = Exchange {
        transaction: Transaction::new(Arc::clone(ruleset), start, connection)
            .with_store(Arc::new(MemoryStore::new(100)))
            .with_trace(debug_log.clone())
            .with_references(),
        status: 200,
        url: None,
        limits: String::new(),
        debug_log: debug_log.clone(),
    };
    exchange.transaction.set_elapsed(Duration::from_micros(1500));
    exchange.request(case);
    exchange.response(case);
    let Exchange { mut transaction, status, url, mut limits, .. } = exchange;
    transaction.process_logging();
    let context = transaction.log_context();
    for found in transaction.matches().iter().filter(|found| found.logged) {
        limits.push_str(&found.log_line(&context));
        limits.push('\n');
    }
    let audit_log = audit_log::text(case, &transaction, status);
    Outcome { status, url, error_log: limits, audit_log, debug_log: debug_log.text() }
}

/// A transaction, and what was decided about it so far.
struct Exchange {
    transaction: Transaction,
    status: u16,
    url: Option<String>,
    /// Log lines of interventions that no rule asked for.
    limits: String,
    debug_log: Arc<DebugLog>,
}

impl Exchange {
    fn request(&mut self, case: &Case) {
        let request = &case.request;
        let protocol = request.protocol();
        self.transaction.set_request_line(
            request.method.as_bytes(),
            request.uri.as_bytes(),
            protocol.as_bytes(),
        );
        for (name, value) in &request.headers.0 {
            self.transaction.add_request_header(name.as_bytes(), value.as_bytes());
        }
        let verdict = self.transaction.process_request_headers();
        self.take(verdict);
        let kind = request.headers.0.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(Ok(boundary)) = kind.map(|(_, value)| hop3_bodies::multipart::boundary(value.as_bytes()))
        {
            self.debug_log.line(9, &format!("Multipart: Boundary: {}", String::from_utf8_lossy(boundary)));
        }
        let _ = self.transaction.append_request_body(&request.body.0);
        let verdict = self.transaction.process_request_body();
        self.take(verdict);
    }

    fn response(&mut self, case: &Case) {
        let response = &case.response;
        for (name, value) in &response.headers.0 {
            self.transaction.add_response_header(name.as_bytes(), value.as_bytes());
        }
        let verdict = self.transaction.process_response_headers(self.status, response.protocol.as_bytes());
        self.take(verdict);
        if !self.transaction.inspects_response_body() {
            let kind = response.headers.0.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
            let kind = kind.map(|(_, value)| value.as_str()).unwrap_or_default();
            self.debug_log
                .line(5, &format!("Response Content-Type is {kind}. It is not marked to be inspected."));
        }
        let _ = self.transaction.append_response_body(&response.body.0);
        let verdict = self.transaction.process_response_body();
        self.take(verdict);
    }

    /// Takes an intervention. For a body over its limit v3 answers 403; this
    /// engine says 413 or 502, which are right, and are counted as the same.
    fn take(&mut self, verdict: Verdict) {
        let Verdict::Interrupt(interruption) = verdict else {
            return;
        };
        let is_limit = interruption.rule_id == 0;
        self.status = match interruption.status {
            413 | 502 if is_limit => 403,
            status => status,
        };
        self.url = interruption.url;
        if is_limit {
            self.limits = format!("{}\n", interruption.log);
        }
    }
}

fn address(end: &End) -> SocketAddr {
    SocketAddr::new(end.ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), end.port)
}

/// The suite's files; rules name them below `test-cases/data`, and they lie in `data`.
struct SuiteFiles {
    root: PathBuf,
    files: Files,
}

impl SuiteFiles {
    fn place(&self, path: &str) -> PathBuf {
        match path.rsplit_once("test-cases/data/") {
            Some((_, rest)) => self.root.join("data").join(rest),
            None => PathBuf::from(path),
        }
    }
}

impl Loader for SuiteFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(&self.place(&path.to_string_lossy()))
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        self.files.glob(&self.place(pattern).to_string_lossy())
    }
}
