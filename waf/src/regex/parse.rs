//! Parses PCRE syntax on bytes.
//!
//! Written for what rule authors use: everything of PCRE except recursion,
//! conditionals, callouts, `\K`, `\G`, `\X`, `\C`, Unicode properties and
//! branch reset, which are refused by name.

use hop3_transformations::ByteSet;

use super::class;
use super::syntax::{Anchor, Node, PatternError, PcreConstruct, Preference, Syntax};

/// Deepest nesting of groups; keeps every recursive walk over the tree shallow.
const DEPTH_LIMIT: usize = 200;
/// Highest count in `{n,m}`, PCRE's own.
const REPEAT_LIMIT: u32 = 65_535;

/// How a pattern is read before its own flags are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flags {
    /// `(?i)`: ASCII case is ignored.
    pub(crate) fold: bool,
    /// `(?m)`: `^` and `$` match at lines.
    pub(crate) multi_line: bool,
    /// `(?-s)`: `.` does not match a newline.
    pub(crate) no_newline: bool,
    /// `(?x)`: white space and comments are skipped.
    pub(crate) extended: bool,
    /// `(?U)`: lazy and greedy change places.
    pub(crate) swap_greed: bool,
    /// Runs within the match limit, whatever it is made of.
    pub(crate) limited: bool,
}

/// Parses a pattern.
pub(super) fn parse(pattern: &[u8], flags: Flags) -> Result<Syntax, PatternError> {
    let mut parser = Parser {
        pattern,
        at: 0,
        flags,
        groups: 0,
        names: Vec::new(),
        depth: 0,
        pcre_only: None,
        total_groups: count_groups(pattern),
    };
    let root = parser.alternation()?;
    if parser.at < pattern.len() {
        return Err(parser.error("unmatched `)`"));
    }
    Ok(Syntax { root, groups: parser.groups, pcre_only: parser.pcre_only })
}

struct Parser<'p> {
    pattern: &'p [u8],
    at: usize,
    flags: Flags,
    groups: u32,
    names: Vec<(&'p [u8], u32)>,
    depth: usize,
    pcre_only: Option<PcreConstruct>,
    total_groups: u32,
}

impl<'p> Parser<'p> {
    /// Branches separated by `|`, up to `)` or the end.
    fn alternation(&mut self) -> Result<Node, PatternError> {
        let mut branches = vec![self.concatenation()?];
        while self.eat(b"|") {
            branches.push(self.concatenation()?);
        }
        Ok(match branches.len() {
            1 => branches.pop().unwrap_or(Node::Empty),
            _ => Node::Alternate(branches),
        })
    }

    fn concatenation(&mut self) -> Result<Node, PatternError> {
        let mut nodes = Vec::new();
        loop {
            self.skip_extended();
            match self.peek() {
                None | Some(b'|' | b')') => break,
                Some(b'\\') if self.rest().starts_with(b"\\Q") => {
                    self.at += 2;
                    self.quoted(&mut nodes)?;
                }
                Some(b'\\') if self.rest().starts_with(b"\\E") => self.at += 2,
                Some(_) => {
                    if let Some(atom) = self.atom()? {
                        let atom = self.quantified(atom)?;
                        nodes.push(atom);
                    }
                }
            }
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.pop().unwrap_or(Node::Empty),
            _ => Node::Concat(nodes),
        })
    }

    /// Text after `\Q`: each byte stands for itself, up to `\E` or the end.
    fn quoted(&mut self, nodes: &mut Vec<Node>) -> Result<(), PatternError> {
        while let Some(byte) = self.peek() {
            if self.eat(b"\\E") {
                break;
            }
            self.at += 1;
            nodes.push(self.literal(byte));
        }
        // A quantifier after `\E` belongs to the last quoted byte.
        if let Some(last) = nodes.pop() {
            nodes.push(self.quantified(last)?);
        }
        Ok(())
    }

    /// One atom; `None` for what only changes flags, and for comments.
    fn atom(&mut self) -> Result<Option<Node>, PatternError> {
        let start = self.at;
        let Some(byte) = self.next() else { return Ok(None) };
        Ok(Some(match byte {
            b'(' => return self.group(),
            b'[' => {
                let (set, end) = class::parse(self.pattern, start, self.flags.fold)?;
                self.at = end;
                Node::Set(set)
            }
            b'.' if self.flags.no_newline => Node::Set(ByteSet::of(b"\n").complement()),
            b'.' => Node::Set(ByteSet::ALL),
            b'^' if self.flags.multi_line => Node::Anchor(Anchor::LineStart),
            b'^' => Node::Anchor(Anchor::Start),
            b'$' if self.flags.multi_line => Node::Anchor(Anchor::LineEnd),
            b'$' => Node::Anchor(Anchor::End),
            b'\\' => self.escape(start)?,
            b'*' | b'+' | b'?' => {
                return Err(PatternError::new("a quantifier follows nothing that can be repeated", start));
            }
            literal => self.literal(literal),
        }))
    }

    /// After a backslash outside of a class.
    fn escape(&mut self, start: usize) -> Result<Node, PatternError> {
        let Some(byte) = self.peek() else {
            return Err(PatternError::new("the pattern ends in a backslash", start));
        };
        if let Some(set) = class::shorthand(byte) {
            self.at += 1;
            return Ok(Node::Set(set));
        }
        self.at += 1;
        Ok(match byte {
            b'A' => Node::Anchor(Anchor::Start),
            b'z' => Node::Anchor(Anchor::End),
            b'Z' => self.end_or_last_newline(),
            b'b' => Node::Anchor(Anchor::Word),
            b'B' => Node::Anchor(Anchor::NotWord),
            b'R' => any_newline(),
            b'1'..=b'9' => return self.back_reference_or_octal(start),
            b'g' | b'k' => return self.named_back_reference(start),
            b'K' | b'G' | b'X' | b'C' | b'p' | b'P' => {
                return Err(PatternError::new(format!("`\\{}` is not supported", byte as char), start));
            }
            _ => {
                self.at -= 1;
                let (byte, end) = class::escaped_byte(self.pattern, self.at)?;
                self.at = end;
                self.literal(byte)
            }
        })
    }

    /// `\Z`: the end, or before a newline that is the last byte.
    fn end_or_last_newline(&mut self) -> Node {
        self.needs(PcreConstruct::LookAround);
        let newline = Node::Repeat {
            node: Box::new(Node::Set(ByteSet::of(b"\n"))),
            min: 0,
            max: Some(1),
            preference: Preference::Greedy,
        };
        let body = Box::new(Node::Concat(vec![newline, Node::Anchor(Anchor::End)]));
        Node::Around { ahead: true, negative: false, body }
    }

    /// `\1` to `\9` are always references, longer numbers only when there are so many groups.
    fn back_reference_or_octal(&mut self, start: usize) -> Result<Node, PatternError> {
        let digits = self.pattern[start + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count().min(4);
        let number = decimal(&self.pattern[start + 1..start + 1 + digits]).unwrap_or(u32::MAX);
        if digits == 1 || number <= self.total_groups {
            self.at = start + 1 + digits;
            return self.back_reference(number, start);
        }
        let (byte, end) = class::octal(self.pattern, start + 1)?;
        self.at = end;
        Ok(self.literal(byte))
    }

    /// `\g1`, `\g{1}`, `\g{-1}`, `\g{name}`, `\k<name>`, `\k'name'`, `\k{name}`.
    fn named_back_reference(&mut self, start: usize) -> Result<Node, PatternError> {
        let (open, close) = match self.peek() {
            Some(b'{') => (1, b'}'),
            Some(b'<') => (1, b'>'),
            Some(b'\'') => (1, b'\''),
            _ => (0, 0),
        };
        self.at += open;
        let from = self.at;
        let length = if open == 1 {
            self.rest().iter().position(|&byte| byte == close)
        } else {
            Some(self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count())
        };
        let Some(length) = length.filter(|&length| length > 0) else {
            return Err(PatternError::new("a reference to a group has no name", start));
        };
        let name = &self.pattern[from..from + length];
        self.at = from + length + open;
        let group = match name {
            [b'-', digits @ ..] => decimal(digits).and_then(|back| (self.groups + 1).checked_sub(back)),
            _ => decimal(name).or_else(|| self.group_named(name)),
        };
        match group {
            Some(group) if group > 0 => self.back_reference(group, start),
            _ => Err(PatternError::new("a reference to a group that does not exist", start)),
        }
    }

    fn back_reference(&mut self, group: u32, start: usize) -> Result<Node, PatternError> {
        if group > self.total_groups {
            return Err(PatternError::new(format!("there is no group {group}"), start));
        }
        self.needs(PcreConstruct::BackReference);
        Ok(Node::BackReference { group, fold: self.flags.fold })
    }

    /// After `(`.
    fn group(&mut self) -> Result<Option<Node>, PatternError> {
        let start = self.at - 1;
        if self.rest().starts_with(b"?#") {
            let Some(length) = self.rest().iter().position(|&byte| byte == b')') else {
                return Err(PatternError::new("a comment is not closed", start));
            };
            self.at += length + 1;
            return Ok(None);
        }
        if self.rest().starts_with(b"*") {
            return Err(PatternError::new("verbs such as `(*UTF8)` are not supported", start));
        }
        let outer = self.flags;
        let kind = self.group_kind(start)?;
        if matches!(kind, GroupKind::FlagsOnly) {
            // The flags hold up to the end of the enclosing group, which restores them.
            return Ok(None);
        }
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(PatternError::new(format!("groups are nested deeper than {DEPTH_LIMIT}"), start));
        }
        let body = self.alternation()?;
        if !self.eat(b")") {
            return Err(PatternError::new("a group is not closed", start));
        }
        self.depth -= 1;
        self.flags = outer;
        Ok(Some(match kind {
            GroupKind::Plain | GroupKind::FlagsOnly => body,
            GroupKind::Capture(index) => Node::Group(index, Box::new(body)),
            GroupKind::Atomic => Node::Atomic(Box::new(body)),
            GroupKind::Around { ahead, negative } => Node::Around { ahead, negative, body: Box::new(body) },
        }))
    }

    fn group_kind(&mut self, start: usize) -> Result<GroupKind, PatternError> {
        if !self.eat(b"?") {
            self.groups += 1;
            return Ok(GroupKind::Capture(self.groups));
        }
        for (text, ahead, negative) in
            [(&b"="[..], true, false), (b"!", true, true), (b"<=", false, false), (b"<!", false, true)]
        {
            if self.eat(text) {
                self.needs(PcreConstruct::LookAround);
                return Ok(GroupKind::Around { ahead, negative });
            }
        }
        if self.eat(b">") {
            self.needs(PcreConstruct::Atomic);
            return Ok(GroupKind::Atomic);
        }
        for (open, close) in [(&b"P<"[..], b'>'), (b"<", b'>'), (b"'", b'\'')] {
            if self.eat(open) {
                return self.named_group(close, start);
            }
        }
        self.flag_group(start)
    }

    fn named_group(&mut self, close: u8, start: usize) -> Result<GroupKind, PatternError> {
        let length =
            self.rest().iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        if length == 0 || self.rest().get(length) != Some(&close) {
            return Err(PatternError::new("a group's name is not valid", start));
        }
        let name = &self.pattern[self.at..self.at + length];
        self.at += length + 1;
        self.groups += 1;
        self.names.push((name, self.groups));
        Ok(GroupKind::Capture(self.groups))
    }

    /// `(?i)`, `(?i:…)`, `(?:…)`, `(?-s:…)`.
    fn flag_group(&mut self, start: usize) -> Result<GroupKind, PatternError> {
        let mut on = true;
        while let Some(byte) = self.next() {
            match byte {
                b':' => return Ok(GroupKind::Plain),
                b')' => return Ok(GroupKind::FlagsOnly),
                b'-' => on = false,
                b'i' => self.flags.fold = on,
                b'm' => self.flags.multi_line = on,
                b's' => self.flags.no_newline = !on,
                b'x' => self.flags.extended = on,
                b'U' => self.flags.swap_greed = on,
                b'J' => {}
                _ => {
                    let shown = String::from_utf8_lossy(&self.pattern[start..self.at]).into_owned();
                    return Err(PatternError::new(format!("`{shown}` is not supported"), start));
                }
            }
        }
        Err(PatternError::new("a group is not closed", start))
    }

    /// Applies the quantifier after an atom, if there is one.
    fn quantified(&mut self, atom: Node) -> Result<Node, PatternError> {
        let mut node = atom;
        loop {
            self.skip_extended();
            let start = self.at;
            let Some((min, max)) = self.quantifier()? else { return Ok(node) };
            let greedy = if self.flags.swap_greed { Preference::Lazy } else { Preference::Greedy };
            let lazy = if self.flags.swap_greed { Preference::Greedy } else { Preference::Lazy };
            let preference = if self.eat(b"?") {
                lazy
            } else if self.eat(b"+") {
                self.needs(PcreConstruct::Atomic);
                Preference::Possessive
            } else {
                greedy
            };
            if max.is_some_and(|max| max < min) {
                return Err(PatternError::new("the numbers of `{n,m}` are out of order", start));
            }
            node = Node::Repeat { node: Box::new(node), min, max, preference };
            if self.depth_of_repeats(&node) > 20 {
                return Err(PatternError::new("too many quantifiers on one atom", start));
            }
        }
    }

    fn depth_of_repeats(&self, node: &Node) -> usize {
        let mut depth = 0;
        let mut node = node;
        while let Node::Repeat { node: inner, .. } = node {
            depth += 1;
            node = inner;
        }
        depth
    }

    /// `*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}`; any other `{` is a literal.
    fn quantifier(&mut self) -> Result<Option<(u32, Option<u32>)>, PatternError> {
        let found = match self.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => return self.counted(),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(found))
    }

    fn counted(&mut self) -> Result<Option<(u32, Option<u32>)>, PatternError> {
        let Some(length) = self.rest().iter().position(|&byte| byte == b'}') else { return Ok(None) };
        let inside = &self.rest()[1..length];
        let (low, high) = match inside.iter().position(|&byte| byte == b',') {
            Some(comma) => (&inside[..comma], Some(&inside[comma + 1..])),
            None => (inside, None),
        };
        let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        if !is_number(low) || high.is_some_and(|high| !high.is_empty() && !is_number(high)) {
            return Ok(None);
        }
        let read = |text: &[u8]| decimal(text).filter(|&number| number <= REPEAT_LIMIT);
        let too_big = || PatternError::new(format!("a count is above {REPEAT_LIMIT}"), self.at);
        let min = read(low).ok_or_else(too_big)?;
        let max = match high {
            None => Some(min),
            Some([]) => None,
            Some(high) => Some(read(high).ok_or_else(too_big)?),
        };
        self.at += length + 1;
        Ok(Some((min, max)))
    }

    fn literal(&self, byte: u8) -> Node {
        let set = ByteSet::EMPTY.with(byte);
        Node::Set(if self.flags.fold { set.fold_case() } else { set })
    }

    fn group_named(&self, name: &[u8]) -> Option<u32> {
        self.names.iter().find(|(known, _)| *known == name).map(|&(_, index)| index)
    }

    fn needs(&mut self, construct: PcreConstruct) {
        self.pcre_only.get_or_insert(construct);
    }

    /// With `(?x)`: white space and comments between atoms.
    fn skip_extended(&mut self) {
        while self.flags.extended {
            match self.peek() {
                Some(byte) if byte.is_ascii_whitespace() || byte == 0x0b => self.at += 1,
                Some(b'#') => {
                    let line = self.rest().iter().position(|&byte| byte == b'\n');
                    self.at = line.map_or(self.pattern.len(), |length| self.at + length + 1);
                }
                _ => break,
            }
        }
    }

    fn rest(&self) -> &'p [u8] {
        &self.pattern[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn error(&self, message: &str) -> PatternError {
        PatternError::new(message, self.at)
    }
}

enum GroupKind {
    Plain,
    FlagsOnly,
    Capture(u32),
    Atomic,
    Around { ahead: bool, negative: bool },
}

/// `\R`.
fn any_newline() -> Node {
    let single = ByteSet::matching(|byte| matches!(byte, b'\n' | 0x0b | 0x0c | b'\r' | 0x85));
    let pair = Node::Concat(vec![Node::Set(ByteSet::of(b"\r")), Node::Set(ByteSet::of(b"\n"))]);
    Node::Alternate(vec![pair, Node::Set(single)])
}

fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Capturing groups of the whole pattern, needed to tell `\12` from an octal number.
fn count_groups(pattern: &[u8]) -> u32 {
    let mut count = 0;
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            b'\\' => at += 1,
            b'[' => {
                if let Ok((_, end)) = class::parse(pattern, at, false) {
                    at = end - 1;
                }
            }
            b'(' => {
                let rest = &pattern[at + 1..];
                let named = rest.starts_with(b"?P<")
                    || rest.starts_with(b"?'")
                    || (rest.starts_with(b"?<") && !matches!(rest.get(2), Some(b'=' | b'!')));
                if !rest.starts_with(b"?") && !rest.starts_with(b"*") || named {
                    count += 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    count
}
