//! Where in the request a value came from, for logs that point at it.
//!
//! Nothing is kept for this while the request is read: the few values that
//! matched are looked up again. Offsets count as ModSecurity v3 counts them:
//! from the request line on, each line end of the head as one byte.

use hop3_bodies::{Limits, Text, cookies, multipart};
use hop3_seclang::ast::{BodyProcessor, Variable};

use super::found::Found;
use crate::collections::fields::Field;
use crate::request::headers::COOKIES_LIMIT;
use crate::request::line::without_authority;
use crate::ruleset::Ruleset;
use crate::state::State;

/// Offset and length in the request.
pub(crate) type Place = (usize, usize);

/// A name and its value.
type Pair = (Place, Place);

impl State {
    /// The parts of the request that a value was made of; none when it came from elsewhere, or was made up.
    pub(crate) fn origin(&self, ruleset: &Ruleset, found: &Found) -> Vec<Place> {
        use Variable as V;
        if found.count {
            return Vec::new();
        }
        let c = &self.collections;
        let names = |pair: Option<Pair>| pair.map(|(name, _)| name).into_iter().collect();
        let values = |pair: Option<Pair>| pair.map(|(_, value)| value).into_iter().collect();
        let query = |found| self.position(&c.args_get, found).and_then(|at| self.query_pair(ruleset, at));
        let posted = |found| self.position(&c.args_post, found).and_then(|at| self.body_pair(ruleset, at));
        let header = |found| self.position(&c.request_headers, found).and_then(|at| self.headers().nth(at));
        let cookie = |found| {
            self.position(&c.request_cookies, found).and_then(|at| self.cookie_pairs().into_iter().nth(at))
        };
        match found.variable {
            V::ArgsGet => values(query(found)),
            V::ArgsGetNames => names(query(found)),
            V::ArgsPost => values(posted(found)),
            V::ArgsPostNames => names(posted(found)),
            V::Args => values(query(found).or_else(|| posted(found))),
            V::ArgsNames => names(query(found).or_else(|| posted(found))),
            V::ArgsCombinedSize => {
                let query = (0..c.args_get.len()).map_while(|at| self.query_pair(ruleset, at));
                let posted = (0..c.args_post.len()).map_while(|at| self.body_pair(ruleset, at));
                query.chain(posted).take(COMBINED).flat_map(|(name, value)| [name, value]).collect()
            }
            V::RequestHeaders => values(header(found)),
            V::RequestHeadersNames => names(header(found)),
            V::RequestCookies => values(cookie(found)),
            V::RequestCookiesNames => names(cookie(found)),
            V::AuthType | V::RemoteUser => self.credentials(found).into_iter().collect(),
            V::RequestBody | V::RequestBodyLength => vec![(self.body_variable(), self.texts.body().len())],
            V::Files | V::MultipartFilename => self.file_places(ruleset, &c.files, found, FilePart::FileName),
            V::FilesNames | V::MultipartName => {
                self.file_places(ruleset, &c.files_names, found, FilePart::Name)
            }
            V::FilesSizes => self.file_places(ruleset, &c.files_sizes, found, FilePart::Content),
            V::FilesTmpContent => self.file_places(ruleset, &c.files_content, found, FilePart::Content),
            V::FilesCombinedSize => self.files(ruleset).into_iter().map(|file| file[2]).collect(),
            variable => self.line_place(variable).into_iter().collect(),
        }
    }

    /// The number of a field in its list.
    fn position(&self, list: &[Field], found: &Found) -> Option<usize> {
        let is_meant = |field: &Field| {
            Some(field.name) == found.name && (field.value == found.value || field.name == found.value)
        };
        list.iter().position(is_meant)
    }

    /// Parts of the request line.
    fn line_place(&self, variable: Variable) -> Option<Place> {
        use Variable as V;
        let (method, target) = (self.bytes(V::RequestMethod), self.bytes(V::RequestUriRaw));
        let uri = without_authority(target);
        let start = method.len() + 1 + target.len().saturating_sub(uri.len());
        let path = memchr::memchr(b'?', &uri).unwrap_or(uri.len());
        Some(match variable {
            V::RequestLine => (0, self.bytes(V::RequestLine).len()),
            V::RequestMethod => (0, method.len()),
            V::RequestProtocol => (method.len() + target.len() + 2, self.bytes(V::RequestProtocol).len()),
            V::RequestUriRaw => (method.len() + 1, target.len()),
            V::RequestUri => (start, memchr::memchr(b'#', &uri).unwrap_or(uri.len())),
            V::RequestFilename | V::PathInfo => (start, path),
            V::RequestBasename => {
                let slash = uri[..path].iter().rposition(|byte| matches!(byte, b'/' | b'\\'));
                let name = slash.map_or(0, |slash| slash + 1);
                (start + name, path - name)
            }
            V::QueryString if path < uri.len() => (start + path + 1, uri.len() - path - 1),
            _ => return None,
        })
    }

    fn query_pair(&self, ruleset: &Ruleset, at: usize) -> Option<Pair> {
        let (start, _) = self.line_place(Variable::QueryString)?;
        pairs(self.bytes(Variable::QueryString), ruleset.settings.argument_separator, start).nth(at)
    }

    /// Arguments of forms; those of JSON and XML have no one place.
    fn body_pair(&self, ruleset: &Ruleset, at: usize) -> Option<Pair> {
        let start = self.body_start();
        match self.processor? {
            BodyProcessor::UrlEncoded => {
                pairs(self.texts.body(), ruleset.settings.argument_separator, start).nth(at)
            }
            BodyProcessor::Multipart => {
                let parsed = self.multipart(ruleset);
                let part = parsed.parts.iter().filter(|part| !part.is_file()).nth(at)?;
                let value = start + part.offset;
                // As in v3, where the name would stand in a form: right before the value.
                let name = value.saturating_sub(part.name.len() + 1);
                Some(((name, part.name.len()), (value, part.content.len())))
            }
            _ => None,
        }
    }

    /// Names and values of the header lines.
    fn headers(&self) -> impl Iterator<Item = Pair> + '_ {
        let mut at = self.bytes(Variable::RequestLine).len() + 1;
        self.collections.request_headers.iter().map(move |field| {
            let (name, value) = (self.texts.bytes(field.name).len(), self.texts.bytes(field.value).len());
            let start = at;
            at += name + 2 + value + 1;
            ((start, name), (start + name + 2, value))
        })
    }

    /// The header lines of one name: value and where it stands.
    fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a [u8], Place)> {
        let fields = self.collections.request_headers.iter().zip(self.headers());
        fields
            .filter(|(field, _)| self.texts.bytes(field.name).eq_ignore_ascii_case(name.as_bytes()))
            .map(|(field, (_, value))| (self.texts.bytes(field.value), value))
    }

    fn cookie_pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (header, (start, _)) in self.headers_named("cookie") {
            let place = |part: Text<'_>| match part {
                Text::Source(range) => (start + range.start, range.len()),
                Text::Decoded(_) => (start, 0),
            };
            let most = COOKIES_LIMIT.saturating_sub(pairs.len());
            cookies::read(header, most, |name, value| pairs.push((place(name), place(value))));
        }
        pairs
    }

    fn credentials(&self, found: &Found) -> Option<Place> {
        let (_, (start, length)) = self.headers_named("authorization").next()?;
        match found.variable {
            Variable::AuthType => Some((start, self.texts.bytes(found.value).len())),
            _ => Some((start, length)),
        }
    }

    /// The first byte of the body.
    fn body_start(&self) -> usize {
        let head = self.headers().last().map(|(_, (value, length))| value + length + 1);
        head.unwrap_or(self.bytes(Variable::RequestLine).len() + 1) + 1
    }

    /// Where REQUEST_BODY stands: v3 counts the empty line before it for forms only.
    fn body_variable(&self) -> usize {
        self.body_start() - usize::from(self.processor != Some(BodyProcessor::UrlEncoded))
    }

    fn multipart(&self, ruleset: &Ruleset) -> multipart::Multipart<'_> {
        let content_type = self.header(&self.collections.request_headers, "content-type").unwrap_or_default();
        let limits = Limits { files: ruleset.settings.upload_file_limit, ..Limits::default() };
        multipart::parse(content_type, self.texts.body(), &limits)
    }

    /// Name, file name and content of each file.
    fn files(&self, ruleset: &Ruleset) -> Vec<[Place; 3]> {
        let start = self.body_start();
        let place = |part: &[u8]| (start + offset_in(self.texts.body(), part).unwrap_or(0), part.len());
        let parsed = self.multipart(ruleset);
        let files = parsed.files();
        files
            .map(|file| [&file.name, file.filename.as_deref().unwrap_or_default(), file.content].map(&place))
            .collect()
    }

    fn file_places(&self, ruleset: &Ruleset, list: &[Field], found: &Found, part: FilePart) -> Vec<Place> {
        let file = self.position(list, found).and_then(|at| self.files(ruleset).into_iter().nth(at));
        file.map(|file| file[part as usize]).into_iter().collect()
    }
}

/// Most arguments that ARGS_COMBINED_SIZE points at.
const COMBINED: usize = 100;

/// What of an uploaded file is meant.
#[derive(Clone, Copy)]
enum FilePart {
    Name,
    FileName,
    Content,
}

/// The places of the pairs of a form that begins at `start`.
fn pairs(form: &[u8], separator: u8, start: usize) -> impl Iterator<Item = Pair> {
    let mut at = start;
    let all = form.split(move |byte| *byte == separator).map(move |pair| {
        let begin = at;
        at += pair.len() + 1;
        let name = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let value = (name + 1).min(pair.len());
        (pair.is_empty(), ((begin, name), (begin + value, pair.len() - value)))
    });
    all.filter(|(is_empty, _)| !is_empty).map(|(_, pair)| pair)
}

/// Where a part that was borrowed from `whole` begins there.
fn offset_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    let offset = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (offset + part.len() <= whole.len()).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::{offset_in, pairs};

    #[test]
    fn places_of_pairs() {
        let found: Vec<_> = pairs(b"a=b&&cc&=d", b'&', 10).collect();
        assert_eq!(found, [((10, 1), (12, 1)), ((15, 2), (17, 0)), ((18, 0), (19, 1))]);
        let text = b"0123";
        assert_eq!(offset_in(text, &text[2..3]), Some(2));
        assert_eq!(offset_in(&text[..2], &text[2..3]), None);
    }
}
