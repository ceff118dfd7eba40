//! Base64 (RFC 4648 section 4): `base64Encode`, `base64Decode`, `base64DecodeExt`.

/// The standard alphabet.
pub(crate) const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of each byte of the alphabet, [`NONE`] for every other byte.
static VALUES: [u8; 256] = values();

/// Not in the alphabet.
const NONE: u8 = 0xff;

/// `base64Encode`: with padding, in one line.
pub(crate) fn encode(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len().div_ceil(3) * 4);
    let letter = |bits: u32| ALPHABET[(bits & 63) as usize];
    for group in input.chunks(3) {
        let at = |index: usize| group.get(index).copied().map_or(0, u32::from);
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        output.extend_from_slice(&[
            letter(bits >> 18),
            letter(bits >> 12),
            if group.len() > 1 { letter(bits >> 6) } else { b'=' },
            if group.len() > 2 { letter(bits) } else { b'=' },
        ]);
    }
}

/// A length that the result of [`decode`] does not exceed.
pub(crate) fn longest_decoded(input: &[u8]) -> usize {
    // Most values are words, figures or prose, and show it soon.
    let letters = input.iter().take_while(|&&byte| VALUES[usize::from(byte)] != NONE).count();
    match input.get(letters) {
        None => return input.len() / 4 * 3,
        Some(b'=' | b' ' | b'\r' | b'\n' | 0) => {}
        Some(_) => return 0,
    }
    let text = &input[..memchr::memchr(0, input).unwrap_or(input.len())];
    if is_valid(text) { text.len() / 4 * 3 } else { 0 }
}

/// `base64Decode`: strict, up to the first NUL. A text that is not Base64
/// becomes the empty value; white space is taken only at line ends; letters
/// after the last whole group of four are dropped. That is v3 (mbed TLS); v2
/// and Coraza keep what they decoded before the first wrong byte.
pub(crate) fn decode(input: &[u8], output: &mut Vec<u8>) {
    let text = &input[..memchr::memchr(0, input).unwrap_or(input.len())];
    if !is_valid(text) {
        return;
    }
    output.reserve(text.len() / 4 * 3);
    let mut rest = text;
    loop {
        rest = decode_whole_groups(rest, output);
        let Some(group) = next_group(&mut rest) else { return };
        let padding = group.iter().filter(|&&byte| byte == b'=').count();
        output.extend_from_slice(&joined(group).to_be_bytes()[1..4 - padding]);
    }
}

/// Decodes the groups of four letters that `text` begins with, and gives what
/// follows them.
fn decode_whole_groups<'a>(text: &'a [u8], output: &mut Vec<u8>) -> &'a [u8] {
    let groups = text.as_chunks::<4>().0;
    let is_whole = |group: &&[u8; 4]| group.iter().all(|&byte| VALUES[usize::from(byte)] != NONE);
    let whole = groups.iter().take_while(is_whole).count();
    let start = output.len();
    output.resize(start + 3 * whole, 0);
    for (bytes, &group) in output[start..].as_chunks_mut::<3>().0.iter_mut().zip(groups) {
        let [_, high, middle, low] = joined(group).to_be_bytes();
        *bytes = [high, middle, low];
    }
    &text[4 * whole..]
}

/// Takes the next four letters or `=` off `text`, whatever white space is among
/// them; nothing when there are fewer.
fn next_group(text: &mut &[u8]) -> Option<[u8; 4]> {
    let mut letters = [0; 4];
    let mut rest = *text;
    for letter in &mut letters {
        let at = rest.iter().position(|byte| !matches!(byte, b' ' | b'\r' | b'\n'))?;
        (*letter, rest) = (rest[at], &rest[at + 1..]);
    }
    *text = rest;
    Some(letters)
}

/// The 24 bits of four letters, each 0 for a `=`.
fn joined(group: [u8; 4]) -> u32 {
    let value = |byte: u8| if byte == b'=' { 0 } else { u32::from(VALUES[usize::from(byte)]) };
    group.iter().fold(0, |bits, &byte| bits << 6 | value(byte))
}

/// `base64DecodeExt`: forgiving. Every byte outside the alphabet is skipped and
/// padding is not needed. One letter before the padding makes the whole value
/// empty, as in v2 and v3. Coraza also reads `-` and `_` of the URL alphabet.
pub(crate) fn decode_forgiving(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len() / 4 * 3 + 3);
    let (mut bits, mut letters) = (0u32, 0);
    for (at, &byte) in input.iter().enumerate() {
        if byte == b'=' && letters % 4 == 1 && input.get(at + 1) != Some(&b'=') {
            output.clear();
            return;
        }
        let value = VALUES[usize::from(byte)];
        if value == NONE {
            continue;
        }
        bits = bits << 6 | u32::from(value);
        // Of each four letters the second, third and fourth complete a byte.
        match letters % 4 {
            1 => output.push((bits >> 4) as u8),
            2 => output.push((bits >> 2) as u8),
            3 => output.push(bits as u8),
            _ => {}
        }
        letters += 1;
    }
    // v3 compares the last letter's *value* with `=` (61), which is also `9`.
    if letters % 4 == 1 && matches!(input.last(), Some(b'=' | b'9')) {
        output.clear();
    }
}

/// Whether mbed TLS would decode `text`: letters, then at most two `=`;
/// blanks only before a line end or the end of the text.
fn is_valid(text: &[u8]) -> bool {
    let (mut at, mut padding) = (0, 0);
    while at < text.len() {
        let blanks = text[at..].iter().take_while(|&&byte| byte == b' ').count();
        at += blanks;
        match text[at..] {
            [] => {}
            [b'\r', b'\n', ..] => at += 2,
            [b'\n', ..] => at += 1,
            [_, ..] if blanks > 0 => return false,
            [b'=', ..] if padding < 2 => (padding, at) = (padding + 1, at + 1),
            [byte, ..] if padding == 0 && VALUES[usize::from(byte)] != NONE => {
                let letters = text[at..].iter().take_while(|&&byte| VALUES[usize::from(byte)] != NONE);
                at += letters.count();
            }
            _ => return false,
        }
    }
    true
}

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use crate::Transformation::{Base64Decode, Base64DecodeExt, Base64Encode};
    use crate::transformation::tests::check;

    /// RFC 4648 section 10.
    const VECTORS: [(&str, &str); 7] = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];

    #[test]
    fn agrees_with_the_vectors_of_the_rfc() {
        check(Base64Encode, &VECTORS);
        let back = VECTORS.map(|(plain, coded)| (coded, plain));
        check(Base64Decode, &back);
        check(Base64DecodeExt, &back);
    }

    #[test]
    fn strict_decoding_takes_all_or_nothing() {
        check(
            Base64Decode,
            &[
                ("Zm9v\r\nYmFy\n", "foobar"),
                ("Zm9v  \nYmFy  ", "foobar"),
                ("Zm9v Ymfy", ""),
                ("Zm9v!", ""),
                ("Zm9vY", "foo"),
                ("Zm9vYg", "foo"),
                ("Zg==Zg", ""),
                ("Zg===", ""),
                ("====", ""),
                ("=", ""),
                ("Zm9v\0!", "foo"),
                ("\0", ""),
                ("Zm\r9v", ""),
            ],
        );
    }

    #[test]
    fn forgiving_decoding_skips_what_it_does_not_know() {
        check(
            Base64DecodeExt,
            &[
                ("Z.m-9_v", "foo"),
                ("Zm9vYg", "foob"),
                ("Zm9vY", "foo"),
                ("Zm9vY=", ""),
                ("Zm9vY==", ""),
                ("Zm9v9", ""),
                ("Zg==Zg==", "f\u{6}`"),
                ("Zm9v====", "foo"),
            ],
        );
    }
}
