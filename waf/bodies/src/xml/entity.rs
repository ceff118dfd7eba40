//! Entities that a body's own DTD declares as plain text. They are expanded as
//! the application expands them, within bounds; all others stay as they stand
//! and are an error.

use std::collections::HashMap;
use std::rc::Rc;

use super::reference::character;

/// Most bytes that all entities of a body may expand to together; each counts at least one.
pub const ENTITIES_LIMIT: usize = 1 << 16;
/// Deepest nesting of entities in entities.
const DEPTH: usize = 16;
/// Longest name that is looked for behind `&`.
const NAME: usize = 256;

/// What general entities stand for.
#[derive(Debug)]
pub(super) struct Entities {
    texts: HashMap<Box<str>, Rc<str>>,
    room: usize,
}

impl Entities {
    pub(super) fn new() -> Self {
        Self { texts: HashMap::new(), room: ENTITIES_LIMIT }
    }

    /// Declares an entity by the literal in its declaration. The first declaration counts.
    pub(super) fn declare(&mut self, name: &str, literal: &str) {
        if !self.texts.contains_key(name)
            && let Some(text) = with_characters(literal)
        {
            self.texts.insert(name.into(), text.into());
        }
    }

    /// Appends what `&name;` stands for; false, and nothing is appended, when
    /// that is not known, no plain text, or too much.
    pub(super) fn expand(&mut self, name: &str, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        let expanded = self.append(name, DEPTH, out);
        if !expanded {
            out.truncate(before);
        }
        expanded
    }

    fn append(&mut self, name: &str, depth: usize, out: &mut Vec<u8>) -> bool {
        let Some(text) = self.texts.get(name).cloned().filter(|_| depth > 0) else { return false };
        let Some(room) = self.room.checked_sub(text.len() + 1) else { return false };
        self.room = room;
        let mut rest = &*text;
        while let Some(special) = memchr::memchr2(b'&', b'<', rest.as_bytes()) {
            out.extend_from_slice(&rest.as_bytes()[..special]);
            rest = &rest[special..];
            let window = &rest.as_bytes()[..rest.len().min(NAME)];
            let Some(end) = memchr::memchr(b';', window).filter(|_| rest.starts_with('&')) else {
                return false;
            };
            let inside = &rest[1..end];
            rest = &rest[end + 1..];
            match predefined(inside).or_else(|| inside.strip_prefix('#').and_then(character)) {
                Some(plain) => out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
                None if self.append(inside, depth - 1, out) => {}
                None => return false,
            }
        }
        out.extend_from_slice(rest.as_bytes());
        true
    }
}

/// The character of an entity that every document has.
pub(super) fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

/// Character references of a literal are resolved where it is declared (XML 1.0, section 4.5).
fn with_characters(literal: &str) -> Option<String> {
    let mut text = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find("&#") {
        text.push_str(&rest[..at]);
        rest = &rest[at + 2..];
        let end = rest.find(';')?;
        text.push(character(&rest[..end])?);
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::Entities;

    fn expanded(declarations: &[(&str, &str)], name: &str) -> Option<String> {
        let mut entities = Entities::new();
        declarations.iter().for_each(|(name, literal)| entities.declare(name, literal));
        let mut out = Vec::new();
        entities.expand(name, &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn plain_texts_are_expanded() {
        let declared =
            [("a", "x"), ("a", "second"), ("b", "&a;&#38;a;&lt;&#x41;"), ("m", "<b/>"), ("n", "&m;")];
        assert_eq!(expanded(&declared, "a").as_deref(), Some("x"));
        assert_eq!(expanded(&declared, "b").as_deref(), Some("xx<A"));
        for unknown in ["c", "m", "n", "lt"] {
            assert_eq!(expanded(&declared, unknown), None, "{unknown}");
        }
        assert_eq!(expanded(&[("a", "&b;"), ("b", "&a;")], "a"), None);
        assert_eq!(expanded(&[("a", "&b")], "a"), None);
    }

    #[test]
    fn laughter_ends() {
        let ten = |name: &str| format!("&{name};").repeat(10);
        let names: Vec<String> = (0..10).map(|n| format!("e{n}")).collect();
        let mut entities = Entities::new();
        entities.declare("e0", "ha");
        for pair in names.windows(2) {
            entities.declare(&pair[1], &ten(&pair[0]));
        }
        let mut out = Vec::new();
        assert!(entities.expand("e2", &mut out));
        assert_eq!(out.len(), 200);
        assert!(!entities.expand("e9", &mut out));
        assert_eq!(out.len(), 200);
        assert!(!entities.expand("e3", &mut out), "the room is used up");
    }
}
