//! What matches of a pattern begin with, as few rows of byte sets: most places of a long value
//! need no automaton, because no match begins there.

use super::syntax::{Anchor, Node};
use crate::rarity;
use hop3_transformations::ByteSet;

/// Bytes at the beginning of a match that are looked at.
pub(super) const DEPTH: usize = 4;
/// Rows that can be asked at once: each is one of so many bits, for each byte looked at.
const ROWS: usize = 16;
/// Beginnings of one length that a part of a pattern may have; more are joined.
const DRAFTS: usize = 24;
/// Pairs of beginnings that may be put together, and how many there may be of one length when there are more.
const PRODUCT: usize = 64;
const FEW: usize = 8;
/// A part of all places at which a match may begin that is too large for it to be worth asking.
const COMMON: f32 = 0.2;

/// The bits of the first place.
const FIRST: u64 = (1 << ROWS) - 1;

/// Tells for a byte the rows and places of a beginning that it does *not* fit: bit `ROWS * place + row`.
pub(super) type Misfits = [u64; 256];

/// The tables of a pattern; `None` when matches may begin nearly anywhere. A match at the very beginning of
/// a value, and one of fewer than [`DEPTH`] bytes at its end, may begin otherwise.
pub(super) fn misfits(root: &Node) -> Option<Box<Misfits>> {
    let whole = read(root).into_iter().map(|beginning| Beginning { open: true, ..beginning });
    let rows = joined(whole.collect(), ROWS, |_| 0);
    if rows.iter().map(Beginning::share).sum::<f32>() > COMMON {
        return None;
    }
    let mut misfits = Box::new([u64::MAX; 256]);
    for (row, beginning) in rows.iter().enumerate() {
        for (place, set) in beginning.sets.iter().enumerate() {
            set.iter().for_each(|byte| misfits[usize::from(byte)] &= !(1 << (ROWS * place + row)));
        }
    }
    Some(misfits)
}

/// The bytes that matches begin with, apart from those at the places that the tables say nothing of.
pub(super) fn firsts(misfits: &Misfits) -> Box<[u8]> {
    let first = |byte: &u8| misfits[usize::from(*byte)] & FIRST != FIRST;
    (0..=u8::MAX).filter(first).collect()
}

/// Whether a match may begin with these bytes.
#[inline]
pub(super) fn fits(misfits: &Misfits, bytes: &[u8; DEPTH]) -> bool {
    let read = bytes.iter().fold(u64::MAX, |state, byte| state << ROWS | misfits[usize::from(*byte)]);
    read >> (64 - ROWS) != FIRST
}

/// What some matches of a part of a pattern begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beginning {
    /// All bytes where nothing is known.
    sets: [ByteSet; DEPTH],
    /// So many bytes are known.
    length: u8,
    /// Whether nothing is known of what follows; else the part ends here.
    open: bool,
}

impl Beginning {
    const EMPTY: Self = Self { sets: [ByteSet::ALL; DEPTH], length: 0, open: false };
    const UNKNOWN: Self = Self { open: true, ..Self::EMPTY };

    fn of(set: ByteSet) -> Self {
        let mut beginning = Self { length: 1, ..Self::EMPTY };
        beginning.sets[0] = set;
        beginning
    }

    fn followed_by(&self, next: &Self) -> Self {
        let mut whole = *self;
        let length = usize::from(self.length);
        let taken = usize::from(next.length).min(DEPTH - length);
        whole.sets[length..length + taken].copy_from_slice(&next.sets[..taken]);
        whole.length += taken as u8;
        whole.open = next.open || usize::from(whole.length) == DEPTH;
        whole
    }

    /// What begins like either.
    fn or(&self, other: &Self) -> Self {
        let (length, open) = (self.length.min(other.length), self.length != other.length);
        let sets = std::array::from_fn(|place| self.sets[place].union(other.sets[place]));
        Self { sets, length, open: open || self.open || other.open }
    }

    /// The one place in which they may differ when everything else is the same.
    fn only_difference(&self, other: &Self) -> Option<usize> {
        if self.kind() != other.kind() {
            return None;
        }
        let mut different = (0..DEPTH).filter(|place| self.sets[*place] != other.sets[*place]);
        let first = different.next().unwrap_or(0);
        different.next().is_none().then_some(first)
    }

    /// Whether the other says nothing that this does not.
    fn covers(&self, other: &Self) -> bool {
        (self.open || !other.open && self.length == other.length)
            && self.sets.iter().zip(&other.sets).all(|(all, some)| some.is_subset(*all))
    }

    /// The part, roughly, of all places that begin so.
    fn share(&self) -> f32 {
        self.sets[..usize::from(self.length)].iter().map(rarity::share_of).product()
    }

    /// What tells those apart that must not be joined as long as something may follow them.
    fn kind(&self) -> u8 {
        self.length << 1 | u8::from(self.open)
    }
}

fn read(node: &Node) -> Vec<Beginning> {
    match node {
        Node::Empty | Node::Around { .. } => vec![Beginning::EMPTY],
        // The very beginning is looked at in any case.
        Node::Anchor(Anchor::Start) => Vec::new(),
        Node::Anchor(_) => vec![Beginning::EMPTY],
        Node::Set(set) => vec![Beginning::of(*set)],
        Node::BackReference { .. } => vec![Beginning::UNKNOWN],
        Node::Group(_, node) | Node::Atomic(node) => read(node),
        Node::Alternate(nodes) => reduced(nodes.iter().flat_map(read).collect()),
        Node::Concat(nodes) => {
            let mut whole = vec![Beginning::EMPTY];
            for node in nodes {
                if whole.iter().all(|beginning| beginning.open) {
                    break;
                }
                whole = continued(&whole, &read(node));
            }
            whole
        }
        Node::Repeat { node, min, max, .. } => repeated(&read(node), *min, *max),
    }
}

/// Those that end, each followed by each of the others.
fn continued(whole: &[Beginning], next: &[Beginning]) -> Vec<Beginning> {
    let (mut found, mut ending): (Vec<Beginning>, Vec<Beginning>) =
        whole.iter().partition(|beginning| beginning.open);
    let mut next = next.to_vec();
    if ending.len() * next.len() > PRODUCT {
        ending = joined(ending, FEW, Beginning::kind);
        next = joined(next, FEW, Beginning::kind);
    }
    found.extend(ending.iter().flat_map(|beginning| next.iter().map(|next| beginning.followed_by(next))));
    reduced(found)
}

fn repeated(inner: &[Beginning], min: u32, max: Option<u32>) -> Vec<Beginning> {
    let mut found = Vec::new();
    let mut whole = vec![Beginning::EMPTY];
    let mut count = 0;
    while max.is_none_or(|max| count < max) {
        if count >= min {
            found.extend(whole.iter().filter(|beginning| !beginning.open));
        }
        let longer = continued(&whole, inner);
        count += 1;
        // Nothing comes of further rounds.
        if longer == whole || longer.iter().all(|beginning| beginning.open) {
            whole = longer;
            break;
        }
        whole = longer;
    }
    found.extend(whole);
    reduced(found)
}

fn reduced(beginnings: Vec<Beginning>) -> Vec<Beginning> {
    joined(beginnings, DRAFTS, Beginning::kind)
}

/// The same with at most `limit` of each kind: those that are alike are joined.
fn joined(beginnings: Vec<Beginning>, limit: usize, kind: impl Fn(&Beginning) -> u8) -> Vec<Beginning> {
    if beginnings.len() < 2 {
        return beginnings;
    }
    let exact = without_loss(beginnings);
    // The most frequent first: others are joined to them at little cost.
    let mut rated: Vec<(f32, Beginning)> =
        exact.into_iter().map(|beginning| (beginning.share(), beginning)).collect();
    rated.sort_by(|left, right| right.0.total_cmp(&left.0));
    let mut kept: Vec<(f32, Beginning)> = Vec::new();
    for (share, beginning) in rated {
        if kept.iter().any(|(_, known)| known.covers(&beginning)) {
            continue;
        }
        let of_kind = |(_, other): &(f32, Beginning)| kind(other) == kind(&beginning);
        if kept.iter().filter(|other| of_kind(other)).count() < limit {
            kept.push((share, beginning));
            continue;
        }
        let alike = kept.iter_mut().filter(|other| of_kind(other)).map(|other| {
            let both = other.1.or(&beginning);
            let share = both.share();
            (share - other.0, share, both, other)
        });
        if let Some((_, share, both, other)) = alike.min_by(|left, right| left.0.total_cmp(&right.0)) {
            *other = (share, both);
        }
    }
    without_loss(kept.into_iter().map(|(_, beginning)| beginning).collect())
}

/// The same, with one instead of two that differ in one place only.
fn without_loss(beginnings: Vec<Beginning>) -> Vec<Beginning> {
    let mut kept: Vec<Beginning> = Vec::with_capacity(beginnings.len());
    for beginning in beginnings {
        match kept.iter_mut().find_map(|known| Some((known.only_difference(&beginning)?, known))) {
            Some((place, known)) => known.sets[place] = known.sets[place].union(beginning.sets[place]),
            None => kept.push(beginning),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::parse::{Flags, parse};

    /// Whether the rows let a match begin with these bytes; `None` without rows.
    fn fits(pattern: &str, bytes: &[u8; DEPTH]) -> Option<bool> {
        let misfits = misfits(&parse(pattern.as_bytes(), Flags::default()).unwrap().root)?;
        Some(super::fits(&misfits, bytes))
    }

    #[test]
    fn beginnings_of_patterns() {
        for (pattern, yes, no) in [
            ("select", *b"sele", *b"sell"),
            ("(?i)SeLect|insert", *b"iNSe", *b"inle"),
            ("a[0-9]+b", *b"a12b", *b"ab12"),
            ("x?yz{2}", *b"yzz?", *b"yzyz"),
            ("^abcd|wxyz", *b"wxyz", *b"abcd"),
            ("(?:<|%3c)(?:script|img)", *b"%3ci", *b"%3cx"),
            (r"\bun?ion\s", *b"uion", *b"unon"),
            ("(?:ab|cd){2}", *b"abcd", *b"abba"),
            (";(?:[a-z]{0,2}|[0-9]*):x", *b";ab:", *b";a1:"),
            ("qa", *b"qa\0\xff", *b"aqqa"),
        ] {
            assert_eq!((fits(pattern, &yes), fits(pattern, &no)), (Some(true), Some(false)), "{pattern}");
        }
        for pattern in [".*a", "", "a*", "[a-z ]+=", "x|"] {
            assert_eq!(fits(pattern, b"aaaa"), None, "{pattern}");
        }
    }

    #[test]
    fn many_branches_are_joined_without_losing_one() {
        let words: Vec<String> =
            (0..400u32).map(|number| format!("{:04x}z", number.wrapping_mul(40_503) % 65_536)).collect();
        let pattern = format!("_(?:{})", words.join("|"));
        for word in &words {
            let bytes = format!("_{word}").into_bytes();
            assert_eq!(fits(&pattern, bytes.first_chunk().unwrap()), Some(true), "{word}");
        }
        assert_eq!(fits(&pattern, b"0123"), Some(false));
    }
}
