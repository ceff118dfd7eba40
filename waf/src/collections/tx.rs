//! The TX collection: variables that rules set for one transaction.
//!
//! Names that rules mention are numbered at load, so that reading and writing
//! them is an array access; names made of macros are looked up at run time.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::scan::bits::Bits;
use crate::text::push_decimal;

/// Number of a TX variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Slot(pub(crate) u32);

/// Most variables whose names are made at run time.
const DYNAMIC_LIMIT: usize = 20_000;
/// Most bytes that all values may take together.
const BYTES_LIMIT: usize = 64 << 20;

/// The names that the rules mention, without regard to ASCII case.
#[derive(Clone, Debug)]
pub(crate) struct SlotNames {
    slots: HashMap<Vec<u8>, Slot>,
    spellings: Vec<Vec<u8>>,
}

impl SlotNames {
    /// With `0` to `9` as the first ten slots, for captured groups.
    pub(crate) fn new() -> Self {
        let mut names = Self { slots: HashMap::new(), spellings: Vec::new() };
        for digit in b'0'..=b'9' {
            names.intern(&[digit]);
        }
        names
    }

    /// The number of a name; a new one when it is not known.
    pub(crate) fn intern(&mut self, name: &[u8]) -> Slot {
        let next = Slot(self.spellings.len() as u32);
        *self.slots.entry(name.to_ascii_lowercase()).or_insert_with(|| {
            self.spellings.push(name.to_vec());
            next
        })
    }

    /// The number of a name, if rules mention it; `name` in lower case.
    pub(crate) fn find(&self, name: &[u8]) -> Option<Slot> {
        self.slots.get(name).copied()
    }

    /// All names as they are spelt where they appear first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spellings.iter().map(Vec::as_slice)
    }

    /// How a name is spelt where it appears first.
    pub(crate) fn spelling(&self, slot: Slot) -> &[u8] {
        self.spellings.get(slot.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Number of names.
    pub(crate) fn len(&self) -> usize {
        self.spellings.len()
    }
}

/// What was written to each slot: a value, that it has none, or nothing.
type Writings = Vec<Option<Option<Value>>>;

thread_local! {
    /// Emptied memory of the transaction that ended last on this thread.
    static SPARE: Cell<Option<(Writings, Vec<u32>)>> = const { Cell::new(None) };
}

/// The values of one transaction.
#[derive(Debug, Default)]
pub(crate) struct TxVariables {
    /// What was written; `None` where the value is still that of `base`.
    values: Writings,
    /// The slots that were written.
    written: Vec<u32>,
    /// The values that every transaction begins with.
    base: Option<Arc<[Option<Value>]>>,
    /// Names made at run time; their slots follow those of the ruleset.
    dynamic: HashMap<Vec<u8>, u32>,
    dynamic_spellings: Vec<Vec<u8>>,
    ruleset_slots: usize,
    bytes: usize,
}

/// A value. Numbers are kept as such: scores are what rules write most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number.
    Number(i64),
    /// Any text.
    Text(Vec<u8>),
}

impl Value {
    fn size(&self) -> usize {
        match self {
            Value::Number(_) => 0,
            Value::Text(text) => text.len(),
        }
    }

    /// The value as a number, 0 when it is none.
    pub(crate) fn number(&self) -> i64 {
        match self {
            Value::Number(number) => *number,
            Value::Text(text) => crate::operators::number(text),
        }
    }

    /// Appends the text of the value.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Number(number) => {
                if *number < 0 {
                    out.push(b'-');
                }
                push_decimal(number.unsigned_abs() as usize, out);
            }
            Value::Text(text) => out.extend_from_slice(text),
        }
    }
}

impl TxVariables {
    /// Without values; `names` is the number of names the ruleset mentions.
    pub(crate) fn new(names: usize) -> Self {
        let (mut values, written) = SPARE.take().unwrap_or_default();
        values.resize(names, None);
        Self { values, written, ruleset_slots: names, ..Self::default() }
    }

    /// Leaves the memory, emptied, to the next transaction of this thread; the values are gone.
    pub(crate) fn leave(&mut self) {
        let (mut values, mut written) = (std::mem::take(&mut self.values), std::mem::take(&mut self.written));
        values.truncate(self.ruleset_slots);
        for slot in written.drain(..) {
            if let Some(value) = values.get_mut(slot as usize) {
                *value = None;
            }
        }
        // A thread that ends has no use for it.
        let _ = SPARE.try_with(|spare| spare.set(Some((values, written))));
    }

    /// Gives every variable that has not been written the value it has there.
    pub(crate) fn begin_with(&mut self, base: Arc<[Option<Value>]>) {
        self.base = Some(base);
    }

    /// The value of a variable.
    pub(crate) fn get(&self, slot: Slot) -> Option<&Value> {
        match self.values.get(slot.0 as usize)? {
            Some(written) => written.as_ref(),
            None => self.base.as_ref()?.get(slot.0 as usize)?.as_ref(),
        }
    }

    /// Sets or unsets a variable. A text that does not fit into the memory of
    /// TX is cut, which the caller learns.
    pub(crate) fn set(&mut self, slot: Slot, value: Option<Value>) -> bool {
        let Some(place) = self.values.get_mut(slot.0 as usize) else { return false };
        let before = place.as_ref().and_then(Option::as_ref).map_or(0, Value::size);
        let mut fits = true;
        let mut value = value;
        if let Some(Value::Text(text)) = &mut value {
            let room = BYTES_LIMIT.saturating_sub(self.bytes - before);
            fits = text.len() <= room;
            text.truncate(room);
        }
        self.bytes = self.bytes - before + value.as_ref().map_or(0, Value::size);
        if place.is_none() {
            self.written.push(slot.0);
        }
        *place = Some(value);
        fits
    }

    /// The slot of a name made at run time, if there is one.
    pub(crate) fn find(&self, names: &SlotNames, name: &[u8]) -> Option<Slot> {
        let lower = name.to_ascii_lowercase();
        names.find(&lower).or_else(|| self.dynamic.get(&lower).copied().map(Slot))
    }

    /// The slot of a name made at run time, a new one if need be; `None` when
    /// there are too many.
    pub(crate) fn find_or_add(&mut self, names: &SlotNames, name: &[u8]) -> Option<Slot> {
        if let Some(slot) = self.find(names, name) {
            return Some(slot);
        }
        if self.dynamic.len() >= DYNAMIC_LIMIT {
            return None;
        }
        let slot = self.values.len() as u32;
        self.values.push(None);
        self.dynamic.insert(name.to_ascii_lowercase(), slot);
        self.dynamic_spellings.push(name.to_vec());
        Some(Slot(slot))
    }

    /// Whether the name stands in the rules.
    pub(crate) fn is_of_ruleset(&self, slot: Slot) -> bool {
        (slot.0 as usize) < self.ruleset_slots
    }

    /// How a variable's name is spelt.
    pub(crate) fn spelling<'a>(&'a self, names: &'a SlotNames, slot: Slot) -> &'a [u8] {
        match (slot.0 as usize).checked_sub(self.ruleset_slots) {
            Some(index) => self.dynamic_spellings.get(index).map_or(&[], Vec::as_slice),
            None => names.spelling(slot),
        }
    }

    /// The variables that have a value, of those with names in the ruleset only the given ones.
    pub(crate) fn iter_selected<'a>(&'a self, selected: &'a Bits) -> impl Iterator<Item = (Slot, &'a Value)> {
        let slots = selected.iter().chain(self.ruleset_slots..self.values.len());
        slots.map(|index| Slot(index as u32)).filter_map(|slot| Some((slot, self.get(slot)?)))
    }

    /// The variables that have a value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Value)> {
        let slots = (0..self.values.len()).map(|index| Slot(index as u32));
        slots.filter_map(|slot| Some((slot, self.get(slot)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_the_first_spelling_stays() {
        let mut names = SlotNames::new();
        let slot = names.intern(b"Score");
        assert_eq!(names.intern(b"SCORE"), slot);
        assert_eq!(names.spelling(slot), b"Score");
        let mut tx = TxVariables::new(names.len());
        assert_eq!(tx.find(&names, b"score"), Some(slot));
        let dynamic = tx.find_or_add(&names, b"Count_a").unwrap();
        assert_eq!(tx.find(&names, b"count_A"), Some(dynamic));
        tx.set(dynamic, Some(Value::Number(3)));
        assert_eq!(tx.spelling(&names, dynamic), b"Count_a");
        assert_eq!(tx.iter().count(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut tx = TxVariables::new(10);
        assert!(tx.set(Slot(0), Some(Value::Text(vec![0; BYTES_LIMIT]))));
        assert!(!tx.set(Slot(1), Some(Value::Text(vec![0; 2]))));
        assert!(tx.set(Slot(0), None));
        assert!(tx.set(Slot(1), Some(Value::Text(vec![0; 2]))));
    }
}
