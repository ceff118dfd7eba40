//! Splitting a list of actions: names, values, quotes and commas.

use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::text::{Slice, is_blank};

/// One action as it is written.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    /// Name and value.
    pub whole: Slice<'a>,
    /// The name.
    pub name: Slice<'a>,
    /// The value without its quotes, when there is a colon.
    pub value: Option<Slice<'a>>,
    /// The quote around the value.
    pub quote: Option<u8>,
}

impl Item<'_> {
    /// The value with its escapes resolved; empty without one.
    pub fn bytes(&self) -> Vec<u8> {
        match (self.value, self.quote) {
            (Some(value), Some(quote)) => value.unescaped(quote),
            (Some(value), None) => value.bytes().to_vec(),
            (None, _) => Vec::new(),
        }
    }

    /// The place of the value, or of the name.
    pub fn value_span(&self) -> Span {
        self.value.unwrap_or(self.name).span()
    }
}

/// The first action of a list, and its length with the comma after it.
pub(super) fn split_item(list: Slice<'_>) -> Result<(Item<'_>, usize), Box<Diagnostic>> {
    let end = list.position(|b| matches!(b, b':' | b',')).unwrap_or(list.len());
    let name = list.sub(0..end).trim();
    if list.bytes().get(end) != Some(&b':') {
        return Ok((Item { whole: name, name, value: None, quote: None }, end + 1));
    }
    let rest = list.from(end + 1);
    let lead = rest.position(|b| !is_blank(*b)).unwrap_or(rest.len());
    let start = end + 1 + lead;
    match list.bytes().get(start) {
        Some(&quote @ (b'\'' | b'"')) => quoted_item(list, name, start, quote),
        _ => {
            let length = unquoted_length(list.from(start));
            let value = list.sub(start..start + length).trim();
            let whole = list.sub(0..start + length).trim();
            Ok((Item { whole, name, value: Some(value), quote: None }, start + length + 1))
        }
    }
}

/// A value in quotes that starts at an offset.
fn quoted_item<'a>(
    list: Slice<'a>,
    name: Slice<'a>,
    start: usize,
    quote: u8,
) -> Result<(Item<'a>, usize), Box<Diagnostic>> {
    let Some(close) = closing(list, start + 1, quote) else {
        let error = Diagnostic::error(list.sub(start..start + 1).span(), "this quote is never closed");
        return Err(Box::new(error.hint("write `\\'` for a quote inside the text")));
    };
    let item = Item {
        whole: list.sub(0..close + 1),
        name,
        value: Some(list.sub(start + 1..close)),
        quote: Some(quote),
    };
    let after = list.from(close + 1);
    let gap = after.position(|b| !is_blank(*b)).unwrap_or(after.len());
    match after.bytes().get(gap) {
        None | Some(b',') => Ok((item, close + 1 + gap + 1)),
        Some(_) => {
            let junk = after.from(gap);
            let end = junk.position(|b| *b == b',').unwrap_or(junk.len());
            let error =
                Diagnostic::error(junk.sub(0..end).span(), "a comma is missing after the closing quote");
            Err(Box::new(error.hint("separate actions by commas; write `\\'` for a quote inside the text")))
        }
    }
}

/// Offset of the quote that closes a text: one without a backslash before it.
fn closing(list: Slice<'_>, from: usize, quote: u8) -> Option<usize> {
    let bytes = list.bytes();
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Length of a value without quotes: to the next comma that is not within `'…'` or `/…/` of a selector.
fn unquoted_length(value: Slice<'_>) -> usize {
    let bytes = value.bytes();
    let ends = |at: usize| bytes.get(at).is_none_or(|&b| b == b',' || is_blank(b));
    let mut at = 0;
    while at < bytes.len() && bytes[at] != b',' {
        let selector = at > 0 && bytes[at - 1] == b':' && matches!(bytes[at], b'/' | b'\'');
        if selector && bytes[..at].contains(&b';') {
            let close = (at + 1..bytes.len())
                .find(|&end| bytes[end] == bytes[at] && bytes[end - 1] != b'\\' && ends(end + 1));
            if let Some(close) = close {
                return close + 1 + bytes[close + 1..].iter().take_while(|b| **b != b',').count();
            }
            return at + bytes[at..].iter().take_while(|b| **b != b',').count();
        }
        at += 1;
    }
    at
}
