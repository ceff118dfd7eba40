//! Inspects a handful of requests so that an instrument can count the instructions of each.
//!
//! Usage: `bench-instructions base|CRS-FOLDER [CLASS]`; `base` is the embedded
//! ruleset; without a class all of [`COUNTED`] are inspected. Prints the names of the functions that are to be counted,
//! each with its class. Everything outside of them is preparation: rules are
//! compiled, and each request was inspected before, so that what is built at
//! its first use is there.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use hop3_benches::corpus::{self, Expect, Request, SEED};
use hop3_benches::inspection::{refuses, ruleset};
use hop3_waf::Ruleset;

/// A function for each class, so that an instrument can tell them apart; the number keeps the compiler from
/// making one of them all.
macro_rules! regions {
    ($($number:literal $region:ident $label:literal;)*) => {
        $(
            #[inline(never)]
            fn $region(rules: &Arc<Ruleset>, request: &Request) -> bool {
                black_box($number);
                refuses(black_box(rules), black_box(request))
            }
        )*

        /// The classes of which the first request is counted, and where.
        const COUNTED: &[(&str, &str, fn(&Arc<Ruleset>, &Request) -> bool)] =
            &[$(($label, stringify!($region), $region),)*];
    };
}

regions! {
    1 counted_region_1 "short GET";
    2 counted_region_2 "GET, 10 arguments";
    3 counted_region_3 "form POST, 0.5 KB";
    4 counted_region_4 "many headers and cookies";
    5 counted_region_5 "JSON 1 KB";
    6 counted_region_6 "JSON 10 KB";
    7 counted_region_7 "attacks";
    8 counted_region_8 "near-miss: escapes";
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rules = match arguments.next().as_deref() {
        None => return Err("usage: bench-instructions base|CRS-FOLDER [CLASS]".into()),
        Some("base") => ruleset(None)?,
        Some(crs) => ruleset(Some(Path::new(crs)))?,
    };
    let class = arguments.next();
    let requests = corpus::all(SEED);
    for (label, name, region) in COUNTED {
        let Some(request) = requests.iter().find(|request| request.label == *label) else { continue };
        if class.as_ref().is_some_and(|class| class != label) {
            continue;
        }
        for _ in 0..2 {
            if refuses(&rules, request) != (request.expect == Expect::Block) {
                return Err(format!("`{label}` was answered wrongly").into());
            }
        }
        black_box(region(&rules, request));
        println!("{name} {label}");
    }
    Ok(())
}
