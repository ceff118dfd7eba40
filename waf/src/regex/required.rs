//! What every match of a pattern contains: literals, bytes, a length.
//!
//! Read off the syntax tree, so that a value without them needs no automaton
//! at all. Everything here errs towards "may match": case is folded,
//! positions and look-around are taken as always satisfied.

use std::sync::Arc;

use hop3_transformations::ByteSet;

use super::facts::{Facts, Known, rarest, with_chance};
use super::short_text::ShortText;
use super::syntax::{Anchor, Node};
use crate::rarity;

/// Most alternatives that a pattern is taken apart into.
const ALTERNATIVES_LIMIT: usize = 100;
/// A set of texts that is expected more often per byte than this is common.
const COMMON: f32 = 0.000_5;
/// A set of bytes that fewer values have is rare enough to look for instead of what it is an option of.
const RARE: f32 = 0.3;

/// What a value must hold for a pattern to match in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// One of these texts (ASCII in lower case) occurs in each match, in any case; `None` when no such set is known.
    pub(crate) literals: Option<Arc<[ShortText]>>,
    /// Each match has a byte of each of these sets.
    pub(crate) sets: Box<[ByteSet]>,
    /// Bytes of the shortest match.
    pub(crate) length: usize,
}

/// A requirement with the rough chance that a usual value meets it.
#[derive(Clone, PartialEq)]
struct Rated {
    requirement: Requirement,
    chance: f32,
}

/// Reads a tree: a value in which the pattern matches meets at least one of the requirements.
pub(super) fn requirements(root: &Node) -> Box<[Requirement]> {
    // Each into memory of its own size, not into that of what was found on the way.
    best(root).iter().map(|rated| rated.requirement.clone()).collect()
}

fn best(root: &Node) -> Vec<Rated> {
    let mut known = Known::default();
    let whole = Rated::of(known.facts(root));
    if whole.chance < COMMON * rarity::VALUE_LENGTH {
        return vec![whole];
    }
    let mut best = vec![whole.clone()];
    let mut consider = |found: Vec<Rated>| {
        if chance(&found) < chance(&best) {
            best = found;
        }
    };
    consider(taken_apart(root, &mut known));
    // Patterns against evasion allow odd bytes everywhere. Either a value has
    // one of them, or the pattern matches without all these parts.
    let mut odd = ByteSet::EMPTY;
    let plain = without_options(root, &mut odd, &mut known);
    if odd != ByteSet::EMPTY {
        let mut sets: Vec<_> = whole.requirement.sets.iter().copied().map(with_chance).collect();
        sets.push(with_chance(odd));
        let sets = rarest(sets).into_iter().map(|(_, set)| set).collect();
        let mut known = Known::default();
        let rated = vec![Rated::of(known.facts(&plain))];
        let mut found = better(taken_apart(&plain, &mut known), rated);
        found.push(Rated::new(Requirement { sets, ..whole.requirement }));
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

/// The requirements of the alternatives, where a value is least likely to meet one.
fn taken_apart(root: &Node, known: &mut Known) -> Vec<Rated> {
    let rated = |branches: Vec<Facts>| {
        let mut found: Vec<Rated> = branches.into_iter().map(Rated::of).collect();
        found.dedup();
        found
    };
    known.branch_facts(root, ALTERNATIVES_LIMIT).into_iter().map(rated).reduce(better).unwrap_or_default()
}

/// The first, if that is better than the second.
fn better(first: Vec<Rated>, second: Vec<Rated>) -> Vec<Rated> {
    if chance(&second) < chance(&first) { second } else { first }
}

/// The chance that a usual value meets one of them, at most: those without texts need a byte of any of their rarest sets.
fn chance(rated: &[Rated]) -> f32 {
    let sum = |rated: &mut dyn Iterator<Item = &Rated>| rated.map(|rated| rated.chance).sum::<f32>();
    let (with_texts, without): (Vec<&Rated>, Vec<&Rated>) =
        rated.iter().partition(|rated| rated.requirement.literals.is_some());
    let rarest = without.iter().map(|rated| rated.requirement.sets.first().copied().unwrap_or(ByteSet::ALL));
    let any = rarity::of_set(rarest.fold(ByteSet::EMPTY, ByteSet::union));
    sum(&mut with_texts.into_iter()) + any.min(sum(&mut without.into_iter()))
}

/// The pattern without its optional parts that need a rare byte, no letter or digit; those bytes are added to `odd`.
fn without_options(node: &Node, odd: &mut ByteSet, known: &mut Known) -> Node {
    let mut within = |nodes: &[Node]| nodes.iter().map(|node| without_options(node, odd, known)).collect();
    match node {
        Node::Concat(nodes) => Node::Concat(within(nodes)),
        Node::Alternate(nodes) => Node::Alternate(within(nodes)),
        Node::Group(index, node) => Node::Group(*index, Box::new(without_options(node, odd, known))),
        Node::Repeat { node: inner, min: 0, .. } => match known.facts(inner).rarest_set() {
            Some((chance, set)) if chance < RARE && !set.iter().any(|byte| byte.is_ascii_alphanumeric()) => {
                *odd = odd.union(set);
                Node::Empty
            }
            _ => node.clone(),
        },
        other => other.clone(),
    }
}

impl Rated {
    fn of(facts: Facts) -> Self {
        let literals = facts.best_literals().map(|texts| texts.list.clone());
        let sets = rarest(facts.sets).into_iter().map(|(_, set)| set).collect();
        Self::new(Requirement { literals, sets, length: facts.length })
    }

    fn new(requirement: Requirement) -> Self {
        let texts = requirement.literals.as_deref();
        let literals = texts.map_or(1.0, |texts| rarity::of_literals(texts) * rarity::VALUE_LENGTH);
        let sets: f32 = requirement.sets.iter().copied().map(rarity::of_set).product();
        Self { chance: literals.min(1.0).min(sets), requirement }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::parse::{Flags, parse};

    fn required(pattern: &str) -> Requirement {
        let root = parse(pattern.as_bytes(), Flags::default()).unwrap().root;
        Rated::of(Known::default().facts(&root)).requirement
    }

    fn literals(pattern: &str) -> Vec<String> {
        let texts = required(pattern).literals;
        texts
            .iter()
            .flat_map(|texts| texts.iter())
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect()
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
        assert_eq!(found[2].literals, Some([ShortText::joined(b"javascript:", b"")].into()));
        assert_eq!(requirements(&parse(b"select|insert", Flags::default()).unwrap().root).len(), 1);
    }

    #[test]
    fn bytes_of_evasion_are_looked_for_instead() {
        let found = requirements(&parse(br"n['\\]*o['\\]*h['\\]*u['\\]*p", Flags::default()).unwrap().root);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].literals, Some([ShortText::joined(b"nohup", b"")].into()));
        assert!(found[1].literals.is_none() && found[1].sets.iter().any(|set| set.contains(b'\\')));
    }

    #[test]
    fn sets_and_lengths() {
        let found = required(r"[0-9]+\s*=\s*[0-9]");
        assert_eq!(found.length, 3);
        assert!(found.sets.contains(&ByteSet::of(b"=")));
        let found = required("(?:<a|>b)");
        assert_eq!(found.sets.len(), 1);
        assert!(found.sets[0].contains(b'<') && found.sets[0].contains(b'>'));
        assert!(required("(?:a|)").sets.is_empty());
        assert_eq!(required("a?").length, 0);
    }
}
