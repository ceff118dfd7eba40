//! `length`: the value becomes its own length.

use std::io::Write as _;

/// The number of bytes of `input`, in decimal.
pub(crate) fn count(input: &[u8], output: &mut Vec<u8>) {
    // Writing to a `Vec` cannot fail.
    let _ = write!(output, "{}", input.len());
}

#[cfg(test)]
mod tests {
    use crate::Transformation::Length;
    use crate::transformation::tests::check;

    #[test]
    fn counts_bytes() {
        check(Length, &[("", "0"), ("1", "1"), ("é", "2"), ("0123456789", "10")]);
    }
}
