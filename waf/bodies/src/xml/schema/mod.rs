//! XML Schemas (XSD 1.0): read from a file of rules, and held against a body.
//!
//! `reader` reads components, `simple` knows values and `regex` their patterns,
//! `check` judges documents. A schema is one file; what is not supported
//! (`import`, `include`, `redefine`, `key`, `keyref`, `unique`, substitution
//! groups, and the facets and patterns that their readers name) is an error
//! when it is read, never passed over. The words of a verdict are libxml2's.

mod check;
mod reader;
mod regex;
mod simple;

use std::collections::HashMap;

use super::content_model::Model;
use simple::SimpleType;

/// The namespace of schemas and of their built-in types.
const XSD: &str = "http://www.w3.org/2001/XMLSchema";
/// The namespace of `xsi:type` and `xsi:nil`.
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// A schema.
#[derive(Debug)]
pub struct Schema {
    types: Vec<Type>,
    elements: Vec<Element>,
    global_types: HashMap<QName, TypeId>,
    global_elements: HashMap<QName, ElementId>,
    global_attributes: HashMap<QName, Attribute>,
}

/// What a schema says that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(String);

/// Namespace and local name.
type QName = (Box<str>, Box<str>);
type TypeId = usize;
type ElementId = usize;

#[derive(Debug)]
enum Type {
    Simple(SimpleType),
    Complex(Complex),
    /// `anyType`: whatever is known of the content is judged, all else passes.
    Any,
    /// Not read yet.
    Pending,
}

#[derive(Debug)]
struct Complex {
    base: Option<TypeId>,
    is_abstract: bool,
    is_mixed: bool,
    content: Content,
    attributes: Vec<Attribute>,
    any_attribute: Option<Wildcard>,
}

#[derive(Debug)]
enum Content {
    /// Text of a simple type.
    Simple(TypeId),
    Model(Model<Term>),
    /// `all`: each at most once, in any order; with whether it must be there.
    All(Vec<(ElementId, bool)>),
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Element(ElementId, QName),
    Any(Wildcard),
}

#[derive(Debug)]
struct Element {
    name: QName,
    of: TypeId,
    is_nillable: bool,
    fixed: Option<Box<str>>,
}

#[derive(Debug, Clone)]
struct Attribute {
    name: QName,
    of: TypeId,
    is_required: bool,
    fixed: Option<Box<str>>,
}

/// `any` and `anyAttribute`.
#[derive(Debug, Clone, PartialEq)]
struct Wildcard {
    namespaces: Namespaces,
    process: Process,
}

#[derive(Debug, Clone, PartialEq)]
enum Namespaces {
    Any,
    /// All but this one and none.
    Other(Box<str>),
    OneOf(Vec<Box<str>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    Strict,
    Lax,
    Skip,
}

impl Wildcard {
    fn admits(&self, namespace: &str) -> bool {
        match &self.namespaces {
            Namespaces::Any => true,
            Namespaces::Other(target) => !namespace.is_empty() && **target != *namespace,
            Namespaces::OneOf(list) => list.iter().any(|known| **known == *namespace),
        }
    }
}

impl Term {
    fn is(&self, namespace: &str, local: &str) -> bool {
        match self {
            Term::Element(_, name) => *name.0 == *namespace && *name.1 == *local,
            Term::Any(wildcard) => wildcard.admits(namespace),
        }
    }

    /// Whether one element could be both.
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Term::Element(_, left), Term::Element(_, right)) => left == right,
            (Term::Element(_, name), Term::Any(wildcard)) | (Term::Any(wildcard), Term::Element(_, name)) => {
                wildcard.admits(&name.0)
            }
            (Term::Any(left), Term::Any(right)) => match (&left.namespaces, &right.namespaces) {
                (Namespaces::OneOf(list), _) => list.iter().any(|namespace| right.admits(namespace)),
                (_, Namespaces::OneOf(list)) => list.iter().any(|namespace| left.admits(namespace)),
                _ => true,
            },
        }
    }
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// The first thing that is wrong or not supported.
    pub fn parse(text: &[u8]) -> Result<Self, SchemaError> {
        reader::read(text)
    }
}

/// `{namespace}name`, as libxml2 shows names.
fn shown(name: &QName) -> String {
    if name.0.is_empty() { name.1.to_string() } else { format!("{{{}}}{}", name.0, name.1) }
}

#[cfg(test)]
mod tests;
