//! Expression and tree → nodes.

use std::borrow::Cow;

use super::{Axis, Comparison, Expression, Function, Path, Step, Test, XPath};
use crate::xml::tree::{Name, NodeId, NodeKind, Tree};

/// What an evaluation may cost at least, in nodes looked at.
const LEAST_BUDGET: u64 = 100_000;
/// And for each node of the document.
const BUDGET_PER_NODE: u64 = 16;
/// Bytes compared that cost as much as a node.
const BYTES_PER_NODE: usize = 32;

/// The evaluation would take longer than the document is large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("evaluating the XPath expression takes too long on this document")]
pub struct TooExpensive;

impl XPath {
    /// The nodes that the expression selects, in document order.
    ///
    /// # Errors
    /// When that takes more than a small multiple of the document's size.
    pub fn select(&self, tree: &Tree) -> Result<Vec<NodeId>, TooExpensive> {
        if tree.is_empty() {
            return Ok(Vec::new());
        }
        let budget = LEAST_BUDGET + BUDGET_PER_NODE * tree.len() as u64;
        Evaluation { tree, budget }.path(&self.path, 0)
    }
}

struct Evaluation<'t> {
    tree: &'t Tree,
    budget: u64,
}

/// Node, its position and the number of nodes it was found with.
#[derive(Clone, Copy)]
struct Context {
    node: NodeId,
    position: usize,
    last: usize,
}

enum Value<'a> {
    Nodes(Vec<NodeId>),
    Text(Cow<'a, [u8]>),
    Number(f64),
    Bool(bool),
}

impl<'t> Evaluation<'t> {
    fn spend(&mut self, nodes: usize) -> Result<(), TooExpensive> {
        self.budget = self.budget.checked_sub(nodes as u64).ok_or(TooExpensive)?;
        Ok(())
    }

    fn path(&mut self, path: &Path, from: NodeId) -> Result<Vec<NodeId>, TooExpensive> {
        let mut nodes = vec![if path.is_absolute { 0 } else { from }];
        for step in &path.steps {
            nodes = self.step(step, &nodes)?;
        }
        Ok(nodes)
    }

    /// The nodes of a step from all of `from`, which is in document order.
    fn step(&mut self, step: &Step, from: &[NodeId]) -> Result<Vec<NodeId>, TooExpensive> {
        let mut selected = Vec::new();
        // Below this number everything was looked at already.
        let mut covered = 0;
        let whole = step.predicates.is_empty();
        for node in from {
            let start = selected.len();
            if !whole {
                // Positions count all that this node leads to.
                covered = 0;
            }
            self.axis(step, *node, &mut covered, &mut selected)?;
            for predicate in &step.predicates {
                let found = selected.split_off(start);
                let last = found.len();
                for (index, node) in found.into_iter().enumerate() {
                    if self.holds(predicate, Context { node, position: index + 1, last })? {
                        selected.push(node);
                    }
                }
            }
        }
        self.spend(selected.len())?;
        if !selected.is_sorted_by(|left, right| left < right) {
            selected.sort_unstable();
            selected.dedup();
        }
        Ok(selected)
    }

    fn axis(
        &mut self,
        step: &Step,
        node: NodeId,
        covered: &mut NodeId,
        out: &mut Vec<NodeId>,
    ) -> Result<(), TooExpensive> {
        let tree = self.tree;
        let mut take = |candidate: NodeId| {
            if is(tree, &step.test, step.axis, candidate) {
                out.push(candidate);
            }
        };
        let mut looked_at = 1;
        match step.axis {
            Axis::ItSelf => take(node),
            Axis::Parent if node != 0 => take(tree.parent(node)),
            Axis::Parent => {}
            Axis::Child => tree.children(node).for_each(|child| {
                looked_at += 1;
                take(child);
            }),
            Axis::Attribute => tree.attributes(node).for_each(|attribute| {
                looked_at += 1;
                take(attribute);
            }),
            Axis::Descendant | Axis::DescendantOrSelf => {
                if step.axis == Axis::DescendantOrSelf && node >= *covered {
                    take(node);
                }
                let start = node.saturating_add(1).max(*covered);
                let end = if tree.kind(node) == NodeKind::Attribute { 0 } else { tree.end(node) };
                looked_at += end.saturating_sub(start) as usize;
                self.spend(looked_at)?;
                (start..end).filter(|below| tree.kind(*below) != NodeKind::Attribute).for_each(take);
                *covered = (*covered).max(end);
                return Ok(());
            }
        }
        self.spend(looked_at)
    }

    fn holds(&mut self, predicate: &Expression, context: Context) -> Result<bool, TooExpensive> {
        Ok(match self.value(predicate, context)? {
            Value::Number(number) => number == context.position as f64,
            value => truth(&value),
        })
    }

    fn value<'e>(&mut self, expression: &'e Expression, context: Context) -> Result<Value<'e>, TooExpensive>
    where
        't: 'e,
    {
        self.spend(1)?;
        Ok(match expression {
            Expression::Text(text) => Value::Text(Cow::Borrowed(text.as_bytes())),
            Expression::Number(number) => Value::Number(*number),
            Expression::Path(path) => Value::Nodes(self.path(path, context.node)?),
            Expression::Or(left, right) => {
                Value::Bool(truth(&self.value(left, context)?) || truth(&self.value(right, context)?))
            }
            Expression::And(left, right) => {
                Value::Bool(truth(&self.value(left, context)?) && truth(&self.value(right, context)?))
            }
            Expression::Compare(comparison, left, right) => {
                let (left, right) = (self.value(left, context)?, self.value(right, context)?);
                Value::Bool(self.compare(*comparison, &left, &right)?)
            }
            Expression::Call(function, arguments) => self.call(*function, arguments, context)?,
        })
    }

    /// A node set compares as any of its nodes does (XPath 1.0, section 3.4).
    fn compare(
        &mut self,
        comparison: Comparison,
        left: &Value<'_>,
        right: &Value<'_>,
    ) -> Result<bool, TooExpensive> {
        Ok(match (left, right) {
            (Value::Nodes(_), Value::Bool(_)) | (Value::Bool(_), Value::Nodes(_)) => {
                plain(comparison, &Value::Bool(truth(left)), &Value::Bool(truth(right)))
            }
            (Value::Nodes(left), right) => {
                let mut found = false;
                for node in left {
                    let left = self.text_of(*node)?;
                    found |= self.compare(comparison, &left, right)?;
                }
                found
            }
            (left, Value::Nodes(right)) => {
                let mut found = false;
                for node in right {
                    let right = self.text_of(*node)?;
                    found |= self.compare(comparison, left, &right)?;
                }
                found
            }
            (left, right) => {
                if let (Value::Text(left), Value::Text(right)) = (left, right) {
                    self.spend(left.len().min(right.len()) / BYTES_PER_NODE)?;
                }
                plain(comparison, left, right)
            }
        })
    }

    fn text_of(&mut self, node: NodeId) -> Result<Value<'t>, TooExpensive> {
        self.spend(1)?;
        Ok(Value::Text(Cow::Borrowed(self.tree.value(node))))
    }

    fn call<'e>(
        &mut self,
        function: Function,
        arguments: &'e [Expression],
        context: Context,
    ) -> Result<Value<'e>, TooExpensive>
    where
        't: 'e,
    {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.value(argument, context)?);
        }
        let mut values = values.into_iter();
        let first = values.next();
        let is_named = matches!(
            function,
            Function::Count | Function::LocalName | Function::NamespaceUri | Function::Name
        );
        if is_named {
            let nodes = match first {
                Some(Value::Nodes(nodes)) => nodes,
                _ => vec![context.node],
            };
            if function == Function::Count {
                return Ok(Value::Number(nodes.len() as f64));
            }
            let name = nodes.first().and_then(|node| self.tree.name(*node));
            return Ok(Value::Text(Cow::Borrowed(name.map_or(&[], |name| name_part(function, name)))));
        }
        let first = first.unwrap_or(Value::Nodes(vec![context.node]));
        let mut text = |value: Value<'e>| -> Result<Cow<'e, [u8]>, TooExpensive> {
            let text = self.text(value);
            self.spend(1 + text.len() / BYTES_PER_NODE)?;
            Ok(text)
        };
        Ok(match function {
            Function::Last => Value::Number(context.last as f64),
            Function::Position => Value::Number(context.position as f64),
            Function::True => Value::Bool(true),
            Function::False => Value::Bool(false),
            Function::Not => Value::Bool(!truth(&first)),
            Function::String => Value::Text(text(first)?),
            Function::Number => Value::Number(number(&text(first)?)),
            Function::StringLength => {
                Value::Number(text(first)?.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as f64)
            }
            Function::NormalizeSpace => {
                let words = text(first)?;
                let words = words.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                Value::Text(Cow::Owned(words.collect::<Vec<_>>().join(&b' ')))
            }
            Function::StartsWith | Function::Contains => {
                let whole = text(first)?;
                let part = text(values.next().unwrap_or(Value::Text(Cow::Borrowed(b""))))?;
                Value::Bool(match function {
                    Function::StartsWith => whole.starts_with(&part),
                    _ => memchr::memmem::find(&whole, &part).is_some(),
                })
            }
            Function::Count | Function::LocalName | Function::NamespaceUri | Function::Name => {
                Value::Bool(false)
            }
        })
    }

    /// As text; of nodes the first one's.
    fn text<'e>(&self, value: Value<'e>) -> Cow<'e, [u8]>
    where
        't: 'e,
    {
        match value {
            Value::Text(text) => text,
            Value::Nodes(nodes) => {
                let tree: &'t Tree = self.tree;
                nodes.first().map_or(Cow::Borrowed(&[][..]), |node| Cow::Borrowed(tree.value(*node)))
            }
            Value::Number(number) => Cow::Owned(number.to_string().into_bytes()),
            Value::Bool(flag) => Cow::Borrowed(if flag { b"true" } else { b"false" }),
        }
    }
}

fn is(tree: &Tree, test: &Test, axis: Axis, node: NodeId) -> bool {
    let principal = if axis == Axis::Attribute { NodeKind::Attribute } else { NodeKind::Element };
    let kind = tree.kind(node);
    match test {
        Test::Node => true,
        Test::Text => kind == NodeKind::Text,
        Test::Any => kind == principal,
        Test::Namespace(uri) => {
            kind == principal && tree.name(node).is_some_and(|name| *name.namespace == **uri)
        }
        Test::Name { namespace, local } => {
            kind == principal
                && tree
                    .name(node)
                    .is_some_and(|name| *name.local == **local && *name.namespace == **namespace)
        }
    }
}

fn name_part(function: Function, name: &Name) -> &[u8] {
    match function {
        Function::LocalName => name.local.as_bytes(),
        Function::NamespaceUri => name.namespace.as_bytes(),
        _ => name.qualified.as_bytes(),
    }
}

fn truth(value: &Value<'_>) -> bool {
    match value {
        Value::Nodes(nodes) => !nodes.is_empty(),
        Value::Text(text) => !text.is_empty(),
        Value::Number(number) => *number != 0.0 && !number.is_nan(),
        Value::Bool(flag) => *flag,
    }
}

/// What is no number is NaN.
fn number(text: &[u8]) -> f64 {
    let text = std::str::from_utf8(text).unwrap_or_default().trim();
    let is_plain =
        text.bytes().enumerate().all(|(at, b)| b.is_ascii_digit() || b == b'.' || (at == 0 && b == b'-'));
    if is_plain { text.parse().unwrap_or(f64::NAN) } else { f64::NAN }
}

/// Compares values that are no nodes.
fn plain(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> bool {
    let as_number = |value: &Value<'_>| match value {
        Value::Number(number) => *number,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Text(text) => number(text),
        Value::Nodes(_) => f64::NAN,
    };
    if matches!(comparison, Comparison::Equal | Comparison::Different) {
        let equal = match (left, right) {
            (Value::Bool(_), _) | (_, Value::Bool(_)) => truth(left) == truth(right),
            (Value::Text(left), Value::Text(right)) => left == right,
            _ => as_number(left) == as_number(right),
        };
        return equal == (comparison == Comparison::Equal);
    }
    let (left, right) = (as_number(left), as_number(right));
    match comparison {
        Comparison::Less => left < right,
        Comparison::AtMost => left <= right,
        Comparison::Greater => left > right,
        _ => left >= right,
    }
}
