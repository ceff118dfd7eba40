//! Builds a tree while the markup is read.

use std::borrow::Cow;
use std::collections::HashMap;

use super::tree::{Declaration, Name, Node, NodeId, NodeKind, Tree, XML_NAMESPACE};

/// Most nodes of a tree; a document with more has none that is whole.
const NODES_LIMIT: usize = 1 << 22;

/// What a start tag says besides its name.
#[derive(Debug, Default)]
pub(super) struct Tag<'a> {
    /// Names and values of its attributes.
    pub(super) attributes: Vec<(&'a str, Cow<'a, [u8]>)>,
    /// Prefixes (empty for the default) and namespaces.
    pub(super) namespaces: Vec<(&'a str, Cow<'a, [u8]>)>,
}

/// A tree that is not finished.
#[derive(Debug)]
pub(super) struct TreeBuilder<'a> {
    tree: Tree,
    open: Vec<NodeId>,
    /// For each prefix its namespaces, the innermost last.
    scopes: HashMap<&'a str, Vec<Box<str>>>,
    /// Prefixes that each open element declares.
    declared: Vec<Vec<&'a str>>,
    known_names: HashMap<(&'a str, Box<str>), u32>,
    overflow: bool,
}

impl<'a> TreeBuilder<'a> {
    pub(super) fn new() -> Self {
        let document = Node { kind: NodeKind::Document, name: 0, parent: 0, end: 1, from: 0, to: 0 };
        Self {
            tree: Tree { nodes: vec![document], ..Tree::default() },
            open: vec![0],
            scopes: HashMap::new(),
            declared: Vec::new(),
            known_names: HashMap::new(),
            overflow: false,
        }
    }

    /// An element begins where `at` bytes of text have been read.
    pub(super) fn open(&mut self, name: &'a str, tag: &mut Tag<'a>, at: usize) {
        let element = self.tree.nodes.len() as NodeId;
        let mut declared = Vec::new();
        for (prefix, uri) in tag.namespaces.drain(..) {
            let uri: Box<str> = String::from_utf8_lossy(&uri).into();
            self.scopes.entry(prefix).or_default().push(uri.clone());
            self.tree.declarations.push(Declaration { element, prefix: prefix.into(), namespace: uri });
            declared.push(prefix);
        }
        self.declared.push(declared);
        let name = self.name(name, true);
        self.push(NodeKind::Element, name, at, at);
        self.open.push(element);
        for (name, value) in tag.attributes.drain(..) {
            let name = self.name(name, false);
            let from = self.tree.values.len();
            self.tree.values.extend_from_slice(&value);
            self.push(NodeKind::Attribute, name, from, self.tree.values.len());
        }
    }

    /// The innermost element ends.
    pub(super) fn close(&mut self, at: usize) {
        if self.open.len() < 2 {
            return;
        }
        for prefix in self.declared.pop().unwrap_or_default() {
            if let Some(scope) = self.scopes.get_mut(prefix) {
                scope.pop();
            }
        }
        let end = self.tree.nodes.len() as NodeId;
        if let Some(node) = self.open.pop().and_then(|open| self.tree.nodes.get_mut(open as usize)) {
            (node.end, node.to) = (end, at as u32);
        }
    }

    /// A piece of text; it joins the piece right before it.
    pub(super) fn text(&mut self, from: usize, to: usize, joins: bool) {
        if from == to || self.open.len() < 2 {
            return;
        }
        let parent = self.open.last().copied().unwrap_or_default();
        match self.tree.nodes.last_mut() {
            Some(last) if joins && last.kind == NodeKind::Text && last.parent == parent => {
                last.to = to as u32;
            }
            _ => self.push(NodeKind::Text, 0, from, to),
        }
    }

    pub(super) fn doctype(&mut self, name: &str) {
        self.tree.doctype_name = Some(name.into());
    }

    /// The tree over all the text that was read; whole if the document was.
    pub(super) fn finish(mut self, text: &[u8], is_whole: bool) -> Tree {
        while self.open.len() > 1 {
            self.close(text.len());
        }
        let end = self.tree.nodes.len() as NodeId;
        if let Some(document) = self.tree.nodes.first_mut() {
            (document.end, document.to) = (end, text.len() as u32);
        }
        self.tree.text = text.to_vec();
        self.tree.is_whole =
            is_whole && !self.overflow && u32::try_from(text.len().max(self.tree.values.len())).is_ok();
        self.tree
    }

    fn push(&mut self, kind: NodeKind, name: u32, from: usize, to: usize) {
        if self.tree.nodes.len() >= NODES_LIMIT {
            self.overflow = true;
            return;
        }
        let parent = self.open.last().copied().unwrap_or_default();
        let end = self.tree.nodes.len() as NodeId + 1;
        self.tree.nodes.push(Node { kind, name, parent, end, from: from as u32, to: to as u32 });
    }

    /// The number of a name; a prefix that nothing declares is part of the local name.
    fn name(&mut self, qualified: &'a str, is_element: bool) -> u32 {
        let (prefix, local) = qualified.split_once(':').unwrap_or(("", qualified));
        let scope = match prefix {
            "xml" => Some(XML_NAMESPACE),
            "" if !is_element => Some(""),
            prefix => self.scopes.get(prefix).and_then(|scope| scope.last()).map(|uri| &**uri),
        };
        let (namespace, local) = match scope {
            Some(uri) => (uri, local),
            None if prefix.is_empty() => ("", local),
            None => ("", qualified),
        };
        if let Some(known) = self.known_names.get(&(qualified, namespace.into())) {
            return *known;
        }
        let number = self.tree.names.len() as u32;
        let namespace: Box<str> = namespace.into();
        self.tree.names.push(Name {
            namespace: namespace.clone(),
            local: local.into(),
            qualified: qualified.into(),
        });
        self.known_names.insert((qualified, namespace), number);
        number
    }
}
