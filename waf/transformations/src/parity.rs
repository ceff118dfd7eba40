//! Parity of seven-bit data: `parityEven7bit`, `parityOdd7bit`, `parityZero7bit`.

use crate::{ByteSet, scan};

/// `parityEven7bit`: the top bit of each byte is set when its bits (the top
/// one counted too, as in v2 and v3) are odd in number, else cleared.
pub(crate) fn even(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|&byte| even_byte(byte)));
}

/// Whether [`even`] changes nothing.
pub(crate) fn is_even(input: &[u8]) -> bool {
    !scan::any(input, |byte| even_byte(byte) != byte)
}

/// `parityOdd7bit`: the top bit of each byte is set when its bits are even in
/// number, else cleared.
pub(crate) fn odd(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|&byte| odd_byte(byte)));
}

/// Whether [`odd`] changes nothing.
pub(crate) fn is_odd(input: &[u8]) -> bool {
    !scan::any(input, |byte| odd_byte(byte) != byte)
}

/// `parityZero7bit`: the top bit of each byte is cleared.
pub(crate) fn zero(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|&byte| byte & 0x7f));
}

/// Whether [`zero`] changes nothing.
pub(crate) fn is_zero(input: &[u8]) -> bool {
    input.is_ascii()
}

/// The bytes that `parityEven7bit` changes.
pub(crate) const EVEN_CHANGES: ByteSet = {
    let mut set = ByteSet::EMPTY;
    let mut byte = 0;
    while byte < 256 {
        if even_byte(byte as u8) != byte as u8 {
            set = set.with(byte as u8);
        }
        byte += 1;
    }
    set
};

/// The bytes that `parityOdd7bit` changes: all that `parityEven7bit` leaves.
pub(crate) const ODD_CHANGES: ByteSet = EVEN_CHANGES.complement();

/// `byte` as [`even`] writes it.
pub(crate) const fn even_byte(byte: u8) -> u8 {
    byte & 0x7f | ((byte.count_ones() as u8 & 1) << 7)
}

/// `byte` as [`odd`] writes it.
pub(crate) const fn odd_byte(byte: u8) -> u8 {
    even_byte(byte) ^ 0x80
}

#[cfg(test)]
mod tests {
    use super::{EVEN_CHANGES, ODD_CHANGES, even_byte, odd_byte};
    use crate::Transformation::{ParityEven7bit, ParityOdd7bit, ParityZero7bit};
    use crate::transformation::tests::check_bytes;

    #[test]
    fn sets_or_clears_the_top_bit() {
        check_bytes(
            ParityEven7bit,
            &[(b"", b""), (b"ca", b"c\xe1"), (b"\xe1\xe3", b"a\xe3"), (b"ci", b"ci")],
        );
        check_bytes(ParityOdd7bit, &[(b"", b""), (b"ca", b"\xe3a"), (b"\0", b"\x80"), (b"ab", b"ab")]);
        check_bytes(ParityZero7bit, &[(b"", b""), (b"az\0", b"az\0"), (b"\xe1\xff", b"a\x7f")]);
    }

    #[test]
    fn the_changed_bytes_are_known() {
        for byte in 0..=255 {
            assert_eq!(EVEN_CHANGES.contains(byte), even_byte(byte) != byte);
            assert_eq!(ODD_CHANGES.contains(byte), odd_byte(byte) != byte);
        }
    }
}
