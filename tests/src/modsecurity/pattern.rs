//! The regular expressions of expectations: PCRE as v3 uses it, with `.`
//! matching line feeds, and `^` and `$` at each line.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

/// Whether `pattern` finds something in `text`.
///
/// # Errors
/// A text when the pattern cannot be compiled.
pub fn found(pattern: &str, text: &[u8]) -> Result<bool, String> {
    let syntax = syntax::Config::new().unicode(false).utf8(false).multi_line(true).dot_matches_new_line(true);
    let regex = Regex::builder()
        .syntax(syntax)
        .configure(Regex::config().utf8_empty(false))
        .build(&literal_braces(pattern))
        .map_err(|error| format!("cannot compile /{pattern}/: {error}"))?;
    Ok(regex.is_match(text))
}

/// Escapes each `{` that begins no repetition: PCRE takes it literally.
fn literal_braces(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut escaped = false;
    for (at, letter) in pattern.char_indices() {
        let counts = pattern[at + letter.len_utf8()..].starts_with(|next: char| next.is_ascii_digit());
        if letter == '{' && !escaped && !counts {
            out.push('\\');
        }
        escaped = letter == '\\' && !escaped;
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::found;

    #[test]
    fn patterns_mean_what_pcre_makes_of_them() {
        assert_eq!(found("a.b$", b"x\na\nb\nc"), Ok(true));
        assert_eq!(found("'{http://x}y{2}'", b"'{http://x}yy'"), Ok(true));
        assert_eq!(found(r"\{ \[1\]", b"{ [1]"), Ok(true));
        assert_eq!(found(r"\A[\s\S]{0}\z", b""), Ok(true));
        assert_eq!(found(r"\A[\s\S]{0}\z", b"x"), Ok(false));
        assert!(found("(", b"").is_err());
    }
}
