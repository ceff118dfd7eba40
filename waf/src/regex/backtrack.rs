//! The fallback for PCRE-only constructs: a backtracking machine with a hard
//! budget, so that no value can make it run long.
//!
//! The program is flat and the backtrack stack is on the heap; only
//! look-around and atomic groups recurse, as deep as the pattern nests them.

use hop3_transformations::ByteSet;

use super::class::is_word;
use super::syntax::{Anchor, Node, PatternError, Preference};

/// Longest program; larger ones come from nested counted repetitions.
const PROGRAM_LIMIT: usize = 200_000;
/// Most entries of the backtrack stack.
const STACK_LIMIT: usize = 1 << 20;
/// Units added for each byte of the value: a pattern that fails quickly at every
/// start stays far below, one that explodes is still stopped in linear time.
const UNITS_PER_BYTE: u64 = 32;
/// Steps allowed for each unit of the budget: a unit is one return to an
/// earlier choice, and most steps are not such.
const STEPS_PER_UNIT: u64 = 20;

/// The budget ran out before an answer was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitExceeded;

/// A compiled program.
#[derive(Debug)]
pub(super) struct Program {
    ops: Vec<Op>,
    /// Two for each group, the whole match included, then one for each check of empty loops.
    slots: usize,
    /// Bytes a match can start with; `None` when it can be empty.
    first: Option<ByteSet>,
}

#[derive(Clone, Debug)]
enum Op {
    Set(ByteSet),
    Anchor(Anchor),
    Jump(usize),
    /// Tries the first, later the second.
    Split(usize, usize),
    Save(usize),
    /// Continues at the target when nothing was consumed since the slot was saved.
    ExitIfEmpty {
        slot: usize,
        exit: usize,
    },
    BackReference {
        group: usize,
        fold: bool,
    },
    /// Runs the body that follows up to its `Accept`, then continues at `next`.
    Around {
        negative: bool,
        behind: Option<Vec<usize>>,
        next: usize,
    },
    Atomic {
        next: usize,
    },
    Accept,
}

/// Compiles a tree with `groups` capturing groups.
pub(super) fn compile(root: &Node, groups: u32) -> Result<Program, PatternError> {
    let mut compiler = Compiler { ops: Vec::new(), slots: 2 * (groups as usize + 1) };
    compiler.emit(root)?;
    compiler.push(Op::Accept)?;
    Ok(Program { ops: compiler.ops, slots: compiler.slots, first: first_bytes(root) })
}

impl Program {
    /// Finds the leftmost match at or after `from`; `spans` receives the groups.
    pub(super) fn find(
        &self,
        haystack: &[u8],
        from: usize,
        budget: u64,
        spans: &mut [Option<(usize, usize)>],
    ) -> Result<bool, LimitExceeded> {
        let budget = budget.saturating_add(UNITS_PER_BYTE * haystack.len() as u64);
        let mut machine = Machine {
            program: self,
            haystack,
            slots: vec![usize::MAX; self.slots],
            stack: Vec::new(),
            returns_left: budget,
            steps_left: budget.saturating_mul(STEPS_PER_UNIT),
        };
        for start in from..=haystack.len() {
            if let Some(first) = &self.first
                && !haystack.get(start).is_some_and(|&byte| first.contains(byte))
            {
                continue;
            }
            if let Some(end) = machine.run(0, start)? {
                machine.slots[0] = start;
                machine.slots[1] = end;
                for (index, span) in spans.iter_mut().enumerate() {
                    *span = machine.group(index);
                }
                return Ok(true);
            }
            machine.slots.fill(usize::MAX);
        }
        Ok(false)
    }
}

struct Machine<'a> {
    program: &'a Program,
    haystack: &'a [u8],
    slots: Vec<usize>,
    stack: Vec<Entry>,
    returns_left: u64,
    steps_left: u64,
}

enum Entry {
    Branch { op: usize, at: usize },
    Restore { slot: usize, value: usize },
}

impl Machine<'_> {
    /// Runs from one instruction to `Accept`; returns where the match ends. After
    /// a success only slot restorations stay on the stack above the entry level.
    fn run(&mut self, op: usize, at: usize) -> Result<Option<usize>, LimitExceeded> {
        let base = self.stack.len();
        let (mut op, mut at) = (op, at);
        loop {
            self.steps_left = self.steps_left.checked_sub(1).ok_or(LimitExceeded)?;
            match self.step(op, at)? {
                Step::Next(next, position) => (op, at) = (next, position),
                Step::Accept => {
                    let mut kept = base;
                    for index in base..self.stack.len() {
                        if matches!(self.stack[index], Entry::Restore { .. }) {
                            self.stack.swap(kept, index);
                            kept += 1;
                        }
                    }
                    self.stack.truncate(kept);
                    return Ok(Some(at));
                }
                Step::Fail => match self.unwind(base)? {
                    Some(next) => (op, at) = next,
                    None => return Ok(None),
                },
            }
        }
    }

    /// Goes back to the latest choice above `base`.
    fn unwind(&mut self, base: usize) -> Result<Option<(usize, usize)>, LimitExceeded> {
        while self.stack.len() > base {
            match self.stack.pop() {
                Some(Entry::Restore { slot, value }) => self.slots[slot] = value,
                Some(Entry::Branch { op, at }) => {
                    self.returns_left = self.returns_left.checked_sub(1).ok_or(LimitExceeded)?;
                    return Ok(Some((op, at)));
                }
                None => break,
            }
        }
        Ok(None)
    }

    fn step(&mut self, op: usize, at: usize) -> Result<Step, LimitExceeded> {
        let program = self.program;
        Ok(match &program.ops[op] {
            Op::Set(set) => match self.haystack.get(at) {
                Some(&byte) if set.contains(byte) => Step::Next(op + 1, at + 1),
                _ => Step::Fail,
            },
            Op::Anchor(anchor) if self.holds(*anchor, at) => Step::Next(op + 1, at),
            Op::Anchor(_) => Step::Fail,
            Op::Jump(target) => Step::Next(*target, at),
            Op::Split(first, second) => {
                self.push(Entry::Branch { op: *second, at })?;
                Step::Next(*first, at)
            }
            Op::Save(slot) => {
                self.save(*slot, at)?;
                Step::Next(op + 1, at)
            }
            Op::ExitIfEmpty { slot, exit } if self.slots[*slot] == at => Step::Next(*exit, at),
            Op::ExitIfEmpty { .. } => Step::Next(op + 1, at),
            Op::BackReference { group, fold } => match self.again(*group, *fold, at) {
                Some(end) => Step::Next(op + 1, end),
                None => Step::Fail,
            },
            Op::Atomic { next } => match self.run(op + 1, at)? {
                Some(end) => Step::Next(*next, end),
                None => Step::Fail,
            },
            Op::Around { negative, behind, next } => {
                let found = self.look(op + 1, at, behind.as_deref(), *negative)?;
                if found != *negative { Step::Next(*next, at) } else { Step::Fail }
            }
            Op::Accept => Step::Accept,
        })
    }

    /// Whether a look-around body matches; a negative one leaves no trace.
    fn look(
        &mut self,
        body: usize,
        at: usize,
        behind: Option<&[usize]>,
        negative: bool,
    ) -> Result<bool, LimitExceeded> {
        let base = self.stack.len();
        let mut found = false;
        match behind {
            None => found = self.run(body, at)?.is_some(),
            Some(lengths) => {
                for start in lengths.iter().filter_map(|&length| at.checked_sub(length)) {
                    // The body of a look-behind has a fixed length for each way
                    // through it; only a way that ends here counts.
                    if self.run(body, start)? == Some(at) {
                        found = true;
                        break;
                    }
                    self.forget(base);
                }
            }
        }
        if negative {
            self.forget(base);
        }
        Ok(found)
    }

    fn forget(&mut self, base: usize) {
        while self.stack.len() > base {
            if let Some(Entry::Restore { slot, value }) = self.stack.pop() {
                self.slots[slot] = value;
            }
        }
    }

    fn save(&mut self, slot: usize, at: usize) -> Result<(), LimitExceeded> {
        self.push(Entry::Restore { slot, value: self.slots[slot] })?;
        self.slots[slot] = at;
        Ok(())
    }

    fn push(&mut self, entry: Entry) -> Result<(), LimitExceeded> {
        if self.stack.len() >= STACK_LIMIT {
            return Err(LimitExceeded);
        }
        self.stack.push(entry);
        Ok(())
    }

    fn group(&self, index: usize) -> Option<(usize, usize)> {
        let start = *self.slots.get(2 * index)?;
        let end = *self.slots.get(2 * index + 1)?;
        (start != usize::MAX && end != usize::MAX && start <= end).then_some((start, end))
    }

    /// Where a group's text ends when it stands at `at` once more.
    fn again(&self, group: usize, fold: bool, at: usize) -> Option<usize> {
        let (start, end) = self.group(group)?;
        let text = &self.haystack[start..end];
        let here = self.haystack.get(at..at + text.len())?;
        let same = if fold { text.eq_ignore_ascii_case(here) } else { text == here };
        same.then_some(at + text.len())
    }

    fn holds(&self, anchor: Anchor, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|index| self.haystack.get(index)).copied();
        let after = self.haystack.get(at).copied();
        let boundary = || before.is_some_and(is_word) != after.is_some_and(is_word);
        match anchor {
            Anchor::Start => before.is_none(),
            Anchor::End => after.is_none(),
            Anchor::LineStart => before.is_none_or(|byte| byte == b'\n'),
            Anchor::LineEnd => after.is_none_or(|byte| byte == b'\n'),
            Anchor::Word => boundary(),
            Anchor::NotWord => !boundary(),
        }
    }
}

enum Step {
    Next(usize, usize),
    Accept,
    Fail,
}

struct Compiler {
    ops: Vec<Op>,
    slots: usize,
}

impl Compiler {
    fn push(&mut self, op: Op) -> Result<usize, PatternError> {
        if self.ops.len() >= PROGRAM_LIMIT {
            return Err(PatternError::new("the pattern is too large", 0));
        }
        self.ops.push(op);
        Ok(self.ops.len() - 1)
    }

    fn emit(&mut self, node: &Node) -> Result<(), PatternError> {
        match node {
            Node::Empty => {}
            Node::Set(set) => drop(self.push(Op::Set(*set))?),
            Node::Anchor(anchor) => drop(self.push(Op::Anchor(*anchor))?),
            Node::Concat(nodes) => nodes.iter().try_for_each(|node| self.emit(node))?,
            Node::Alternate(branches) => self.alternate(branches)?,
            Node::Group(index, body) => {
                self.push(Op::Save(2 * *index as usize))?;
                self.emit(body)?;
                self.push(Op::Save(2 * *index as usize + 1))?;
            }
            Node::Repeat { node, min, max, preference: Preference::Possessive } => {
                let repeat =
                    Node::Repeat { node: node.clone(), min: *min, max: *max, preference: Preference::Greedy };
                self.nested(|next| Op::Atomic { next }, &repeat)?;
            }
            Node::Repeat { node, min, max, preference } => {
                self.repeat(node, *min, *max, *preference == Preference::Greedy)?;
            }
            Node::Atomic(body) => self.nested(|next| Op::Atomic { next }, body)?,
            Node::Around { ahead, negative, body } => {
                let behind = if *ahead { None } else { Some(lengths(body)?) };
                let negative = *negative;
                self.nested(|next| Op::Around { negative, behind, next }, body)?;
            }
            Node::BackReference { group, fold } => {
                self.push(Op::BackReference { group: *group as usize, fold: *fold })?;
            }
        }
        Ok(())
    }

    fn nested(&mut self, make: impl FnOnce(usize) -> Op, body: &Node) -> Result<(), PatternError> {
        let at = self.push(Op::Accept)?;
        self.emit(body)?;
        self.push(Op::Accept)?;
        self.ops[at] = make(self.ops.len());
        Ok(())
    }

    fn alternate(&mut self, branches: &[Node]) -> Result<(), PatternError> {
        let mut jumps = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            if index + 1 == branches.len() {
                self.emit(branch)?;
                break;
            }
            let split = self.push(Op::Accept)?;
            self.emit(branch)?;
            jumps.push(self.push(Op::Accept)?);
            self.ops[split] = Op::Split(split + 1, self.ops.len());
        }
        let end = self.ops.len();
        jumps.into_iter().for_each(|jump| self.ops[jump] = Op::Jump(end));
        Ok(())
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>, greedy: bool) -> Result<(), PatternError> {
        for _ in 0..min {
            self.emit(node)?;
        }
        let split = |inside: usize, outside: usize| {
            if greedy { Op::Split(inside, outside) } else { Op::Split(outside, inside) }
        };
        match max {
            Some(max) => {
                let mut splits = Vec::new();
                for _ in min..max {
                    splits.push(self.push(Op::Accept)?);
                    self.emit(node)?;
                }
                let end = self.ops.len();
                splits.into_iter().for_each(|at| self.ops[at] = split(at + 1, end));
            }
            None => {
                let slot = self.slots;
                self.slots += 1;
                let at = self.push(Op::Accept)?;
                self.push(Op::Save(slot))?;
                self.emit(node)?;
                let check = self.push(Op::Accept)?;
                self.push(Op::Jump(at))?;
                let end = self.ops.len();
                self.ops[check] = Op::ExitIfEmpty { slot, exit: end };
                self.ops[at] = split(at + 1, end);
            }
        }
        Ok(())
    }
}

/// The lengths that a look-behind's body can have; each must be fixed.
fn lengths(node: &Node) -> Result<Vec<usize>, PatternError> {
    const MOST: usize = 64;
    let variable = || PatternError::new("a look-behind needs a body of limited length", 0);
    let mut found = match node {
        Node::Empty | Node::Anchor(_) | Node::Around { .. } => vec![0],
        Node::Set(_) => vec![1],
        Node::Group(_, body) | Node::Atomic(body) => lengths(body)?,
        Node::BackReference { .. } => return Err(variable()),
        Node::Alternate(branches) => {
            branches.iter().map(lengths).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
        }
        Node::Concat(nodes) => {
            let mut sums = vec![0];
            for node in nodes {
                sums = sum(&sums, &lengths(node)?);
                if sums.len() > MOST {
                    return Err(variable());
                }
            }
            sums
        }
        Node::Repeat { node, min, max, .. } => {
            let max = max.filter(|&max| max <= 255).ok_or_else(variable)?;
            let once = lengths(node)?;
            let mut all = Vec::new();
            let mut sums = vec![0];
            for count in 0..=max {
                if count >= *min {
                    all.extend_from_slice(&sums);
                }
                sums = sum(&sums, &once);
                if sums.len() > MOST {
                    return Err(variable());
                }
            }
            all
        }
    };
    found.sort_unstable();
    found.dedup();
    if found.len() > 4 * MOST { Err(variable()) } else { Ok(found) }
}

fn sum(left: &[usize], right: &[usize]) -> Vec<usize> {
    let mut sums: Vec<usize> = left.iter().flat_map(|a| right.iter().map(move |b| a + b)).collect();
    sums.sort_unstable();
    sums.dedup();
    sums
}

/// The bytes a match can start with; `None` when that is not limited.
fn first_bytes(node: &Node) -> Option<ByteSet> {
    match node {
        Node::Set(set) => Some(*set),
        Node::Group(_, body) | Node::Atomic(body) => first_bytes(body),
        Node::Alternate(branches) => {
            branches.iter().try_fold(ByteSet::EMPTY, |set, branch| Some(set.union(first_bytes(branch)?)))
        }
        Node::Concat(nodes) => nodes
            .iter()
            .find(|node| !matches!(node, Node::Anchor(_) | Node::Around { .. } | Node::Empty))
            .and_then(first_bytes),
        Node::Repeat { node, min, .. } if *min > 0 => first_bytes(node),
        _ => None,
    }
}
