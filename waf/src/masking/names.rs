//! Names that say that their values are secrets.

/// Found anywhere in a name, separators left out.
const PARTS: [&[u8]; 21] = [
    b"passw",
    b"passphrase",
    b"passcode",
    b"pwd",
    b"kennwort",
    b"contrasen",
    b"motdepasse",
    b"secret",
    b"token",
    b"authorization",
    b"apikey",
    b"accesskey",
    b"privatekey",
    b"credential",
    b"creditcard",
    b"cardnumber",
    b"ccnumber",
    b"sessionid",
    b"sessid",
    b"signature",
    b"sharedkey",
];

/// Found as a whole word of a name.
const WORDS: [&[u8]; 15] = [
    b"pass", b"pin", b"otp", b"totp", b"jwt", b"auth", b"sid", b"cvv", b"cvc", b"csrf", b"xsrf", b"pan",
    b"ssn", b"iban", b"mdp",
];

/// Longest name that is looked at; what is longer is judged by its end.
const LONGEST: usize = 128;

/// Whether a name of an argument, header or member says that its value is a secret.
pub(super) fn is_secret(name: &[u8]) -> bool {
    let name = &name[name.len().saturating_sub(LONGEST)..];
    let mut joined = [0; LONGEST];
    let mut length = 0;
    for byte in name.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
        joined[length] = byte.to_ascii_lowercase();
        length += 1;
    }
    let joined = &joined[..length];
    PARTS.iter().any(|part| joined.windows(part.len()).any(|window| window == *part)) || has_word(name)
}

/// Words end at separators and where a capital follows a small letter.
fn has_word(name: &[u8]) -> bool {
    let mut start = 0;
    for at in 0..=name.len() {
        let ends = match name.get(at) {
            None => true,
            Some(byte) if !byte.is_ascii_alphabetic() => true,
            Some(byte) => byte.is_ascii_uppercase() && at > start && name[at - 1].is_ascii_lowercase(),
        };
        if ends {
            let word = &name[start..at];
            if WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
                return true;
            }
            let is_separator = name.get(at).is_some_and(|byte| !byte.is_ascii_alphabetic());
            start = if is_separator { at + 1 } else { at };
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn names() {
        for name in [
            "password",
            "user[passwd]",
            "json.user.newPassword",
            "PWD",
            "client_secret",
            "X-Auth-Token",
            "api-key",
            "ApiKey",
            "Authorization",
            "Proxy-Authorization",
            "user_pass",
            "pass",
            "card_number",
            "cvv2",
            "userPin",
            "csrfmiddlewaretoken",
            "PHPSESSID",
            "sid",
        ] {
            assert!(is_secret(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "id",
            "author",
            "passenger",
            "compass",
            "bypass",
            "spin",
            "User-Agent",
            "Host",
            "page",
            "company",
            "sidebar",
            "q",
            "Authority",
        ] {
            assert!(!is_secret(name.as_bytes()), "{name}");
        }
    }
}
