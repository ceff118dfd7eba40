//! Runs a stage in process: the engine fed with the request and with what the back end answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::Parser;
use hop3_seclang::loader::{Files, Loader};
use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart, Verdict};

use super::backend;
use super::judge::Logged;
use super::request::Request;

/// How the Core Rule Set is set up for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Detection only at paranoia level 4 with every optional limit on, as the suite expects.
    Regression,
    /// Blocking at paranoia level 1, as users run it.
    Blocking,
    /// Blocking at paranoia level 1 with every optional limit on and a
    /// threshold that a single notice reaches, so that each scoring rule is
    /// seen to refuse.
    Sensitive,
}

impl Setup {
    fn directives(self) -> &'static str {
        match self {
            Self::Regression => {
                "SecRuleEngine DetectionOnly\n\
                 SecAction \"id:900005,phase:1,nolog,pass,\
                 setvar:tx.blocking_paranoia_level=4,setvar:tx.detection_paranoia_level=4,\
                 setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
                 setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,\
                 setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535\"\n"
            }
            Self::Blocking => "SecRuleEngine On\n",
            Self::Sensitive => {
                "SecRuleEngine On\n\
                 SecAction \"id:900005,phase:1,nolog,pass,\
                 setvar:tx.inbound_anomaly_score_threshold=2,setvar:tx.outbound_anomaly_score_threshold=2,\
                 setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
                 setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,\
                 setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535\"\n"
            }
        }
    }
}

const ENGINE: &str = "SecRequestBodyAccess On\n\
    SecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/plain text/html text/xml application/json\n\
    SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
    \"id:'200000',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
    \"id:'200001',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";

/// Where Debian's package keeps the rules.
pub const DEBIAN_CRS: &str = "/usr/share/modsecurity-crs";

/// Where it keeps what users may change.
const DEBIAN_SETUP: &str = "/etc/modsecurity/crs";

/// Compiles the Core Rule Set below `crs`, a release or what Debian installs.
///
/// # Errors
/// The rendered diagnostics.
pub fn ruleset(crs: &Path, setup: Setup) -> Result<Ruleset, String> {
    let loader = Files::beneath([crs, Path::new(DEBIAN_SETUP)]);
    let mut parser = Parser::new(&loader);
    parser.text("engine.conf", ENGINE);
    let example = crs.join("crs-setup.conf.example");
    parser.file(if example.is_file() { example } else { Path::new(DEBIAN_SETUP).join("crs-setup.conf") });
    parser.text("setup.conf", setup.directives());
    for pattern in ["plugins/*-config.conf", "plugins/*-before.conf", "rules/*.conf", "plugins/*-after.conf"]
    {
        let pattern = crs.join(pattern).display().to_string();
        for path in loader.glob(&pattern).map_err(|error| error.to_string())? {
            parser.file(&path);
        }
    }
    let document = parser.finish().map_err(|diagnostics| diagnostics.to_string())?;
    Ruleset::compile(&document).map_err(|error| error.to_string())
}

/// What a stage left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The log.
    pub logged: Logged,
    /// The status that a client would see.
    pub status: u16,
}

/// Sends one request through all phases.
pub fn run(ruleset: &Arc<Ruleset>, request: &Request) -> Outcome {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let start = TransactionStart {
        id: "conformance-transaction".to_owned(),
        unix_time: Duration::from_secs(1_700_000_000),
        entropy: 1,
    };
    let connection = Connection { client: local(50_000), server: local(80) };
    let mut transaction = Transaction::new(Arc::clone(ruleset), start, connection);
    let status = drive(&mut transaction, request);
    transaction.process_logging();
    let context = transaction.log_context();
    let mut logged = Logged::default();
    for rule in transaction.matches().iter().filter(|rule| rule.logged) {
        logged.ids.push(rule.rule_id);
        logged.lines.push(rule.log_line(&context));
    }
    Outcome { logged, status }
}

fn drive(transaction: &mut Transaction, request: &Request) -> u16 {
    transaction.set_request_line(&request.method, &request.target, &request.protocol);
    for (name, value) in &request.headers {
        transaction.add_request_header(name, value);
    }
    if let Verdict::Interrupt(interruption) = transaction.process_request_headers() {
        return interruption.status;
    }
    let _ = transaction.append_request_body(&request.body);
    if let Verdict::Interrupt(interruption) = transaction.process_request_body() {
        return interruption.status;
    }
    let response = backend::answer(request);
    for (name, value) in &response.headers {
        transaction.add_response_header(name, value);
    }
    if let Verdict::Interrupt(interruption) =
        transaction.process_response_headers(response.status, b"HTTP/1.1")
    {
        return interruption.status;
    }
    let _ = transaction.append_response_body(&response.body);
    match transaction.process_response_body() {
        Verdict::Interrupt(interruption) => interruption.status,
        Verdict::Pass => response.status,
    }
}
