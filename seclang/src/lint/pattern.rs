//! Patterns that PCRE and other engines read differently. This engine reads them as PCRE does.

use super::{Lint, links};
use crate::ast::{Document, OperatorName, Selector};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// Appends the findings.
pub(super) fn lint(document: &Document, found: &mut Vec<Lint>) {
    for condition in document.rules().flat_map(links).filter_map(|(condition, _)| condition) {
        for target in &condition.targets {
            if let Some(Selector::Regex { pattern, span }) = &target.selector {
                found.extend(ambiguous(pattern.as_bytes()).map(|what| finding(*span, what)));
            }
        }
        if matches!(condition.operator.name, OperatorName::Rx | OperatorName::RxGlobal) {
            let what = ambiguous(condition.operator.argument.raw());
            found.extend(what.map(|what| finding(condition.operator.span, what)));
        }
    }
}

fn finding(span: Span, what: Ambiguity) -> Lint {
    let (message, hint) = match what {
        Ambiguity::SetOperation(text) => (
            format!(
                "`{text}` in a class means these characters, as in PCRE; other engines take it for a set operation"
            ),
            format!("write the character once, or escape it: `\\{}`", &text[..1]),
        ),
        Ambiguity::WordEdge(text) => (
            format!("`{text}` means the character, as in PCRE; other engines take it for the edge of a word"),
            format!("write `{}`", &text[1..]),
        ),
    };
    Lint { name: "ambiguous-pattern", diagnostic: Diagnostic::info(span, message).hint(hint) }
}

#[derive(Debug, PartialEq, Eq)]
enum Ambiguity {
    /// `&&`, `~~`, `--` within a class.
    SetOperation(&'static str),
    /// `\<`, `\>`.
    WordEdge(&'static str),
}

/// The first construct that engines read differently.
fn ambiguous(pattern: &[u8]) -> Option<Ambiguity> {
    let mut class: Option<usize> = None;
    let mut at = 0;
    while let Some(&byte) = pattern.get(at) {
        let next = pattern.get(at + 1).copied();
        match (byte, class) {
            (b'\\', _) => {
                match next {
                    Some(b'<') => return Some(Ambiguity::WordEdge("\\<")),
                    Some(b'>') => return Some(Ambiguity::WordEdge("\\>")),
                    _ => {}
                }
                at += 1;
            }
            (b'[', None) => {
                at += usize::from(next == Some(b'^'));
                class = Some(at + 1);
            }
            (b'[', Some(_)) if next == Some(b':') => at += posix(&pattern[at..]),
            // A bracket that comes first is a member.
            (b']', Some(first)) if at != first => class = None,
            (b'&' | b'~' | b'-', Some(_)) if next == Some(byte) => {
                return Some(Ambiguity::SetOperation(match byte {
                    b'&' => "&&",
                    b'~' => "~~",
                    _ => "--",
                }));
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Length of `[:alpha:]` without its last byte; 0 when it is none.
fn posix(text: &[u8]) -> usize {
    let name = text[2..].iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'^').count();
    if text[2 + name..].starts_with(b":]") { name + 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{Ambiguity, ambiguous};

    #[test]
    fn classes_and_word_edges() {
        let set = |text| Some(Ambiguity::SetOperation(text));
        let cases: [(&[u8], _); 15] = [
            (b"[a&&b]", set("&&")),
            (b"[~~]", set("~~")),
            (b"[a--]", set("--")),
            (b"[^--/]", set("--")),
            (b"[]&&]", set("&&")),
            (b"[[:alpha:]&&x]", set("&&")),
            (br"a\<b", Some(Ambiguity::WordEdge("\\<"))),
            (br"[\>]", Some(Ambiguity::WordEdge("\\>"))),
            (b"a&&b--", None),
            (br"[a\&&]", None),
            (br"\[&&", None),
            (b"[a]--[b]", None),
            (b"[]-a]--", None),
            (br"\\<", None),
            (b"[", None),
        ];
        for (pattern, expected) in cases {
            assert_eq!(ambiguous(pattern), expected, "{}", String::from_utf8_lossy(pattern));
        }
    }
}
