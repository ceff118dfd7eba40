//! Compiled rules: what the evaluator walks over.

use std::ops::Deref;
use std::sync::Arc;

use hop3_bodies::xml::xpath::XPath;
use hop3_lua::Script;
use hop3_seclang::ast::{AllowScope, Collection, Phase, SetVarOp, Severity, Variable};
use hop3_transformations::Transformation;

use crate::collections::tx::Slot;
use crate::masking::Sanitise;
use crate::operators::Operator;
use crate::regex::Pattern;
use crate::rule_control::Control;
use crate::template::Template;

/// Number of a rule in its ruleset, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RuleIndex(pub(crate) u32);

/// A rule in its place.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) index: RuleIndex,
    /// Where the phase goes on after a match; `None` is the next rule.
    pub(crate) flow: Option<usize>,
    /// What it says, which other rulesets may say as well.
    pub(crate) body: Arc<RuleBody>,
}

/// What a rule says: a chain of at least one link.
#[derive(Debug, PartialEq)]
pub(crate) struct RuleBody {
    pub(crate) id: u64,
    pub(crate) phase: Phase,
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) links: Box<[Link]>,
    pub(crate) disruptive: Disruptive,
    pub(crate) status: Option<u16>,
    pub(crate) log: bool,
    pub(crate) audit: bool,
    pub(crate) message: Option<Template>,
    pub(crate) log_data: Option<Template>,
    pub(crate) severity: Option<Severity>,
    pub(crate) tags: Box<[Template]>,
    pub(crate) revision: String,
    pub(crate) version: String,
    pub(crate) maturity: u8,
    pub(crate) accuracy: u8,
}

impl Deref for Rule {
    type Target = RuleBody;

    fn deref(&self) -> &RuleBody {
        &self.body
    }
}

/// What a matching rule does to the transaction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Disruptive {
    Pass,
    Deny,
    Drop,
    Redirect(Template),
    Proxy(Template),
    Allow(AllowScope),
}

/// One link of a chain.
#[derive(Debug, PartialEq)]
pub(crate) struct Link {
    /// `None` always matches.
    pub(crate) condition: Option<Condition>,
    pub(crate) capture: bool,
    pub(crate) multi_match: bool,
    /// Run for each matching value, before the rest of the chain is known.
    pub(crate) actions: Box<[Action]>,
}

/// What a link tests.
#[derive(Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) targets: Box<[Target]>,
    pub(crate) transformations: Box<[Transformation]>,
    pub(crate) operator: Operator,
    pub(crate) negated: bool,
    /// Name of the operator, for messages.
    pub(crate) shown_name: Box<str>,
    /// Argument of the operator, for messages.
    pub(crate) shown_argument: Template,
}

/// What a link reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) variable: Variable,
    pub(crate) selector: Selector,
    pub(crate) count: bool,
    /// Names that are left out.
    pub(crate) exclusions: Vec<Selector>,
}

/// Which values of a collection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Selector {
    All,
    /// One name, compared without regard to ASCII case.
    Name(Box<[u8]>),
    /// One TX variable.
    Slot(Slot),
    /// Every name that the pattern finds something in.
    Pattern(Arc<Pattern>),
    XmlText,
    XmlAttributes,
    /// The XML body as one, for operators that judge it.
    XmlDocument,
    /// What an XPath expression selects.
    XPath(Arc<XPathSelector>),
}

/// An XPath expression with its text, which is also the name of what it selects.
#[derive(Debug, PartialEq)]
pub(crate) struct XPathSelector {
    pub(crate) text: Box<str>,
    /// `None` for exclusions, which mean the text.
    pub(crate) path: Option<XPath>,
}

impl Selector {
    /// Whether a name is selected. A pattern whose budget runs out selects it:
    /// what is not known to be unwanted is looked at.
    pub(crate) fn selects(&self, name: &[u8]) -> bool {
        self.decides(name, true)
    }

    /// Whether a name is left out. A pattern whose budget runs out leaves nothing out.
    pub(crate) fn excludes(&self, name: &[u8]) -> bool {
        self.decides(name, false)
    }

    fn decides(&self, name: &[u8], without_answer: bool) -> bool {
        match self {
            Selector::All | Selector::XmlText | Selector::XmlAttributes | Selector::XmlDocument => true,
            Selector::Name(wanted) => wanted.eq_ignore_ascii_case(name),
            Selector::Slot(_) => false,
            Selector::XPath(path) => path.text.as_bytes() == name,
            Selector::Pattern(pattern) => pattern.is_match(name, SELECTOR_BUDGET).unwrap_or(without_answer),
        }
    }
}

/// Budget of a selector's pattern on one name.
const SELECTOR_BUDGET: u64 = 100_000;

/// Something done for each matching value.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    SetVar {
        collection: Collection,
        key: Key,
        op: SetVarOp,
        value: Template,
    },
    ExpireVar {
        collection: Collection,
        key: Template,
        seconds: Template,
    },
    DeprecateVar {
        collection: Collection,
        key: Template,
        amount: u64,
        seconds: u64,
    },
    InitCol {
        collection: Collection,
        key: Template,
    },
    SetEnv {
        name: Template,
        value: Option<Template>,
    },
    Control(Control),
    Sanitise(Sanitise),
    /// `exec`.
    Script(Arc<Script>),
}

/// The name that `setvar` writes.
#[derive(Debug, PartialEq)]
pub(crate) enum Key {
    Slot(Slot),
    Name(Template),
}
