//! The request line: method, target and protocol (RFC 9112, section 3).

use std::borrow::Cow;

use hop3_bodies::{Limits, Text, form};
use hop3_seclang::ast::Variable;

use crate::collections::fields::{Field, push};
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::text::TextId;
use crate::trace::Event;

impl State {
    /// Takes the request line apart. Only the path is decoded, in
    /// REQUEST_FILENAME, REQUEST_BASENAME and PATH_INFO: as a server maps it.
    pub(crate) fn set_request_line(
        &mut self,
        ruleset: &Ruleset,
        method: &[u8],
        target: &[u8],
        protocol: &[u8],
    ) {
        let target_text = self.add_request_line(method, target, protocol);
        let uri = without_authority(target);
        let uri_text = match &uri {
            Cow::Borrowed(uri) => self.texts.part(target_text, target.len() - uri.len()..target.len()),
            Cow::Owned(uri) => self.texts.add(uri),
        };
        // A fragment is no part of REQUEST_URI (RFC 3986, section 3.5). Back ends
        // that were sent one may read it all the same, so path and query keep it.
        let end = memchr::memchr(b'#', &uri).unwrap_or(uri.len());
        let request_uri = match ruleset.settings.as_v3 && memchr::memchr(b'%', &uri[..end]).is_some() {
            false => self.texts.part(uri_text, 0..end),
            true => self.texts.add_with(end, |out| percent_decode(&uri[..end], out)),
        };
        self.scalars.set(Variable::RequestUri, request_uri);
        let path_end = memchr::memchr(b'?', &uri).unwrap_or(uri.len());
        let path = match memchr::memchr(b'%', &uri[..path_end]) {
            None => self.texts.part(uri_text, 0..path_end),
            Some(_) => self.texts.add_with(path_end, |out| percent_decode(&uri[..path_end], out)),
        };
        self.scalars.set(Variable::RequestFilename, path);
        self.scalars.set(Variable::PathInfo, path);
        let bytes = self.texts.bytes(path);
        let name = bytes.len() - base_name(bytes).len()..bytes.len();
        let name = self.texts.part(path, name);
        self.scalars.set(Variable::RequestBasename, name);
        let query = uri.len().min(path_end + 1);
        let query_text = self.texts.part(uri_text, query..uri.len());
        self.scalars.set(Variable::QueryString, query_text);
        self.collections.args_get.clear();
        self.read_query(ruleset, &uri[query..], query_text);
    }

    /// Keeps the line, of which most of the other variables are parts, and
    /// returns the target. What is empty at the end has no space before it.
    fn add_request_line(&mut self, method: &[u8], target: &[u8], protocol: &[u8]) -> TextId {
        let line = match (target, protocol) {
            ([], []) => self.texts.add(method),
            (_, []) => self.texts.add_joined(&[method, b" ", target]),
            _ => self.texts.add_joined(&[method, b" ", target, b" ", protocol]),
        };
        let from_target = method.len() + 1;
        let from_protocol = from_target + target.len() + 1;
        let target = self.texts.part(line, from_target..from_target + target.len());
        let method = self.texts.part(line, 0..method.len());
        let protocol = self.texts.part(line, from_protocol..from_protocol + protocol.len());
        self.scalars.set(Variable::RequestLine, line);
        self.scalars.set(Variable::RequestMethod, method);
        self.scalars.set(Variable::RequestProtocol, protocol);
        self.scalars.set(Variable::RequestUriRaw, target);
        target
    }

    fn read_query(&mut self, ruleset: &Ruleset, query: &[u8], text: TextId) {
        let limits = Limits { arguments: ruleset.settings.arguments_limit, ..Limits::default() };
        let separator = ruleset.settings.argument_separator;
        let faults = form::read(query, separator, &limits, |name, value| {
            let field = self.found_argument(false, (text, query), name, value);
            push(&mut self.collections.args_get, field);
        });
        self.note_faults(faults);
    }

    /// What was wrong with a query or the body of a form.
    pub(super) fn note_faults(&mut self, faults: form::Faults) {
        self.urlencoded_error |= faults.invalid_encoding;
        self.too_many_arguments |= faults.over_limit;
        if faults.over_limit {
            self.trace(|_| Event::ArgumentsOverLimit);
        }
    }

    /// Keeps an argument that a processor found in a source, which is a text
    /// of this transaction and at hand.
    #[inline]
    pub(super) fn found_argument(
        &mut self,
        in_body: bool,
        source: (TextId, &[u8]),
        name: Text<'_>,
        value: Text<'_>,
    ) -> Field {
        self.trace(|state| Event::Argument {
            from: state.processor.filter(|_| in_body),
            name: name.bytes(source.1),
            value: value.bytes(source.1),
        });
        Field { name: self.found(source.0, name), value: self.found(source.0, value) }
    }

    /// Keeps what a processor found in a text.
    #[inline]
    pub(super) fn found(&mut self, source: TextId, text: Text<'_>) -> TextId {
        match text {
            Text::Source(range) => self.texts.part(source, range),
            Text::Decoded(bytes) => self.texts.add(bytes),
        }
    }
}

/// The target without `scheme://authority`. Two slashes at the start are a
/// path: reading them as an authority would hide `//admin`.
pub(crate) fn without_authority(target: &[u8]) -> Cow<'_, [u8]> {
    let scheme =
        target.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    let is_absolute = scheme > 0 && target[0].is_ascii_alphabetic() && target[scheme..].starts_with(b"://");
    if !is_absolute {
        return Cow::Borrowed(target);
    }
    let rest = &target[scheme + 3..];
    match rest.iter().position(|byte| b"/?#".contains(byte)) {
        Some(at) if rest[at] == b'/' => Cow::Borrowed(&rest[at..]),
        Some(at) => Cow::Owned([b"/", &rest[at..]].concat()),
        None => Cow::Owned(b"/".to_vec()),
    }
}

/// Replaces each `%HH` by its byte; any other `%` stays (RFC 3986, section 2.1).
fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        let (before, escape) = rest.split_at(percent);
        out.extend_from_slice(before);
        let digit = |index: usize| escape.get(index).and_then(|digit| (*digit as char).to_digit(16));
        let taken = match (digit(1), digit(2)) {
            (Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                3
            }
            _ => {
                out.push(b'%');
                1
            }
        };
        rest = &escape[taken..];
    }
    out.extend_from_slice(rest);
}

/// What follows the last slash, forward or backward.
fn base_name(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(path, |at| &path[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (target, uri) in [
            ("/a?b", "/a?b"),
            ("http://h/a?b", "/a?b"),
            ("HTTP://h:80?b", "/?b"),
            ("http://h", "/"),
            ("//admin/x", "//admin/x"),
            ("*", "*"),
            ("host:443", "host:443"),
            ("/a?u=http://h/x", "/a?u=http://h/x"),
            ("", ""),
        ] {
            assert_eq!(&*without_authority(target.as_bytes()), uri.as_bytes(), "{target}");
        }
        let mut decoded = Vec::new();
        percent_decode(b"/a%20b+%2F%zz%4", &mut decoded);
        assert_eq!(decoded, b"/a b+/%zz%4");
        assert_eq!(base_name(b"/a/b.php"), b"b.php");
        assert_eq!(base_name(b"/a\\c"), b"c");
        assert_eq!(base_name(b"/a/"), b"");
    }
}
