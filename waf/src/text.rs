//! The texts of one transaction: what the client sent, and everything that
//! transformations made of it.
//!
//! Texts are only ever added, so a [`TextId`] names the same bytes for as long
//! as the transaction lives, and results are cached by identity. A part of a
//! text is a text without a copy; so are parts of the request body, which lies
//! here for that reason. Short-lived texts (collection variables, counts, times)
//! live in a second store that is emptied before each test.

use std::cell::Cell;
use std::ops::Range;

use hop3_transformations::{Context, Transformation};

/// Most bytes one transaction may hold in either store, or in its body.
const BYTES_LIMIT: usize = 1 << 30;
/// No output; the end of a list of outputs.
const NONE: u32 = u32::MAX;
/// Set in the ids of short-lived texts.
const PASSING: u32 = 1 << 31;
/// Set in the starts of records that lie in the body.
const IN_BODY: u32 = 1 << 31;

/// Room for the bytes and the records of an ordinary request without a body.
const ORDINARY_BYTES: usize = 2 << 10;
const ORDINARY_RECORDS: usize = 96;
/// Most bytes of an ended transaction's memory that wait for the next one of the same thread: what a body of ordinary
/// length takes. Memory that goes back to the system comes from there again page by page, each cleared by the kernel.
const SPARE_LIMIT: usize = 2 << 20;

thread_local! {
    /// Emptied memory of the transaction that ended last on this thread.
    static SPARE: Cell<Option<Memory>> = const { Cell::new(None) };
}

/// Most digits that a number can have.
pub(crate) const MOST_DIGITS: usize = 20;

/// A text of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TextId(u32);

impl TextId {
    /// The empty text.
    pub(crate) const EMPTY: Self = Self(0);
    /// `0`.
    pub(crate) const ZERO: Self = Self(1);
    /// `1`.
    pub(crate) const ONE: Self = Self(2);

    /// Whether the text lives only until the next test.
    pub(crate) fn is_passing(self) -> bool {
        self.0 & PASSING != 0
    }
}

/// All texts of a transaction.
#[derive(Debug)]
pub(crate) struct TextStore {
    memory: Memory,
    exhausted: bool,
}

/// What texts lie in.
#[derive(Debug, Default)]
struct Memory {
    kept: Pool,
    passing: Pool,
    body: Vec<u8>,
    buffer: Vec<u8>,
}

impl TextStore {
    pub(crate) fn new() -> Self {
        let mut memory = SPARE.take().unwrap_or_default();
        memory.kept.bytes.reserve(ORDINARY_BYTES);
        memory.kept.records.reserve(ORDINARY_RECORDS);
        for constant in [&b""[..], b"0", b"1"] {
            memory.kept.add(constant);
        }
        Self { memory, exhausted: false }
    }

    /// Keeps bytes for the rest of the transaction.
    #[inline]
    pub(crate) fn add(&mut self, bytes: &[u8]) -> TextId {
        self.add_with(bytes.len(), |out| out.extend_from_slice(bytes))
    }

    /// Keeps parts as one text.
    pub(crate) fn add_joined(&mut self, parts: &[&[u8]]) -> TextId {
        self.add_with(parts.iter().map(|part| part.len()).sum(), |out| {
            parts.iter().for_each(|part| out.extend_from_slice(part));
        })
    }

    /// Keeps a number in decimal digits.
    pub(crate) fn add_number(&mut self, number: usize) -> TextId {
        match number {
            0 => TextId::ZERO,
            1 => TextId::ONE,
            _ => self.add_with(MOST_DIGITS, |out| push_decimal(number, out)),
        }
    }

    /// Keeps what `write` appends to the buffer it is given, `most` bytes at most.
    #[inline]
    pub(crate) fn add_with(&mut self, most: usize, write: impl FnOnce(&mut Vec<u8>)) -> TextId {
        if most == 0 {
            return TextId::EMPTY;
        }
        let start = self.memory.kept.bytes.len();
        if start + most > BYTES_LIMIT {
            self.exhausted = true;
            return TextId::EMPTY;
        }
        write(&mut self.memory.kept.bytes);
        match self.memory.kept.bytes.len() - start {
            0 => TextId::EMPTY,
            length => TextId(self.memory.kept.record(start as u32, length as u32)),
        }
    }

    /// A part of a text that is not short-lived, without a copy.
    #[inline]
    pub(crate) fn part(&mut self, whole: TextId, range: Range<usize>) -> TextId {
        let record = self.memory.kept.records.get(whole.0 as usize);
        let Some(&Record { start, length, .. }) = record.filter(|_| !range.is_empty()) else {
            return TextId::EMPTY;
        };
        let end = range.end.min(length as usize);
        match end.saturating_sub(range.start) {
            0 => TextId::EMPTY,
            part if part == length as usize => whole,
            part => TextId(self.memory.kept.record(start + range.start as u32, part as u32)),
        }
    }

    /// The request body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.memory.body
    }

    /// The request body, to append to or to take away and bring back: texts
    /// are empty for as long as the part of it that they mean is missing.
    pub(crate) fn body_mut(&mut self) -> &mut Vec<u8> {
        &mut self.memory.body
    }

    /// A body of so many bytes as a text, without a copy.
    pub(crate) fn body_text(&mut self, length: usize) -> TextId {
        if length > BYTES_LIMIT {
            self.exhausted = true;
        }
        match length {
            0 => TextId::EMPTY,
            length => TextId(self.memory.kept.record(IN_BODY, length.min(BYTES_LIMIT) as u32)),
        }
    }

    /// Keeps bytes until [`TextStore::forget_passing`].
    pub(crate) fn add_passing(&mut self, bytes: &[u8]) -> TextId {
        if self.memory.passing.bytes.len() + bytes.len() > BYTES_LIMIT {
            self.exhausted = true;
            return TextId::EMPTY;
        }
        TextId(self.memory.passing.add(bytes) | PASSING)
    }

    /// The same text, but for the rest of the transaction.
    pub(crate) fn keep(&mut self, text: TextId) -> TextId {
        if !text.is_passing() {
            return text;
        }
        let bytes = std::mem::take(&mut self.memory.passing);
        let kept = self.add(bytes.get(text.0 & !PASSING, &[]));
        self.memory.passing = bytes;
        kept
    }

    /// Empties the short-lived store; their ids must not be used again.
    pub(crate) fn forget_passing(&mut self) {
        self.memory.passing.clear();
    }

    /// The bytes of a text.
    #[inline]
    pub(crate) fn bytes(&self, text: TextId) -> &[u8] {
        if text.is_passing() {
            self.memory.passing.get(text.0 & !PASSING, &[])
        } else {
            self.memory.kept.get(text.0, &self.memory.body)
        }
    }

    /// Whether a text had to be refused for want of room; such a transaction
    /// was not inspected completely.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// The text after a transformation; the text itself when nothing changes.
    pub(crate) fn transform(
        &mut self,
        text: TextId,
        transformation: Transformation,
        context: &Context<'_>,
    ) -> TextId {
        let passing = text.is_passing();
        let record = text.0 & !PASSING;
        let pool = if passing { &self.memory.passing } else { &self.memory.kept };
        if let Some(known) = pool.output(record, transformation) {
            return TextId(known);
        }
        let changed =
            transformation.apply(pool.get(record, &self.memory.body), &mut self.memory.buffer, context);
        let result = if changed {
            let buffer = std::mem::take(&mut self.memory.buffer);
            let result = if passing { self.add_passing(&buffer) } else { self.add(&buffer) };
            self.memory.buffer = buffer;
            result
        } else {
            text
        };
        let pool = if passing { &mut self.memory.passing } else { &mut self.memory.kept };
        pool.set_output(record, transformation, result.0);
        result
    }

    /// Leaves the memory, emptied, to the next transaction of this thread; the texts are gone.
    pub(crate) fn leave(&mut self) {
        let mut memory = std::mem::take(&mut self.memory);
        memory.kept.clear();
        memory.passing.clear();
        memory.body.clear();
        memory.buffer.clear();
        if memory.size() <= SPARE_LIMIT {
            // A thread that ends has no use for it.
            let _ = SPARE.try_with(|spare| spare.set(Some(memory)));
        }
    }
}

impl Memory {
    /// Bytes it takes.
    fn size(&self) -> usize {
        self.body.capacity() + self.buffer.capacity() + self.kept.size() + self.passing.size()
    }
}

/// Appends a number in decimal digits.
pub(crate) fn push_decimal(number: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; MOST_DIGITS];
    let mut start = digits.len() - 1;
    let mut rest = number;
    while rest >= 10 {
        digits[start] = b'0' + (rest % 10) as u8;
        start -= 1;
        rest /= 10;
    }
    digits[start] = b'0' + rest as u8;
    out.extend_from_slice(&digits[start..]);
}

#[derive(Debug, Default)]
struct Pool {
    bytes: Vec<u8>,
    records: Vec<Record>,
    outputs: Vec<Output>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    start: u32,
    length: u32,
    first_output: u32,
}

#[derive(Clone, Copy, Debug)]
struct Output {
    transformation: Transformation,
    result: u32,
    next: u32,
}

impl Pool {
    fn add(&mut self, bytes: &[u8]) -> u32 {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        self.record(start, bytes.len() as u32)
    }

    #[inline]
    fn record(&mut self, start: u32, length: u32) -> u32 {
        self.records.push(Record { start, length, first_output: NONE });
        self.records.len() as u32 - 1
    }

    #[inline]
    fn get<'a>(&'a self, record: u32, body: &'a [u8]) -> &'a [u8] {
        let Some(record) = self.records.get(record as usize) else { return &[] };
        let start = (record.start & !IN_BODY) as usize;
        let place = if record.start & IN_BODY == 0 { &self.bytes } else { body };
        place.get(start..start + record.length as usize).unwrap_or_default()
    }

    fn output(&self, record: u32, transformation: Transformation) -> Option<u32> {
        let mut next = self.records.get(record as usize)?.first_output;
        while let Some(output) = self.outputs.get(next as usize) {
            if output.transformation == transformation {
                return Some(output.result);
            }
            next = output.next;
        }
        None
    }

    fn set_output(&mut self, record: u32, transformation: Transformation, result: u32) {
        if let Some(record) = self.records.get_mut(record as usize) {
            self.outputs.push(Output { transformation, result, next: record.first_output });
            record.first_output = self.outputs.len() as u32 - 1;
        }
    }

    fn size(&self) -> usize {
        self.bytes.capacity()
            + self.records.capacity() * size_of::<Record>()
            + self.outputs.capacity() * size_of::<Output>()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.outputs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_texts_are_aliases_and_results_are_found_again() {
        let mut texts = TextStore::new();
        let context = Context::default();
        let lowercase = Transformation::from_name("lowercase").unwrap();
        let lower = texts.add(b"abc");
        assert_eq!(texts.transform(lower, lowercase, &context), lower);
        let upper = texts.add(b"ABC");
        let once = texts.transform(upper, lowercase, &context);
        assert_eq!(texts.bytes(once), b"abc");
        assert_eq!(texts.transform(upper, lowercase, &context), once);
    }

    #[test]
    fn parts_of_texts_and_of_the_body_are_texts() {
        let mut texts = TextStore::new();
        let whole = texts.add(b"path?query");
        let part = texts.part(whole, 5..10);
        let inner = texts.part(part, 1..3);
        assert_eq!((texts.bytes(part), texts.bytes(inner)), (&b"query"[..], &b"ue"[..]));
        assert_eq!(texts.part(part, 0..5), part);
        assert_eq!(texts.part(part, 2..2), TextId::EMPTY);
        let body = std::mem::take(texts.body_mut());
        assert!(body.is_empty());
        let text = texts.body_text(9);
        let value = texts.part(text, 2..9);
        assert_eq!(texts.bytes(value), b"", "taken away");
        *texts.body_mut() = b"a=VALUE42".to_vec();
        assert_eq!((texts.bytes(text), texts.bytes(value)), (&b"a=VALUE42"[..], &b"VALUE42"[..]));
        let lowercase = Transformation::from_name("lowercase").unwrap();
        let lower = texts.transform(value, lowercase, &Context::default());
        assert_eq!(texts.bytes(lower), b"value42");
        assert_eq!(texts.transform(value, lowercase, &Context::default()), lower);
    }

    #[test]
    fn constants_and_numbers() {
        let mut texts = TextStore::new();
        for (text, expected) in [(TextId::EMPTY, ""), (TextId::ZERO, "0"), (TextId::ONE, "1")] {
            assert_eq!(texts.bytes(text), expected.as_bytes());
        }
        for number in [0, 1, 2, 9, 10, 443, 65_535, usize::MAX] {
            let text = texts.add_number(number);
            assert_eq!(texts.bytes(text), number.to_string().as_bytes());
        }
        let joined = texts.add_joined(&[b"a", b"", b"bc"]);
        assert_eq!(texts.bytes(joined), b"abc");
        assert_eq!(texts.add_joined(&[b"", b""]), TextId::EMPTY);
    }

    #[test]
    fn passing_texts_survive_only_when_kept() {
        let mut texts = TextStore::new();
        let passing = texts.add_passing(b"12");
        let kept = texts.keep(passing);
        texts.forget_passing();
        assert_eq!(texts.bytes(kept), b"12");
        let next = texts.add_passing(b"x");
        assert_eq!(texts.bytes(next), b"x");
    }
}
