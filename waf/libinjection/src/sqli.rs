//! SQL injection: the readings of a value and the verdict.
//!
//! A value is read as it stands and, when it has a quote, as if it stood inside such quotes; each
//! reading is folded to a fingerprint. A listed fingerprint means injection, unless `verdict`
//! knows better.

mod bytes;
pub(crate) mod fingerprint;
pub(crate) mod folding;
mod inert;
pub(crate) mod kind;
mod literals;
mod names;
mod outline;
mod packing;
#[cfg(test)]
mod samples;
pub(crate) mod token;
pub(crate) mod tokenizer;
pub(crate) mod value;
mod verdict;
mod words;

use fingerprint::Fingerprint;
use folding::fold;
use kind::Kind;
use tokenizer::{Context, Dialect, Quote};

/// The fingerprint under which `input` is SQL injection; `None` when it is not.
///
/// The answer is that of libinjection 3.10's `libinjection_sqli`. It takes time linear in the
/// length of `input`, and allocates nothing.
#[must_use]
pub fn is_sqli(input: &[u8]) -> Option<Fingerprint> {
    if inert::is_inert(input) { None } else { read_all(input) }
}

/// Tries every reading of `input` until one is injection.
fn read_all(input: &[u8]) -> Option<Fingerprint> {
    if let found @ Some(_) = read_in_both_dialects(input, Quote::None) {
        return found;
    }
    if memchr::memchr(b'\'', input).is_some()
        && let found @ Some(_) = read_in_both_dialects(input, Quote::Single)
    {
        return found;
    }
    memchr::memchr(b'"', input)?;
    read(input, Context { quote: Quote::Double, dialect: Dialect::MySql }).0
}

/// Reads `input` as ANSI SQL, then as MySQL where that makes a difference.
fn read_in_both_dialects(input: &[u8], quote: Quote) -> Option<Fingerprint> {
    match read(input, Context { quote, dialect: Dialect::Ansi }) {
        (None, true) => read(input, Context { quote, dialect: Dialect::MySql }).0,
        (found, _) => found,
    }
}

/// The fingerprint if this reading is injection, and whether it depends on the dialect.
fn read(input: &[u8], context: Context) -> (Option<Fingerprint>, bool) {
    let mut folded = fold(input, context);
    folded.end_in_comment();
    let tokens = folded.tokens();
    let fingerprint = if tokens.iter().any(|token| token.kind == Kind::Evil) {
        Fingerprint::EVIL
    } else {
        Fingerprint::of(tokens)
    };
    let is_injection = fingerprint.is_listed() && !verdict::is_harmless(input, fingerprint, &folded);
    (is_injection.then_some(fingerprint), folded.depends_on_dialect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(input: &str) -> Option<String> {
        is_sqli(input.as_bytes()).map(|fingerprint| fingerprint.to_string())
    }

    #[test]
    fn tells_injection_from_text() {
        assert_eq!(found("1' or '1'='1").as_deref(), Some("s&sos"));
        assert_eq!(found("1 UNION SELECT password FROM users").as_deref(), Some("1UEnk"));
        assert_eq!(found("/*!50000select*/").as_deref(), Some("X"));
        for harmless in ["", "hello world", "O'Neill", "12.5", "1-2-3", "rock 'n' roll", "a@b.example"] {
            assert_eq!(found(harmless), None, "{harmless}");
        }
    }
}
