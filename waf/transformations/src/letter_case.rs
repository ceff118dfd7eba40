//! `lowercase` and `uppercase`, of ASCII letters only.

use crate::scan;

/// `lowercase`. Coraza folds all of Unicode.
pub(crate) fn lower(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(input);
    output.make_ascii_lowercase();
}

/// Whether [`lower`] changes nothing.
pub(crate) fn is_lower(input: &[u8]) -> bool {
    !scan::any(input, |byte| byte.is_ascii_uppercase())
}

/// `uppercase`. Coraza folds all of Unicode.
pub(crate) fn upper(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(input);
    output.make_ascii_uppercase();
}

/// Whether [`upper`] changes nothing.
pub(crate) fn is_upper(input: &[u8]) -> bool {
    !scan::any(input, |byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use crate::Transformation::{Lowercase, Uppercase};
    use crate::transformation::tests::check;

    #[test]
    fn folds_ascii_only() {
        check(Lowercase, &[("", ""), ("aé@[`{", "aé@[`{"), ("AZÉ@[", "azÉ@[")]);
        check(Uppercase, &[("", ""), ("Aé@[`{", "Aé@[`{"), ("azé`{", "AZé`{")]);
    }
}
