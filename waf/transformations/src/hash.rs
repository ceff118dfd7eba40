//! `md5` (RFC 1321) and `sha1` (RFC 3174): the raw digest, to be followed by
//! `hexEncode`. They stand for fingerprints in rules, not for security.

use md5::{Digest as _, Md5};
use sha1::Sha1;

/// `md5`: the 16 bytes of the digest.
pub(crate) fn md5(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&Md5::digest(input));
}

/// `sha1`: the 20 bytes of the digest.
pub(crate) fn sha1(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&Sha1::digest(input));
}

#[cfg(test)]
mod tests {
    use crate::{Context, Transformation};

    fn digest(transformation: Transformation, input: &[u8]) -> String {
        let (mut raw, mut text) = (Vec::new(), Vec::new());
        assert!(transformation.apply(input, &mut raw, &Context::default()));
        assert!(Transformation::HexEncode.apply(&raw, &mut text, &Context::default()));
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn agrees_with_the_vectors_of_the_rfcs() {
        assert_eq!(digest(Transformation::Md5, b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(digest(Transformation::Md5, b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(digest(Transformation::Sha1, b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
