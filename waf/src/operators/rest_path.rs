//! `@restpath /a/{name}/b` (Coraza): a path with named parts.

use std::ops::Range;

use crate::regex::{Flags, GROUPS, Pattern, Spans};

/// A path in which `{name}` stands for a segment, or a part of one.
#[derive(Debug)]
pub(crate) struct PathTemplate {
    pattern: Pattern,
    names: Vec<String>,
}

impl PathTemplate {
    /// Reads a template. The error says what is wrong with it.
    pub(crate) fn parse(template: &str) -> Result<Self, String> {
        // Where a path has to begin and to end is the only thing of patterns that a template knows.
        let (from_start, template) =
            template.strip_prefix('^').map_or((false, template), |rest| (true, rest));
        let (to_end, template) = template.strip_suffix('$').map_or((false, template), |rest| (true, rest));
        let mut pieces = template.split('{');
        let (mut pattern, mut names) = (String::from(if from_start { "^" } else { "" }), Vec::new());
        quote(&mut pattern, pieces.next().unwrap_or_default());
        for piece in pieces {
            let Some((name, after)) = piece.split_once('}').filter(|(name, _)| is_name(name)) else {
                return Err(format!("`{{{piece}` has no name"));
            };
            names.push(name.to_owned());
            pattern.push_str("([^/?]+)");
            quote(&mut pattern, after);
        }
        if to_end {
            pattern.push('$');
        }
        if names.len() >= GROUPS {
            return Err(format!("it has more than {} named parts", GROUPS - 1));
        }
        let pattern =
            Pattern::new(pattern.as_bytes(), Flags::default()).map_err(|error| error.to_string())?;
        Ok(Self { pattern, names })
    }

    /// The named parts of a value in which a path of this form stands; `None` for any other.
    pub(crate) fn parts(&self, value: &[u8]) -> Option<impl Iterator<Item = (&str, Range<usize>)>> {
        let mut spans = Spans::default();
        // Without look-around it needs no budget.
        let found = self.pattern.captures(value, 0, u64::MAX, &mut spans).unwrap_or(false);
        let part = |(name, span): (_, Option<_>)| span.map(|(start, end)| (name, start..end));
        let names = self.names.iter().map(String::as_str);
        found.then(|| names.zip(spans.into_iter().skip(1)).filter_map(part))
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
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
    use super::PathTemplate;

    #[test]
    fn segments() {
        let found = |template: &str, path: &str| {
            let template = PathTemplate::parse(template).unwrap();
            let parts = template.parts(path.as_bytes())?;
            let shown = parts.into_iter().map(|(name, range)| format!("{name}={}", &path[range]));
            Some(shown.collect::<Vec<_>>().join(","))
        };
        for (template, path, expected) in [
            ("/a.b/{id}/c", "/a.b/7/c", Some("id=7")),
            ("/a.b/{id}/c", "/axb/7/c", None),
            ("/a/{id}", "/a/", None),
            ("/a/{id}", "/a/1?x=/2", Some("id=1")),
            ("/a/{id}", "/v1/a/1/2", Some("id=1")),
            ("/a/{id}", "/b/1", None),
            ("/a/{x}/{y-2}", "/a/1/2", Some("x=1,y-2=2")),
            ("/a/{x}/b/{y}.json", "/a/1/b/c.json.json", Some("x=1,y=c.json")),
            ("/{x}-{y}", "/a-b-", Some("x=a,y=b-")),
            ("/plain", "/plain", Some("")),
            ("^/a/{id}$", "/a/1", Some("id=1")),
            ("^/a/{id}$", "/v1/a/1", None),
            ("^/a/{id}$", "/a/1/b", None),
        ] {
            assert_eq!(found(template, path).as_deref(), expected, "{template} {path}");
        }
        for wrong in ["/{", "/{}", "/{a b}", "/{1}", "/a}{", &"/{a}".repeat(10)] {
            assert!(PathTemplate::parse(wrong).is_err(), "{wrong}");
        }
    }
}
