//! The texts of one transaction: what the client sent, and everything that
//! transformations made of it.
//!
//! Texts are only ever added, so a [`TextId`] names the same bytes for as long
//! as the transaction lives, and results are cached by identity. Short-lived
//! texts (collection variables, counts, times) live in a second store that is
//! emptied before each test.

use hop3_transformations::{Context, Transformation};

/// Most bytes one transaction may hold in either store.
const BYTES_LIMIT: usize = 1 << 30;
/// No output; the end of a list of outputs.
const NONE: u32 = u32::MAX;
/// Set in the ids of short-lived texts.
const PASSING: u32 = 1 << 31;

/// A text of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TextId(u32);

impl TextId {
    /// The empty text.
    pub(crate) const EMPTY: Self = Self(0);

    /// Whether the text lives only until the next test.
    pub(crate) fn is_passing(self) -> bool {
        self.0 & PASSING != 0
    }
}

/// All texts of a transaction.
#[derive(Debug)]
pub(crate) struct TextStore {
    kept: Pool,
    passing: Pool,
    buffer: Vec<u8>,
    exhausted: bool,
}

impl TextStore {
    pub(crate) fn new() -> Self {
        let mut kept = Pool::default();
        kept.add(&[]);
        Self { kept, passing: Pool::default(), buffer: Vec::new(), exhausted: false }
    }

    /// Keeps bytes for the rest of the transaction.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> TextId {
        if bytes.is_empty() {
            return TextId::EMPTY;
        }
        if self.kept.bytes.len() + bytes.len() > BYTES_LIMIT {
            self.exhausted = true;
            return TextId::EMPTY;
        }
        TextId(self.kept.add(bytes))
    }

    /// Keeps bytes until [`TextStore::forget_passing`].
    pub(crate) fn add_passing(&mut self, bytes: &[u8]) -> TextId {
        if self.passing.bytes.len() + bytes.len() > BYTES_LIMIT {
            self.exhausted = true;
            return TextId::EMPTY;
        }
        TextId(self.passing.add(bytes) | PASSING)
    }

    /// The same text, but for the rest of the transaction.
    pub(crate) fn keep(&mut self, text: TextId) -> TextId {
        if !text.is_passing() {
            return text;
        }
        let bytes = std::mem::take(&mut self.passing);
        let kept = self.add(bytes.get(text.0 & !PASSING));
        self.passing = bytes;
        kept
    }

    /// Empties the short-lived store; their ids must not be used again.
    pub(crate) fn forget_passing(&mut self) {
        self.passing.clear();
    }

    /// The bytes of a text.
    #[inline]
    pub(crate) fn bytes(&self, text: TextId) -> &[u8] {
        if text.is_passing() { self.passing.get(text.0 & !PASSING) } else { self.kept.get(text.0) }
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
        let pool = if passing { &self.passing } else { &self.kept };
        if let Some(known) = pool.output(record, transformation) {
            return TextId(known);
        }
        let changed = transformation.apply(pool.get(record), &mut self.buffer, context);
        let result = if changed {
            let buffer = std::mem::take(&mut self.buffer);
            let result = if passing { self.add_passing(&buffer) } else { self.add(&buffer) };
            self.buffer = buffer;
            result
        } else {
            text
        };
        let pool = if passing { &mut self.passing } else { &mut self.kept };
        pool.set_output(record, transformation, result.0);
        result
    }
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
        let record =
            Record { start: self.bytes.len() as u32, length: bytes.len() as u32, first_output: NONE };
        self.bytes.extend_from_slice(bytes);
        self.records.push(record);
        self.records.len() as u32 - 1
    }

    fn get(&self, record: u32) -> &[u8] {
        match self.records.get(record as usize) {
            Some(record) => &self.bytes[record.start as usize..(record.start + record.length) as usize],
            None => &[],
        }
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
