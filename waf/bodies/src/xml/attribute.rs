//! The attributes of one start tag (XML 1.0, section 3.1).

use super::entity::Entities;
use super::reference::resolve_all;
use super::tree_builder::Tag;
use super::{Reason, Xml};
use crate::Limits;
use std::borrow::Cow;
use std::collections::HashSet;

/// Up to here duplicates are found by comparing; beyond, by a set.
const FEW: usize = 16;

/// True when `name` may name an element or attribute. Characters above ASCII
/// are taken on trust.
pub(super) fn is_name(name: &str) -> bool {
    let is_start = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b':' || !b.is_ascii();
    let is_part = |b: u8| is_start(b) || b.is_ascii_digit() || b == b'-' || b == b'.';
    name.bytes().next().is_some_and(is_start) && name.bytes().all(is_part)
}

/// Adds the values in `text`, what follows the element's name in its tag, to
/// `xml`, and with their names to `tag`. `false` when there are more than the limit allows.
pub(super) fn collect<'a>(
    text: &'a str,
    offset: usize,
    limits: &Limits,
    entities: &mut Entities,
    xml: &mut Xml<'a>,
    mut tag: Option<&mut Tag<'a>>,
) -> bool {
    if text.is_empty() {
        return true;
    }
    let mut names = Names::default();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_ascii_start();
        if trimmed.is_empty() {
            return true;
        }
        let separated = trimmed.len() < rest.len();
        let Some((name, value, after)) = attribute(trimmed).filter(|_| separated) else {
            xml.note(Reason::Attribute, offset);
            // Not understood, so it is kept whole for the rules to look at.
            return push(Cow::Borrowed(trimmed.as_bytes()), offset, limits, xml);
        };
        rest = after;
        if !is_name(name) || memchr::memchr(b'<', value.as_bytes()).is_some() {
            xml.note(Reason::Attribute, offset);
        }
        if !names.insert(name) {
            xml.note(Reason::DuplicateAttribute, offset);
        }
        let (value, fault) = normalise(value, entities);
        if let Some(prefix) = name.strip_prefix("xmlns")
            && (prefix.is_empty() || prefix.starts_with(':'))
        {
            if let Some(tag) = tag.as_deref_mut() {
                tag.namespaces.push((prefix.strip_prefix(':').unwrap_or_default(), value));
            }
            continue;
        }
        if let Some(reason) = fault {
            xml.note(reason, offset);
        }
        if let Some(tag) = tag.as_deref_mut() {
            tag.attributes.push((name, value.clone()));
        }
        if !push(value, offset, limits, xml) {
            return false;
        }
    }
}

fn push<'a>(value: Cow<'a, [u8]>, offset: usize, limits: &Limits, xml: &mut Xml<'a>) -> bool {
    if xml.attributes.len() >= limits.arguments {
        xml.note(Reason::Attributes(limits.arguments), offset);
        return false;
    }
    xml.attributes.push(value);
    true
}

/// Splits `name = "value"` off the start of `text`.
fn attribute(text: &str) -> Option<(&str, &str, &str)> {
    let equals = memchr::memchr(b'=', text.as_bytes())?;
    let name = text[..equals].trim_ascii_end();
    let value = text[equals + 1..].trim_ascii_start();
    let quote = value.bytes().next().filter(|b| matches!(b, b'"' | b'\''))?;
    let end = memchr::memchr(quote, &value.as_bytes()[1..])? + 1;
    Some((name, &value[1..end], &value[end + 1..]))
}

/// The value as the application sees it; beside a fault, the best that could be
/// made of it.
fn normalise<'a>(value: &'a str, entities: &mut Entities) -> (Cow<'a, [u8]>, Option<Reason>) {
    if !value.bytes().any(|b| matches!(b, b'&' | b'\t' | b'\n' | b'\r')) {
        return (Cow::Borrowed(value.as_bytes()), None);
    }
    let mut resolved = Vec::with_capacity(value.len());
    let fault = resolve_all(value, entities, &mut resolved).err();
    (Cow::Owned(resolved), fault)
}

/// The attribute names of one tag.
#[derive(Default)]
struct Names<'a> {
    few: [&'a str; FEW],
    used: usize,
    many: Option<HashSet<&'a str>>,
}

impl<'a> Names<'a> {
    /// False when `name` is there already.
    fn insert(&mut self, name: &'a str) -> bool {
        if self.few[..self.used].contains(&name) {
            return false;
        }
        if self.used < FEW {
            self.few[self.used] = name;
            self.used += 1;
            return true;
        }
        self.many.get_or_insert_default().insert(name)
    }
}
