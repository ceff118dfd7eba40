//! Values that must not reach a log: arguments and headers whose names say they are secrets.

/// Names that mark a secret when they occur in a variable's or argument's name, in lower case.
const SECRET_NAMES: [&str; 12] = [
    "password",
    "passwd",
    "passwort",
    "pwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "session",
    "api_key",
    "apikey",
    "credential",
];
/// What stands in place of a secret.
const MASK: &str = "***";

/// Whether a name such as `ARGS:password` or `REQUEST_HEADERS:Authorization` marks a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// A request target with the values of secret query arguments masked, cut to `limit` bytes.
pub fn target(target: &str, limit: usize) -> String {
    let Some((path, query)) = target.split_once('?') else { return cut(target, limit) };
    let arguments: Vec<String> = query
        .split('&')
        .map(|argument| match argument.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
            _ => argument.to_owned(),
        })
        .collect();
    cut(&format!("{path}?{}", arguments.join("&")), limit)
}

/// A rule's data with the value masked when it was found in a secret, cut to `limit` bytes.
///
/// `data` names the variable at its end by CRS's convention: `… found within ARGS:password: value`; `variables` are
/// the names of the variables that matched.
pub fn data<'a>(data: &str, variables: impl IntoIterator<Item = &'a str>, limit: usize) -> String {
    let within =
        data.split_once("found within ").map_or("", |(_, rest)| rest.split(' ').next().unwrap_or(""));
    let secret = is_secret(within) || variables.into_iter().any(is_secret);
    if !data.is_empty() && secret { format!("{MASK} (found within a secret)") } else { cut(data, limit) }
}

/// `text` cut to at most `limit` bytes at a character's border, with `…` where something is missing.
fn cut(text: &str, limit: usize) -> String {
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
    }
}
