//! The exceptions: short values whose fingerprint is listed but which people write too.

use super::fingerprint::Fingerprint;
use super::folding::Folded;
use super::kind::Kind;
use super::token::Token;

/// A word by which SQL Server hides a statement from its audit log.
const AUDIT_EVASION: &[u8] = b"sp_password";

/// Whether `input` is no injection although its `fingerprint` is listed.
pub(super) fn is_harmless(input: &[u8], fingerprint: Fingerprint, folded: &Folded) -> bool {
    let letters = fingerprint.letters();
    if let [_, .., b'c'] = letters
        && memchr::memmem::find(input, AUDIT_EVASION).is_some()
    {
        return false;
    }
    match (letters, folded.tokens()) {
        ([_, _], [first, second, ..]) => is_harmless_pair(input, first, second, folded.read()),
        ([_, _, _], [first, second, third, ..]) => {
            is_harmless_triple(letters, first, second, third, folded.read())
        }
        _ => false,
    }
}

fn is_harmless_pair(input: &[u8], first: &Token, second: &Token, read: usize) -> bool {
    if second.kind == Kind::Union {
        // Nothing but "1 union"; more was folded or commented away otherwise.
        return read == 2;
    }
    let mark = second.value.first();
    if mark == b'#' {
        return true;
    }
    match (first.kind, second.kind) {
        (Kind::Bareword, Kind::Comment) if mark != b'/' => true,
        (Kind::Number, Kind::Comment) => mark != b'/' && read <= 2 && !ends_in_number(input, first),
        // People write "--" in plain text; a scan ends with it.
        _ => mark == b'-' && second.value.len() > 2,
    }
}

/// Whether what stands behind the number at the beginning of `input` shows that it is a number
/// and no code such as `1234-ABCD--`.
///
/// The number's place in the input is not considered, only its length; so decides libinjection.
fn ends_in_number(input: &[u8], number: &Token) -> bool {
    match input.get(number.value.len()..) {
        // Bytes beyond ASCII are negative in libinjection, hence below the space too.
        Some([next, ..]) if *next <= b' ' || !next.is_ascii() => true,
        Some([b'/', b'*', ..] | [b'-', b'-', ..]) => true,
        Some([]) | None => true,
        _ => false,
    }
}

fn is_harmless_triple(letters: &[u8], first: &Token, second: &Token, third: &Token, read: usize) -> bool {
    match letters {
        b"sos" | b"s&s" => {
            // The value ends and begins inside strings of one kind: `foo" + "bar`.
            let breaks_out = first.open == 0 && third.close == 0 && first.close == third.open;
            !breaks_out
        }
        b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s" => read == 3,
        // Of the keywords in the middle only INTO OUTFILE and INTO DUMPFILE are injection.
        _ if second.kind == Kind::Keyword => second.value.len() < 5 || !second.value.starts_with("INTO"),
        _ => false,
    }
}
