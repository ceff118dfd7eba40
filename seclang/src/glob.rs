//! File name patterns of `Include`: `*`, `?`, `[abc]`, `[!a-z]`.
//!
//! `*` and `?` never match a slash, and a leading dot only matches a dot.

/// Whether a text has pattern characters.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a path matches a pattern, component by component.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let mut patterns = pattern.split('/');
    let mut names = path.split('/');
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) if component(pattern, name) => {}
            _ => return false,
        }
    }
}

/// One component; backtracks to the last star only, so it is at most quadratic.
fn component(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        if let Some(next) = single(&pattern, p, name[n]) {
            p = next;
            n += 1;
            continue;
        }
        let Some((star_p, star_n)) = star else { return false };
        star = Some((star_p, star_n + 1));
        p = star_p + 1;
        n = star_n + 1;
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// Position after the pattern element at `p` when it matches one character.
fn single(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match *pattern.get(p)? {
        '?' => Some(p + 1),
        '[' => {
            let close = pattern.iter().skip(p + 2).position(|&x| x == ']').map(|at| at + p + 2);
            let Some(close) = close else { return (c == '[').then_some(p + 1) };
            let (negated, start) =
                if matches!(pattern[p + 1], '!' | '^') { (true, p + 2) } else { (false, p + 1) };
            (in_class(&pattern[start..close], c) != negated).then_some(close + 1)
        }
        literal => (literal == c).then_some(p + 1),
    }
}

fn in_class(class: &[char], c: char) -> bool {
    let mut at = 0;
    while at < class.len() {
        if class.len() > at + 2 && class[at + 1] == '-' {
            if class[at] <= c && c <= class[at + 2] {
                return true;
            }
            at += 3;
        } else {
            if class[at] == c {
                return true;
            }
            at += 1;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".a.conf", false),
            ("*.conf", "a.conf.example", false),
            ("rules/*.conf", "rules/x/a.conf", false),
            ("rules/*.conf", "rules/REQUEST-901.conf", true),
            ("r[a-c]?.conf", "rb1.conf", true),
            ("r[!a-c]?.conf", "rb1.conf", false),
            ("a*b*c", "axxbyybzzc", true),
            ("a*b*c", "axxbyybzz", false),
            ("[", "[", true),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }
}
