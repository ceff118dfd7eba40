//! The tree of an XML body: what XPath expressions select from it.

use hop3_bodies::xml::Tree;
use hop3_seclang::ast::Variable;

use crate::rule::XPathSelector;
use crate::state::State;
use crate::variables::found::Found;

/// Most bytes that an expression may select: a multiple of the document's and some more.
const SELECTED_MULTIPLE: usize = 4;
const SELECTED_LEAST: usize = 1 << 16;

/// An XML body that was parsed.
#[derive(Debug)]
pub(crate) struct XmlBody {
    pub(crate) tree: Tree,
    /// What is wrong with it.
    #[allow(dead_code)]
    pub(crate) error: Option<String>,
}

impl State {
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
