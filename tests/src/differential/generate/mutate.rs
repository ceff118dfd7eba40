//! Ways in which attackers write the same thing differently.

use super::dice::Dice;

/// Applies up to three mutations, half the time none.
pub(super) fn some(dice: &mut Dice, payload: Vec<u8>) -> Vec<u8> {
    let rounds = [0, 0, 0, 1, 1, 2, 3][dice.below(7)];
    (0..rounds).fold(payload, |payload, _| one(dice, &payload))
}

fn one(dice: &mut Dice, payload: &[u8]) -> Vec<u8> {
    match dice.below(20) {
        0 => each(dice, payload, 50, |byte| vec![byte ^ if byte.is_ascii_alphabetic() { 0x20 } else { 0 }]),
        1 => each(dice, payload, 30, |byte| format!("%{byte:02x}").into_bytes()),
        2 => each(dice, payload, 100, |byte| format!("%{byte:02X}").into_bytes()),
        3 => each(dice, payload, 30, |byte| format!("%25{byte:02x}").into_bytes()),
        4 => each(dice, payload, 30, |byte| format!("%u00{byte:02x}").into_bytes()),
        5 => each(dice, payload, 20, |byte| format!("&#{byte};").into_bytes()),
        6 => each(dice, payload, 20, |byte| format!("&#x{byte:x};").into_bytes()),
        7 => each(dice, payload, 20, |byte| format!("\\x{byte:02x}").into_bytes()),
        8 => each(dice, payload, 20, |byte| format!("\\u00{byte:02x}").into_bytes()),
        9 => each(dice, payload, 20, |byte| format!("%uff{:02x}", byte.wrapping_sub(0x20)).into_bytes()),
        10 => each(dice, payload, 20, full_width),
        11 => replace_spaces(dice, payload),
        12 => insert(dice, payload, &[b"\x00", b"%00", b"\\", b"^", b"''", b"\"\"", b"/**/", b"$@", b"\xad"]),
        13 => insert(dice, payload, &[b"\xc2\xa0", b"\x0b", b"\t", b"\r\n", b"&Tab;", b"&NewLine;", b"\x7f"]),
        14 => {
            insert(dice, payload, &[b"%", b"%zz", b"%u12", b"%uZZZZ", b"&#", b"&lt", b"&amp;", b"\\u", b"+"])
        }
        15 => {
            insert(dice, payload, &[b"\xff", b"\xc0\xaf", b"\xe2\x82", b"\xef\xbc\x9c", b"\xf0\x9f\x98\x80"])
        }
        16 => {
            [payload, *dice.pick(&[&b"-- -"[..], b"#", b";%00", b"/*", b"//", b"'", b"\"", b"\\"])].concat()
        }
        17 => [*dice.pick(&[&b"'"[..], b"\"", b"1 ", b"x;", b"\n", b"\xef\xbb\xbf", b")"]), payload].concat(),
        18 => payload.iter().flat_map(|&byte| utf8(byte)).collect(),
        _ => payload[..dice.below(payload.len() + 1)].to_vec(),
    }
}

/// Rewrites `share` of a hundred bytes.
fn each(dice: &mut Dice, payload: &[u8], share: usize, write: impl Fn(u8) -> Vec<u8>) -> Vec<u8> {
    payload.iter().flat_map(|&byte| if dice.percent(share) { write(byte) } else { vec![byte] }).collect()
}

fn insert(dice: &mut Dice, payload: &[u8], choices: &[&[u8]]) -> Vec<u8> {
    let what = *dice.pick(choices);
    let (head, tail) = payload.split_at(dice.below(payload.len() + 1));
    [head, what, tail].concat()
}

fn replace_spaces(dice: &mut Dice, payload: &[u8]) -> Vec<u8> {
    let space =
        *dice.pick(&[&b"/**/"[..], b"\t", b"\n", b"\x0b", b"\x0c", b"\xa0", b"+", b"%20", b"${IFS}", b"  "]);
    payload.iter().flat_map(|&byte| if byte == b' ' { space.to_vec() } else { vec![byte] }).collect()
}

/// The full-width twin of an ASCII character, in UTF-8.
fn full_width(byte: u8) -> Vec<u8> {
    match char::from_u32(0xFEE0 + u32::from(byte)) {
        Some(twin) if byte.is_ascii_graphic() => twin.to_string().into_bytes(),
        _ => vec![byte],
    }
}

/// Latin-1 to UTF-8.
fn utf8(byte: u8) -> Vec<u8> {
    char::from(byte).to_string().into_bytes()
}

/// Percent-encodes what has a meaning in a query string, and what is no printable ASCII.
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b' ' => out.push(b'+'),
            b'%' | b'&' | b'+' | b'#' | b'=' | b'?' | 0..=0x20 | 0x7f.. => {
                out.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            other => out.push(other),
        }
    }
    out
}

/// Makes a text fit for a request target: nothing that ends it early.
pub(super) fn raw_target(text: &[u8]) -> Vec<u8> {
    let keep = |byte: u8| byte > 0x20 && byte != 0x7f;
    text.iter()
        .flat_map(|&byte| if keep(byte) { vec![byte] } else { format!("%{byte:02X}").into_bytes() })
        .collect()
}

/// Makes a text fit for a header: no byte that ends its line.
pub(super) fn header(text: &[u8]) -> Vec<u8> {
    let safe: Vec<u8> =
        text.iter().map(|&byte| if matches!(byte, 0 | b'\r' | b'\n') { b' ' } else { byte }).collect();
    safe.trim_ascii().to_vec()
}

/// Writes a text as a JSON string; bytes that are no UTF-8 stay as they are.
pub(super) fn json(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    out
}

/// Writes a text as the content of an XML element or attribute.
pub(super) fn xml(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(byte),
        }
    }
    out
}
