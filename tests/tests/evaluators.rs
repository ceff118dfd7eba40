//! The fast evaluation beside the plain one, on all conformance data: requests
//! of the Core Rule Set's tests and of ModSecurity's, and generated ones, at
//! every paranoia level. Whatever a request holds, both tell the same rules,
//! scores and matched data, and end the same way.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::Parser;
use hop3_seclang::loader::Files;
use hop3_tests::data;
use hop3_tests::differential::generate::{self, Exchange, Words};
use hop3_tests::ftw::backend::{self, Response};
use hop3_tests::ftw::request::Request;
use hop3_tests::ftw::schema;
use hop3_tests::modsecurity::case;
use hop3_tests::report::Report;
use hop3_waf::{Connection, Interruption, RuleMatch, Ruleset, Transaction, TransactionStart, Verdict};

/// Requests that are compared at each level, all kinds together; `$HOP3_EVALUATOR_CASES` overrides it, 0 means all
/// that there are and [`GENERATED`].
const CASES: usize = 2_500;
/// Requests that are generated.
const GENERATED: u64 = 10_000;
/// Which ones.
const SEED: u64 = 11;

const ENGINE: &str = "SecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/plain text/html text/xml application/json\n\
    SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
    \"id:'200000',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
    \"id:'200001',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";

/// The scores that rules sum up.
const SCORES: &[&str] = &[
    "blocking_inbound_anomaly_score",
    "detection_inbound_anomaly_score",
    "blocking_outbound_anomaly_score",
    "detection_outbound_anomaly_score",
    "inbound_anomaly_score_pl1",
    "inbound_anomaly_score_pl2",
    "inbound_anomaly_score_pl3",
    "inbound_anomaly_score_pl4",
    "sql_injection_score",
    "xss_score",
    "rfi_score",
    "lfi_score",
    "rce_score",
    "php_injection_score",
    "http_violation_score",
    "session_fixation_score",
];

#[test]
fn both_evaluations_tell_the_same() {
    let Some(crs) = data::suite("crs") else { return };
    let cases = match std::env::var("HOP3_EVALUATOR_CASES") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("HOP3_EVALUATOR_CASES is no number: {text}")),
        Err(_) => CASES,
    };
    let exchanges = exchanges(&crs);
    let step = exchanges.len().div_ceil(if cases == 0 { exchanges.len() } else { cases }).max(1);
    let sum: usize = std::thread::scope(|scope| {
        let levels: Vec<_> = (1..=4usize)
            .map(|level| {
                let (crs, exchanges) = (&crs, &exchanges);
                // Each level begins elsewhere, so that together they take most of the data.
                scope.spawn(move || compare(crs, level, exchanges.iter().skip(level - 1).step_by(step)))
            })
            .collect();
        levels.into_iter().map(|level| level.join().expect("a level ends well")).sum()
    });
    let mut report = Report::new("evaluators");
    (0..sum).for_each(|_| report.pass());
    report.print();
    assert!(sum > 1_000, "only {sum} requests were compared");
}

/// Compares both on some exchanges; how many there were.
fn compare<'e>(crs: &Path, level: usize, exchanges: impl Iterator<Item = &'e Exchange>) -> usize {
    // Users block at low levels and watch at high ones.
    let mode = if level <= 2 { "On" } else { "DetectionOnly" };
    let ruleset = ruleset(crs, level, mode);
    let (mut count, mut matched) = (0, 0);
    for exchange in exchanges {
        let fast = told(Transaction::new(Arc::clone(&ruleset), start(), connection()), exchange);
        let plain = Transaction::new(Arc::clone(&ruleset), start(), connection()).with_plain_evaluation();
        let plain = told(plain, exchange);
        count += 1;
        matched += usize::from(plain.matches.iter().any(|rule| rule.logged));
        assert!(
            fast == plain,
            "level {level}, {}: {}\nfast {fast:#?}\nplain {plain:#?}",
            exchange.kind,
            exchange.request.to_bytes().escape_ascii()
        );
    }
    println!("level {level}: {count} requests, {matched} of them with matches");
    assert!(matched * 5 > count, "only {matched} of {count} requests match anything");
    count
}

/// All that there are.
fn exchanges(crs: &Path) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    // What is no test is told by the suites themselves.
    let mut unread = Report::default();
    let files = schema::load(&crs.join("tests/regression/tests"), &mut unread);
    let files = files.unwrap_or_else(|error| panic!("{error}"));
    for (test, stage) in files
        .iter()
        .flat_map(|file| &file.tests)
        .flat_map(|test| test.stages.iter().map(move |stage| (test, stage)))
    {
        if let Ok(request) = Request::build(&stage.input) {
            let response = backend::answer(&request);
            exchanges.push(Exchange { kind: format!("test {}", test.test_id), request, response });
        }
    }
    if let Some(suite) = data::suite("modsecurity-tests") {
        let cases =
            case::load(&suite.join("regression"), &mut unread).unwrap_or_else(|error| panic!("{error}"));
        exchanges.extend(cases.into_iter().map(of_modsecurity));
    }
    let words = Words::read(&crs.join("rules")).unwrap_or_else(|error| panic!("{error}"));
    exchanges.extend((0..GENERATED).map(|number| generate::exchange(SEED, number, &words)));
    exchanges
}

fn of_modsecurity(case: case::Case) -> Exchange {
    let bytes = |headers: case::Headers| -> Vec<(Vec<u8>, Vec<u8>)> {
        headers.0.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect()
    };
    let protocol = case.request.protocol().into_bytes();
    Exchange {
        kind: case.name(),
        request: Request {
            method: case.request.method.into_bytes(),
            target: case.request.uri.into_bytes(),
            protocol,
            headers: bytes(case.request.headers),
            body: case.request.body.0,
        },
        response: Response { status: 200, headers: bytes(case.response.headers), body: case.response.body.0 },
    }
}

fn ruleset(crs: &Path, level: usize, mode: &str) -> Arc<Ruleset> {
    let loader = Files::beneath([crs]);
    let mut parser = Parser::new(&loader);
    parser.text("engine.conf", format!("SecRuleEngine {mode}\n{ENGINE}"));
    parser.file(crs.join("crs-setup.conf.example"));
    parser.text(
        "setup.conf",
        format!(
            "SecAction \"id:900005,phase:1,nolog,pass,setvar:tx.blocking_paranoia_level={level},\
             setvar:tx.detection_paranoia_level={level},setvar:tx.crs_validate_utf8_encoding=1,\
             setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,setvar:tx.max_num_args=255\"\n\
             Include {}/rules/*.conf\n",
            crs.display()
        ),
    );
    let document = parser.finish().unwrap_or_else(|error| panic!("{error}"));
    Arc::new(Ruleset::compile(&document).unwrap_or_else(|error| panic!("{error}")))
}

fn start() -> TransactionStart {
    TransactionStart {
        id: "evaluators".to_owned(),
        unix_time: Duration::from_secs(1_700_000_000),
        entropy: 1,
    }
}

fn connection() -> Connection {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Connection { client: local(50_000), server: local(80) }
}

/// What a transaction tells and leaves behind.
#[derive(Debug, PartialEq)]
struct Told {
    /// Ids, messages, data, all of the matches that somebody is told of.
    matches: Vec<RuleMatch>,
    interruption: Option<Interruption>,
    scores: Vec<Option<Vec<u8>>>,
}

fn told(mut transaction: Transaction, exchange: &Exchange) -> Told {
    drive(&mut transaction, exchange);
    transaction.process_logging();
    let is_told = |rule: &&RuleMatch| rule.logged || rule.audit;
    Told {
        matches: transaction.matches().iter().filter(is_told).cloned().collect(),
        interruption: transaction.interruption().cloned(),
        scores: SCORES.iter().map(|name| transaction.tx(name)).collect(),
    }
}

fn drive(transaction: &mut Transaction, exchange: &Exchange) {
    let (request, response) = (&exchange.request, &exchange.response);
    transaction.set_request_line(&request.method, &request.target, &request.protocol);
    for (name, value) in &request.headers {
        transaction.add_request_header(name, value);
    }
    if transaction.process_request_headers() != Verdict::Pass {
        return;
    }
    let _ = transaction.append_request_body(&request.body);
    if transaction.process_request_body() != Verdict::Pass {
        return;
    }
    for (name, value) in &response.headers {
        transaction.add_response_header(name, value);
    }
    if transaction.process_response_headers(response.status, b"HTTP/1.1") != Verdict::Pass {
        return;
    }
    let _ = transaction.append_response_body(&response.body);
    let _ = transaction.process_response_body();
}
