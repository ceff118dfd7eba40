//! What stands between `&` and `;` (XML 1.0, section 4.1).

use super::Reason;
use super::entity::{Entities, predefined};

/// Appends what `&inside;` stands for to `out`. A reference that cannot be
/// resolved is appended as it stands and reported.
pub(super) fn resolve(inside: &str, entities: &mut Entities, out: &mut Vec<u8>) -> Result<(), Reason> {
    let plain = match (predefined(inside), inside.strip_prefix('#')) {
        (Some(plain), _) => plain,
        (None, Some(number)) => match character(number) {
            Some(character) => character,
            None => return keep(inside, out, Reason::Reference),
        },
        (None, None) if entities.expand(inside, out) => return Ok(()),
        (None, None) => return keep(inside, out, Reason::Entity),
    };
    out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

fn keep(inside: &str, out: &mut Vec<u8>, reason: Reason) -> Result<(), Reason> {
    out.push(b'&');
    out.extend_from_slice(inside.as_bytes());
    out.push(b';');
    Err(reason)
}

/// The character that `60` or `x3C` names, if XML allows it.
pub(super) fn character(number: &str) -> Option<char> {
    let code = match number.strip_prefix('x') {
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => {
            u32::from_str_radix(digits, 16).ok()?
        }
        None if number.starts_with(|c: char| c.is_ascii_digit()) => number.parse().ok()?,
        _ => return None,
    };
    let allowed = matches!(code, 0x9 | 0xA | 0xD | 0x20..=0xD7FF | 0xE000..=0xFFFD | 0x10000..);
    char::from_u32(code).filter(|_| allowed)
}

/// Appends `text`, the value of an attribute, with its references resolved and
/// literal white space turned into spaces. Returns the first fault.
pub(super) fn resolve_all(text: &str, entities: &mut Entities, out: &mut Vec<u8>) -> Result<(), Reason> {
    let mut result = Ok(());
    let mut rest = text;
    while let Some(special) = memchr::memchr2(b'&', b'\r', rest.as_bytes()) {
        push_normalised(&rest[..special], out);
        rest = &rest[special..];
        if let Some(after) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\r')) {
            out.push(b' ');
            rest = after;
            continue;
        }
        // A name is short; looking further would make many `&` quadratic.
        let window = &rest.as_bytes()[..rest.len().min(256)];
        let fault = match memchr::memchr(b';', window) {
            Some(end) => {
                let (inside, from) = (&rest[1..end], out.len());
                let fault = resolve(inside, entities, out);
                if !inside.starts_with('#') {
                    out[from..].iter_mut().for_each(normalise);
                }
                rest = &rest[end + 1..];
                fault
            }
            None => {
                out.push(b'&');
                rest = &rest[1..];
                Err(Reason::Reference)
            }
        };
        result = result.and(fault);
    }
    push_normalised(rest, out);
    result
}

fn push_normalised(text: &str, out: &mut Vec<u8>) {
    let from = out.len();
    out.extend_from_slice(text.as_bytes());
    out[from..].iter_mut().for_each(normalise);
}

fn normalise(byte: &mut u8) {
    if matches!(byte, b'\t' | b'\n' | b'\r') {
        *byte = b' ';
    }
}
