//! What a request costs: time of this thread on a processor, which other work on the machine hardly changes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::requests::Request;
use hop3_tests::processor_time::{least, now};
use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart};

/// What [`work`] takes on the machine where the goals were set.
const WORK: Duration = Duration::from_millis(3);

/// Its rounds, and the words of its table (512 KiB).
const ROUNDS: usize = 1 << 20;
const TABLE: usize = 1 << 16;

/// Processor time of the request phases, those of the response when there is one, and logging; tried again while it is over `limit`.
pub fn of(ruleset: &Arc<Ruleset>, request: &Request, limit: Duration) -> Duration {
    least(limit, || once(ruleset, request))
}

/// How many times as long as on the machine where the goals were set a fixed piece of work takes just now; at least 1.
pub fn slowness() -> f64 {
    let began = now();
    std::hint::black_box(work());
    (now().saturating_sub(began).as_secs_f64() / WORK.as_secs_f64()).max(1.0)
}

/// Dependent arithmetic and reads all over a table that does not fit the nearest cache, as automata do them. Nothing of
/// the engine: its own slowness is to be seen.
fn work() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut table: Vec<u64> = (0..TABLE as u64).map(|at| at.wrapping_mul(state)).collect();
    for _ in 0..ROUNDS {
        state ^= table[state as usize % TABLE];
        state = state.rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        table[(state >> 32) as usize % TABLE] = state;
    }
    state
}

fn once(ruleset: &Arc<Ruleset>, request: &Request) -> Duration {
    let start = TransactionStart { id: "cost".into(), unix_time: Duration::from_secs(1), entropy: 1 };
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let began = now();
    let mut transaction =
        Transaction::new(Arc::clone(ruleset), start, Connection { client: local, server: local });
    transaction.set_request_line(request.method.as_bytes(), &request.target, b"HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.add_request_header(name.as_bytes(), value);
    }
    let _ = transaction.process_request_headers();
    let _ = transaction.append_request_body(&request.body);
    let _ = transaction.process_request_body();
    if !request.page.is_empty() {
        transaction.add_response_header(b"Content-Type", b"text/html");
        let _ = transaction.process_response_headers(200, b"HTTP/1.1");
        let _ = transaction.append_response_body(&request.page);
        let _ = transaction.process_response_body();
    }
    transaction.process_logging();
    drop(transaction);
    now().saturating_sub(began)
}
