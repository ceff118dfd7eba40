//! What is shown of a transaction: expansions, matched values, headers and bodies.

use hop3_seclang::ast::Variable;

use super::{MASK, SHORTEST, Sanitise, Secret, Source, names, text};
use crate::collections::fields::Fields;
use crate::collections::tx::Slot;
use crate::rule::Rule;
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::template::{MacroKey, Piece, Template};
use crate::variables::found::Found;

/// Most secret texts searched for; pairs of further ones are still masked by their names.
const SECRETS_LIMIT: usize = 64;
/// Bytes beyond what is shown in which a secret is still recognised.
const LOOK_AHEAD: usize = 4096;

impl State {
    /// Runs a `sanitise…` action, and masks what was told already.
    pub(crate) fn sanitise(&mut self, what: &Sanitise, captured: bool) {
        let name = |source, name: &[u8]| (source, name.to_ascii_lowercase());
        let named = match what {
            Sanitise::Argument(wanted) => Some(name(Source::Argument, wanted)),
            Sanitise::RequestHeader(wanted) => Some(name(Source::RequestHeader, wanted)),
            Sanitise::ResponseHeader(wanted) => Some(name(Source::ResponseHeader, wanted)),
            Sanitise::Matched => self.matched_var.and_then(|found| {
                let source = Source::of(found.variable).filter(|_| !found.count)?;
                Some(name(source, self.texts.bytes(found.name?)))
            }),
            Sanitise::MatchedBytes { .. } => None,
        };
        match (named, what) {
            (Some(named), _) => {
                if self.secrets.names.len() < SECRETS_LIMIT && !self.secrets.names.contains(&named) {
                    self.secrets.names.push(named);
                }
            }
            (None, Sanitise::MatchedBytes { keep_start, keep_end }) => {
                self.add_secret(captured, *keep_start, *keep_end);
            }
            (None, _) => self.add_secret(false, 0, 0),
        }
        self.secrets.known_from = None;
        self.mask_what_was_told();
    }

    /// Adds the value that matched, or the part of it that did.
    fn add_secret(&mut self, captured: bool, keep_start: usize, keep_end: usize) {
        let mut text = Vec::new();
        match (captured.then(|| self.tx.get(Slot(0))).flatten(), self.matched_var) {
            (Some(value), _) => value.write(&mut text),
            (None, Some(found)) => text.extend_from_slice(self.texts.bytes(found.value)),
            (None, None) => {}
        }
        let secret = Secret { text, keep_start, keep_end };
        let known = &mut self.secrets.texts;
        if !secret.text.is_empty() && known.len() < SECRETS_LIMIT && !known.contains(&secret) {
            known.push(secret);
        }
    }

    fn mask_what_was_told(&mut self) {
        self.learn_secrets();
        let mut matches = std::mem::take(&mut self.matches);
        for found in &mut matches {
            for text in [&mut found.message, &mut found.data] {
                let hidden = self.hide(text.as_bytes());
                *text = String::from_utf8_lossy(&hidden).into_owned();
            }
            for value in &mut found.matched {
                let named = value.variable.split_once(':');
                let variable = named.and_then(|(variable, _)| Variable::from_name(variable));
                let source = variable.and_then(Source::of);
                value.value = match (source, named) {
                    (Some(source), Some((_, name))) if self.is_secret(source, name.as_bytes()) => {
                        masked(source, name.as_bytes(), &value.value)
                    }
                    _ => self.hide(&value.value),
                };
            }
        }
        self.matches = matches;
        if let Some(mut interruption) = self.interruption.take() {
            let hidden = self.hide(interruption.log.as_bytes());
            interruption.log = String::from_utf8_lossy(&hidden).into_owned();
            self.interruption = Some(interruption);
        }
    }

    /// Whether a named value must not be shown.
    fn is_secret(&self, source: Source, name: &[u8]) -> bool {
        let by_rule = self.secrets.names.iter().any(|(known, wanted)| match (known, source) {
            (Source::RequestHeader, Source::Cookie) => wanted == b"cookie",
            _ => *known == source && wanted.eq_ignore_ascii_case(name),
        });
        by_rule || (self.masks_secrets && is_secret_by_default(source, name))
    }

    fn is_secret_found(&self, found: &Found) -> bool {
        match (Source::of(found.variable), found.name) {
            (Some(source), Some(name)) if !found.count => self.is_secret(source, self.texts.bytes(name)),
            _ => self.masks_secrets && !found.count && found.variable == Variable::SessionId,
        }
    }

    /// Works out the secret texts, when fields came since it did so last.
    pub(crate) fn learn_secrets(&mut self) {
        let c = &self.collections;
        let lists: [(Source, &Fields); 7] = [
            (Source::Argument, &c.args_get),
            (Source::Argument, &c.args_post),
            (Source::Argument, &c.args_path),
            (Source::Argument, &c.response_args),
            (Source::Cookie, &c.request_cookies),
            (Source::RequestHeader, &c.request_headers),
            (Source::ResponseHeader, &c.response_headers),
        ];
        let count = lists.iter().map(|(_, list)| list.len()).sum();
        if self.secrets.known_from == Some(count) {
            return;
        }
        let mut known = self.secrets.texts.clone();
        for (source, list) in lists {
            for field in list {
                let (name, value) = (self.texts.bytes(field.name), self.texts.bytes(field.value));
                // Short cookies such as `en` stand in many texts by chance.
                let shortest = if source == Source::Cookie { 2 * SHORTEST } else { SHORTEST };
                if value.len() < shortest || known.len() >= SECRETS_LIMIT || !self.is_secret(source, name) {
                    continue;
                }
                known.extend(secret_parts(source, name, value).map(Secret::whole));
            }
        }
        // The longest first: one secret may be a part of another.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.text.len()));
        (self.secrets.known, self.secrets.known_from) = (known, Some(count));
    }

    /// A text with its secrets masked.
    pub(crate) fn hide(&self, shown: &[u8]) -> Vec<u8> {
        let mut out = shown.to_vec();
        for secret in &self.secrets.known {
            if let Some(masked) = text::replace(&out, &secret.text, &secret.shown()) {
                out = masked;
            }
        }
        if self.masks_secrets {
            out = text::mask_pairs(&out).unwrap_or(out);
            out = text::mask_cards(&out).unwrap_or(out);
        }
        out
    }

    /// The value of a field as it may be shown.
    pub(crate) fn shown_field(&self, source: Source, name: &[u8], value: &[u8], limit: usize) -> Vec<u8> {
        let mut shown = match self.is_secret(source, name) {
            true => masked(source, name, value),
            false => self.hide(&value[..value.len().min(limit.saturating_add(LOOK_AHEAD))]),
        };
        shown.truncate(limit);
        shown
    }

    /// A longer text as it may be shown.
    pub(crate) fn shown_text(&self, value: &[u8], limit: usize) -> Vec<u8> {
        let mut shown = self.hide(&value[..value.len().min(limit.saturating_add(LOOK_AHEAD))]);
        shown.truncate(limit);
        shown
    }

    /// A matched value as it may be shown.
    pub(crate) fn shown_value(&self, found: &Found, limit: usize) -> Vec<u8> {
        let value = self.texts.bytes(found.value);
        match (Source::of(found.variable), found.name) {
            (Some(source), Some(name)) if !found.count => {
                self.shown_field(source, self.texts.bytes(name), value, limit)
            }
            _ if self.is_secret_found(found) => MASK.to_vec(),
            _ => self.shown_text(value, limit),
        }
    }

    /// An expansion as it may be shown, as text of limited length.
    pub(crate) fn shown(&self, ruleset: &Ruleset, rule: &Rule, template: &Template, limit: usize) -> String {
        if let Some(literal) = template.as_literal() {
            return String::from_utf8_lossy(&literal[..literal.len().min(limit)]).into_owned();
        }
        let mut out = Vec::new();
        let secret = self.matched_vars.iter().any(|found| self.is_secret_found(found));
        for piece in template.pieces() {
            let start = out.len();
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Tx(slot) => {
                    if let Some(value) = self.tx.get(*slot) {
                        value.write(&mut out);
                    }
                    if slot.0 < 10 && (secret || self.is_part_of_secret(&out[start..])) {
                        out.truncate(start);
                        out.extend_from_slice(MASK);
                    }
                }
                Piece::Variable(Variable::MatchedVar, _) => {
                    if let Some(found) = &self.matched_var {
                        out.extend(self.shown_value(found, limit.saturating_add(LOOK_AHEAD)));
                    }
                }
                Piece::Variable(variable, key) => {
                    self.write_variable(ruleset, rule, *variable, key.as_ref(), &mut out);
                    let value = out.split_off(start);
                    match (Source::of(*variable), key) {
                        (Some(source), Some(MacroKey::Name(name))) if self.is_secret(source, name) => {
                            out.extend(masked(source, name, &value));
                        }
                        _ if *variable == Variable::MatchedVars && secret => out.extend_from_slice(MASK),
                        _ => out.extend(value),
                    }
                }
            }
            if out.len() > limit.saturating_add(LOOK_AHEAD) {
                out.truncate(limit.saturating_add(LOOK_AHEAD));
                break;
            }
        }
        let mut out = self.hide(&out);
        out.truncate(limit);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn is_part_of_secret(&self, part: &[u8]) -> bool {
        let holds = |secret: &Secret| memchr::memmem::find(&secret.text, part).is_some();
        let mut whole = self.secrets.known.iter().filter(|secret| secret.keep_start + secret.keep_end == 0);
        part.len() >= SHORTEST && whole.any(holds)
    }
}

pub(super) fn is_secret_by_default(source: Source, name: &[u8]) -> bool {
    match source {
        Source::Cookie => true,
        Source::Argument => names::is_secret(name),
        Source::RequestHeader => name.eq_ignore_ascii_case(b"cookie") || names::is_secret(name),
        Source::ResponseHeader => name.eq_ignore_ascii_case(b"set-cookie") || names::is_secret(name),
    }
}

/// The parts of a secret value that are worth hiding wherever they stand.
fn secret_parts<'v>(source: Source, name: &[u8], value: &'v [u8]) -> impl Iterator<Item = &'v [u8]> {
    let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
    let part = match source {
        // Each cookie is there by itself.
        Source::RequestHeader if is(b"cookie") => &[][..],
        Source::ResponseHeader if is(b"set-cookie") => {
            let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
            memchr::memchr(b'=', pair).map_or(pair, |at| &pair[at + 1..])
        }
        Source::RequestHeader if is(b"authorization") || is(b"proxy-authorization") => {
            memchr::memchr(b' ', value).map_or(value, |at| &value[at + 1..])
        }
        _ => value,
    };
    Some(part).into_iter().filter(|part| part.len() >= SHORTEST)
}

/// A secret value as it is shown: names of cookies and the scheme of credentials stay.
pub(super) fn masked(source: Source, name: &[u8], value: &[u8]) -> Vec<u8> {
    let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
    if value.is_empty() {
        return Vec::new();
    }
    if source == Source::RequestHeader && is(b"cookie") {
        let pairs = value.split(|byte| *byte == b';').map(masked_pair);
        return pairs.collect::<Vec<_>>().join(&b';');
    }
    if source == Source::ResponseHeader && is(b"set-cookie") {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        return [&masked_pair(&value[..end]), &value[end..]].concat();
    }
    if source == Source::RequestHeader && (is(b"authorization") || is(b"proxy-authorization")) {
        let scheme = value.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if value.get(scheme) == Some(&b' ') {
            return [&value[..=scheme], MASK].concat();
        }
    }
    MASK.to_vec()
}

fn masked_pair(pair: &[u8]) -> Vec<u8> {
    match memchr::memchr(b'=', pair) {
        Some(at) if at + 1 < pair.len() => [&pair[..=at], MASK].concat(),
        _ => pair.to_vec(),
    }
}
