//! Variables and selectors of rules.

use std::sync::Arc;

use hop3_bodies::xml::xpath::XPath;
use hop3_seclang::ast::{self, Variable};
use hop3_seclang::diagnostic::Diagnostic;
use hop3_seclang::source::{Located, Span};

use super::Compiler;
use crate::regex::Flags;
use crate::rule::{Selector, Target, XPathSelector};

/// The namespaces that `xmlns` gives to prefixes.
pub(super) type Namespaces = [(String, String)];

/// What the prefix `xml` always means.
const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

impl Compiler<'_> {
    /// The targets of a link; exclusions are attached to the targets they narrow.
    pub(super) fn targets(
        &mut self,
        targets: &[Located<ast::Target>],
        namespaces: &Namespaces,
    ) -> Box<[Target]> {
        let mut compiled: Vec<Target> = Vec::new();
        for target in targets.iter().filter(|target| !target.exclude) {
            let selector = match &target.selector {
                Some(ast::Selector::XPath(path)) if target.variable == Variable::ResponseXml => {
                    self.response_path(path, target.span)
                }
                Some(ast::Selector::XPath(path)) => self.xpath(path, target.span, namespaces),
                selector => self.selector(target.variable, selector.as_ref()),
            };
            compiled.push(Target {
                variable: target.variable,
                selector,
                count: target.count,
                exclusions: Vec::new(),
            });
        }
        for exclusion in targets.iter().filter(|target| target.exclude) {
            let selector = self.selector(exclusion.variable, exclusion.selector.as_ref());
            let narrowed = compiled.iter_mut().filter(|target| target.variable == exclusion.variable);
            narrowed.for_each(|target| target.exclusions.push(selector.clone()));
        }
        // Nothing is left of a target that is excluded as a whole.
        compiled.retain(|target| {
            !target.exclusions.iter().any(|exclusion| same_or_all(exclusion, &target.selector))
                || target.count
        });
        compiled.into()
    }

    /// A selector of a variable, XPath expressions only by their text. On an error nothing is selected: the document is refused anyway.
    pub(super) fn selector(&mut self, variable: Variable, selector: Option<&ast::Selector>) -> Selector {
        match selector {
            None => Selector::All,
            Some(ast::Selector::Key(key)) if variable == Variable::Tx => {
                Selector::Slot(self.names.intern(key.as_bytes()))
            }
            Some(ast::Selector::Key(key)) => Selector::Name(key.as_bytes().into()),
            Some(ast::Selector::Regex { pattern, span }) => {
                let flags = Flags { fold: true, ..Flags::default() };
                match self.parts.pattern(pattern.as_bytes(), flags) {
                    Ok(pattern) => Selector::Pattern(pattern),
                    Err(error) => {
                        self.errors.push(Diagnostic::error(*span, format!("the selector's {error}")));
                        Selector::All
                    }
                }
            }
            Some(ast::Selector::XPath(path)) => known_path(path).unwrap_or_else(|| {
                Selector::XPath(Arc::new(XPathSelector { text: path.as_str().into(), path: None }))
            }),
        }
    }

    /// An XPath expression that selects.
    fn xpath(&mut self, text: &str, span: Span, namespaces: &Namespaces) -> Selector {
        if let Some(selector) = known_path(text) {
            return selector;
        }
        let namespace = |prefix: &str| {
            let known = namespaces.iter().rev().find(|(known, _)| known == prefix);
            known.map(|(_, uri)| uri.clone()).or((prefix == "xml").then(|| XML_NAMESPACE.to_owned()))
        };
        match XPath::parse(text, &namespace) {
            Ok(path) => {
                self.settings.needs_xml_tree = true;
                Selector::XPath(Arc::new(XPathSelector { text: text.into(), path: Some(path) }))
            }
            Err(error) => {
                let at = self.place_in(span, text, error.offset);
                let message = format!("the XPath expression cannot be used: {error}");
                let hint = match error.reason.contains("has no namespace") {
                    true => "declare it in the rule: `xmlns:PREFIX=http://…`",
                    false => {
                        "use `XML:/*` for all text, `XML://@*` for all attributes, or a path such as `XML:/a/b[@c]`"
                    }
                };
                self.errors.push(Diagnostic::error(at, message).hint(hint));
                Selector::All
            }
        }
    }

    /// What may be selected of an XML response.
    fn response_path(&mut self, text: &str, span: Span) -> Selector {
        known_path(text).unwrap_or_else(|| {
            let message = format!("`RESPONSE_XML:{text}` cannot be selected");
            let hint = "use `RESPONSE_XML:/*` for all text, `RESPONSE_XML://@*` for all attributes";
            self.errors.push(Diagnostic::error(span, message).hint(hint));
            Selector::All
        })
    }

    /// The place of a byte of `text`, which stands in `span` as it is.
    fn place_in(&self, span: Span, text: &str, offset: usize) -> Span {
        let written = self.document.sources.text(span);
        let Some(start) = memchr::memmem::rfind(written, text.as_bytes()) else { return span };
        let Ok(start) = u32::try_from(start + offset) else { return span };
        let start = span.start.saturating_add(start).min(span.end);
        Span { start, end: start.saturating_add(1).min(span.end), ..span }
    }
}

/// Paths that need no tree.
fn known_path(text: &str) -> Option<Selector> {
    Some(match text.trim() {
        "/*" | "//*" | "/*/text()" | "//text()" => Selector::XmlText,
        "//@*" | "/@*" => Selector::XmlAttributes,
        _ => return None,
    })
}

/// Whether an exclusion takes away everything that a target selects.
fn same_or_all(exclusion: &Selector, selected: &Selector) -> bool {
    match (exclusion, selected) {
        (Selector::All, _)
        | (Selector::XmlText, Selector::XmlText)
        | (Selector::XmlAttributes, Selector::XmlAttributes) => true,
        (Selector::Slot(left), Selector::Slot(right)) => left == right,
        (Selector::XPath(left), Selector::XPath(right)) => left.text == right.text,
        _ => false,
    }
}
