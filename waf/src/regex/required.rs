//! What every match of a pattern contains: literals, bytes, a length.
//!
//! Read off the syntax tree, so that a value without them needs no automaton
//! at all. Everything here errs towards "may match": case is folded,
//! positions and look-around are taken as always satisfied.

use super::byte_set::ByteSet;
use super::syntax::{Anchor, Node};
use crate::rarity;

/// Most texts of an exact set, a prefix set or a suffix set.
const EXACT_LIMIT: usize = 1_000;
/// Most texts of which one must occur.
const LITERALS_LIMIT: usize = 2_000;
/// Longest text that is put together.
const LENGTH_LIMIT: usize = 24;
/// Largest class that is spelt out.
const CLASS_LIMIT: usize = 12;
/// Most byte sets kept of one pattern.
const SETS_LIMIT: usize = 12;

/// Most alternatives that a pattern is taken apart into.
const ALTERNATIVES_LIMIT: usize = 100;
/// A set of texts that is expected more often per byte than this is common.
const COMMON: f32 = 0.000_5;
/// A set of bytes that fewer values have is rare enough to look for instead of what it is an option of.
const RARE: f32 = 0.4;

/// What a value must hold for a pattern to match in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// One of these texts (ASCII in lower case) occurs in each match, in any case; `None` when no such set is known.
    pub(crate) literals: Option<Vec<Vec<u8>>>,
    /// Each match has a byte of each of these sets.
    pub(crate) sets: Vec<ByteSet>,
    /// Bytes of the shortest match.
    pub(crate) length: usize,
}

/// Reads a tree: a value in which the pattern matches meets at least one of the requirements.
pub(super) fn requirements(root: &Node) -> Vec<Requirement> {
    let whole = requirement(root);
    let mut best = vec![whole.clone()];
    if whole.chance() < COMMON * rarity::VALUE_LENGTH {
        return best;
    }
    let mut consider = |found: Vec<Requirement>| {
        if chance(&found) < chance(&best) {
            best = found;
        }
    };
    consider(taken_apart(root));
    // Patterns against evasion allow odd bytes everywhere. Either a value has
    // one of them, or the pattern matches without all these parts.
    let mut odd = ByteSet::EMPTY;
    let plain = without_options(root, &mut odd);
    if odd != ByteSet::EMPTY {
        let mut evading = whole;
        evading.sets = rarest([&evading.sets[..], &[odd]].concat());
        let mut found = taken_apart(&plain);
        found.push(evading);
        consider(found);
    }
    best
}

/// The literal that follows `^` at the start of a pattern, in lower case.
pub(super) fn anchored_prefix(root: &Node) -> Option<Vec<u8>> {
    let Node::Concat(nodes) = root else { return None };
    let [Node::Anchor(Anchor::Start), rest @ ..] = nodes.as_slice() else { return None };
    let single = |node: &Node| match node {
        Node::Set(set) => {
            let mut bytes =
                (0..=255u8).filter(|byte| set.contains(*byte)).map(|byte| byte.to_ascii_lowercase());
            let first = bytes.next()?;
            bytes.all(|byte| byte == first).then_some(first)
        }
        _ => None,
    };
    Some(rest.iter().map_while(single).collect())
}

/// The requirements of the alternatives, if that is better than one for all.
fn taken_apart(root: &Node) -> Vec<Requirement> {
    let whole = vec![requirement(root)];
    let mut found: Vec<Requirement> = branches(root, ALTERNATIVES_LIMIT).iter().map(requirement).collect();
    found.dedup();
    if chance(&found) < chance(&whole) { found } else { whole }
}

/// The chance that a usual value meets one of them, at most.
fn chance(requirements: &[Requirement]) -> f32 {
    requirements.iter().map(Requirement::chance).sum()
}

/// The pattern without its optional parts that need a rare byte; those bytes are added to `odd`.
fn without_options(node: &Node, odd: &mut ByteSet) -> Node {
    let mut within = |nodes: &[Node]| nodes.iter().map(|node| without_options(node, odd)).collect();
    match node {
        Node::Concat(nodes) => Node::Concat(within(nodes)),
        Node::Alternate(nodes) => Node::Alternate(within(nodes)),
        Node::Group(index, node) => Node::Group(*index, Box::new(without_options(node, odd))),
        Node::Repeat { node: inner, min: 0, .. } => match rarest(facts(inner).sets).first() {
            Some(set) if rarity::of_set(set) < RARE => {
                *odd = odd.union(*set);
                Node::Empty
            }
            _ => node.clone(),
        },
        other => other.clone(),
    }
}

fn requirement(root: &Node) -> Requirement {
    let facts = facts(root);
    let exact = facts.exact.as_deref().map(<[_]>::to_vec);
    let literals = better(facts.literals, exact.filter(|texts| is_useful(texts)));
    Requirement { literals, sets: rarest(facts.sets), length: facts.length }
}

impl Requirement {
    /// The rough chance that a usual value meets it.
    fn chance(&self) -> f32 {
        let literals =
            self.literals.as_ref().map_or(1.0, |texts| rarity::of_literals(texts) * rarity::VALUE_LENGTH);
        let sets: f32 = self.sets.iter().map(rarity::of_set).product();
        literals.min(1.0).min(sets)
    }
}

/// The alternatives of a pattern as patterns of their own; one when there are too many.
fn branches(node: &Node, limit: usize) -> Vec<Node> {
    let found = match node {
        Node::Alternate(nodes) => nodes.iter().flat_map(|node| branches(node, limit)).collect(),
        Node::Group(_, node) | Node::Atomic(node) => branches(node, limit),
        Node::Concat(nodes) => {
            // One alternation is multiplied out: the one with most branches.
            let parts: Vec<Vec<Node>> = nodes.iter().map(|node| branches(node, limit)).collect();
            match (0..parts.len()).max_by_key(|index| parts[*index].len()) {
                Some(chosen) if parts[chosen].len() > 1 => {
                    let with = |branch: &Node| {
                        let mut nodes = nodes.clone();
                        nodes[chosen] = branch.clone();
                        Node::Concat(nodes)
                    };
                    parts[chosen].iter().map(with).collect()
                }
                _ => vec![node.clone()],
            }
        }
        other => vec![other.clone()],
    };
    if found.len() > limit { vec![node.clone()] } else { found }
}

/// What is known about all texts a node can match.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// All of them.
    exact: Option<Vec<Vec<u8>>>,
    /// Each begins with one of these.
    prefixes: Option<Vec<Vec<u8>>>,
    /// Each ends with one of these.
    suffixes: Option<Vec<Vec<u8>>>,
    /// Each contains one of these.
    literals: Option<Vec<Vec<u8>>>,
    /// Each has a byte of each of these.
    sets: Vec<ByteSet>,
    /// None is shorter.
    length: usize,
}

fn facts(node: &Node) -> Facts {
    match node {
        Node::Empty | Node::Anchor(_) | Node::Around { .. } => Facts::exact(vec![Vec::new()], 0),
        Node::Set(set) => set_facts(set),
        Node::Concat(nodes) => concat(nodes),
        Node::Alternate(nodes) => alternate(nodes),
        Node::Group(_, node) | Node::Atomic(node) => facts(node),
        Node::Repeat { node, min, max, .. } => repeat(facts(node), *min, *max),
        Node::BackReference { .. } => Facts::default(),
    }
}

impl Facts {
    fn exact(texts: Vec<Vec<u8>>, length: usize) -> Self {
        Self { exact: Some(texts), length, ..Self::default() }
    }

    fn prefixes(&self) -> Option<&[Vec<u8>]> {
        self.exact.as_deref().or(self.prefixes.as_deref())
    }

    fn suffixes(&self) -> Option<&[Vec<u8>]> {
        self.exact.as_deref().or(self.suffixes.as_deref())
    }
}

fn set_facts(set: &ByteSet) -> Facts {
    let folded =
        distinct((0..=255u8).filter(|byte| set.contains(*byte)).map(|byte| vec![byte.to_ascii_lowercase()]));
    let exact = (folded.len() <= CLASS_LIMIT).then_some(folded);
    let sets = if *set == ByteSet::ALL { Vec::new() } else { vec![*set] };
    Facts { exact, sets, length: 1, ..Facts::default() }
}

fn concat(nodes: &[Node]) -> Facts {
    let mut whole = Facts::default();
    // The texts that end here, and whether they began at the start of the node.
    let mut run = vec![Vec::new()];
    let mut from_start = true;
    for node in nodes {
        let part = facts(node);
        whole.length = whole.length.saturating_add(part.length);
        whole.sets.extend(&part.sets);
        if let Some(texts) = &part.exact
            && let Some(longer) = product(&run, texts)
        {
            run = longer;
            continue;
        }
        let extended = part.prefixes().and_then(|texts| product(&run, texts)).unwrap_or_else(|| run.clone());
        if from_start {
            whole.prefixes = Some(extended.clone());
        }
        from_start = false;
        whole.literals = better(whole.literals, Some(extended).filter(|texts| is_useful(texts)));
        run = part.suffixes().map_or_else(|| vec![Vec::new()], <[_]>::to_vec);
        whole.literals = better(whole.literals, part.literals);
    }
    whole.sets = rarest(whole.sets);
    if from_start {
        whole.exact = Some(run);
    } else {
        whole.literals = better(whole.literals, Some(run.clone()).filter(|texts| is_useful(texts)));
        whole.suffixes = Some(run);
    }
    whole
}

fn alternate(nodes: &[Node]) -> Facts {
    let branches: Vec<Facts> = nodes.iter().map(facts).collect();
    let length = branches.iter().map(|branch| branch.length).min().unwrap_or(0);
    let sets = match branches
        .iter()
        .map(|branch| rarest(branch.sets.clone()).first().copied())
        .collect::<Option<Vec<_>>>()
    {
        Some(sets) => vec![sets.into_iter().fold(ByteSet::EMPTY, ByteSet::union)],
        None => Vec::new(),
    };
    let union = |texts: &dyn Fn(&Facts) -> Option<Vec<Vec<u8>>>, limit: usize| {
        let all = branches.iter().map(texts).collect::<Option<Vec<_>>>()?;
        let all = distinct(all.into_iter().flatten());
        (all.len() <= limit).then_some(all)
    };
    Facts {
        exact: union(&|branch| branch.exact.clone(), EXACT_LIMIT),
        prefixes: union(&|branch| branch.prefixes().map(<[_]>::to_vec), EXACT_LIMIT),
        suffixes: union(&|branch| branch.suffixes().map(<[_]>::to_vec), EXACT_LIMIT),
        literals: union(&best_of, LITERALS_LIMIT),
        sets: sets.into_iter().filter(|set| *set != ByteSet::ALL).collect(),
        length,
    }
}

/// The best set of a branch, be it exact or contained.
fn best_of(branch: &Facts) -> Option<Vec<Vec<u8>>> {
    better(branch.literals.clone(), branch.exact.clone().filter(|texts| is_useful(texts)))
}

fn repeat(inner: Facts, min: u32, max: Option<u32>) -> Facts {
    if min == 0 {
        let exact = match (max, inner.exact) {
            (Some(0), _) => Some(vec![Vec::new()]),
            (Some(1), Some(texts)) => Some(distinct(texts.into_iter().chain([Vec::new()]))),
            _ => None,
        };
        return Facts { exact, ..Facts::default() };
    }
    let length = inner.length.saturating_mul(min as usize);
    let mut exact = inner.exact.clone();
    for _ in 1..min.min(LENGTH_LIMIT as u32) {
        exact = exact.and_then(|texts| product(&texts, inner.exact.as_deref()?));
    }
    let literals = better(inner.literals.clone(), inner.exact.clone().filter(|texts| is_useful(texts)));
    if max == Some(min) && min <= LENGTH_LIMIT as u32 && exact.is_some() {
        return Facts { exact, sets: inner.sets, length, ..Facts::default() };
    }
    Facts {
        exact: None,
        prefixes: inner.prefixes().map(<[_]>::to_vec),
        suffixes: inner.suffixes().map(<[_]>::to_vec),
        literals,
        sets: inner.sets,
        length,
    }
}

/// Each text of one set followed by each of the other; `None` when that is too much.
fn product(left: &[Vec<u8>], right: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if left.len() * right.len() > EXACT_LIMIT {
        return None;
    }
    let longest = |texts: &[Vec<u8>]| texts.iter().map(Vec::len).max().unwrap_or(0);
    if longest(left) + longest(right) > LENGTH_LIMIT {
        return None;
    }
    Some(distinct(
        left.iter().flat_map(|start| right.iter().map(move |end| [start.as_slice(), end].concat())),
    ))
}

fn distinct(texts: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut texts: Vec<_> = texts.collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// Texts of one byte are what byte sets are for.
fn is_useful(texts: &[Vec<u8>]) -> bool {
    texts.len() <= LITERALS_LIMIT && texts.iter().all(|text| text.len() >= 2)
}

/// The set that fewer values contain.
fn better(left: Option<Vec<Vec<u8>>>, right: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    match (left, right) {
        (Some(left), Some(right)) => {
            Some(if rarity::of_literals(&right) < rarity::of_literals(&left) { right } else { left })
        }
        (left, right) => left.or(right),
    }
}

/// The sets that fewest values have a byte of.
fn rarest(mut sets: Vec<ByteSet>) -> Vec<ByteSet> {
    sets.sort_by(|left, right| rarity::of_set(left).total_cmp(&rarity::of_set(right)));
    sets.dedup();
    sets.truncate(SETS_LIMIT);
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::parse::{Flags, parse};

    fn required(pattern: &str) -> Requirement {
        requirement(&parse(pattern.as_bytes(), Flags::default()).unwrap().root)
    }

    fn literals(pattern: &str) -> Vec<String> {
        let texts = required(pattern).literals.unwrap_or_default();
        texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    #[test]
    fn literals_of_patterns() {
        for (pattern, expected) in [
            ("select", &["select"][..]),
            ("(?i)SeLect", &["select"]),
            ("a*select.*b+", &["select"]),
            ("(?:select|insert)[0-9]*", &["insert", "select"]),
            ("x(?:ab|cd)y", &["xaby", "xcdy"]),
            ("ab?c", &["abc", "ac"]),
            ("(?:ab)*", &[]),
            (".*", &[]),
            ("[a-z]+=[a-z]+", &[]),
            ("(?=ab)xy", &["xy"]),
            ("^on[a-z]+=", &["on"]),
            ("(?:ab|c*)", &[]),
            ("(?:do){2}", &["dodo"]),
        ] {
            assert_eq!(literals(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn alternatives_are_asked_one_by_one() {
        let pattern = b"(?i)(?:e[a-z]*i[^a]*m|r[^a]*t[^a]*n|javascript:)";
        let found = requirements(&parse(pattern, Flags::default()).unwrap().root);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[1].sets.len(), 3);
        assert_eq!(found[2].literals, Some(vec![b"javascript:".to_vec()]));
        assert_eq!(requirements(&parse(b"select|insert", Flags::default()).unwrap().root).len(), 1);
    }

    #[test]
    fn bytes_of_evasion_are_looked_for_instead() {
        let found = requirements(&parse(br"n['\\]*o['\\]*h['\\]*u['\\]*p", Flags::default()).unwrap().root);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].literals, Some(vec![b"nohup".to_vec()]));
        assert!(found[1].literals.is_none() && found[1].sets.iter().any(|set| set.contains(b'\\')));
    }

    #[test]
    fn sets_and_lengths() {
        let found = required(r"[0-9]+\s*=\s*[0-9]");
        assert_eq!(found.length, 3);
        assert!(found.sets.contains(&ByteSet::of(b'=')));
        let found = required("(?:<a|>b)");
        assert_eq!(found.sets.len(), 1);
        assert!(found.sets[0].contains(b'<') && found.sets[0].contains(b'>'));
        assert_eq!(required("(?:a|)").sets, []);
        assert_eq!(required("a?").length, 0);
    }
}
