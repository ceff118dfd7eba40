//! The request line: method, target and protocol (RFC 9112, section 3).

use hop3_bodies::{Limits, form};
use hop3_seclang::ast::Variable;

use crate::collections::fields::Field;
use crate::ruleset::Ruleset;
use crate::state::State;
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
        let parts = [method, target, protocol];
        let shown = parts.iter().rposition(|part| !part.is_empty()).map_or(0, |last| last + 1);
        let line = parts[..shown].join(&b' ');
        let uri = without_authority(target);
        let (path, query) = match memchr::memchr(b'?', &uri) {
            Some(at) => (&uri[..at], &uri[at + 1..]),
            None => (&uri[..], &[][..]),
        };
        self.set(Variable::RequestLine, &line);
        self.set(Variable::RequestMethod, method);
        self.set(Variable::RequestProtocol, protocol);
        self.set(Variable::RequestUriRaw, target);
        // A fragment is no part of REQUEST_URI (RFC 3986, section 3.5). Back ends
        // that were sent one may read it all the same, so path and query keep it.
        let end = memchr::memchr(b'#', &uri).unwrap_or(uri.len());
        self.set(Variable::RequestUri, &uri[..end]);
        let path = percent_decoded(path);
        self.set(Variable::RequestFilename, &path);
        self.set(Variable::PathInfo, &path);
        self.set(Variable::RequestBasename, base_name(&path));
        self.set(Variable::QueryString, query);
        self.collections.args_get.clear();
        self.read_query(ruleset, query);
    }

    fn read_query(&mut self, ruleset: &Ruleset, query: &[u8]) {
        let limits = Limits { arguments: ruleset.settings.arguments_limit, ..Limits::default() };
        let form = form::parse(query, ruleset.settings.argument_separator, &limits);
        self.urlencoded_error |= form.invalid_encoding;
        self.too_many_arguments |= form.over_limit;
        if form.over_limit {
            self.trace(|_| Event::ArgumentsOverLimit);
        }
        for argument in &form.arguments {
            self.trace(|_| Event::Argument { in_body: false, name: &argument.name, value: &argument.value });
            let field: Field = self.field(&argument.name, &argument.value);
            self.collections.args_get.push(field);
        }
    }
}

/// The target without `scheme://authority`. Two slashes at the start are a
/// path: reading them as an authority would hide `//admin`.
pub(crate) fn without_authority(target: &[u8]) -> Vec<u8> {
    let scheme =
        target.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    let is_absolute = scheme > 0 && target[0].is_ascii_alphabetic() && target[scheme..].starts_with(b"://");
    if !is_absolute {
        return target.to_vec();
    }
    let rest = &target[scheme + 3..];
    match rest.iter().position(|byte| b"/?#".contains(byte)) {
        Some(at) if rest[at] == b'/' => rest[at..].to_vec(),
        Some(at) => [b"/", &rest[at..]].concat(),
        None => b"/".to_vec(),
    }
}

/// Replaces each `%HH` by its byte; any other `%` stays (RFC 3986, section 2.1).
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |index: usize| after.get(index).and_then(|digit| (*digit as char).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
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
            assert_eq!(without_authority(target.as_bytes()), uri.as_bytes(), "{target}");
        }
        assert_eq!(percent_decoded(b"/a%20b+%2F%zz%4"), b"/a b+/%zz%4");
        assert_eq!(base_name(b"/a/b.php"), b"b.php");
        assert_eq!(base_name(b"/a\\c"), b"c");
        assert_eq!(base_name(b"/a/"), b"");
    }
}
