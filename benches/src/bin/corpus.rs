//! Writes the corpus that all engines are measured with, one JSON object a line.
//!
//! Usage: `bench-corpus all|http [SEED]`, or `bench-corpus wrk HOST`, or
//! `bench-corpus sizes`, or `bench-corpus rules COUNT`. `http` is the mix for
//! measurements through the proxy: bodies up to 1 KB, one request in twenty an
//! attack; `wrk` is the same as a Lua script. `sizes` are bodies from 1 KB to
//! 10 MB; `rules` are not requests but a rule set.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use hop3_benches::corpus::{self, SEED, SMALL};
use hop3_benches::generated_rules::rules;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-corpus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut out = std::io::stdout().lock();
    let requests = match words[..] {
        ["all"] => corpus::all(SEED),
        ["all", seed] => corpus::all(seed.parse()?),
        ["http"] => corpus::small(SEED, SMALL, 5),
        ["http", seed] => corpus::small(seed.parse()?, SMALL, 5),
        ["sizes"] => corpus::sizes(SEED),
        ["wrk", host] => return Ok(out.write_all(script(host).as_bytes())?),
        ["rules", count] => return Ok(out.write_all(rules(SEED, count.parse()?).as_bytes())?),
        _ => return Err("usage: bench-corpus all|http [SEED] | sizes | wrk HOST | rules COUNT".into()),
    };
    for (number, request) in requests.iter().enumerate() {
        writeln!(out, "{}", request.line(&format!("{:03}", number + 1)))?;
    }
    Ok(())
}

/// A script for wrk: each thread sends the requests in turn, from a place of its own.
fn script(host: &str) -> String {
    let mut text = String::from("local requests = {\n");
    for mut request in corpus::small(SEED, SMALL, 5) {
        for (name, value) in &mut request.headers {
            if name == "Host" {
                host.clone_into(value);
            }
        }
        // Decimal escapes of three digits are plain Lua.
        let escaped: String = request.to_bytes().iter().map(|byte| format!("\\{byte:03}")).collect();
        text.push_str(&format!("  \"{escaped}\",\n"));
    }
    text.push_str(
        "}\nlocal threads, at = 0, 0\n\
         function setup(thread) thread:set(\"first\", threads * 137); threads = threads + 1 end\n\
         function init() at = first end\n\
         function request() at = at + 1; return requests[at % #requests + 1] end\n",
    );
    text
}
