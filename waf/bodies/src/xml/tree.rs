//! The tree of a document: elements, attributes and texts, numbered in document
//! order, with their names resolved in their namespaces.
//!
//! Owns the tree; `tree_builder` builds it, `xpath` selects from it, `dtd` and
//! `schema` judge it. Comments and processing instructions are no nodes.

/// The namespace that the prefix `xml` always has.
pub(super) const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// Number of a node in document order; 0 is the document itself.
pub type NodeId = u32;

/// The tree of one document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub(super) text: Vec<u8>,
    pub(super) values: Vec<u8>,
    pub(super) nodes: Vec<Node>,
    pub(super) names: Vec<Name>,
    /// `xmlns…` of the elements, by element.
    pub(super) declarations: Vec<Declaration>,
    /// The name in the document type declaration.
    pub(super) doctype_name: Option<Box<str>>,
    pub(super) is_whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) name: u32,
    pub(super) parent: NodeId,
    /// The first node that is not below this one.
    pub(super) end: NodeId,
    /// Where its text lies: in `values` for attributes, in `text` for all others.
    pub(super) from: u32,
    pub(super) to: u32,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// The document.
    Document,
    /// An element.
    Element,
    /// An attribute that is no namespace declaration.
    Attribute,
    /// Text and CDATA between two tags, comments or instructions.
    Text,
}

/// The name of an element or attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name {
    /// The namespace's URI; empty for none.
    pub namespace: Box<str>,
    /// The part after the prefix.
    pub local: Box<str>,
    /// As written.
    pub qualified: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declaration {
    pub(super) element: NodeId,
    pub(super) prefix: Box<str>,
    pub(super) namespace: Box<str>,
}

impl Tree {
    /// Whether the whole document is there: it was well formed as far as its
    /// structure goes, and within the limits.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Number of nodes, the document included; 0 without a document.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no document.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What a node is; [`NodeKind::Document`] for numbers of no node.
    #[must_use]
    pub fn kind(&self, node: NodeId) -> NodeKind {
        self.node(node).kind
    }

    /// The name of an element or attribute.
    #[must_use]
    pub fn name(&self, node: NodeId) -> Option<&Name> {
        let node = self.node(node);
        match node.kind {
            NodeKind::Element | NodeKind::Attribute => self.names.get(node.name as usize),
            NodeKind::Document | NodeKind::Text => None,
        }
    }

    /// The value of an attribute; of all others the text below them.
    #[must_use]
    pub fn value(&self, node: NodeId) -> &[u8] {
        let node = self.node(node);
        let buffer = if node.kind == NodeKind::Attribute { &self.values } else { &self.text };
        buffer.get(node.from as usize..node.to as usize).unwrap_or_default()
    }

    /// The node it is in; the document is in itself.
    #[must_use]
    pub fn parent(&self, node: NodeId) -> NodeId {
        self.node(node).parent
    }

    /// The outermost element.
    #[must_use]
    pub fn root(&self) -> Option<NodeId> {
        self.children(0).find(|child| self.kind(*child) == NodeKind::Element)
    }

    /// Elements and texts directly below a node.
    pub fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let parent = self.node(node);
        let mut next = node.saturating_add(1);
        while next < parent.end && self.kind(next) == NodeKind::Attribute {
            next += 1;
        }
        std::iter::from_fn(move || {
            if parent.kind == NodeKind::Attribute || next >= parent.end {
                return None;
            }
            let child = next;
            next = self.node(child).end.max(child + 1);
            Some(child)
        })
    }

    /// The attributes of an element.
    pub fn attributes(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let end = if self.kind(node) == NodeKind::Element { self.node(node).end } else { 0 };
        (node.saturating_add(1)..end).take_while(|node| self.kind(*node) == NodeKind::Attribute)
    }

    /// The first number that is not below a node.
    pub(super) fn end(&self, node: NodeId) -> NodeId {
        self.node(node).end
    }

    /// The namespace that a prefix has at an element; the empty prefix is the default one.
    #[allow(dead_code)]
    pub(super) fn namespace(&self, mut element: NodeId, prefix: &str) -> Option<&str> {
        if prefix == "xml" {
            return Some(XML_NAMESPACE);
        }
        loop {
            let first = self.declarations.partition_point(|known| known.element < element);
            let own = self.declarations[first..].iter().take_while(|known| known.element == element);
            if let Some(found) = own.into_iter().find(|known| &*known.prefix == prefix) {
                return Some(&found.namespace);
            }
            if element == 0 {
                return if prefix.is_empty() { Some("") } else { None };
            }
            element = self.parent(element);
        }
    }

    /// The namespace declarations of an element: attribute names and values.
    pub(super) fn declared_namespaces(&self, element: NodeId) -> impl Iterator<Item = (String, &str)> {
        let first = self.declarations.partition_point(|known| known.element < element);
        let own = self.declarations[first..].iter().take_while(move |known| known.element == element);
        own.map(|known| match &*known.prefix {
            "" => ("xmlns".to_owned(), &*known.namespace),
            prefix => (format!("xmlns:{prefix}"), &*known.namespace),
        })
    }

    fn node(&self, node: NodeId) -> Node {
        const NOTHING: Node = Node { kind: NodeKind::Document, name: 0, parent: 0, end: 0, from: 0, to: 0 };
        self.nodes.get(node as usize).copied().unwrap_or(NOTHING)
    }
}
