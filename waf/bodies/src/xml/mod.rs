//! XML bodies: the text below the root (`XML:/*`) and all attribute values
//! (`XML://@*`).
//!
//! This file owns the result; `walk` goes through the markup with quick-xml,
//! `attribute` takes start tags apart, `reference` resolves `&…;`, `entity`
//! what the body's own DTD declares as text, `encoding` turns the body into
//! text. For rules that ask for more there is a `tree`: `xpath` selects from it,
//! `dtd` and `schema` say whether it is as it should be. Nothing outside the
//! body is ever loaded: an entity that is no plain text of the body's own DTD
//! is an error, since the application would see text that the rules did not.

mod attribute;
mod content_model;
pub mod dtd;
mod encoding;
mod entity;
mod reference;
pub mod schema;
mod tree;
mod tree_builder;
mod walk;
pub mod xpath;

pub use entity::ENTITIES_LIMIT;
pub use tree::{Name, NodeId, NodeKind, Tree};

use crate::Limits;
use std::borrow::Cow;
use tree_builder::TreeBuilder;

/// What an XML body holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xml<'a> {
    /// Values of all attributes in document order, references resolved, white
    /// space normalised to spaces (XML 1.0, section 3.3.3). Namespace
    /// declarations are no attributes, as in XPath.
    pub attributes: Vec<Cow<'a, [u8]>>,
    /// The text and CDATA of all elements, one after the other, references
    /// resolved and line ends normalised to LF. Comments and processing
    /// instructions are no text.
    pub text: Cow<'a, [u8]>,
    /// The document type declaration, without `<!DOCTYPE` and `>`. An external
    /// subset that it names is never loaded; whether to let it pass is for the
    /// caller to decide.
    pub doctype: Option<Cow<'a, [u8]>>,
    /// The first thing that was wrong. What came before it is there; after
    /// errors that leave the structure clear parsing goes on.
    pub error: Option<Error>,
}

impl Xml<'_> {
    fn into_owned<'b>(self) -> Xml<'b> {
        fn own<'b>(text: Cow<'_, [u8]>) -> Cow<'b, [u8]> {
            Cow::Owned(text.into_owned())
        }
        Xml {
            attributes: self.attributes.into_iter().map(own).collect(),
            text: own(self.text),
            doctype: self.doctype.map(own),
            error: self.error,
        }
    }

    fn note(&mut self, reason: Reason, offset: usize) {
        self.error.get_or_insert(Error { reason, offset });
    }
}

/// What was wrong, and where. The text is fit for `REQBODY_ERROR_MSG`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("XML parsing error: XML: Failed parsing document: {reason} (at byte {offset})")]
pub struct Error {
    /// What was wrong.
    pub reason: Reason,
    /// Where, in bytes from the start of the body's UTF-8 form, a byte order
    /// mark not counted.
    pub offset: usize,
}

/// Why a body is not acceptable XML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The markup is malformed; the text is quick-xml's.
    #[error("{0}")]
    Syntax(String),
    /// The document has no element.
    #[error("no element")]
    NoElement,
    /// The document ends with open elements.
    #[error("{0} elements are not closed")]
    Unclosed(usize),
    /// Text, CDATA, elements or a declaration after the root element.
    #[error("content outside of the root element")]
    OutsideRoot,
    /// The XML declaration is not the very first thing.
    #[error("XML declaration not at the start")]
    LateDeclaration,
    /// A document type declaration inside or after the root element, or a
    /// second one.
    #[error("document type declaration out of place")]
    LateDoctype,
    /// The internal subset declares attributes or uses parameter entities, so
    /// that the application may see attributes that are not in the document.
    #[error("attribute and parameter entity declarations are not applied")]
    Declarations,
    /// An element's name is empty or has characters that no name may have.
    #[error("malformed element name")]
    ElementName,
    /// A start tag's attributes break the grammar.
    #[error("malformed attribute")]
    Attribute,
    /// A start tag has the same attribute twice.
    #[error("duplicate attribute")]
    DuplicateAttribute,
    /// `&name;` that is neither predefined nor declared in the body as plain text, or expands to too much.
    #[error("an entity is not declared as plain text, or expands to too much")]
    Entity,
    /// `&` without a reference, or a character reference to no XML character.
    #[error("malformed reference")]
    Reference,
    /// A control character that XML forbids, NUL among them.
    #[error("forbidden control character")]
    ControlCharacter,
    /// The body is not valid in its encoding; it was read up to there.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// The declared encoding is not supported.
    #[error("unsupported encoding {0:?}")]
    Encoding(String),
    /// Elements are nested deeper than [`Limits::depth`].
    #[error("nesting limit exceeded: more than {0} levels")]
    Depth(usize),
    /// There are more attributes than [`Limits::arguments`].
    #[error("attribute limit exceeded: more than {0}")]
    Attributes(usize),
}

/// Reads an XML body. A body of no bytes yields nothing and is no error, as in
/// ModSecurity; any other without an element is.
#[must_use]
pub fn parse<'a>(body: &'a [u8], limits: &Limits) -> Xml<'a> {
    let mut xml = Xml::default();
    if body.is_empty() {
        return xml;
    }
    let (text, error) = encoding::decode(body);
    xml.error = error;
    match text {
        Cow::Borrowed(text) => {
            walk::walk(text, limits, &mut xml, None);
            xml
        }
        Cow::Owned(text) => {
            let mut inner = Xml { error: xml.error, ..Xml::default() };
            walk::walk(&text, limits, &mut inner, None);
            inner.into_owned()
        }
    }
}

/// Reads an XML body as [`parse`] does, and its tree too. A body of no bytes
/// has an empty one.
#[must_use]
pub fn parse_tree<'a>(body: &'a [u8], limits: &Limits) -> (Xml<'a>, Tree) {
    if body.is_empty() {
        return (Xml::default(), Tree::default());
    }
    let (text, error) = encoding::decode(body);
    let is_whole = !matches!(&error, Some(Error { reason: Reason::InvalidUtf8, .. }));
    match text {
        Cow::Borrowed(text) => read_tree(text, error, is_whole, limits),
        Cow::Owned(text) => {
            let (xml, tree) = read_tree(&text, error, is_whole, limits);
            (xml.into_owned(), tree)
        }
    }
}

fn read_tree<'a>(text: &'a str, error: Option<Error>, is_whole: bool, limits: &Limits) -> (Xml<'a>, Tree) {
    let mut xml = Xml { error, ..Xml::default() };
    let mut tree = TreeBuilder::new();
    let is_read = walk::walk(text, limits, &mut xml, Some(&mut tree));
    let tree = tree.finish(&xml.text, is_whole && is_read);
    (xml, tree)
}

#[cfg(test)]
mod tests;
