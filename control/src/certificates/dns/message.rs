//! The few DNS messages we need: a question for SOA, an update of TXT records (RFC 1035, RFC 2136), and their signature
//! (TSIG, RFC 8945).

use ring::hmac;

use crate::settings::TsigAlgorithm;

/// Kinds of records.
pub(super) const SOA: u16 = 6;
const TXT: u16 = 16;
const TSIG: u16 = 250;
/// Classes.
const IN: u16 = 1;
const NONE: u16 = 254;
const ANY: u16 = 255;
/// Operation codes.
const QUERY: u16 = 0;
const UPDATE: u16 = 5;
/// Seconds that our clock and the server's may differ (RFC 8945 section 10).
const FUDGE: u16 = 300;
/// How long others may keep the record, in seconds.
const TTL: u32 = 60;

/// A message under construction.
#[derive(Debug, Clone)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Response code (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
    pub(super) code: u8,
    /// Owner of the first SOA record in the answer or authority section, without a trailing dot.
    pub(super) zone: Option<String>,
    /// Whether the SOA record is an answer, rather than a hint.
    pub(super) authoritative: bool,
}

/// A key for signatures.
pub(super) struct Key<'k> {
    /// Its name.
    pub(super) name: &'k str,
    /// Its algorithm.
    pub(super) algorithm: TsigAlgorithm,
    /// Its secret.
    pub(super) secret: &'k [u8],
}

impl Message {
    /// Asks for the SOA record of `name`.
    pub(super) fn question(id: u16, name: &str) -> Result<Message, String> {
        let mut message = Message::head(id, QUERY, [1, 0, 0, 0]);
        message.name(name)?;
        message.short(SOA);
        message.short(IN);
        Ok(message)
    }

    /// Adds or removes one TXT record of `name` in `zone`; other texts of the same name stay.
    pub(super) fn update(id: u16, zone: &str, name: &str, text: &str, add: bool) -> Result<Message, String> {
        let mut message = Message::head(id, UPDATE, [1, 0, 1, 0]);
        message.name(zone)?;
        message.short(SOA);
        message.short(IN);
        message.name(name)?;
        message.short(TXT);
        message.short(if add { IN } else { NONE });
        message.long(if add { TTL } else { 0 });
        let length = u8::try_from(text.len()).map_err(|_| "a text of more than 255 bytes".to_owned())?;
        message.short(u16::from(length) + 1);
        message.bytes.push(length);
        message.bytes.extend(text.as_bytes());
        Ok(message)
    }

    /// Signs it (RFC 8945 section 4.3). `seconds` since the epoch.
    pub(super) fn sign(mut self, key: &Key<'_>, seconds: u64) -> Result<Message, String> {
        let id = self.id();
        let mut variables = Message { bytes: Vec::new() };
        variables.name(&key.name.to_ascii_lowercase())?;
        variables.short(ANY);
        variables.long(0);
        variables.name(algorithm_name(key.algorithm))?;
        variables.time(seconds);
        variables.short(FUDGE);
        variables.short(0);
        variables.short(0);
        let mac = mac(key, &[&self.bytes, &variables.bytes]);
        let mut data = Message { bytes: Vec::new() };
        data.name(algorithm_name(key.algorithm))?;
        data.time(seconds);
        data.short(FUDGE);
        data.short(u16::try_from(mac.len()).unwrap_or(0));
        data.bytes.extend(mac);
        data.short(id);
        data.short(0);
        data.short(0);
        self.name(&key.name.to_ascii_lowercase())?;
        self.short(TSIG);
        self.short(ANY);
        self.long(0);
        self.short(u16::try_from(data.bytes.len()).unwrap_or(0));
        self.bytes.extend(data.bytes);
        // One more additional record.
        let count = u16::from_be_bytes([self.bytes[10], self.bytes[11]]) + 1;
        self.bytes[10..12].copy_from_slice(&count.to_be_bytes());
        Ok(self)
    }

    /// As it goes over TCP: its length first (RFC 1035 section 4.2.2).
    pub(super) fn framed(&self) -> Vec<u8> {
        let length = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX);
        [&length.to_be_bytes()[..], &self.bytes].concat()
    }

    /// Its number.
    pub(super) fn id(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    fn head(id: u16, operation: u16, counts: [u16; 4]) -> Message {
        let mut message = Message { bytes: Vec::with_capacity(256) };
        message.short(id);
        message.short(operation << 11);
        counts.into_iter().for_each(|count| message.short(count));
        message
    }

    fn short(&mut self, value: u16) {
        self.bytes.extend(value.to_be_bytes());
    }

    fn long(&mut self, value: u32) {
        self.bytes.extend(value.to_be_bytes());
    }

    /// 48 bits of seconds.
    fn time(&mut self, seconds: u64) {
        self.bytes.extend(&seconds.to_be_bytes()[2..]);
    }

    fn name(&mut self, name: &str) -> Result<(), String> {
        let wrong = || format!("`{name}` is no domain name");
        let bare = name.trim_end_matches('.');
        if bare.len() > 253 {
            return Err(wrong());
        }
        for label in bare.split('.').filter(|_| !bare.is_empty()) {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length));
            self.bytes.push(length.ok_or_else(wrong)?);
            self.bytes.extend(label.as_bytes());
        }
        self.bytes.push(0);
        Ok(())
    }
}

/// Reads an answer to the message with number `id`; `None` when it is damaged or another's.
pub(super) fn answer(bytes: &[u8], id: u16) -> Option<Answer> {
    let short = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let flags = short(2)?;
    if short(0)? != id || flags & 0x8000 == 0 {
        return None;
    }
    let code = u8::try_from(flags & 15).ok()?;
    let mut answer = Answer { code, zone: None, authoritative: false };
    let (questions, answers, authorities) = (short(4)?, short(6)?, short(8)?);
    let mut at = 12;
    for _ in 0..questions {
        at = name(bytes, at)?.1 + 4;
    }
    for index in 0..answers.saturating_add(authorities) {
        let (owner, after) = name(bytes, at)?;
        let (kind, length) = (short(after)?, short(after + 8)?);
        if kind == SOA && answer.zone.is_none() {
            answer.zone = Some(owner);
            answer.authoritative = index < answers;
        }
        at = after + 10 + usize::from(length);
    }
    Some(answer)
}

/// The name at `at`, following pointers, and where the next field begins.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    let mut end = None;
    // Each pointer leads backwards in a sound message; a loop runs out of steps.
    for _ in 0..128 {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => return Some((labels.join("."), end.unwrap_or(at + 1))),
            1..=63 => {
                let label = bytes.get(at + 1..at + 1 + length)?;
                labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
                at += 1 + length;
            }
            192.. => {
                end = end.or(Some(at + 2));
                at = (length & 63) << 8 | usize::from(*bytes.get(at + 1)?);
            }
            _ => return None,
        }
    }
    None
}

fn mac(key: &Key<'_>, parts: &[&[u8]]) -> Vec<u8> {
    let algorithm = match key.algorithm {
        TsigAlgorithm::Sha256 => hmac::HMAC_SHA256,
        TsigAlgorithm::Sha384 => hmac::HMAC_SHA384,
        TsigAlgorithm::Sha512 => hmac::HMAC_SHA512,
    };
    let key = hmac::Key::new(algorithm, key.secret);
    let mut context = hmac::Context::with_key(&key);
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().to_vec()
}

fn algorithm_name(algorithm: TsigAlgorithm) -> &'static str {
    match algorithm {
        TsigAlgorithm::Sha256 => "hmac-sha256",
        TsigAlgorithm::Sha384 => "hmac-sha384",
        TsigAlgorithm::Sha512 => "hmac-sha512",
    }
}

/// What a response code means (RFC 2136 section 2.2, RFC 8945 section 5.2).
pub(super) fn code_name(code: u8) -> &'static str {
    match code {
        0 => "no error",
        1 => "malformed request",
        2 => "server failure",
        3 => "no such name",
        4 => "not implemented",
        5 => "refused",
        9 => "not authoritative for the zone, or the key was not accepted",
        10 => "the name is not in the zone",
        _ => "another error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_laid_out_as_rfc_2136_says() {
        let message = Message::update(0x1234, "a.org", "_acme-challenge.a.org.", "xy", true).unwrap();
        let expected: &[&[u8]] = &[
            b"\x12\x34\x28\x00\x00\x01\x00\x00\x00\x01\x00\x00",
            b"\x01a\x03org\x00\x00\x06\x00\x01",
            b"\x0f_acme-challenge\x01a\x03org\x00\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x03\x02xy",
        ];
        assert_eq!(message.bytes, expected.concat());
        let removal = Message::update(1, "a.org", "x.a.org", "xy", false).unwrap();
        assert!(removal.bytes.ends_with(b"\x00\x10\x00\xfe\x00\x00\x00\x00\x00\x03\x02xy"));
        assert!(Message::update(1, "a.org", &format!("{}.org", "x".repeat(64)), "", true).is_err());
        assert!(Message::question(1, "a..org").is_err());
    }

    #[test]
    fn a_signature_adds_one_record_over_the_whole_message() {
        let message = Message::question(7, "a.org").unwrap();
        let key = Key { name: "Hop3.Key", algorithm: TsigAlgorithm::Sha256, secret: b"secret" };
        let signed = message.clone().sign(&key, 0x0001_0203_0405).unwrap();
        let again = message.clone().sign(&key, 0x0001_0203_0405).unwrap();
        assert_eq!(signed.bytes, again.bytes);
        assert_eq!(signed.bytes[10..12], [0, 1]);
        assert_eq!(signed.bytes[12..message.bytes.len()], message.bytes[12..]);
        let record = &signed.bytes[message.bytes.len()..];
        assert!(record.starts_with(b"\x04hop3\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00"));
        let time: &[u8] = b"\x0bhmac-sha256\x00\x00\x01\x02\x03\x04\x05\x01\x2c\x00\x20";
        assert!(record.windows(time.len()).any(|window| window == time));
        let other = message.sign(&Key { secret: b"other", ..key }, 0x0001_0203_0405).unwrap();
        assert_ne!(signed.bytes, other.bytes);
    }

    #[test]
    fn answers_are_read_with_pointers_and_never_past_their_end() {
        let mut bytes =
            b"\x00\x07\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00\x01A\x03org\x00\x00\x06\x00\x01".to_vec();
        bytes.extend(b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x05\x00\x02\x00\x00");
        let expected = Answer { code: 0, zone: Some("a.org".into()), authoritative: true };
        assert_eq!(answer(&bytes, 7), Some(expected));
        assert_eq!(answer(&bytes, 8), None);
        for length in 0..bytes.len() - 3 {
            // Shortened anywhere: nothing, never a panic.
            assert_eq!(answer(&bytes[..length], 7), None, "{length}");
        }
        let endless = b"\x00\x07\x84\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x06\x00\x01";
        assert_eq!(answer(endless, 7), None);
        let refused = b"\x00\x07\xa8\x05\x00\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(answer(refused, 7).map(|answer| answer.code), Some(5));
    }
}
