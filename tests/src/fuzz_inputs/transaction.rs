//! Whole transactions: the same bytes bring the same verdict, however they are cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hop3_rules::{RulesetName, Selection, Store};
use hop3_waf::{Connection, Interruption, RuleMatch, Ruleset, Transaction, TransactionStart, Verdict};

use super::every_name;

/// Longest line of the log, in bytes: message and data are bounded, and so is their escaping.
const LONGEST_LOG_LINE: usize = 32_768;

/// What stands between request and response in an input.
const RESPONSE_MARK: &[u8] = b"\n---\n";

/// Sends one exchange through the base ruleset and through rules that name everything.
///
/// The input is a request as on the wire, but with LF after the request line
/// and the headers; after a line `---` a response may follow in the same form.
pub(super) fn inspect(input: &[u8]) {
    static RULESETS: OnceLock<[Arc<Ruleset>; 2]> = OnceLock::new();
    let rulesets = RULESETS.get_or_init(|| [base(), every_name::ruleset()]);
    rulesets.iter().for_each(|ruleset| send(ruleset, input));
}

/// Sends one exchange through `ruleset`, whole and in pieces, and compares.
pub(super) fn send(ruleset: &Arc<Ruleset>, input: &[u8]) {
    let split = input.windows(RESPONSE_MARK.len()).position(|window| window == RESPONSE_MARK);
    let (request, response) = match split {
        Some(at) => (&input[..at], Some(&input[at + RESPONSE_MARK.len()..])),
        None => (input, None),
    };
    let (request, response) = (Message::of(request), response.map(Message::of));
    let whole = judge(ruleset, &request, response.as_ref(), usize::MAX);
    let pieces = judge(ruleset, &request, response.as_ref(), 7);
    assert_eq!(whole, pieces, "the verdict depends on how the body was cut");
}

/// A request or a response.
struct Message<'a> {
    /// The three words of the first line.
    line: [&'a [u8]; 3],
    headers: Vec<(&'a [u8], &'a [u8])>,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    fn of(text: &'a [u8]) -> Self {
        let (line, mut rest) = until(text, b'\n');
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let line = [(); 3].map(|()| words.next().unwrap_or_default());
        let mut headers = Vec::new();
        while !rest.is_empty() {
            let (header, after) = until(rest, b'\n');
            rest = after;
            if header.is_empty() {
                break;
            }
            let (name, value) = until(header, b':');
            headers.push((name, value.strip_prefix(b" ").unwrap_or(value)));
        }
        Self { line, headers, body: rest }
    }
}

/// What is left of `end`, and what follows it.
fn until(text: &[u8], end: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == end) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

fn judge(
    ruleset: &Arc<Ruleset>,
    request: &Message<'_>,
    response: Option<&Message<'_>>,
    piece: usize,
) -> (Option<Interruption>, Vec<RuleMatch>) {
    let start =
        TransactionStart { id: "fuzz".into(), unix_time: Duration::from_secs(1_700_000_000), entropy: 1 };
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let mut transaction =
        Transaction::new(Arc::clone(ruleset), start, Connection { client: local, server: local });
    feed_request(&mut transaction, request, piece);
    if let Some(response) = response {
        feed_response(&mut transaction, response, piece);
    }
    let before = transaction.interruption().cloned();
    transaction.process_logging();
    transaction.process_logging();
    assert_eq!(transaction.interruption(), before.as_ref(), "logging changed the verdict");
    let context = transaction.log_context();
    for found in transaction.matches() {
        let line = found.log_line(&context);
        assert!(line.len() < LONGEST_LOG_LINE, "a log line of {} bytes", line.len());
        assert!(!line.contains('\n'), "a log line with a line break");
    }
    (before, transaction.matches().to_vec())
}

fn feed_request(transaction: &mut Transaction, request: &Message<'_>, piece: usize) {
    let [method, target, protocol] = request.line;
    transaction.set_request_line(method, target, protocol);
    for (name, value) in &request.headers {
        transaction.add_request_header(name, value);
    }
    let first = transaction.process_request_headers();
    for chunk in request.body.chunks(piece) {
        let _ = transaction.append_request_body(chunk);
    }
    let second = transaction.process_request_body();
    assert!(first == Verdict::Pass || first == second, "a refusal was taken back");
}

fn feed_response(transaction: &mut Transaction, response: &Message<'_>, piece: usize) {
    for (name, value) in &response.headers {
        transaction.add_response_header(name, value);
    }
    let [protocol, status, _] = response.line;
    let status = std::str::from_utf8(status).ok().and_then(|digits| digits.parse().ok()).unwrap_or(200);
    let third = transaction.process_response_headers(status, protocol);
    for chunk in response.body.chunks(piece) {
        let _ = transaction.append_response_body(chunk);
    }
    let fourth = transaction.process_response_body();
    assert!(third == Verdict::Pass || third == fourth, "a refusal was taken back");
}

fn base() -> Arc<Ruleset> {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let store = Store::open(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    let assembled =
        store.assemble(&Selection::new(RulesetName::Base)).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(Ruleset::compile(&assembled.document).unwrap_or_else(|error| panic!("{error}")))
}
