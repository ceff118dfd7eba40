//! Document type definitions: read from a file of rules, and held against a body.
//!
//! `parser` reads declarations, this file judges. Follows the validity
//! constraints of XML 1.0 for elements and attributes; parameter entities and
//! conditional sections are refused when the definition is read. Names are
//! compared as written, prefixes included.

mod parser;

use std::collections::{HashMap, HashSet};

use super::content_model::{Model, State};
use super::entity::Entities;
use super::tree::{NodeId, NodeKind, Tree};

pub use parser::DtdError;

/// Most steps of content models in one document.
const STEPS: u64 = 10_000_000;

/// A document type definition.
#[derive(Debug, Clone, Default)]
pub struct Dtd {
    elements: HashMap<Box<str>, Content>,
    attributes: HashMap<Box<str>, Vec<Attribute>>,
    /// Entities that are files of other programs, for attributes of type ENTITY.
    unparsed: HashSet<Box<str>>,
}

#[derive(Debug, Clone)]
enum Content {
    Empty,
    Any,
    Mixed(HashSet<Box<str>>),
    Children(Model<Box<str>>),
}

#[derive(Debug, Clone)]
struct Attribute {
    name: Box<str>,
    kind: AttributeType,
    is_required: bool,
    fixed: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum AttributeType {
    Text,
    Id,
    Reference,
    References,
    Entity,
    Entities,
    Token,
    Tokens,
    OneOf(Vec<Box<str>>),
}

/// Declares to `entities` what the internal subset of a document type declaration says about texts.
pub(super) fn declare_entities(doctype: &str, entities: &mut Entities) {
    parser::declare_entities(doctype, entities);
}

impl Dtd {
    /// Reads a file of declarations.
    ///
    /// # Errors
    /// The first thing that is malformed or not supported, with its place.
    pub fn parse(text: &[u8]) -> Result<Self, DtdError> {
        parser::parse(text)
    }

    /// Whether a document is valid.
    ///
    /// # Errors
    /// The first thing in it that is not, in words.
    pub fn validate(&self, tree: &Tree) -> Result<(), String> {
        let mut check = Check { dtd: self, tree, ids: HashSet::new(), references: Vec::new(), steps: STEPS };
        for node in 0..tree.len() as NodeId {
            if tree.kind(node) == NodeKind::Element {
                check.element(node)?;
            }
        }
        match check.references.iter().find(|reference| !check.ids.contains(*reference)) {
            Some(missing) => Err(format!("IDREF attribute references an unknown ID \"{missing}\"")),
            None => Ok(()),
        }
    }
}

/// A document that is held against a definition.
struct Check<'t> {
    dtd: &'t Dtd,
    tree: &'t Tree,
    ids: HashSet<String>,
    references: Vec<String>,
    steps: u64,
}

impl Check<'_> {
    fn element(&mut self, node: NodeId) -> Result<(), String> {
        let name = name_of(self.tree, node);
        let Some(content) = self.dtd.elements.get(name) else {
            return Err(format!("No declaration for element {name}"));
        };
        match content {
            Content::Any => {}
            Content::Empty => {
                if self.tree.children(node).next().is_some() {
                    return Err(format!("Element {name} was declared EMPTY this one has content"));
                }
            }
            Content::Mixed(allowed) => {
                let elements = self.elements(node);
                if let Some(other) = elements.into_iter().find(|child| !allowed.contains(*child)) {
                    return Err(format!(
                        "Element {other} is not declared in {name} list of possible children"
                    ));
                }
            }
            Content::Children(model) => self.children(node, name, model)?,
        }
        self.attributes(node, name)
    }

    fn elements(&self, node: NodeId) -> Vec<&str> {
        let children = self.tree.children(node).filter(|child| self.tree.kind(*child) == NodeKind::Element);
        children.map(|child| name_of(self.tree, child)).collect()
    }

    fn children(&mut self, node: NodeId, name: &str, model: &Model<Box<str>>) -> Result<(), String> {
        let mut state = State::default();
        for child in self.tree.children(node) {
            if self.tree.kind(child) == NodeKind::Text {
                if !self.tree.value(child).iter().all(u8::is_ascii_whitespace) {
                    return Err(format!(
                        "Element {name} content does not follow the DTD, text is not expected"
                    ));
                }
                continue;
            }
            self.steps =
                self.steps.checked_sub(model.cost(&state)).ok_or("the document is too large to validate")?;
            let found = name_of(self.tree, child);
            match model.step(&state, |symbol| **symbol == *found) {
                Some((next, _)) => state = next,
                None if !self.dtd.elements.contains_key(found) => {
                    return Err(format!("No declaration for element {found}"));
                }
                None => {
                    let expected = expected(model, &state);
                    return Err(format!(
                        "Element {name} content does not follow the DTD, expecting {expected}, got {found}"
                    ));
                }
            }
        }
        if !model.accepts(&state) {
            let expected = expected(model, &state);
            return Err(format!(
                "Element {name} content does not follow the DTD, expecting {expected}, got its end"
            ));
        }
        Ok(())
    }

    fn attributes(&mut self, node: NodeId, element: &str) -> Result<(), String> {
        let none = Vec::new();
        let dtd = self.dtd;
        let declared = dtd.attributes.get(element).unwrap_or(&none);
        let undeclared = |name: &str| format!("No declaration for attribute {name} of element {element}");
        let mut seen: Vec<&str> = Vec::new();
        for node in self.tree.attributes(node) {
            let name = name_of(self.tree, node);
            let known = declared.iter().find(|known| &*known.name == name).ok_or_else(|| undeclared(name))?;
            let value = String::from_utf8_lossy(self.tree.value(node)).into_owned();
            self.attribute(known, element, &value)?;
            seen.push(&known.name);
        }
        for (name, value) in self.tree.declared_namespaces(node) {
            let known =
                declared.iter().find(|known| *known.name == *name).ok_or_else(|| undeclared(&name))?;
            self.attribute(known, element, value)?;
            seen.push(&known.name);
        }
        match declared.iter().find(|known| known.is_required && !seen.contains(&&*known.name)) {
            Some(missing) => Err(format!("Element {element} does not carry attribute {}", missing.name)),
            None => Ok(()),
        }
    }

    fn attribute(&mut self, declared: &Attribute, element: &str, value: &str) -> Result<(), String> {
        let name = &declared.name;
        let collapsed = match declared.kind {
            AttributeType::Text => value.to_owned(),
            _ => value.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
        };
        let wrong = || format!("Syntax of value for attribute {name} of {element} is not valid");
        let all = |test: fn(&str) -> bool| !collapsed.is_empty() && collapsed.split(' ').all(test);
        match &declared.kind {
            AttributeType::Text => {}
            AttributeType::Id => {
                if !is_name(&collapsed) {
                    return Err(wrong());
                }
                if !self.ids.insert(collapsed.clone()) {
                    return Err(format!("ID {collapsed} already defined"));
                }
            }
            AttributeType::Reference | AttributeType::References => {
                if !all(is_name) || (declared.kind == AttributeType::Reference && collapsed.contains(' ')) {
                    return Err(wrong());
                }
                self.references.extend(collapsed.split(' ').map(str::to_owned));
            }
            AttributeType::Entity | AttributeType::Entities => {
                let several = declared.kind == AttributeType::Entities;
                let known = |entity: &str| self.dtd.unparsed.contains(entity);
                if collapsed.is_empty()
                    || (!several && collapsed.contains(' '))
                    || !collapsed.split(' ').all(known)
                {
                    return Err(format!(
                        "{name} attribute of {element} names an entity that is not declared"
                    ));
                }
            }
            AttributeType::Token if !is_token(&collapsed) => return Err(wrong()),
            AttributeType::Tokens if !all(is_token) => return Err(wrong()),
            AttributeType::Token | AttributeType::Tokens => {}
            AttributeType::OneOf(values) => {
                if !values.iter().any(|known| **known == *collapsed) {
                    return Err(format!(
                        "Value \"{collapsed}\" for attribute {name} of {element} is not among the enumerated set"
                    ));
                }
            }
        }
        match &declared.fixed {
            Some(fixed) if **fixed != *collapsed => {
                Err(format!("Value for attribute {name} of {element} is different from default \"{fixed}\""))
            }
            _ => Ok(()),
        }
    }
}

/// The names that may come next.
fn expected(model: &Model<Box<str>>, state: &State) -> String {
    let names: Vec<&str> = model.expected(state).into_iter().map(|name| &**name).collect();
    if names.is_empty() {
        return "its end".to_owned();
    }
    format!("({})", names.join(" | "))
}

fn name_of(tree: &Tree, node: NodeId) -> &str {
    tree.name(node).map_or("", |name| &name.qualified)
}

fn is_name(text: &str) -> bool {
    super::attribute::is_name(text)
}

fn is_token(text: &str) -> bool {
    // A name may not begin with all that a token may.
    !text.is_empty() && is_name(&format!("_{text}"))
}

#[cfg(test)]
mod tests;
