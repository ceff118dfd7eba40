//! Sends the mix of `bench-corpus http` at a constant rate and prints what came back as one JSON object.
//!
//! Usage: `bench-load ADDRESS HOST RATE SECONDS CONNECTIONS`. With `RATE` 0 every
//! request is sent once, and its answer checked.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use hop3_benches::corpus::{self, SEED, SMALL};
use hop3_benches::load::Load;
use serde_json::json;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, host, rate, seconds, connections] = &arguments[..] else {
        return Err("usage: bench-load ADDRESS HOST RATE SECONDS CONNECTIONS".into());
    };
    let requests = corpus::small(SEED, SMALL, 5);
    let mut load = Load {
        address: address.parse()?,
        host,
        requests: &requests,
        connections: connections.parse()?,
        rate: rate.parse()?,
        duration: Duration::from_secs_f64(seconds.parse()?),
    };
    if load.rate == 0.0 {
        // One after the other, just once around.
        load.connections = 1;
        load.rate = 200.0;
        load.duration = Duration::from_secs_f64(requests.len() as f64 / load.rate);
    }
    let outcome = load.run();
    let micros = |share| outcome.quantile(share).as_nanos() as f64 / 1_000.0;
    println!(
        "{}",
        json!({
            "answers": outcome.answers,
            "refused": outcome.refused,
            "wrong": outcome.wrong_count,
            "examples": outcome.wrong,
            "broken": outcome.broken,
            "p50_us": micros(0.5),
            "p90_us": micros(0.9),
            "p99_us": micros(0.99),
            "p999_us": micros(0.999),
            "max_us": micros(1.0),
        })
    );
    Ok(())
}
