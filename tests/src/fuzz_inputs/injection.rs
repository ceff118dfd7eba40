//! libinjection: every value has an answer, found within as many tokens as bytes.

use hop3_libinjection::{
    Context, Dialect, Html5Start, Html5Tokens, Quote, Value, fold, is_sqli, is_xss, tokens,
};

/// Asks both questions, and counts what lies beneath.
pub(super) fn judge(input: &[u8]) {
    let _ = is_xss(input);
    if let Some(fingerprint) = is_sqli(input) {
        assert!((1..=5).contains(&fingerprint.as_str().len()));
    }
    for quote in [Quote::None, Quote::Single, Quote::Double] {
        for dialect in [Dialect::Ansi, Dialect::MySql] {
            let context = Context { quote, dialect };
            // Each token takes at least one byte; only that of a surrounding quote may take none.
            let count = tokens(input, context).count();
            assert!(count <= input.len() + 1, "{count} tokens of {} bytes", input.len());
            let folded = fold(input, context);
            assert!(folded.tokens().len() <= count.min(6));
            assert!(folded.tokens().iter().all(|token| token.value().len() <= Value::CAPACITY));
        }
    }
    let starts = [
        Html5Start::Data,
        Html5Start::Tag,
        Html5Start::SingleQuoted,
        Html5Start::DoubleQuoted,
        Html5Start::BackQuoted,
    ];
    for start in starts {
        let count = Html5Tokens::new(input, start).count();
        assert!(count <= 2 * input.len() + 1, "{count} tokens of {} bytes", input.len());
    }
}
