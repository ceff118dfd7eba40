//! As much of HPACK (RFC 7541) as raw tests need: literals without compression, and reading a status back.

/// Field lines as literals that enter no table, names and values byte for byte.
pub fn literals<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        literal(&mut block, 0x00, name.as_ref(), value.as_ref());
    }
    block
}

/// A field line that enters the dynamic table, to be named again by [`indexed`].
pub fn incremental(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    literal(&mut block, 0x40, name, value);
    block
}

/// A reference to a table entry, below 127; 62 is the newest of the dynamic table.
pub fn indexed(index: u8) -> u8 {
    0x80 | index
}

fn literal(block: &mut Vec<u8>, first: u8, name: &[u8], value: &[u8]) {
    block.push(first);
    for text in [name, value] {
        integer(block, text.len());
        block.extend_from_slice(text);
    }
}

/// An integer with a 7-bit prefix (section 5.1), without Huffman's flag.
fn integer(block: &mut Vec<u8>, value: usize) {
    if value < 127 {
        block.push(value as u8);
        return;
    }
    block.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The status of a response, which comes first in its block. Works while the client has forbidden the dynamic table.
pub fn status(block: &[u8]) -> Option<u16> {
    // A change of the table's size may come before the first field (section 6.3).
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20)?;
    let known = [200, 204, 206, 304, 400, 404, 500];
    match block.get(start..)? {
        [index @ 0x88..=0x8e, ..] => Some(known[usize::from(index - 0x88)]),
        // A literal whose name is one of `:status` in the static table.
        [first, rest @ ..] if (8..=14).contains(&(first & if *first >= 0x40 { 0x3f } else { 0x0f })) => {
            let (length, text) = rest.split_first()?;
            let text = text.get(..usize::from(length & 0x7f))?;
            let digits = if length & 0x80 == 0 { text.to_vec() } else { huffman_digits(text) };
            std::str::from_utf8(&digits).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// Decimal digits in HPACK's Huffman code: 0 to 2 have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |number, bit| number << 1 | bit);
    let mut digits = Vec::new();
    let mut rest = &bits[..];
    while rest.len() >= 5 {
        let short = number(&rest[..5]);
        let (digit, length) = if short <= 2 {
            (short, 5)
        } else if rest.len() >= 6 && (0b01_1001..=0b01_1111).contains(&number(&rest[..6])) {
            (number(&rest[..6]) - 0b01_1001 + 3, 6)
        } else {
            break;
        };
        digits.push(b'0' + digit);
        rest = &rest[length..];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_in_every_form() {
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x20, 0x8c, 0x00]), Some(400));
        assert_eq!(status(&[0x08, 3, b'4', b'2', b'1']), Some(421));
        // "302" of RFC 7541 appendix C.6.1, "307" of C.6.2.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
        assert_eq!(status(&[0x82]), None);
    }

    #[test]
    fn long_literals() {
        let block = literals([("a", "b".repeat(1337 + 127))]);
        // 1337 with a 7-bit prefix of 127: RFC 7541 section 5.1.
        assert_eq!(block[..6], [0, 1, b'a', 127, 0xb9, 0x0a]);
        assert_eq!(block.len(), 6 + 1337 + 127);
    }
}
