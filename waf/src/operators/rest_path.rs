//! `@restpath /a/{name}/b` (Coraza): a path with named parts, as a pattern.

/// The pattern of a path template; `{name}` stands for one segment.
pub(crate) fn pattern_of_path(template: &str) -> String {
    let mut pattern = String::from("^");
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        quote(&mut pattern, literal);
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_name = is_name && !name.as_bytes()[0].is_ascii_digit();
        pattern.push_str(&if is_name { format!("(?P<{name}>[^/?]+)") } else { "([^/?]+)".to_owned() });
        rest = after;
    }
    quote(&mut pattern, rest);
    pattern.push('$');
    pattern
}

fn quote(pattern: &mut String, literal: &str) {
    for character in literal.chars() {
        if character.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::pattern_of_path;

    #[test]
    fn segments() {
        assert_eq!(pattern_of_path("/a.b/{id}/c"), r"^\/a\.b\/(?P<id>[^/?]+)\/c$");
    }
}
