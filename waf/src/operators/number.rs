//! `@eq`, `@ge`, `@gt`, `@le`, `@lt` (ModSecurity reference manual).

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `@eq`.
    Equal,
    /// `@ge`.
    AtLeast,
    /// `@gt`.
    Above,
    /// `@le`.
    AtMost,
    /// `@lt`.
    Below,
}

impl Comparison {
    /// Whether the value stands in this relation to the argument.
    pub(crate) fn holds(self, value: i64, argument: i64) -> bool {
        match self {
            Comparison::Equal => value == argument,
            Comparison::AtLeast => value >= argument,
            Comparison::Above => value > argument,
            Comparison::AtMost => value <= argument,
            Comparison::Below => value < argument,
        }
    }
}

/// The number a text starts with, after white space; 0 when there is none. A
/// number beyond 64 bits is the nearest one that fits, so that a huge length
/// stays huge.
pub(crate) fn number(text: &[u8]) -> i64 {
    let start =
        text.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != 0x0b).unwrap_or(text.len());
    let (negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut number = 0i64;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        let digit = i64::from(digit - b'0');
        number = number.saturating_mul(10);
        number = if negative { number.saturating_sub(digit) } else { number.saturating_add(digit) };
    }
    number
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn text_that_is_no_number_is_zero() {
        for (text, expected) in [
            ("", 0),
            ("abc", 0),
            (" 12x", 12),
            ("-7", -7),
            ("+7", 7),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", i64::MIN),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
    }
}
