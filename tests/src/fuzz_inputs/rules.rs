//! SecLang text: it parses or is refused, what parses can be written and read
//! back, and what compiles can serve a request.

use std::sync::Arc;

use hop3_seclang::loader::MemoryLoader;
use hop3_seclang::{Dialect, Parser, format, parse_str};
use hop3_waf::Ruleset;

use super::transaction;

/// Longest rule text that is compiled: patterns may take time that grows with
/// their counted repetitions, and the fuzzer shall not spend its hours there.
const LONGEST_COMPILED: usize = 2048;

/// What stands between the rules and the request in the inputs of [`compile`].
const REQUEST_MARK: &[u8] = b"\n---\n";

/// Parses in both dialects, formats and parses again.
pub(super) fn read(text: &[u8]) {
    let loader = files();
    for dialect in [Dialect::Strict, Dialect::ModSecurity3] {
        let mut parser = Parser::new(&loader).dialect(dialect);
        parser.text("input.conf", text);
        match parser.finish() {
            Ok(document) => {
                document.warnings.iter().for_each(|warning| drop(warning.render(&document.sources)));
                let formatted = format::format(&document);
                // The formatter makes text, so it cannot keep what is not UTF-8; and what only v3
                // accepts is not written the way it was read.
                if dialect == Dialect::Strict && std::str::from_utf8(text).is_ok() {
                    let again = parse_str("input.conf", &formatted, &loader)
                        .unwrap_or_else(|errors| panic!("refused after formatting:\n{formatted}\n{errors}"));
                    assert!(again == document, "changed by formatting:\n{formatted}");
                    assert_eq!(format::format(&again), formatted, "formatting is not stable");
                }
            }
            Err(errors) => {
                assert!(errors.errors().count() > 0, "refused without a reason");
                assert!(errors.errors().count() <= 101, "errors without bound");
                assert!(errors.to_string().contains("error: "));
            }
        }
    }
}

/// Compiles the text up to `---` and sends the request after it through the rules.
pub(super) fn compile(input: &[u8]) {
    let split = input.windows(REQUEST_MARK.len()).position(|window| window == REQUEST_MARK);
    let (text, request) = match split {
        Some(at) => (&input[..at], &input[at + REQUEST_MARK.len()..]),
        None => (input, &b"POST /a/b.php?a=b&c=1%20or%201 HTTP/1.1\nHost: a\nCookie: a=b\n\nd=e"[..]),
    };
    if text.len() > LONGEST_COMPILED {
        return;
    }
    let loader = files();
    let mut parser = Parser::new(&loader);
    parser.text("input.conf", text);
    let Ok(document) = parser.finish() else { return };
    match Ruleset::compile(&document) {
        Ok(ruleset) => transaction::send(&Arc::new(ruleset), request),
        Err(error) => assert!(!error.diagnostics.is_empty(), "refused without a reason"),
    }
}

fn files() -> MemoryLoader {
    MemoryLoader::new()
        .with("words.data", "one\ntwo words\n# comment\n")
        .with("networks.data", "192.0.2.0/24\n2001:db8::/32\n")
        .with("extra.conf", "SecMarker X\n")
}
