//! Watches an inspection and remembers how each matching value came about.

use std::sync::{Mutex, PoisonError};

use hop3_waf::RuleMatch;
use hop3_waf::trace::{Event, Trace};

use crate::model::{RuleHit, Step, ValueHit};

/// Longest part of a value that is kept, in bytes.
const SHOWN: usize = 512;
/// Most values kept of one rule.
const VALUES: usize = 32;
/// Most rules kept.
const RULES: usize = 1000;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Witness(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The value that is being transformed and tested.
    current: ValueHit,
    /// Its last form, to tell steps that change nothing.
    last: Vec<u8>,
    /// Matches of the rule so far, links of its chain included.
    values: Vec<ValueHit>,
    hits: Vec<RuleHit>,
}

impl Witness {
    /// The rules that matched and are logged or audited, or that ended the inspection, in order.
    pub fn hits(&self) -> Vec<RuleHit> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).hits)
    }
}

impl Trace for Witness {
    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(event);
    }
}

impl Seen {
    fn note(&mut self, event: &Event<'_>) {
        match *event {
            Event::Link { position: 0, .. } => self.values.clear(),
            Event::Selected { value } => {
                self.current = ValueHit { original: Some(shown(value)), ..ValueHit::default() };
                self.last = value.to_vec();
            }
            Event::Transformed { transformation, value } => {
                let changed = self.last != value;
                self.current.steps.push(Step {
                    transformation: transformation.name().to_owned(),
                    value: changed.then(|| shown(value)),
                });
                if changed {
                    self.last = value.to_vec();
                }
            }
            Event::Tested { variable, value } => {
                self.current.variable = shown(variable);
                self.current.value = shown(value);
            }
            Event::Decided { matched: true } if self.values.len() < VALUES => {
                self.values.push(self.current.clone());
            }
            Event::Captured { group: 0, value } => {
                if let Some(last) = self.values.last_mut() {
                    last.matched = Some(shown(value));
                }
            }
            Event::Matched(found) if self.hits.len() < RULES && is_told(found) => {
                self.hits.push(hit(found, std::mem::take(&mut self.values)));
            }
            _ => {}
        }
    }
}

fn is_told(found: &RuleMatch) -> bool {
    found.logged || found.audit || found.disruptive
}

fn hit(found: &RuleMatch, values: Vec<ValueHit>) -> RuleHit {
    RuleHit {
        id: found.rule_id,
        message: found.message.clone(),
        data: found.data.clone(),
        severity: found.severity.map(|severity| severity.name().to_owned()),
        phase: found.phase,
        file: found.rule_file.to_string(),
        line: found.rule_line,
        operator: found.operator.clone(),
        argument: found.parameter.clone(),
        disruptive: found.disruptive,
        values,
    }
}

/// The beginning of a value, [`escaped`].
fn shown(value: &[u8]) -> String {
    match value.get(..SHOWN) {
        Some(beginning) if value.len() > SHOWN => format!("{}…", escaped(beginning)),
        _ => escaped(value),
    }
}

/// Bytes as text that a terminal shows as it is: what is no printable character becomes `\xHH`, `\` becomes `\\`.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() || is_invisible(c) => {
                    let mut buffer = [0; 4];
                    c.encode_utf8(&mut buffer).bytes().for_each(|byte| push_hex(&mut text, byte));
                }
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_hex(&mut text, byte));
    }
    text
}

/// Characters that change the direction of text, or show nothing.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn push_hex(text: &mut String, byte: u8) {
    text.push_str(&format!("\\x{byte:02x}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_every_byte() {
        let cases: [(&[u8], &str); 5] = [
            (b"a b", "a b"),
            ("é".as_bytes(), "é"),
            (b"a\x1b[2J\n\\x41", "a\\x1b[2J\\x0a\\\\x41"),
            (b"\xff\xc3", "\\xff\\xc3"),
            ("\u{202e}".as_bytes(), "\\xe2\\x80\\xae"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(escaped(bytes), expected);
        }
        assert_eq!(shown(&[b'x'; 600]).chars().count(), SHOWN + 1);
    }
}
