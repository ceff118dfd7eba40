//! The walk over the markup, event by event.

use super::attribute::{collect, is_name};
use super::entity::Entities;
use super::reference::resolve;
use super::tree_builder::{Tag, TreeBuilder};
use super::{Reason, Xml, dtd};
use crate::Limits;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::borrow::Cow;

/// Reads `source` into `xml`, which may already carry an error, and into `tree`.
/// True when all of it was read, and each element is closed.
pub(super) fn walk<'a>(
    source: &'a str,
    limits: &Limits,
    xml: &mut Xml<'a>,
    tree: Option<&mut TreeBuilder<'a>>,
) -> bool {
    let mut reader = Reader::from_str(source);
    let config = reader.config_mut();
    config.check_comments = true;
    config.check_end_names = true;
    let mut walker = Walker {
        source,
        limits,
        xml,
        tree,
        tag: Tag::default(),
        entities: Entities::new(),
        joins: false,
        depth: 0,
        seen_root: false,
    };
    loop {
        let start = position(reader.buffer_position());
        let going_on = match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(event) => walker.event(event, start, position(reader.buffer_position())),
            Err(error) => {
                let offset = position(reader.error_position());
                walker.xml.note(Reason::Syntax(error.to_string()), offset);
                walker.keep_rest(start);
                false
            }
        };
        if !going_on {
            return false;
        }
    }
    if walker.depth > 0 {
        walker.xml.note(Reason::Unclosed(walker.depth), source.len());
    } else if !walker.seen_root {
        walker.xml.note(Reason::NoElement, source.len());
    }
    walker.depth == 0 && walker.seen_root
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

struct Walker<'a, 'x, 'l> {
    source: &'a str,
    limits: &'l Limits,
    xml: &'x mut Xml<'a>,
    tree: Option<&'x mut TreeBuilder<'a>>,
    tag: Tag<'a>,
    entities: Entities,
    /// Whether the next text goes on with the last.
    joins: bool,
    depth: usize,
    seen_root: bool,
}

impl<'a> Walker<'a, '_, '_> {
    /// Takes the event that lies from `start` to `end`; false when the walk is
    /// to stop.
    fn event(&mut self, event: Event<'a>, start: usize, end: usize) -> bool {
        let before = self.xml.text.len();
        let is_text = matches!(event, Event::Text(_) | Event::CData(_) | Event::GeneralRef(_));
        let going_on = self.take(event, start, end);
        if is_text && let Some(tree) = &mut self.tree {
            tree.text(before, self.xml.text.len(), self.joins);
        }
        self.joins = is_text;
        going_on
    }

    fn take(&mut self, event: Event<'a>, start: usize, end: usize) -> bool {
        match event {
            Event::Start(_) => {
                self.depth += 1;
                if self.depth > self.limits.depth {
                    self.xml.note(Reason::Depth(self.limits.depth), start);
                    return false;
                }
                return self.tag(start, end, ">", self.depth == 1);
            }
            Event::Empty(_) => {
                let going_on = self.tag(start, end, "/>", self.depth == 0);
                self.close();
                return going_on;
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                self.close();
            }
            Event::Text(text) => self.text(text.into_inner(), start),
            Event::CData(text) => self.cdata(text.into_inner(), start),
            Event::GeneralRef(reference) => self.reference(&reference, start),
            Event::Decl(_) if start > 0 => self.xml.note(Reason::LateDeclaration, start),
            Event::DocType(declaration) => self.doctype(declaration.into_inner(), start),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::Eof => {}
        }
        true
    }

    fn doctype(&mut self, declaration: Cow<'a, str>, start: usize) {
        if self.seen_root || self.xml.doctype.is_some() {
            self.xml.note(Reason::LateDoctype, start);
        }
        let text = declaration.as_bytes();
        if let Some(subset) = memchr::memchr(b'[', text)
            && (memchr::memmem::find(&text[subset..], b"<!ATTLIST").is_some()
                || memchr::memchr(b'%', &text[subset..]).is_some())
        {
            self.xml.note(Reason::Declarations, start);
        }
        if let Cow::Borrowed(text) = declaration {
            let name = text.trim_ascii_start().split(|c: char| c.is_ascii_whitespace() || c == '[').next();
            if let (Some(tree), Some(name)) = (&mut self.tree, name) {
                tree.doctype(name);
            }
            dtd::declare_entities(text, &mut self.entities);
        }
        self.xml.doctype = Some(match declaration {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        });
    }

    /// Takes a start tag or an empty one.
    fn tag(&mut self, start: usize, end: usize, tail: &str, is_root: bool) -> bool {
        if is_root && std::mem::replace(&mut self.seen_root, true) {
            self.xml.note(Reason::OutsideRoot, start);
        }
        let tag = self.source.get(start..end).unwrap_or_default();
        let inside = tag.strip_prefix('<').and_then(|tag| tag.strip_suffix(tail)).unwrap_or(tag);
        let name_end = inside.find(|c: char| c.is_ascii_whitespace()).unwrap_or(inside.len());
        let (name, attributes) = inside.split_at(name_end);
        if !is_name(name) {
            self.xml.note(Reason::ElementName, start);
        }
        let tag = self.tree.is_some().then_some(&mut self.tag);
        let going_on = collect(attributes, start, self.limits, &mut self.entities, self.xml, tag);
        if let Some(tree) = &mut self.tree {
            tree.open(name, &mut self.tag, self.xml.text.len());
        }
        going_on
    }

    fn close(&mut self) {
        if let Some(tree) = &mut self.tree {
            tree.close(self.xml.text.len());
        }
    }

    fn text(&mut self, text: Cow<'a, str>, start: usize) {
        if self.depth == 0 {
            let is_blank = text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
            if is_blank {
                return;
            }
            self.xml.note(Reason::OutsideRoot, start);
        }
        self.append(text);
    }

    fn cdata(&mut self, text: Cow<'a, str>, start: usize) {
        if self.depth == 0 {
            self.xml.note(Reason::OutsideRoot, start);
        }
        self.append(text);
    }

    fn reference(&mut self, inside: &str, start: usize) {
        if self.depth == 0 {
            self.xml.note(Reason::OutsideRoot, start);
        }
        if let Err(reason) = resolve(inside, &mut self.entities, self.xml.text.to_mut()) {
            self.xml.note(reason, start);
        }
    }

    /// Adds to the text, line ends normalised (XML 1.0, section 2.11). A single
    /// piece stays borrowed.
    fn append(&mut self, piece: Cow<'a, str>) {
        if memchr::memchr(b'\r', piece.as_bytes()).is_some() {
            let text = self.xml.text.to_mut();
            let mut lines = piece.split('\r');
            text.extend_from_slice(lines.next().unwrap_or_default().as_bytes());
            for line in lines {
                text.push(b'\n');
                text.extend_from_slice(line.strip_prefix('\n').unwrap_or(line).as_bytes());
            }
            return;
        }
        match piece {
            Cow::Borrowed(piece) if self.xml.text.is_empty() => {
                self.xml.text = Cow::Borrowed(piece.as_bytes())
            }
            piece => self.xml.text.to_mut().extend_from_slice(piece.as_bytes()),
        }
    }

    /// What a malformed document goes on with is kept as text: the error is
    /// reported, and rules can still look at it.
    fn keep_rest(&mut self, start: usize) {
        if let Some(rest) = self.source.get(start..) {
            self.append(Cow::Borrowed(rest));
        }
    }
}
