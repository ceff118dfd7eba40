//! Who changed what: one record per mutation, each hash covering the record before it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Timestamp;

/// On whose behalf a change is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A process on this machine, known by the user id the kernel reports for its end of the socket.
    LocalUser(u32),
    /// The server itself: recovery, supervision.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::LocalUser(uid) => write!(f, "uid {uid}"),
            Actor::System => f.write_str("system"),
        }
    }
}

/// What is about to be changed, in the words of the command line; names only, never a secret value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// On whose behalf.
    pub actor: Actor,
    /// The verb, e.g. `app:create`.
    pub action: &'static str,
    /// The thing, e.g. an app's name.
    pub subject: String,
    /// Particulars, e.g. `v3` or the names of changed variables.
    pub detail: String,
}

impl Entry {
    /// An entry without particulars.
    pub fn new(actor: &Actor, action: &'static str, subject: impl fmt::Display) -> Entry {
        Entry { actor: actor.clone(), action, subject: subject.to_string(), detail: String::new() }
    }

    /// Adds particulars.
    pub fn detail(mut self, detail: impl fmt::Display) -> Entry {
        self.detail = detail.to_string();
        self
    }
}

/// One link of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// 1, 2, 3, … without gaps.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// On whose behalf.
    pub actor: Actor,
    /// The verb.
    pub action: String,
    /// The thing.
    pub subject: String,
    /// Particulars.
    pub detail: String,
    /// [`AuditRecord::hash`] of the record before; 64 zeros for the first.
    pub previous: String,
    /// SHA-256 over all other fields, in hexadecimal.
    pub hash: String,
}

impl AuditRecord {
    /// The link that follows `previous`.
    pub fn following(previous: Option<&AuditRecord>, entry: &Entry, time: Timestamp) -> AuditRecord {
        let mut record = AuditRecord {
            sequence: previous.map_or(1, |record| record.sequence.saturating_add(1)),
            time,
            actor: entry.actor.clone(),
            action: entry.action.to_owned(),
            subject: entry.subject.clone(),
            detail: entry.detail.clone(),
            previous: previous.map_or_else(|| "0".repeat(64), |record| record.hash.clone()),
            hash: String::new(),
        };
        record.hash = record.expected_hash();
        record
    }

    /// Whether this record is unchanged and follows `previous`.
    pub fn follows(&self, previous: Option<&AuditRecord>) -> bool {
        let sequence = previous.map_or(1, |record| record.sequence.saturating_add(1));
        let before = previous.map_or_else(|| "0".repeat(64), |record| record.hash.clone());
        self.sequence == sequence && self.previous == before && self.hash == self.expected_hash()
    }

    /// Each field is preceded by its length, so that no two records share an encoding.
    fn expected_hash(&self) -> String {
        let mut hash = Sha256::new();
        let (sequence, time, actor) =
            (self.sequence.to_string(), self.time.0.to_string(), self.actor.to_string());
        for field in [&sequence, &time, &actor, &self.action, &self.subject, &self.detail, &self.previous] {
            hash.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(field.as_bytes());
        }
        hexadecimal(&hash.finalize())
    }
}

/// Lower-case hexadecimal of `bytes`.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<AuditRecord> {
        let mut records: Vec<AuditRecord> = Vec::new();
        for number in 0..4 {
            let entry = Entry::new(&Actor::LocalUser(0), "app:create", format!("app-{number}"));
            records.push(AuditRecord::following(records.last(), &entry, Timestamp(number)));
        }
        records
    }

    fn broken_at(records: &[AuditRecord]) -> Option<usize> {
        (0..records.len())
            .find(|&index| !records[index].follows(index.checked_sub(1).map(|before| &records[before])))
    }

    #[test]
    fn every_kind_of_tampering_breaks_the_chain() {
        assert_eq!(broken_at(&chain()), None);
        let edits: [fn(&mut Vec<AuditRecord>); 5] = [
            |records| records[2].subject.push('x'),
            |records| records[2].time = Timestamp(99),
            |records| records[2].actor = Actor::System,
            |records| {
                records.remove(2);
            },
            |records| records.swap(2, 3),
        ];
        for edit in edits {
            let mut records = chain();
            edit(&mut records);
            assert_eq!(broken_at(&records), Some(2));
        }
        let mut rehashed = chain();
        rehashed[1].detail = "forged".into();
        rehashed[1].hash = rehashed[1].expected_hash();
        assert_eq!(broken_at(&rehashed), Some(2), "a rehashed record no longer fits the one after it");
    }
}
