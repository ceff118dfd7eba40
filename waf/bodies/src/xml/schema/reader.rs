//! Schema document → components.

use std::collections::HashMap;

use super::simple::{BUILTINS, Decimal, Facet, SimpleType, Variety, WhiteSpace};
use super::{
    Attribute, Complex, Content, Element, ElementId, Namespaces, Process, QName, Schema, SchemaError, Term,
    Type, TypeId, Wildcard, XSD, regex, shown,
};
use crate::Limits;
use crate::xml::content_model::{Model, Particle};
use crate::xml::parse_tree;
use crate::xml::tree::{NodeId, NodeKind, Tree};

/// Deepest nesting of groups and of types in types.
const DEPTH_LIMIT: usize = 128;
/// Most attributes of a schema document.
const ATTRIBUTES_LIMIT: usize = 200_000;

type Result<T> = std::result::Result<T, SchemaError>;

fn fail<T>(reason: impl Into<String>) -> Result<T> {
    Err(SchemaError(reason.into()))
}

/// What a complex type has of its own and of its base, before it is compiled.
#[derive(Clone, Default)]
struct Parts {
    particle: Option<Particle<Term>>,
    all: Option<Vec<(ElementId, bool)>>,
    simple: Option<TypeId>,
    is_mixed: bool,
    attributes: Vec<Attribute>,
    any_attribute: Option<Wildcard>,
}

struct Reader {
    tree: Tree,
    target: Box<str>,
    qualified_elements: bool,
    qualified_attributes: bool,
    /// Global components: kind and name.
    globals: HashMap<(&'static str, QName), NodeId>,
    schema: Schema,
    /// Types by their element in the schema document.
    known_types: HashMap<NodeId, TypeId>,
    known_elements: HashMap<NodeId, ElementId>,
    parts: HashMap<TypeId, Parts>,
    depth: usize,
}

pub(super) fn read(text: &[u8]) -> Result<Schema> {
    let limits = Limits { arguments: ATTRIBUTES_LIMIT, ..Limits::default() };
    let (xml, tree) = parse_tree(text, &limits);
    if let Some(error) = xml.error {
        return fail(format!("the file is not well formed: {}", error.reason));
    }
    let Some(root) = tree.root() else { return fail("the file is empty") };
    let mut reader = Reader {
        target: Box::default(),
        qualified_elements: false,
        qualified_attributes: false,
        globals: HashMap::new(),
        schema: Schema {
            types: Vec::new(),
            elements: Vec::new(),
            global_types: HashMap::new(),
            global_elements: HashMap::new(),
            global_attributes: HashMap::new(),
        },
        known_types: HashMap::new(),
        known_elements: HashMap::new(),
        parts: HashMap::new(),
        depth: 0,
        tree,
    };
    reader.builtins();
    reader.document(root)?;
    Ok(reader.schema)
}

impl Reader {
    fn builtins(&mut self) {
        self.schema.types.push(Type::Any);
        self.schema.global_types.insert((XSD.into(), "anyType".into()), 0);
        for (name, builtin, white_space) in BUILTINS {
            let simple = SimpleType {
                name: Some(format!("xs:{name}")),
                variety: Variety::Builtin(*builtin),
                white_space: *white_space,
                facets: Vec::new(),
            };
            self.schema.global_types.insert((XSD.into(), (*name).into()), self.schema.types.len());
            self.schema.types.push(Type::Simple(simple));
        }
    }

    fn document(&mut self, root: NodeId) -> Result<()> {
        if self.local(root) != Some("schema") {
            let name = self.tree.name(root).map_or("", |name| &name.qualified);
            return fail(format!("the document element is `{name}`, not a schema"));
        }
        self.target = self.attribute(root, "targetNamespace").unwrap_or_default().into();
        self.qualified_elements = self.attribute(root, "elementFormDefault").as_deref() == Some("qualified");
        self.qualified_attributes =
            self.attribute(root, "attributeFormDefault").as_deref() == Some("qualified");
        let mut globals = Vec::new();
        for node in self.children(root) {
            let kind = match self.local(node) {
                Some("annotation" | "notation") => continue,
                Some("element") => "element",
                Some("complexType" | "simpleType") => "type",
                Some("attribute") => "attribute",
                Some("group") => "group",
                Some("attributeGroup") => "attributeGroup",
                Some(other @ ("import" | "include" | "redefine")) => {
                    return fail(format!("`{other}` is not supported: a schema is one file"));
                }
                _ => return self.unexpected(node),
            };
            let name = (self.target.clone(), self.name_of(node)?);
            if self.globals.insert((kind, name.clone()), node).is_some() {
                return fail(format!("{kind} `{}` is declared twice", name.1));
            }
            globals.push((kind, name, node));
        }
        for (kind, name, node) in globals {
            match kind {
                "element" => {
                    let element = self.element(node, true)?;
                    self.schema.global_elements.insert(name, element);
                }
                "type" => {
                    let of = self.type_at(node)?;
                    self.schema.global_types.insert(name, of);
                }
                "attribute" => {
                    let attribute = self.attribute_declaration(node, true)?;
                    self.schema.global_attributes.insert(name, attribute);
                }
                _ => {}
            }
        }
        self.compile()
    }

    /// Models of all complex types, once every name is known.
    fn compile(&mut self) -> Result<()> {
        for (of, parts) in std::mem::take(&mut self.parts) {
            let content = match (parts.simple, parts.all, &parts.particle) {
                (Some(simple), ..) => Content::Simple(simple),
                (None, Some(all), _) => Content::All(all),
                (None, None, particle) => {
                    let nothing = Particle::Sequence(Vec::new());
                    let model = Model::new(particle.as_ref().unwrap_or(&nothing), Term::overlaps);
                    Content::Model(model.map_err(|error| {
                        SchemaError(format!(
                            "the content model of {} cannot be used: {error}",
                            self.type_name(of)
                        ))
                    })?)
                }
            };
            if let Type::Complex(complex) = &mut self.schema.types[of] {
                complex.content = content;
                complex.is_mixed = parts.is_mixed;
                complex.attributes = parts.attributes;
                complex.any_attribute = parts.any_attribute;
            }
        }
        Ok(())
    }

    fn type_name(&self, of: TypeId) -> String {
        let known = self.schema.global_types.iter().find(|(_, known)| **known == of);
        known.map_or_else(|| "a type without a name".to_owned(), |(name, _)| format!("`{}`", shown(name)))
    }

    // Nodes of the schema document.

    fn children(&self, node: NodeId) -> Vec<NodeId> {
        self.tree.children(node).filter(|child| self.tree.kind(*child) == NodeKind::Element).collect()
    }

    /// Children without annotations.
    fn parts_of(&self, node: NodeId) -> Vec<NodeId> {
        self.children(node).into_iter().filter(|child| self.local(*child) != Some("annotation")).collect()
    }

    /// The local name of an element in the namespace of schemas.
    fn local(&self, node: NodeId) -> Option<&str> {
        self.tree.name(node).filter(|name| &*name.namespace == XSD).map(|name| &*name.local)
    }

    fn attribute(&self, node: NodeId, name: &str) -> Option<String> {
        let is_meant = |node: &NodeId| {
            self.tree.name(*node).is_some_and(|known| known.namespace.is_empty() && &*known.local == name)
        };
        let found = self.tree.attributes(node).find(is_meant)?;
        Some(WhiteSpace::Collapse.apply(&String::from_utf8_lossy(self.tree.value(found))))
    }

    fn flag(&self, node: NodeId, name: &str) -> bool {
        matches!(self.attribute(node, name).as_deref(), Some("true" | "1"))
    }

    fn name_of(&self, node: NodeId) -> Result<Box<str>> {
        match self.attribute(node, "name") {
            Some(name) => Ok(name.into()),
            None => fail(format!("`{}` has no name", self.local(node).unwrap_or_default())),
        }
    }

    fn unexpected<T>(&self, node: NodeId) -> Result<T> {
        let name = self.tree.name(node).map_or("", |name| &name.qualified);
        fail(format!("`{name}` is not supported here"))
    }

    /// What a qualified name in an attribute means.
    fn qname(&self, node: NodeId, text: &str) -> Result<QName> {
        let (prefix, local) = text.split_once(':').unwrap_or(("", text));
        match self.tree.namespace(node, prefix) {
            Some(uri) => Ok((uri.into(), local.into())),
            None => fail(format!("the prefix of `{text}` is not declared")),
        }
    }

    fn global(&self, kind: &'static str, node: NodeId, text: &str) -> Result<NodeId> {
        let name = self.qname(node, text)?;
        match self.globals.get(&(kind, name)) {
            Some(found) => Ok(*found),
            None => fail(format!("there is no {kind} `{text}`")),
        }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_LIMIT {
            return fail("types and groups are nested too deep, or in a circle");
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    // Types.

    fn type_named(&mut self, node: NodeId, text: &str) -> Result<TypeId> {
        let name = self.qname(node, text)?;
        if let Some(known) = self.schema.global_types.get(&name).filter(|_| &*name.0 == XSD) {
            return Ok(*known);
        }
        match self.globals.get(&("type", name)) {
            Some(node) => self.type_at(*node),
            None => fail(format!("there is no type `{text}`")),
        }
    }

    /// The type that an element of the schema document defines.
    fn type_at(&mut self, node: NodeId) -> Result<TypeId> {
        if let Some(known) = self.known_types.get(&node) {
            return Ok(*known);
        }
        let of = self.schema.types.len();
        self.schema.types.push(Type::Pending);
        self.known_types.insert(node, of);
        let built = self.deeper(|reader| match reader.local(node) {
            Some("simpleType") => reader.simple_type(node).map(Type::Simple),
            _ => reader.complex_type(node, of).map(Type::Complex),
        })?;
        self.schema.types[of] = built;
        Ok(of)
    }

    /// A type that is needed whole, as the base of another.
    fn whole(&self, of: TypeId, of_what: &str) -> Result<()> {
        match self.schema.types[of] {
            Type::Pending => fail(format!("{of_what} is defined by itself")),
            _ => Ok(()),
        }
    }

    fn simple_type(&mut self, node: NodeId) -> Result<SimpleType> {
        let name = self.attribute(node, "name");
        let parts = self.parts_of(node);
        let [inner] = parts[..] else { return fail("a simpleType has one restriction, list or union") };
        let collapsed = |variety| SimpleType {
            name: None,
            variety,
            white_space: WhiteSpace::Collapse,
            facets: Vec::new(),
        };
        let mut simple = match self.local(inner) {
            Some("restriction") => {
                let (base, rest) = self.base_of(inner)?;
                self.restriction(base, &rest)?
            }
            Some("list") => {
                let item = match self.attribute(inner, "itemType") {
                    Some(item) => self.type_named(inner, &item)?,
                    None => self.only_type(inner)?,
                };
                collapsed(Variety::List(item))
            }
            Some("union") => {
                let mut members = Vec::new();
                for member in self.attribute(inner, "memberTypes").unwrap_or_default().split(' ') {
                    if !member.is_empty() {
                        members.push(self.type_named(inner, member)?);
                    }
                }
                for member in self.parts_of(inner) {
                    members.push(self.type_at(member)?);
                }
                SimpleType { white_space: WhiteSpace::Preserve, ..collapsed(Variety::Union(members)) }
            }
            _ => return self.unexpected(inner),
        };
        simple.name = name;
        Ok(simple)
    }

    fn only_type(&mut self, node: NodeId) -> Result<TypeId> {
        match self.parts_of(node)[..] {
            [only] if self.local(only) == Some("simpleType") => self.type_at(only),
            _ => fail("a type is missing"),
        }
    }

    /// The base of a restriction, by name or inside, and what else it has.
    fn base_of(&mut self, node: NodeId) -> Result<(TypeId, Vec<NodeId>)> {
        let mut rest = self.parts_of(node);
        let base = match self.attribute(node, "base") {
            Some(base) => self.type_named(node, &base)?,
            None if rest.first().is_some_and(|first| self.local(*first) == Some("simpleType")) => {
                self.type_at(rest.remove(0))?
            }
            None => return fail("a restriction has no base"),
        };
        self.whole(base, "a restriction")?;
        Ok((base, rest))
    }

    fn restriction(&self, base: TypeId, facets: &[NodeId]) -> Result<SimpleType> {
        let Type::Simple(known) = &self.schema.types[base] else {
            return fail("a simple type restricts one that is not simple");
        };
        let mut simple = SimpleType {
            name: None,
            variety: Variety::Of(base),
            white_space: known.white_space,
            facets: Vec::new(),
        };
        let (mut values, mut patterns) = (Vec::new(), Vec::new());
        for node in facets {
            let kind = self.local(*node).unwrap_or_default();
            let Some(value) = self.attribute(*node, "value") else { return self.unexpected(*node) };
            let count = || value.parse::<usize>().map_err(|_| SchemaError(format!("`{value}` is no number")));
            let bound = || {
                let is_number = matches!(
                    self.schema.primitive(base),
                    Some(super::simple::Builtin::Decimal | super::simple::Builtin::Integer(..))
                );
                match Decimal::parse(&value).filter(|_| is_number) {
                    Some(bound) => Ok(bound),
                    None => fail(format!("`{kind}` is supported for decimal numbers only")),
                }
            };
            simple.facets.push(match kind {
                "enumeration" => {
                    values.push(value);
                    continue;
                }
                "pattern" => {
                    let text = self.tree.attributes(*node).map(|attribute| self.tree.value(attribute));
                    let text = text.into_iter().next().unwrap_or_default();
                    patterns.push(regex::compile(&String::from_utf8_lossy(text)).map_err(SchemaError)?);
                    continue;
                }
                "whiteSpace" => {
                    simple.white_space = match value.as_str() {
                        "preserve" => WhiteSpace::Preserve,
                        "replace" => WhiteSpace::Replace,
                        _ => WhiteSpace::Collapse,
                    };
                    continue;
                }
                "length" => Facet::Length(count()?, count()?),
                "minLength" => Facet::Length(count()?, usize::MAX),
                "maxLength" => Facet::Length(0, count()?),
                "minInclusive" => Facet::Least(bound()?, true),
                "minExclusive" => Facet::Least(bound()?, false),
                "maxInclusive" => Facet::Most(bound()?, true),
                "maxExclusive" => Facet::Most(bound()?, false),
                "totalDigits" => Facet::TotalDigits(count()?),
                "fractionDigits" => Facet::FractionDigits(count()?),
                _ => return self.unexpected(*node),
            });
        }
        if !values.is_empty() {
            simple.facets.push(Facet::OneOf(values));
        }
        if !patterns.is_empty() {
            simple.facets.push(Facet::Patterns(patterns));
        }
        Ok(simple)
    }

    fn complex_type(&mut self, node: NodeId, of: TypeId) -> Result<Complex> {
        let mut complex = Complex {
            base: None,
            is_abstract: self.flag(node, "abstract"),
            is_mixed: false,
            content: Content::All(Vec::new()),
            attributes: Vec::new(),
            any_attribute: None,
        };
        let mut parts = Parts { is_mixed: self.flag(node, "mixed"), ..Parts::default() };
        let children = self.parts_of(node);
        match children[..] {
            [only] if matches!(self.local(only), Some("simpleContent" | "complexContent")) => {
                parts.is_mixed |= self.flag(only, "mixed");
                let is_simple = self.local(only) == Some("simpleContent");
                let [inner] = self.parts_of(only)[..] else { return self.unexpected(only) };
                let base = match self.attribute(inner, "base") {
                    Some(base) => self.type_named(inner, &base)?,
                    None => return fail("a derivation has no base"),
                };
                self.whole(base, "a type")?;
                complex.base = Some(base);
                let is_extension = match self.local(inner) {
                    Some("extension") => true,
                    Some("restriction") => false,
                    _ => return self.unexpected(inner),
                };
                self.derive(&mut parts, base, inner, is_simple, is_extension)?;
            }
            _ => self.content(&mut parts, &children)?,
        }
        self.parts.insert(of, parts);
        Ok(complex)
    }

    fn derive(
        &mut self,
        parts: &mut Parts,
        base: TypeId,
        node: NodeId,
        is_simple: bool,
        is_extension: bool,
    ) -> Result<()> {
        let known = self.parts.get(&base).cloned();
        let mut children = self.parts_of(node);
        if is_simple {
            let content = known.as_ref().map_or(Some(base), |known| known.simple);
            let Some(content) = content else {
                return fail("simpleContent of a type whose content is not simple");
            };
            let facets: Vec<NodeId> = children
                .iter()
                .copied()
                .filter(|child| {
                    !matches!(self.local(*child), Some("attribute" | "attributeGroup" | "anyAttribute"))
                })
                .collect();
            children.retain(|child| !facets.contains(child));
            parts.simple = Some(if facets.is_empty() {
                content
            } else {
                let simple = self.restriction(content, &facets)?;
                self.schema.types.push(Type::Simple(simple));
                self.schema.types.len() - 1
            });
        } else if known.is_none() && !matches!(self.schema.types[base], Type::Any) {
            return fail("complexContent of a simple type");
        }
        let is_any = matches!(self.schema.types[base], Type::Any);
        let known = known.unwrap_or_default();
        self.content(parts, &children)?;
        if is_extension && is_any {
            return fail("an extension of `anyType` is not supported");
        }
        if is_extension {
            if known.all.is_some() || (parts.all.is_some() && known.particle.is_some()) {
                return fail("an extension of `all` is not supported");
            }
            parts.is_mixed |= known.is_mixed;
            parts.particle = match (known.particle, parts.particle.take()) {
                (Some(before), Some(own)) => Some(Particle::Sequence(vec![before, own])),
                (before, own) => before.or(own),
            };
            parts.any_attribute = parts.any_attribute.take().or(known.any_attribute);
        }
        // Attributes of the base are there in either case, unless the type has its own of that name.
        for attribute in known.attributes {
            if !parts.attributes.iter().any(|own| own.name == attribute.name) {
                parts.attributes.push(attribute);
            }
        }
        let prohibited = self.prohibited(&children)?;
        parts.attributes.retain(|attribute| !prohibited.contains(&attribute.name));
        Ok(())
    }

    fn prohibited(&self, children: &[NodeId]) -> Result<Vec<QName>> {
        let mut names = Vec::new();
        for child in children {
            if self.attribute(*child, "use").as_deref() == Some("prohibited") {
                names.push(match self.attribute(*child, "ref") {
                    Some(name) => self.qname(*child, &name)?,
                    None => (Box::default(), self.name_of(*child)?),
                });
            }
        }
        Ok(names)
    }

    /// Particle and attributes of a complex type.
    fn content(&mut self, parts: &mut Parts, children: &[NodeId]) -> Result<()> {
        for child in children {
            match self.local(*child) {
                Some("sequence" | "choice" | "group" | "any") => {
                    let particle = self.deeper(|reader| reader.particle(*child))?;
                    parts.particle = Some(particle);
                }
                Some("all") => parts.all = Some(self.all(*child)?),
                Some("attribute" | "attributeGroup" | "anyAttribute") => {
                    self.attribute_part(parts, *child)?
                }
                _ => return self.unexpected(*child),
            }
        }
        Ok(())
    }

    fn attribute_part(&mut self, parts: &mut Parts, node: NodeId) -> Result<()> {
        match self.local(node) {
            Some("anyAttribute") => parts.any_attribute = Some(self.wildcard(node)?),
            Some("attributeGroup") => {
                let Some(name) = self.attribute(node, "ref") else { return self.unexpected(node) };
                let group = self.global("attributeGroup", node, &name)?;
                for member in self.parts_of(group) {
                    self.deeper(|reader| reader.attribute_part(parts, member))?;
                }
            }
            Some("attribute") => {
                if self.attribute(node, "use").as_deref() != Some("prohibited") {
                    let attribute = self.attribute_declaration(node, false)?;
                    parts.attributes.push(attribute);
                }
            }
            _ => return self.unexpected(node),
        }
        Ok(())
    }

    fn attribute_declaration(&mut self, node: NodeId, is_global: bool) -> Result<Attribute> {
        let is_required = self.attribute(node, "use").as_deref() == Some("required");
        let fixed = self.attribute(node, "fixed").map(Into::into);
        if let Some(name) = self.attribute(node, "ref") {
            let declared = match self.qname(node, &name)? {
                (uri, local) if &*uri == crate::xml::tree::XML_NAMESPACE => {
                    Attribute { name: (uri, local), of: self.string(), is_required: false, fixed: None }
                }
                _ => {
                    let global = self.global("attribute", node, &name)?;
                    self.deeper(|reader| reader.attribute_declaration(global, true))?
                }
            };
            return Ok(Attribute { is_required, fixed: fixed.or(declared.fixed), ..declared });
        }
        let local = self.name_of(node)?;
        let is_qualified = match self.attribute(node, "form").as_deref() {
            Some(form) => form == "qualified",
            None => self.qualified_attributes,
        };
        let namespace = if is_global || is_qualified { self.target.clone() } else { Box::default() };
        let of = match self.attribute(node, "type") {
            Some(name) => self.type_named(node, &name)?,
            None if self.parts_of(node).is_empty() => self.string(),
            None => self.only_type(node)?,
        };
        Ok(Attribute { name: (namespace, local), of, is_required, fixed })
    }

    /// `anySimpleType`.
    fn string(&self) -> TypeId {
        let name = (XSD.into(), "anySimpleType".into());
        self.schema.global_types.get(&name).copied().unwrap_or_default()
    }

    fn element(&mut self, node: NodeId, is_global: bool) -> Result<ElementId> {
        if let Some(known) = self.known_elements.get(&node) {
            return Ok(*known);
        }
        if self.attribute(node, "substitutionGroup").is_some() || self.flag(node, "abstract") {
            return fail("substitution groups and abstract elements are not supported");
        }
        let local = self.name_of(node)?;
        let is_qualified = match self.attribute(node, "form").as_deref() {
            Some(form) => form == "qualified",
            None => self.qualified_elements,
        };
        let namespace = if is_global || is_qualified { self.target.clone() } else { Box::default() };
        let element = self.schema.elements.len();
        self.schema.elements.push(Element {
            name: (namespace, local),
            of: 0,
            is_nillable: self.flag(node, "nillable"),
            fixed: self.attribute(node, "fixed").map(Into::into),
        });
        self.known_elements.insert(node, element);
        let of = match (self.attribute(node, "type"), &self.parts_of(node)[..]) {
            (Some(name), []) => self.type_named(node, &name)?,
            (None, []) => 0,
            (None, [inner]) if matches!(self.local(*inner), Some("simpleType" | "complexType")) => {
                self.type_at(*inner)?
            }
            (_, [.., last]) => return self.unexpected(*last),
        };
        self.schema.elements[element].of = of;
        Ok(element)
    }

    /// How often a particle may stand.
    fn occurs(&self, node: NodeId) -> Result<(u32, Option<u32>)> {
        let number = |text: String| text.parse().map_err(|_| SchemaError(format!("`{text}` is no number")));
        let least = self.attribute(node, "minOccurs").map_or(Ok(1), number)?;
        let most = match self.attribute(node, "maxOccurs") {
            Some(text) if text == "unbounded" => None,
            Some(text) => Some(number(text)?),
            None => Some(1),
        };
        match most {
            Some(most) if most < least => fail("minOccurs is more than maxOccurs"),
            _ => Ok((least, most)),
        }
    }

    fn particle(&mut self, node: NodeId) -> Result<Particle<Term>> {
        let inner = match self.local(node) {
            Some("element") => {
                let element = self.element_term(node)?;
                Particle::Symbol(Term::Element(element, self.schema.elements[element].name.clone()))
            }
            Some("any") => Particle::Symbol(Term::Any(self.wildcard(node)?)),
            Some("group") => {
                let Some(name) = self.attribute(node, "ref") else { return self.unexpected(node) };
                let group = self.global("group", node, &name)?;
                let [inner] = self.parts_of(group)[..] else {
                    return fail(format!("the group `{name}` is not one particle"));
                };
                self.deeper(|reader| reader.particle(inner))?
            }
            Some(kind @ ("sequence" | "choice")) => {
                let is_choice = kind == "choice";
                let mut parts = Vec::new();
                for child in self.parts_of(node) {
                    parts.push(self.deeper(|reader| reader.particle(child))?);
                }
                if is_choice { Particle::Choice(parts) } else { Particle::Sequence(parts) }
            }
            _ => return self.unexpected(node),
        };
        Ok(match self.occurs(node)? {
            (1, Some(1)) => inner,
            (least, most) => Particle::Repeat(Box::new(inner), least, most),
        })
    }

    fn element_term(&mut self, node: NodeId) -> Result<ElementId> {
        if let Some(inner) = self
            .parts_of(node)
            .into_iter()
            .find(|inner| matches!(self.local(*inner), Some("key" | "keyref" | "unique")))
        {
            return self.unexpected(inner);
        }
        match self.attribute(node, "ref") {
            Some(name) => {
                let global = self.global("element", node, &name)?;
                self.deeper(|reader| reader.element(global, true))
            }
            None => self.deeper(|reader| reader.element(node, false)),
        }
    }

    fn all(&mut self, node: NodeId) -> Result<Vec<(ElementId, bool)>> {
        let mut members = Vec::new();
        for child in self.parts_of(node) {
            if self.local(child) != Some("element") {
                return self.unexpected(child);
            }
            let is_required = match self.occurs(child)? {
                (0, Some(1)) => false,
                (1, Some(1)) => true,
                _ => return fail("a member of `all` stands at most once"),
            };
            members.push((self.element_term(child)?, is_required && self.occurs(node)?.0 > 0));
        }
        Ok(members)
    }

    fn wildcard(&self, node: NodeId) -> Result<Wildcard> {
        let process = match self.attribute(node, "processContents").as_deref() {
            None | Some("strict") => Process::Strict,
            Some("lax") => Process::Lax,
            Some("skip") => Process::Skip,
            Some(other) => return fail(format!("processContents `{other}` is unknown")),
        };
        let namespaces = match self.attribute(node, "namespace").as_deref() {
            None | Some("##any") => Namespaces::Any,
            Some("##other") => Namespaces::Other(self.target.clone()),
            Some(list) => Namespaces::OneOf(
                list.split(' ')
                    .map(|one| match one {
                        "##targetNamespace" => self.target.clone(),
                        "##local" => Box::default(),
                        uri => uri.into(),
                    })
                    .collect(),
            ),
        };
        Ok(Wildcard { namespaces, process })
    }
}
