//! Text with macros: `%{tx.anomaly_score}`, `%{MATCHED_VAR}`, `%{REQUEST_HEADERS.host}`.
//!
//! Expansion is the engine's; here a text is split once, at load.

use super::Variable;

/// Text that may contain macros.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    parts: Vec<Part>,
    raw: Vec<u8>,
}

/// One piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Bytes that stand for themselves.
    Literal(Vec<u8>),
    /// `%{name}`, `%{name.key}` or `%{name:key}`.
    Macro {
        /// What is named.
        name: MacroName,
        /// The key as written; look-up ignores case.
        key: Option<String>,
    },
}

/// The name in a macro.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MacroName {
    /// A variable of the language.
    Variable(Variable),
    /// Any other name: expands to nothing (ModSecurity keeps silent too; the
    /// parser warns).
    Unknown(String),
}

impl Template {
    /// Splits text into literals and macros. A `%{` that is never closed is a literal.
    pub fn parse(raw: impl Into<Vec<u8>>) -> Self {
        Self::split(raw.into(), |_| 0)
    }

    /// As [`Template::parse`], but `}%` closes a macro too, unless the percent
    /// sign begins the next one: so ModSecurity 3's scanner reads `%{tx.0}%`.
    pub fn parse_strict(raw: impl Into<Vec<u8>>) -> Self {
        Self::split(raw.into(), |rest| usize::from(rest.starts_with(b"%") && !rest.starts_with(b"%{")))
    }

    /// `swallowed` says how many bytes after a closing brace belong to the macro.
    fn split(raw: Vec<u8>, swallowed: impl Fn(&[u8]) -> usize) -> Self {
        let mut parts = Vec::new();
        let mut literal_start = 0;
        let mut at = 0;
        while let Some(open) = find(&raw, at, b"%{") {
            at = open + 2;
            // The name is looked at before the brace is searched, so that the work stays linear.
            let name = raw[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
            let close = match raw.get(at + name) {
                _ if name == 0 => continue,
                Some(b'}') => at + name,
                Some(b'.' | b':') => match memchr::memchr(b'}', &raw[at..]) {
                    Some(close) => at + close,
                    None => break,
                },
                _ => continue,
            };
            push_literal(&mut parts, &raw[literal_start..open]);
            parts.push(Part::named(&raw[at..at + name], raw.get(at + name + 1..close)));
            at = close + 1 + swallowed(&raw[close + 1..]);
            literal_start = at;
        }
        push_literal(&mut parts, &raw[literal_start..]);
        Self { parts, raw }
    }

    /// A template without macros, whatever the bytes are.
    pub fn literal(raw: impl Into<Vec<u8>>) -> Self {
        let raw = raw.into();
        let mut parts = Vec::new();
        push_literal(&mut parts, &raw);
        Self { parts, raw }
    }

    /// The pieces in order; adjacent literals are joined.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text as it was written (escapes and line joins resolved).
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The text as written, with invalid UTF-8 replaced.
    pub fn raw_str(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.raw)
    }

    /// Whether there is no macro.
    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// The bytes, when there is no macro.
    pub fn as_literal(&self) -> Option<&[u8]> {
        self.is_literal().then_some(&self.raw)
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }
}

impl From<&str> for Template {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl Part {
    /// A macro from its name and its key.
    fn named(name: &[u8], key: Option<&[u8]>) -> Self {
        let name = String::from_utf8_lossy(name);
        let name = Variable::from_name(&name)
            .map_or_else(|| MacroName::Unknown(name.into_owned()), MacroName::Variable);
        Part::Macro { name, key: key.map(|key| String::from_utf8_lossy(key).into_owned()) }
    }
}

fn push_literal(parts: &mut Vec<Part>, bytes: &[u8]) {
    if !bytes.is_empty() {
        parts.push(Part::Literal(bytes.to_vec()));
    }
}

fn find(text: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text.get(from..)?, what).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_text_and_macros() {
        let template = Template::parse("a %{tx.Score} b %{MATCHED_VAR}%{nope:k.x}");
        assert_eq!(
            template.parts(),
            [
                Part::Literal(b"a ".to_vec()),
                Part::Macro { name: MacroName::Variable(Variable::Tx), key: Some("Score".into()) },
                Part::Literal(b" b ".to_vec()),
                Part::Macro { name: MacroName::Variable(Variable::MatchedVar), key: None },
                Part::Macro { name: MacroName::Unknown("nope".into()), key: Some("k.x".into()) },
            ]
        );
        assert!(!template.is_literal());
    }

    #[test]
    fn what_is_no_macro_stays() {
        let closed = Template::parse_strict("%{tx.0}%%{tx.1}%{tx.2}%x%");
        assert_eq!(closed.parts().len(), 4, "{closed:?}");
        for text in ["100%", "%{", "%{}", "%{a b}", "50%{x", "", "%{ tx.a}"] {
            assert_eq!(Template::parse(text).as_literal(), Some(text.as_bytes()), "{text}");
        }
    }
}
