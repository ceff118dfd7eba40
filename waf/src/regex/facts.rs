//! What is known about all texts that a part of a pattern can match.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use hop3_transformations::ByteSet;

use super::short_text::{LENGTH_LIMIT, ShortText};
use super::syntax::Node;
use crate::rarity;

/// Most texts of an exact set, a prefix set or a suffix set.
const EXACT_LIMIT: usize = 1_000;
/// Most texts of which one must occur.
const LITERALS_LIMIT: usize = 2_000;
/// Largest class that is spelt out.
const CLASS_LIMIT: usize = 12;
/// Most byte sets kept of one pattern.
const SETS_LIMIT: usize = 8;

/// What is known about all texts a node can match.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// All of them.
    exact: Option<Texts>,
    /// Each begins with one of these.
    prefixes: Option<Texts>,
    /// Each ends with one of these.
    suffixes: Option<Texts>,
    /// Each contains one of these.
    literals: Option<Texts>,
    /// Each has a byte of each of these.
    pub(super) sets: Vec<RatedSet>,
    /// None is shorter.
    pub(super) length: usize,
}

/// Texts in lower case, sorted, each once; shared, because the same texts are known of many nodes.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    pub(super) list: Arc<[ShortText]>,
    /// Expected occurrences per byte.
    chance: f32,
    shortest: usize,
    longest: usize,
}

/// A set with the chance that a usual value has a byte of it.
pub(super) type RatedSet = (f32, ByteSet);

/// What is known of the nodes of one pattern, each read once.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By the place of the node in memory: the tree stays where it is as long as this is used.
    nodes: HashMap<*const Node, Facts>,
}

impl Known {
    /// Reads a node.
    pub(super) fn facts(&mut self, node: &Node) -> Facts {
        match node {
            Node::Empty | Node::Anchor(_) | Node::Around { .. } => Facts::exact(Texts::empty_text(), 0),
            Node::Set(set) => set_facts(set),
            Node::Group(_, node) | Node::Atomic(node) => self.facts(node),
            Node::BackReference { .. } => Facts::default(),
            Node::Concat(_) | Node::Alternate(_) | Node::Repeat { .. } => {
                if let Some(known) = self.nodes.get(&std::ptr::from_ref(node)) {
                    return known.clone();
                }
                let facts = match node {
                    Node::Concat(nodes) => concat(&self.all(nodes)),
                    Node::Alternate(nodes) => alternate(&self.all(nodes)),
                    Node::Repeat { node, min, max, .. } => repeat(self.facts(node), *min, *max),
                    _ => Facts::default(),
                };
                self.nodes.insert(node, facts.clone());
                facts
            }
        }
    }

    /// Reads the alternatives of a node as nodes of their own, in each way there is to take it apart; the node itself when
    /// there are more than `limit`.
    pub(super) fn branch_facts(&mut self, node: &Node, limit: usize) -> Vec<Vec<Facts>> {
        match node {
            Node::Alternate(nodes) if branches(node, limit) > 1 => {
                let branches = nodes.iter().map(|node| self.most_branches(node, limit));
                vec![branches.flatten().collect()]
            }
            Node::Group(_, node) | Node::Atomic(node) => self.branch_facts(node, limit),
            Node::Concat(nodes) => {
                let several = |index: &usize| branches(&nodes[*index], limit) > 1;
                let mut ways: Vec<_> = (0..nodes.len())
                    .filter(several)
                    .map(|index| self.multiplied_out(nodes, index, limit))
                    .collect();
                if ways.is_empty() {
                    ways.push(vec![self.facts(node)]);
                }
                ways
            }
            other => vec![vec![self.facts(other)]],
        }
    }

    /// The way that has most of them.
    fn most_branches(&mut self, node: &Node, limit: usize) -> Vec<Facts> {
        match node {
            Node::Concat(nodes) => {
                let count = |index: &usize| branches(&nodes[*index], limit);
                match (0..nodes.len()).max_by_key(count).filter(|index| count(index) > 1) {
                    Some(index) => self.multiplied_out(nodes, index, limit),
                    None => vec![self.facts(node)],
                }
            }
            Node::Group(_, node) | Node::Atomic(node) => self.most_branches(node, limit),
            other => self.branch_facts(other, limit).swap_remove(0),
        }
    }

    /// The facts of a sequence, one for each alternative of one of its parts.
    fn multiplied_out(&mut self, nodes: &[Node], index: usize, limit: usize) -> Vec<Facts> {
        let mut parts = self.all(nodes);
        let with = |branch: Facts| {
            parts[index] = branch;
            concat(&parts)
        };
        self.most_branches(&nodes[index], limit).into_iter().map(with).collect()
    }

    fn all(&mut self, nodes: &[Node]) -> Vec<Facts> {
        nodes.iter().map(|node| self.facts(node)).collect()
    }
}

/// Number of alternatives that a node is taken apart into.
fn branches(node: &Node, limit: usize) -> usize {
    let count = match node {
        Node::Alternate(nodes) => nodes.iter().map(|node| branches(node, limit)).sum(),
        Node::Group(_, node) | Node::Atomic(node) => branches(node, limit),
        Node::Concat(nodes) => nodes.iter().map(|node| branches(node, limit)).max().unwrap_or(1),
        _ => 1,
    };
    if count > limit { 1 } else { count }
}

/// A set with its chance.
pub(super) fn with_chance(set: ByteSet) -> RatedSet {
    (rarity::of_set(set), set)
}

/// The sets that fewest values have a byte of.
pub(super) fn rarest(mut sets: Vec<RatedSet>) -> Vec<RatedSet> {
    sets.sort_by(|left, right| left.0.total_cmp(&right.0));
    sets.dedup_by(|left, right| left.1 == right.1);
    sets.truncate(SETS_LIMIT);
    sets
}

impl Facts {
    fn exact(texts: Texts, length: usize) -> Self {
        Self { exact: Some(texts), length, ..Self::default() }
    }

    fn prefixes(&self) -> Option<&Texts> {
        self.exact.as_ref().or(self.prefixes.as_ref())
    }

    fn suffixes(&self) -> Option<&Texts> {
        self.exact.as_ref().or(self.suffixes.as_ref())
    }

    /// The best texts, be they all there are or contained.
    pub(super) fn best_literals(&self) -> Option<&Texts> {
        better(self.literals.as_ref(), self.exact.as_ref().filter(|texts| texts.are_useful()))
    }

    /// The set that fewest values have a byte of.
    pub(super) fn rarest_set(&self) -> Option<RatedSet> {
        self.sets.iter().copied().min_by(|left, right| left.0.total_cmp(&right.0))
    }
}

impl Texts {
    fn new(mut texts: Vec<ShortText>) -> Self {
        texts.sort_unstable();
        texts.dedup();
        let length = || texts.iter().map(|text| text.len());
        Self {
            chance: rarity::of_literals(&texts),
            shortest: length().min().unwrap_or(usize::MAX),
            longest: length().max().unwrap_or(0),
            list: texts.into(),
        }
    }

    /// The text of no byte.
    fn empty_text() -> Self {
        Self::new(vec![ShortText::default()])
    }

    /// Texts of one byte are what byte sets are for.
    fn are_useful(&self) -> bool {
        self.list.len() <= LITERALS_LIMIT && self.shortest >= 2
    }
}

/// The facts of the sets that patterns are mostly made of: single bytes, then letters in both cases.
static LETTERS: LazyLock<Vec<Facts>> = LazyLock::new(|| {
    let single = (0..=255u8).map(|byte| ByteSet::EMPTY.with(byte));
    let both_cases = (b'a'..=b'z').map(|letter| ByteSet::EMPTY.with(letter).fold_case());
    single.chain(both_cases).map(|set| worked_out(&set)).collect()
});

fn set_facts(set: &ByteSet) -> Facts {
    let mut bytes = set.iter();
    let known = match [bytes.next(), bytes.next(), bytes.next()] {
        [Some(byte), None, _] => LETTERS.get(usize::from(byte)),
        [Some(capital @ b'A'..=b'Z'), Some(small), None] if small == capital.to_ascii_lowercase() => {
            LETTERS.get(256 + usize::from(small - b'a'))
        }
        _ => None,
    };
    known.cloned().unwrap_or_else(|| worked_out(set))
}

fn worked_out(set: &ByteSet) -> Facts {
    let mut folded: Vec<ShortText> = Vec::new();
    for byte in set.iter() {
        // Only of capitals the small letter may not be in the set.
        if !(byte.is_ascii_lowercase() && set.contains(byte.to_ascii_uppercase())) {
            folded.push(ShortText::of(byte.to_ascii_lowercase()));
        }
        if folded.len() > CLASS_LIMIT {
            break;
        }
    }
    let exact = (folded.len() <= CLASS_LIMIT).then(|| Texts::new(folded));
    let sets = if *set == ByteSet::ALL { Vec::new() } else { vec![with_chance(*set)] };
    Facts { exact, sets, length: 1, ..Facts::default() }
}

fn concat(parts: &[Facts]) -> Facts {
    let mut whole = Facts::default();
    // The texts that end here, and whether they began at the start of the node.
    let mut run = Run::default();
    let mut from_start = true;
    for part in parts {
        whole.length = whole.length.saturating_add(part.length);
        whole.sets.extend(&part.sets);
        if part.exact.as_ref().is_some_and(|texts| run.extend(texts)) {
            continue;
        }
        if let Some(texts) = part.prefixes() {
            run.extend(texts);
        }
        let extended = run.texts();
        let useful = Some(&extended).filter(|texts| texts.are_useful());
        whole.literals = better(whole.literals.as_ref(), useful).cloned();
        whole.literals = better(whole.literals.as_ref(), part.literals.as_ref()).cloned();
        if from_start {
            whole.prefixes = Some(extended);
        }
        from_start = false;
        run = Run { texts: part.suffixes().cloned(), end: Vec::new() };
    }
    whole.sets = rarest(whole.sets);
    let run = run.texts();
    if from_start {
        whole.exact = Some(run);
    } else {
        let useful = Some(&run).filter(|texts| texts.are_useful());
        whole.literals = better(whole.literals.as_ref(), useful).cloned();
        whole.suffixes = Some(run);
    }
    whole
}

fn alternate(branches: &[Facts]) -> Facts {
    let length = branches.iter().map(|branch| branch.length).min().unwrap_or(0);
    let sets = branches.iter().map(|branch| branch.rarest_set().map(|(_, set)| set));
    let set =
        sets.collect::<Option<Vec<_>>>().map(|sets| sets.into_iter().fold(ByteSet::EMPTY, ByteSet::union));
    let sets = set.into_iter().filter(|set| *set != ByteSet::ALL).map(with_chance).collect();
    // All texts are also what each begins with, ends with and contains.
    if let Some(exact) = union(branches, |branch| branch.exact.as_ref(), EXACT_LIMIT) {
        return Facts { sets, ..Facts::exact(exact, length) };
    }
    Facts {
        exact: None,
        prefixes: union(branches, Facts::prefixes, EXACT_LIMIT),
        suffixes: union(branches, Facts::suffixes, EXACT_LIMIT),
        literals: union(branches, Facts::best_literals, LITERALS_LIMIT),
        sets,
        length,
    }
}

/// The texts of all branches; `None` when one has none, or there are too many.
fn union<'f>(
    branches: &'f [Facts],
    texts: impl Fn(&'f Facts) -> Option<&'f Texts>,
    limit: usize,
) -> Option<Texts> {
    let lists: Vec<&Texts> = branches.iter().map(texts).collect::<Option<_>>()?;
    let mut all: Vec<ShortText> = lists.iter().flat_map(|texts| texts.list.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    (all.len() <= limit).then(|| Texts::new(all))
}

fn repeat(inner: Facts, min: u32, max: Option<u32>) -> Facts {
    if min == 0 {
        let exact = match (max, &inner.exact) {
            (Some(0), _) => Some(Texts::empty_text()),
            (Some(1), Some(texts)) => {
                Some(Texts::new(texts.list.iter().copied().chain([ShortText::default()]).collect()))
            }
            _ => None,
        };
        return Facts { exact, ..Facts::default() };
    }
    let length = inner.length.saturating_mul(min as usize);
    let mut exact = inner.exact.clone();
    for _ in 1..min.min(LENGTH_LIMIT as u32) {
        exact = exact.and_then(|texts| product(&texts, inner.exact.as_ref()?));
    }
    if max == Some(min) && min <= LENGTH_LIMIT as u32 && exact.is_some() {
        return Facts { exact, sets: inner.sets, length, ..Facts::default() };
    }
    Facts {
        exact: None,
        prefixes: inner.prefixes().cloned(),
        suffixes: inner.suffixes().cloned(),
        literals: inner.best_literals().cloned(),
        sets: inner.sets,
        length,
    }
}

/// Texts that grow byte by byte, as patterns spell them.
#[derive(Default)]
struct Run {
    /// What they begin with; `None` is the text of no byte.
    texts: Option<Texts>,
    /// What all of them end with.
    end: Vec<u8>,
}

impl Run {
    /// Puts one of the texts behind each; `false`, and nothing is changed, when that is too much.
    fn extend(&mut self, texts: &Texts) -> bool {
        let longest = self.texts.as_ref().map_or(0, |texts| texts.longest) + self.end.len();
        if let [only] = &*texts.list {
            let fits = longest + only.len() <= LENGTH_LIMIT;
            if fits {
                self.end.extend_from_slice(only);
            }
            return fits;
        }
        match product(&self.texts(), texts) {
            Some(longer) => {
                *self = Self { texts: Some(longer), end: Vec::new() };
                true
            }
            None => false,
        }
    }

    fn texts(&self) -> Texts {
        match &self.texts {
            None => Texts::new(vec![ShortText::joined(&self.end, &[])]),
            Some(texts) if self.end.is_empty() => texts.clone(),
            Some(texts) => {
                Texts::new(texts.list.iter().map(|text| ShortText::joined(text, &self.end)).collect())
            }
        }
    }
}

/// Each text of one set followed by each of the other; `None` when that is too much.
fn product(left: &Texts, right: &Texts) -> Option<Texts> {
    if left.list.len() * right.list.len() > EXACT_LIMIT || left.longest + right.longest > LENGTH_LIMIT {
        return None;
    }
    if left.longest == 0 && left.list.len() == 1 {
        return Some(right.clone());
    }
    if right.longest == 0 && right.list.len() == 1 {
        return Some(left.clone());
    }
    let with = |start: &'_ ShortText| {
        let start = *start;
        right.list.iter().map(move |end| ShortText::joined(&start, end))
    };
    Some(Texts::new(left.list.iter().flat_map(with).collect()))
}

/// The texts that fewer values contain.
fn better<'t>(left: Option<&'t Texts>, right: Option<&'t Texts>) -> Option<&'t Texts> {
    match (left, right) {
        (Some(left), Some(right)) => Some(if right.chance < left.chance { right } else { left }),
        (left, right) => left.or(right),
    }
}
