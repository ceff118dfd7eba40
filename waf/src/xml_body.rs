//! The tree of an XML body: what XPath expressions select from it, and whether it is valid.

use hop3_bodies::xml::Tree;
use hop3_bodies::xml::dtd::Dtd;
use hop3_bodies::xml::schema::Schema;
use hop3_seclang::ast::Variable;

use crate::rule::XPathSelector;
use crate::state::State;
use crate::trace::Event;
use crate::variables::found::Found;

/// Most bytes that an expression may select: a multiple of the document's and some more.
const SELECTED_MULTIPLE: usize = 4;
const SELECTED_LEAST: usize = 1 << 16;

const NOT_WELL_FORMED: &str = "content is not well formed";

/// An XML body that was parsed.
#[derive(Debug)]
pub(crate) struct XmlBody {
    pub(crate) tree: Tree,
    /// What is wrong with it.
    pub(crate) error: Option<String>,
}

/// A definition that bodies are held against.
#[derive(Debug)]
pub(crate) struct Validation {
    /// The file, as the rule names it.
    pub(crate) name: String,
    pub(crate) definition: Definition,
}

#[derive(Debug)]
pub(crate) enum Definition {
    Dtd(Dtd),
    Schema(Schema),
}

impl State {
    /// Appends the body as one value, if there is one.
    pub(crate) fn select_xml_document(&mut self, variable: Variable, out: &mut Vec<Found>) {
        if self.xml.is_some() {
            let value = self.texts.add_passing(b"[XML document tree]");
            out.push(Found { variable, name: None, count: false, value });
        }
    }

    /// Whether the body is valid; what is not well formed is not.
    pub(crate) fn validate(&self, validation: &Validation) -> Result<(), String> {
        let Some(body) = &self.xml else { return Ok(()) };
        let result = match &validation.definition {
            _ if !body.tree.is_whole() => Err(NOT_WELL_FORMED.to_owned()),
            Definition::Dtd(dtd) => dtd.validate(&body.tree),
            Definition::Schema(schema) => schema.validate(&body.tree),
        };
        let result = match (&result, &body.error) {
            (Ok(()), Some(_)) => Err(NOT_WELL_FORMED.to_owned()),
            _ => result,
        };
        self.trace(|_| Event::Validated {
            file: &validation.name,
            by_schema: matches!(validation.definition, Definition::Schema(_)),
            error: result.as_ref().err().map(String::as_str),
        });
        result
    }

    /// Appends what an expression selects from the body. When the body is not
    /// well formed, or the expression takes too long on it, that is all text
    /// and all attributes: what is not known to be unwanted is looked at.
    pub(crate) fn select_xpath(&mut self, variable: Variable, path: &XPathSelector, out: &mut Vec<Found>) {
        let Some(body) = self.xml.take() else { return };
        let name = self.texts.add_passing(path.text.as_bytes());
        let found = |value| Found { variable, name: Some(name), count: false, value };
        let nodes = match &path.path {
            Some(path) if body.tree.is_whole() => path.select(&body.tree).ok(),
            _ => None,
        };
        let text_length = body.tree.value(0).len();
        let nodes = nodes.filter(|nodes| {
            let selected: usize = nodes.iter().map(|node| body.tree.value(*node).len()).sum();
            selected <= SELECTED_LEAST + SELECTED_MULTIPLE * text_length
        });
        match nodes {
            Some(nodes) => {
                for node in nodes {
                    let value = self.texts.add_passing(body.tree.value(node));
                    out.push(found(value));
                }
            }
            None => {
                let fields = self.collections.xml_text.iter().chain(&self.collections.xml_attributes);
                out.extend(fields.map(|field| found(field.value)));
            }
        }
        self.xml = Some(body);
    }
}
