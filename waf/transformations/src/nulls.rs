//! NUL bytes: `removeNulls` and `replaceNulls`.

use memchr::memchr;

/// Whether there is no NUL, so that nothing here changes anything.
pub(crate) fn are_absent(input: &[u8]) -> bool {
    memchr(0, input).is_none()
}

/// `removeNulls`.
pub(crate) fn remove(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len());
    for part in input.split(|&byte| byte == 0) {
        output.extend_from_slice(part);
    }
}

/// `replaceNulls`: each becomes a space.
pub(crate) fn replace(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|&byte| if byte == 0 { b' ' } else { byte }));
}

#[cfg(test)]
mod tests {
    use crate::Transformation::{RemoveNulls, ReplaceNulls};
    use crate::transformation::tests::check;

    #[test]
    fn finds_every_null() {
        check(RemoveNulls, &[("", ""), ("a0", "a0"), ("\0a\0\0b\0", "ab"), ("\0", "")]);
        check(ReplaceNulls, &[("", ""), ("a0", "a0"), ("\0a\0\0b\0", " a  b ")]);
    }
}
