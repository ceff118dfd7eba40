//! Values that must not reach a log: passwords, tokens, cookies, card numbers.
//!
//! Names decide: what stands beside a name that speaks of a secret is masked, in variables, in queries and in the
//! middle of longer texts. Card numbers are known by their check digit.

/// Names that mark a secret when they occur in a variable's or argument's name, in lower case, `-` as `_`.
const SECRET_NAMES: [&str; 15] = [
    "password",
    "passwd",
    "passwort",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "session",
    "api_key",
    "apikey",
    "credential",
    "card_number",
    "cardnumber",
];
/// What stands in place of a secret.
pub const MASK: &str = "***";
/// Digits of a card number (ISO/IEC 7812): at least, at most.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Digits of a card number that stay readable, at its end.
const CARD_SHOWN: usize = 4;

/// Whether a name such as `ARGS:password` or `REQUEST_HEADERS:Authorization` marks a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// A request target with its secrets masked, cut to `limit` bytes.
pub fn target(target: &str, limit: usize) -> String {
    text(target, limit)
}

/// A value of `variable`: masked whole when the name says that it is a secret, else as [`text`].
pub fn value(variable: &str, value: &str, limit: usize) -> String {
    if value.is_empty() {
        return String::new();
    }
    if is_secret(variable) { MASK.to_owned() } else { text(value, limit) }
}

/// A rule's data with the value masked when it was found in a secret, cut to `limit` bytes.
///
/// `data` names the variable at its end by CRS's convention: `… found within ARGS:password: value`; `variables` are
/// the names of the variables that matched.
pub fn data<'a>(data: &str, variables: impl IntoIterator<Item = &'a str>, limit: usize) -> String {
    let within =
        data.split_once("found within ").map_or("", |(_, rest)| rest.split(' ').next().unwrap_or(""));
    let secret = is_secret(within) || variables.into_iter().any(is_secret);
    if !data.is_empty() && secret { format!("{MASK} (found within a secret)") } else { text(data, limit) }
}

/// Any text with `name=value` and `"name": "value"` pairs of secrets and card numbers masked, cut to `limit` bytes.
pub fn text(text: &str, limit: usize) -> String {
    cut(&cards(&pairs(text)), limit)
}

/// Masks what follows a secret's name and `=` or `:`.
fn pairs(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(separator) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(separator);
        masked.push_str(before);
        masked.push_str(&after[..1]);
        let after = &after[1..];
        let name = before.trim_end_matches(['"', '\'', '\\', ' ', ']']);
        let begins =
            name.rfind(|c: char| !(c.is_alphanumeric() || "_-.[%".contains(c))).map_or(0, |at| at + 1);
        let name = name.get(begins..).unwrap_or(name);
        let opening = after.len() - after.trim_start_matches([' ', '"', '\'', '\\']).len();
        let value = &after[opening..];
        let length = value.find(['&', ';', ',', '"', '\'', '\\', '\r', '\n', ' ']).unwrap_or(value.len());
        if is_secret(name) && length > 0 {
            masked.push_str(&after[..opening]);
            masked.push_str(MASK);
            rest = &value[length..];
        } else {
            rest = after;
        }
    }
    masked.push_str(rest);
    masked
}

/// Masks card numbers but for their last digits; blanks and hyphens may group the digits.
fn cards(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let run = &rest[start..];
        let end = run.find(|c: char| !(c.is_ascii_digit() || c == ' ' || c == '-')).unwrap_or(run.len());
        let run = run[..end].trim_end_matches([' ', '-']);
        masked.push_str(&rest[..start]);
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        if CARD_DIGITS.contains(&digits) && is_checked(run) {
            let mut left = digits;
            masked.extend(run.chars().map(|c| {
                left -= usize::from(c.is_ascii_digit());
                if c.is_ascii_digit() && left >= CARD_SHOWN { '*' } else { c }
            }));
        } else {
            masked.push_str(run);
        }
        rest = &rest[start + run.len()..];
    }
    masked.push_str(rest);
    masked
}

/// The check digit of ISO/IEC 7812 (Luhn).
fn is_checked(text: &str) -> bool {
    let digits = text.bytes().rev().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => digit,
            _ if digit > 4 => 2 * digit - 9,
            _ => 2 * digit,
        })
        .sum();
    sum > 0 && sum.is_multiple_of(10)
}

/// `text` cut to at most `limit` bytes at a character's border, with `…` where something is missing.
pub fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_reach_the_log() {
        assert_eq!(target("/a?x=1&Password=p%20w&api-key=k", 99), "/a?x=1&Password=***&api-key=***");
        assert_eq!(target("/token/x", 99), "/token/x");
        assert_eq!(target("/ééé", 4), "/é…");
        assert_eq!(
            data("Matched Data: hunter2 found within ARGS:password: hunter2", [], 99),
            "*** (found within a secret)"
        );
        assert_eq!(
            data("Matched Data: x", ["REQUEST_HEADERS:Authorization"], 99),
            "*** (found within a secret)"
        );
        assert_eq!(
            data("Matched Data: x found within ARGS:id: x", ["ARGS:id"], 99),
            "Matched Data: x found within ARGS:id: x"
        );
        assert_eq!(data("", ["ARGS:token"], 99), "");
        assert_eq!(value("REQUEST_COOKIES:sid", "abc", 99), "***");
        assert_eq!(value("REQUEST_URI", "/?session_id=7&x=y", 99), "/?session_id=***&x=y");
    }

    #[test]
    fn pairs_are_found_in_longer_texts() {
        let cases = [
            (r#"{"user": "a", "password": "p\"w"}"#, r#"{"user": "a", "password": "***\"w"}"#),
            ("user[password]=x&y=1", "user[password]=***&y=1"),
            ("a: b; token=t, c", "a: b; token=***, c"),
            ("Set-Cookie: sid=1", "Set-Cookie: ***"),
            ("ARGS:token: t", "ARGS:token: ***"),
            ("password", "password"),
            ("password=", "password="),
            ("é=é:é", "é=é:é"),
            ("=:=", "=:="),
        ];
        for (given, expected) in cases {
            assert_eq!(text(given, 99), expected, "{given}");
        }
    }

    #[test]
    fn card_numbers_keep_their_last_digits() {
        let cases = [
            ("4111111111111111", "************1111"),
            ("n=4111 1111-1111 1111 x", "n=**** ****-**** 1111 x"),
            ("4111111111111112", "4111111111111112"),
            ("0000000000000000", "0000000000000000"),
            ("12 - 34", "12 - 34"),
            ("411111111111111", "411111111111111"),
        ];
        for (given, expected) in cases {
            assert_eq!(text(given, 99), expected, "{given}");
        }
    }
}
