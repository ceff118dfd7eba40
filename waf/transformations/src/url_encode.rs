//! `urlEncode`: percent-encoding of everything that is not plain.

use crate::{ByteSet, hex, scan};

/// The bytes that stay as they are: ASCII letters, digits and `*`.
pub(crate) const PLAIN: ByteSet =
    ByteSet::range(b'0', b'9').union(ByteSet::range(b'A', b'Z')).union(ByteSet::range(b'a', b'z')).with(b'*');

/// The bytes that are encoded.
pub(crate) const ENCODED: ByteSet = PLAIN.complement();

/// Whether [`encode`] changes nothing.
pub(crate) fn is_plain(input: &[u8]) -> bool {
    !scan::any(input, |byte| !(byte.is_ascii_alphanumeric() | (byte == b'*')))
}

/// `urlEncode`: a space becomes `+`, every other byte that is no letter, digit
/// or `*` becomes `%hh` in lower case.
pub(crate) fn encode(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len() * 3);
    for &byte in input {
        if PLAIN.contains(byte) {
            output.push(byte);
        } else if byte == b' ' {
            output.push(b'+');
        } else {
            let [high, low] = [byte >> 4, byte & 15].map(|digit| hex::DIGITS[usize::from(digit)]);
            output.extend_from_slice(&[b'%', high, low]);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Transformation::UrlEncode;
    use crate::transformation::tests::{check, check_bytes};

    #[test]
    fn encodes() {
        check(UrlEncode, &[("", ""), ("aZ09*", "aZ09*"), ("a b+c", "a+b%2bc"), ("-_.~/", "%2d%5f%2e%7e%2f")]);
        check_bytes(UrlEncode, &[(b"\0\xff", b"%00%ff")]);
    }
}
