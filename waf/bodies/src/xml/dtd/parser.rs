//! Declarations of a DTD file or of a body's internal subset.

use std::collections::HashSet;

use super::{Attribute, AttributeType, Content, Dtd};
use crate::xml::content_model::{Model, Particle};
use crate::xml::entity::Entities;

/// Deepest nesting of groups in a content model.
const DEPTH_LIMIT: usize = 64;

/// What a DTD file says that cannot be used, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (at byte {offset})")]
pub struct DtdError {
    /// What is wrong.
    pub reason: String,
    /// Where, in bytes from the start of the file.
    pub offset: usize,
}

/// What a declaration names and says.
enum Declared {
    Element(Box<str>, Content),
    Attributes(Box<str>, Vec<Attribute>),
    Text {
        name: Box<str>,
        literal: Box<str>,
    },
    Unparsed(Box<str>),
    /// Files that are never loaded, notations.
    Other,
}

pub(super) fn parse(text: &[u8]) -> Result<Dtd, DtdError> {
    let text = std::str::from_utf8(text).map_err(|error| DtdError {
        reason: "the file is not UTF-8".to_owned(),
        offset: error.valid_up_to(),
    })?;
    let mut scanner = Scanner { text, at: 0 };
    scanner.take("\u{FEFF}");
    let mut dtd = Dtd::default();
    while let Some(declared) = scanner.declaration()? {
        let offset = scanner.at;
        let twice = |name: &str| Err(DtdError { reason: format!("`{name}` is declared twice"), offset });
        match declared {
            Declared::Element(name, content) => {
                if dtd.elements.contains_key(&name) {
                    return twice(&name);
                }
                dtd.elements.insert(name, content);
            }
            Declared::Attributes(element, attributes) => {
                let known = dtd.attributes.entry(element).or_default();
                for attribute in attributes {
                    // The first declaration of an attribute counts.
                    if !known.iter().any(|known| known.name == attribute.name) {
                        known.push(attribute);
                    }
                }
            }
            Declared::Unparsed(name) => {
                dtd.unparsed.insert(name);
            }
            Declared::Text { .. } | Declared::Other => {}
        }
    }
    if dtd.elements.is_empty() {
        return Err(DtdError { reason: "no element is declared".to_owned(), offset: 0 });
    }
    Ok(dtd)
}

/// Texts in the internal subset of `doctype`, as far as it can be read.
pub(super) fn declare_entities(doctype: &str, entities: &mut Entities) {
    let Some(start) = doctype.find('[') else { return };
    let inside = doctype[start + 1..].trim_end().strip_suffix(']').unwrap_or(&doctype[start + 1..]);
    let mut scanner = Scanner { text: inside, at: 0 };
    while let Ok(Some(declared)) = scanner.declaration() {
        if let Declared::Text { name, literal } = declared {
            entities.declare(&name, &literal);
        }
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error<T>(&self, reason: impl Into<String>) -> Result<T, DtdError> {
        Err(DtdError { reason: reason.into(), offset: self.at })
    }

    fn take(&mut self, token: &str) -> bool {
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    fn blanks(&mut self) -> bool {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        rest.len() > self.rest().len()
    }

    fn expect(&mut self, token: &str) -> Result<(), DtdError> {
        self.blanks();
        if self.take(token) { Ok(()) } else { self.error(format!("`{token}` is expected")) }
    }

    fn until(&mut self, end: &str) -> Result<&'a str, DtdError> {
        let Some(length) = self.rest().find(end) else {
            return self.error(format!("`{end}` is missing"));
        };
        let inside = &self.rest()[..length];
        self.at += length + end.len();
        Ok(inside)
    }

    /// A name or a token; what it may begin with is for the caller.
    fn word(&mut self) -> Result<&'a str, DtdError> {
        self.blanks();
        let rest = self.rest();
        let is_part =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.') || !c.is_ascii();
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if length == 0 {
            return self.error(match rest.starts_with('%') {
                true => "parameter entities are not supported: write their text instead",
                false => "a name is expected",
            });
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn literal(&mut self) -> Result<&'a str, DtdError> {
        self.blanks();
        for quote in ["\"", "'"] {
            if self.take(quote) {
                return self.until(quote);
            }
        }
        self.error("a quoted text is expected")
    }

    /// The next declaration; `None` at the end.
    fn declaration(&mut self) -> Result<Option<Declared>, DtdError> {
        loop {
            self.blanks();
            if self.rest().is_empty() {
                return Ok(None);
            } else if self.take("<!--") {
                self.until("-->")?;
            } else if self.take("<?") {
                self.until("?>")?;
            } else if self.take("<!ELEMENT") {
                return self.element().map(Some);
            } else if self.take("<!ATTLIST") {
                return self.attributes().map(Some);
            } else if self.take("<!ENTITY") {
                return self.entity().map(Some);
            } else if self.take("<!NOTATION") {
                self.until(">")?;
            } else if self.rest().starts_with("<![") {
                return self.error("conditional sections are not supported");
            } else if self.rest().starts_with('%') {
                return self.error("parameter entities are not supported: write their text instead");
            } else {
                return self.error("a declaration is expected (ELEMENT, ATTLIST, ENTITY, NOTATION)");
            }
        }
    }

    fn element(&mut self) -> Result<Declared, DtdError> {
        if !self.blanks() {
            return self.error("a blank is expected");
        }
        let name = self.word()?;
        self.blanks();
        let start = self.at;
        let content = if self.take("EMPTY") {
            Content::Empty
        } else if self.take("ANY") {
            Content::Any
        } else {
            self.expect("(")?;
            self.blanks();
            if self.take("#PCDATA") { self.mixed()? } else { self.children(start)? }
        };
        self.expect(">")?;
        Ok(Declared::Element(name.into(), content))
    }

    fn mixed(&mut self) -> Result<Content, DtdError> {
        let mut names = HashSet::new();
        loop {
            self.blanks();
            if self.take(")") {
                break;
            }
            self.expect("|")?;
            names.insert(self.word()?.into());
        }
        if !self.take("*") && !names.is_empty() {
            return self.error("`*` is expected: text mixed with elements can be repeated");
        }
        Ok(Content::Mixed(names))
    }

    fn children(&mut self, start: usize) -> Result<Content, DtdError> {
        let particle = self.group(0)?;
        let model = Model::new(&particle, |left, right| left == right);
        let model = model.map_err(|error| DtdError {
            reason: format!("the content model cannot be used: {error}"),
            offset: start,
        })?;
        Ok(Content::Children(model))
    }

    /// What follows `(`, its `)` and its `?`, `*` or `+` included.
    fn group(&mut self, depth: usize) -> Result<Particle<Box<str>>, DtdError> {
        if depth >= DEPTH_LIMIT {
            return self.error("the content model is nested too deep");
        }
        let mut parts = Vec::new();
        let mut separator = None;
        loop {
            self.blanks();
            let part = if self.take("(") {
                self.group(depth + 1)?
            } else {
                let name = self.word()?;
                self.repeated(Particle::Symbol(name.into()))
            };
            parts.push(part);
            self.blanks();
            if self.take(")") {
                break;
            }
            let found = if self.take(",") {
                ','
            } else if self.take("|") {
                '|'
            } else {
                return self.error("`,`, `|` or `)` is expected");
            };
            if *separator.get_or_insert(found) != found {
                return self.error("`,` and `|` are mixed in one group");
            }
        }
        let group = if separator == Some('|') { Particle::Choice(parts) } else { Particle::Sequence(parts) };
        Ok(self.repeated(group))
    }

    fn repeated(&mut self, particle: Particle<Box<str>>) -> Particle<Box<str>> {
        let (least, most) = if self.take("?") {
            (0, Some(1))
        } else if self.take("*") {
            (0, None)
        } else if self.take("+") {
            (1, None)
        } else {
            return particle;
        };
        Particle::Repeat(Box::new(particle), least, most)
    }

    fn attributes(&mut self) -> Result<Declared, DtdError> {
        let element = self.word()?;
        let mut attributes = Vec::new();
        loop {
            self.blanks();
            if self.take(">") {
                return Ok(Declared::Attributes(element.into(), attributes));
            }
            let name = self.word()?.into();
            self.blanks();
            let kind = self.attribute_type()?;
            self.blanks();
            let (mut is_required, mut fixed) = (false, None);
            if self.take("#REQUIRED") {
                is_required = true;
            } else if self.take("#FIXED") {
                fixed = Some(self.literal()?.into());
            } else if !self.take("#IMPLIED") {
                self.literal()?;
            }
            attributes.push(Attribute { name, kind, is_required, fixed });
        }
    }

    fn attribute_type(&mut self) -> Result<AttributeType, DtdError> {
        if self.take("(") {
            return self.enumeration();
        }
        Ok(match self.word()? {
            "CDATA" => AttributeType::Text,
            "ID" => AttributeType::Id,
            "IDREF" => AttributeType::Reference,
            "IDREFS" => AttributeType::References,
            "ENTITY" => AttributeType::Entity,
            "ENTITIES" => AttributeType::Entities,
            "NMTOKEN" => AttributeType::Token,
            "NMTOKENS" => AttributeType::Tokens,
            "NOTATION" => {
                self.expect("(")?;
                return self.enumeration();
            }
            other => return self.error(format!("`{other}` is no type of attributes")),
        })
    }

    fn enumeration(&mut self) -> Result<AttributeType, DtdError> {
        let mut values = Vec::new();
        loop {
            values.push(self.word()?.into());
            self.blanks();
            if self.take(")") {
                return Ok(AttributeType::OneOf(values));
            }
            self.expect("|")?;
        }
    }

    fn entity(&mut self) -> Result<Declared, DtdError> {
        self.blanks();
        if self.rest().starts_with('%') {
            return self.error("parameter entities are not supported: write their text instead");
        }
        let name = self.word()?;
        self.blanks();
        if self.rest().starts_with(['"', '\'']) {
            let literal = self.literal()?.into();
            self.expect(">")?;
            return Ok(Declared::Text { name: name.into(), literal });
        }
        match self.word()? {
            "SYSTEM" => {
                self.literal()?;
            }
            "PUBLIC" => {
                self.literal()?;
                self.literal()?;
            }
            _ => return self.error("a quoted text, SYSTEM or PUBLIC is expected"),
        }
        self.blanks();
        let is_unparsed = self.take("NDATA");
        if is_unparsed {
            self.word()?;
        }
        self.expect(">")?;
        Ok(if is_unparsed { Declared::Unparsed(name.into()) } else { Declared::Other })
    }
}
