//! Document against schema.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::simple::Variety;
use super::{Attribute, Complex, Content, ElementId, Process, QName, Schema, Term, Type, TypeId, XSI, shown};
use crate::xml::content_model::{Model, State};
use crate::xml::tree::{Name, NodeId, NodeKind, Tree};

/// Most steps of content models, attributes and values in one document.
const STEPS: u64 = 10_000_000;
/// Bytes of a value that count as a step.
const BYTES_PER_STEP: usize = 16;

type Verdict<T> = Result<T, String>;

impl Schema {
    /// Whether a document is valid.
    ///
    /// # Errors
    /// The first thing in it that is not, in words.
    pub fn validate(&self, tree: &Tree) -> Result<(), String> {
        let Some(root) = tree.root() else { return Err("the document has no element".to_owned()) };
        let mut check = Check { schema: self, tree, steps: STEPS, open: Vec::new() };
        let name = check.name(root);
        let Some(element) = self.global_elements.get(&key(name)) else {
            let shown = described(name);
            return Err(format!(
                "Element '{shown}': No matching global declaration available for the validation root"
            ));
        };
        check.open.push((root, Judged::By(*element)));
        // Elements wait in a list, so that depth is no matter.
        while let Some((node, judged)) = check.open.pop() {
            check.element(node, judged)?;
        }
        Ok(())
    }
}

/// How an element is judged.
#[derive(Clone, Copy)]
enum Judged {
    /// By its declaration.
    By(ElementId),
    /// By a declaration if there is one, or by the type that it names.
    Lax,
}

struct Check<'t> {
    schema: &'t Schema,
    tree: &'t Tree,
    steps: u64,
    open: Vec<(NodeId, Judged)>,
}

impl<'t> Check<'t> {
    fn spend(&mut self, steps: u64) -> Verdict<()> {
        self.steps = self.steps.checked_sub(steps).ok_or("the document is too large to validate")?;
        Ok(())
    }

    fn name(&self, node: NodeId) -> &'t Name {
        static NONE: LazyLock<Name> = LazyLock::new(Name::default);
        self.tree.name(node).unwrap_or(&NONE)
    }

    fn element(&mut self, node: NodeId, judged: Judged) -> Verdict<()> {
        self.spend(1)?;
        let shown_name = described(self.name(node));
        let wrong = |reason: String| Err(format!("Element '{shown_name}': {reason}"));
        let declared = match judged {
            Judged::By(element) => Some(element),
            Judged::Lax => self.schema.global_elements.get(&key(self.name(node))).copied(),
        };
        let declared = declared.map(|element| &self.schema.elements[element]);
        let of = match (self.named_type(node)?, declared) {
            (Some(named), Some(declared)) if !self.derives(named, declared.of) => {
                return wrong("The type definition is not validly derived from the declared one.".to_owned());
            }
            (Some(named), _) => named,
            (None, Some(declared)) => declared.of,
            (None, None) => 0,
        };
        let is_nil = matches!(self.special(node, "nil").as_deref(), Some("true" | "1"));
        if is_nil {
            if declared.is_some_and(|declared| !declared.is_nillable) {
                return wrong("The element is not 'nillable'.".to_owned());
            }
            if self.tree.children(node).next().is_some() {
                return wrong(
                    "Character content is not allowed, because the content type is empty.".to_owned(),
                );
            }
        }
        match &self.schema.types[of] {
            Type::Pending => wrong("The type is not known.".to_owned()),
            Type::Any => self.any(node),
            Type::Simple(_) => {
                self.attributes(node, &[], None)?;
                if is_nil {
                    Ok(())
                } else {
                    self.text(node, of, declared.and_then(|one| one.fixed.as_deref()))
                }
            }
            Type::Complex(complex) => {
                if complex.is_abstract {
                    return wrong("The type definition is abstract.".to_owned());
                }
                self.attributes(node, &complex.attributes, Some(complex))?;
                if is_nil {
                    return Ok(());
                }
                let fixed = declared.and_then(|declared| declared.fixed.as_deref());
                match &complex.content {
                    Content::Simple(of) => self.text(node, *of, fixed),
                    Content::Model(model) => self.model(node, model, complex.is_mixed),
                    Content::All(members) => self.all(node, members, complex.is_mixed),
                }
            }
        }
    }

    /// What no type restricts: all that is declared in it is judged.
    fn any(&mut self, node: NodeId) -> Verdict<()> {
        for attribute in self.tree.attributes(node) {
            self.lax_attribute(node, attribute)?;
        }
        let children = self.tree.children(node).filter(|child| self.tree.kind(*child) == NodeKind::Element);
        let children: Vec<_> = children.map(|child| (child, Judged::Lax)).collect();
        self.open.extend(children.into_iter().rev());
        Ok(())
    }

    /// `xsi:nil` and the like.
    fn special(&self, node: NodeId, local: &str) -> Option<Cow<'t, str>> {
        let is_meant = |name: &Name| &*name.namespace == XSI && &*name.local == local;
        let found =
            self.tree.attributes(node).find(|attribute| self.tree.name(*attribute).is_some_and(is_meant))?;
        Some(String::from_utf8_lossy(self.tree.value(found).trim_ascii()))
    }

    /// The type of `xsi:type`.
    fn named_type(&mut self, node: NodeId) -> Verdict<Option<TypeId>> {
        let Some(text) = self.special(node, "type") else { return Ok(None) };
        // Looking for the prefix walks up to the root.
        self.spend(32)?;
        let (prefix, local) = text.split_once(':').unwrap_or(("", &text));
        let name: Option<QName> =
            self.tree.namespace(node, prefix).map(|namespace| (namespace.into(), local.into()));
        match name.and_then(|name| self.schema.global_types.get(&name)) {
            Some(of) => Ok(Some(*of)),
            None => Err(format!(
                "Element '{}', attribute '{{{XSI}}}type': The QName value '{text}' does not resolve to a type definition.",
                described(self.name(node))
            )),
        }
    }

    fn derives(&self, mut of: TypeId, from: TypeId) -> bool {
        loop {
            if of == from || matches!(self.schema.types[from], Type::Any) {
                return true;
            }
            of = match &self.schema.types[of] {
                Type::Complex(Complex { base: Some(base), .. }) => *base,
                Type::Simple(simple) => match &simple.variety {
                    Variety::Of(base) => *base,
                    Variety::Builtin(builtin) => return self.schema.is_derived(*builtin, from),
                    Variety::List(_) | Variety::Union(_) => return false,
                },
                _ => return false,
            };
        }
    }

    /// An element that has only text.
    fn text(&mut self, node: NodeId, of: TypeId, fixed: Option<&str>) -> Verdict<()> {
        let name = described(self.name(node));
        if let Some(child) =
            self.tree.children(node).find(|child| self.tree.kind(*child) == NodeKind::Element)
        {
            let child = described(self.name(child));
            return Err(format!("Element '{child}': This element is not expected."));
        }
        let text = String::from_utf8_lossy(self.tree.value(node));
        self.spend((text.len() / BYTES_PER_STEP) as u64)?;
        if !self.schema.is_value(of, &text) || fixed.is_some_and(|fixed| fixed != text) {
            let what = self.schema.described(of);
            return Err(format!("Element '{name}': '{}' is not a valid value of {what}.", limited(&text)));
        }
        Ok(())
    }

    fn model(&mut self, node: NodeId, model: &'t Model<Term>, is_mixed: bool) -> Verdict<()> {
        let mut state = State::default();
        let mut children = Vec::new();
        for child in self.tree.children(node) {
            if self.tree.kind(child) == NodeKind::Text {
                self.blank(node, child, is_mixed)?;
                continue;
            }
            self.spend(1 + model.cost(&state))?;
            let name = self.name(child);
            let Some((next, term)) = model.step(&state, |term| term.is(&name.namespace, &name.local)) else {
                return Err(unexpected(name, &model.expected(&state)));
            };
            match term {
                Term::Element(element, _) => children.push((child, Judged::By(*element))),
                Term::Any(wildcard) => {
                    match (wildcard.process, self.schema.global_elements.get(&key(name))) {
                        (Process::Skip, _) => {}
                        (_, Some(element)) => children.push((child, Judged::By(*element))),
                        (Process::Lax, None) => children.push((child, Judged::Lax)),
                        (Process::Strict, None) => {
                            let shown = described(name);
                            return Err(format!(
                                "Element '{shown}': No matching global element declaration available, but demanded by the strict wildcard."
                            ));
                        }
                    }
                }
            }
            state = next;
        }
        if !model.accepts(&state) {
            let name = described(self.name(node));
            return Err(format!(
                "Element '{name}': Missing child element(s).{}",
                expected(&model.expected(&state))
            ));
        }
        self.open.extend(children.into_iter().rev());
        Ok(())
    }

    fn all(&mut self, node: NodeId, members: &[(ElementId, bool)], is_mixed: bool) -> Verdict<()> {
        let mut seen = vec![false; members.len()];
        let mut children = Vec::new();
        for child in self.tree.children(node) {
            if self.tree.kind(child) == NodeKind::Text {
                self.blank(node, child, is_mixed)?;
                continue;
            }
            self.spend(1 + members.len() as u64)?;
            let name = self.name(child);
            let is_meant =
                |(element, _): &(ElementId, bool)| self.schema.elements[*element].name == key(name);
            let Some(index) = members.iter().position(is_meant).filter(|index| !seen[*index]) else {
                return Err(unexpected(name, &[]));
            };
            seen[index] = true;
            children.push((child, Judged::By(members[index].0)));
        }
        let missing = members.iter().zip(&seen).find(|((_, is_required), seen)| *is_required && !**seen);
        if let Some(((element, _), _)) = missing {
            let (name, missing) = (described(self.name(node)), shown(&self.schema.elements[*element].name));
            return Err(format!("Element '{name}': Missing child element(s). Expected is ( {missing} )."));
        }
        self.open.extend(children.into_iter().rev());
        Ok(())
    }

    fn blank(&self, node: NodeId, text: NodeId, is_mixed: bool) -> Verdict<()> {
        if is_mixed || self.tree.value(text).iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let name = described(self.name(node));
        Err(format!(
            "Element '{name}': Character content other than whitespace is not allowed because the content type is 'element-only'."
        ))
    }

    fn attributes(
        &mut self,
        node: NodeId,
        declared: &'t [Attribute],
        complex: Option<&'t Complex>,
    ) -> Verdict<()> {
        let element = described(self.name(node));
        let mut seen = vec![false; declared.len()];
        for attribute in self.tree.attributes(node) {
            let name = self.name(attribute);
            if &*name.namespace == XSI {
                continue;
            }
            self.spend(1 + declared.len() as u64)?;
            if let Some(index) = declared.iter().position(|known| is_named(&known.name, name)) {
                seen[index] = true;
                self.attribute(&element, &declared[index], attribute)?;
                continue;
            }
            let wildcard = complex.and_then(|complex| complex.any_attribute.as_ref());
            match wildcard
                .filter(|wildcard| wildcard.admits(&name.namespace))
                .map(|wildcard| wildcard.process)
            {
                Some(Process::Skip) => {}
                Some(Process::Lax) => self.lax_attribute(node, attribute)?,
                Some(Process::Strict) if self.schema.global_attributes.contains_key(&key(name)) => {
                    self.lax_attribute(node, attribute)?;
                }
                _ => {
                    let name = described(name);
                    return Err(format!(
                        "Element '{element}', attribute '{name}': The attribute '{name}' is not allowed."
                    ));
                }
            }
        }
        let missing = declared.iter().zip(&seen).find(|(known, seen)| known.is_required && !**seen);
        match missing {
            Some((known, _)) => Err(format!(
                "Element '{element}': The attribute '{}' is required but missing.",
                shown(&known.name)
            )),
            None => Ok(()),
        }
    }

    /// An attribute that is judged if there is a declaration for it.
    fn lax_attribute(&mut self, node: NodeId, attribute: NodeId) -> Verdict<()> {
        self.spend(1)?;
        match self.schema.global_attributes.get(&key(self.name(attribute))) {
            Some(declared) => self.attribute(&described(self.name(node)), declared, attribute),
            None => Ok(()),
        }
    }

    fn attribute(&mut self, element: &str, declared: &Attribute, node: NodeId) -> Verdict<()> {
        let text = String::from_utf8_lossy(self.tree.value(node));
        self.spend((text.len() / BYTES_PER_STEP) as u64)?;
        let fits_fixed = declared.fixed.as_ref().is_none_or(|fixed| **fixed == *text);
        if self.schema.is_value(declared.of, &text) && fits_fixed {
            return Ok(());
        }
        Err(format!(
            "Element '{element}', attribute '{}': '{}' is not a valid value of {}.",
            described(self.name(node)),
            limited(&text),
            self.schema.described(declared.of)
        ))
    }
}

fn key(name: &Name) -> QName {
    (name.namespace.clone(), name.local.clone())
}

fn is_named(known: &QName, name: &Name) -> bool {
    known.0 == name.namespace && known.1 == name.local
}

fn described(name: &Name) -> String {
    match &*name.namespace {
        "" => name.local.to_string(),
        namespace => format!("{{{namespace}}}{}", name.local),
    }
}

fn unexpected(name: &Name, terms: &[&Term]) -> String {
    format!("Element '{}': This element is not expected.{}", described(name), expected(terms))
}

fn expected(terms: &[&Term]) -> String {
    let names: Vec<String> = terms
        .iter()
        .map(|term| match term {
            Term::Element(_, name) => shown(name),
            Term::Any(_) => "*".to_owned(),
        })
        .collect();
    match names.len() {
        0 => String::new(),
        1 => format!(" Expected is ( {} ).", names[0]),
        _ => format!(" Expected is one of ( {} ).", names.join(", ")),
    }
}

/// A value as it may stand in a message.
fn limited(text: &str) -> &str {
    &text[..text.floor_char_boundary(100)]
}
