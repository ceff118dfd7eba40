//! What is asserted of arbitrary bytes: one function for each fuzz target.
//!
//! The fuzzer (`tests/fuzz`) and the replay of its corpus in the ordinary test
//! run call the same functions. Each takes any bytes and panics when an
//! invariant does not hold: nothing else panics or overflows, what is written
//! reads back the same, and whatever can be counted stays in proportion to the
//! input. Time itself is measured in `tests/linear.rs`.

mod bodies;
mod codings;
mod definitions;
mod every_name;
mod injection;
mod patterns;
mod rules;
mod scripts;
mod transaction;
mod transformations;

/// What a target does with one input.
pub type Entry = fn(&[u8]);

/// All targets: the name of the fuzz target and of its corpus, and its function.
pub const TARGETS: &[(&str, Entry)] = &[
    ("seclang", rules::read),
    ("ruleset", rules::compile),
    ("patterns", patterns::agree),
    ("form", bodies::form),
    ("multipart", bodies::multipart),
    ("json", bodies::json),
    ("xml", bodies::xml),
    ("dtd", definitions::dtd),
    ("schema", definitions::schema),
    ("xpath", definitions::xpath),
    ("codings", codings::undo),
    ("scripts", scripts::run),
    ("libinjection", injection::judge),
    ("transformations", transformations::apply),
    ("transaction", transaction::inspect),
];

/// Runs one input through the target of that name.
///
/// # Panics
/// When there is no such target, or the input breaks an invariant.
pub fn run(target: &str, input: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, entry) = found.unwrap_or_else(|| panic!("there is no fuzz target {target}"));
    entry(input);
}
