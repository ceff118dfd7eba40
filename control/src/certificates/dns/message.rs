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
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
    /// Its signature, which that of the answer covers too; none where it is not signed.
    mac: Vec<u8>,
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Response code (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
    pub(super) code: u8,
    /// Owner of the first SOA record in the answer or authority section, without a trailing dot.
    pub(super) zone: Option<String>,
}

/// A key for signatures.
#[derive(Clone, Copy)]
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
        let mac = mac(key, &[&self.bytes, &variables(key, seconds, FUDGE, 0, b"")?]);
        let mut data = Message::default();
        data.name(algorithm_name(key.algorithm))?;
        data.time(seconds);
        data.short(FUDGE);
        data.short(u16::try_from(mac.len()).unwrap_or(0));
        data.bytes.extend(&mac);
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
        self.mac = mac;
        Ok(self)
    }

    /// Whether `answer` is what the server that has the key said to this signed message, within the time that clocks
    /// may differ (RFC 8945 section 5.3).
    pub(super) fn is_answered_by(&self, answer: &[u8], key: &Key<'_>, seconds: u64) -> bool {
        self.answer_mac(answer, key, seconds).is_some()
    }

    fn answer_mac(&self, answer: &[u8], key: &Key<'_>, seconds: u64) -> Option<()> {
        let signed = signature(answer)?;
        let Signature { at, name, algorithm, time, fudge, mac, id, error, other } = &signed;
        let known = *name == key.name.trim_end_matches('.').to_ascii_lowercase()
            && algorithm == algorithm_name(key.algorithm)
            && seconds.abs_diff(*time) <= u64::from(*fudge);
        if !known || self.mac.is_empty() {
            return None;
        }
        // As it was before the signature was added.
        let mut plain = answer[..*at].to_vec();
        plain[..2].copy_from_slice(&id.to_be_bytes());
        let count = u16::from_be_bytes([plain[10], plain[11]]).checked_sub(1)?;
        plain[10..12].copy_from_slice(&count.to_be_bytes());
        let length = u16::try_from(self.mac.len()).ok()?.to_be_bytes();
        let variables = variables(key, *time, *fudge, *error, other).ok()?;
        let expected = self::mac(key, &[&length, &self.mac, &plain, &variables]);
        (mac.len() == expected.len() && same(mac, &expected)).then_some(())
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
        let mut message = Message { bytes: Vec::with_capacity(256), mac: Vec::new() };
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
    let mut answer = Answer { code, zone: None };
    let (questions, answers, authorities) = (short(4)?, short(6)?, short(8)?);
    let mut at = 12;
    for _ in 0..questions {
        at = name(bytes, at)?.1 + 4;
    }
    for _ in 0..answers.saturating_add(authorities) {
        let (owner, after) = name(bytes, at)?;
        let (kind, length) = (short(after)?, short(after + 8)?);
        if kind == SOA && answer.zone.is_none() {
            answer.zone = Some(owner);
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

/// The signature at the end of a message.
struct Signature<'m> {
    /// Where its record begins.
    at: usize,
    name: String,
    algorithm: String,
    time: u64,
    fudge: u16,
    mac: &'m [u8],
    id: u16,
    error: u16,
    other: &'m [u8],
}

/// Finds it; `None` where the last record is none.
fn signature(bytes: &[u8]) -> Option<Signature<'_>> {
    let short = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let mut at = 12;
    for _ in 0..short(4)? {
        at = name(bytes, at)?.1 + 4;
    }
    let records = [short(6)?, short(8)?, short(10)?].into_iter().map(u32::from).sum::<u32>();
    for _ in 1..records {
        let after = name(bytes, at)?.1;
        at = after + 10 + usize::from(short(after + 8)?);
    }
    let (owner, after) = name(bytes, at)?;
    let head = [short(after)?, short(after + 2)?, short(after + 4)?, short(after + 6)?];
    let is_last = bytes.len() == after + 10 + usize::from(short(after + 8)?);
    if short(10)? == 0 || head != [TSIG, ANY, 0, 0] || !is_last {
        return None;
    }
    let (algorithm, data) = name(bytes, after + 10)?;
    let mut time = [0; 8];
    time[2..].copy_from_slice(bytes.get(data..data + 6)?);
    let length = usize::from(short(data + 8)?);
    let mac = bytes.get(data + 10..data + 10 + length)?;
    let rest = data + 10 + length;
    let other = usize::from(short(rest + 4)?);
    Some(Signature {
        at,
        name: owner,
        algorithm,
        time: u64::from_be_bytes(time),
        fudge: short(data + 6)?,
        mac,
        id: short(rest)?,
        error: short(rest + 2)?,
        other: bytes.get(rest + 6..rest + 6 + other)?,
    })
}

/// What a signature covers besides the message (RFC 8945 section 4.3.3).
fn variables(key: &Key<'_>, seconds: u64, fudge: u16, error: u16, other: &[u8]) -> Result<Vec<u8>, String> {
    let mut variables = Message::default();
    variables.name(&key.name.to_ascii_lowercase())?;
    variables.short(ANY);
    variables.long(0);
    variables.name(algorithm_name(key.algorithm))?;
    variables.time(seconds);
    variables.short(fudge);
    variables.short(error);
    variables.short(u16::try_from(other.len()).unwrap_or(0));
    variables.bytes.extend(other);
    Ok(variables.bytes)
}

fn same(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).fold(0, |differing, (one, other)| differing | (one ^ other)) == 0
}

fn mac(key: &Key<'_>, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = context(key);
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().to_vec()
}

fn context(key: &Key<'_>) -> hmac::Context {
    let algorithm = match key.algorithm {
        TsigAlgorithm::Sha256 => hmac::HMAC_SHA256,
        TsigAlgorithm::Sha384 => hmac::HMAC_SHA384,
        TsigAlgorithm::Sha512 => hmac::HMAC_SHA512,
    };
    hmac::Context::with_key(&hmac::Key::new(algorithm, key.secret))
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

    /// What a server answers to a signed message, as RFC 8945 section 5.3 has it signed.
    fn signed_answer(question: &Message, key: &Key<'_>, seconds: u64) -> Vec<u8> {
        let mut plain = b"\x00\x07\xa8\x00\x00\x00\x00\x00\x00\x00\x00\x00".to_vec();
        let length = u16::try_from(question.mac.len()).unwrap().to_be_bytes();
        let variables = variables(key, seconds, FUDGE, 0, b"").unwrap();
        let mac = mac(key, &[&length, &question.mac, &plain, &variables]);
        plain[11] = 1;
        plain.extend(b"\x04hop3\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00");
        let mut data = Message::default();
        data.name(algorithm_name(key.algorithm)).unwrap();
        data.time(seconds);
        data.short(FUDGE);
        data.short(u16::try_from(mac.len()).unwrap());
        data.bytes.extend(mac);
        data.bytes.extend(b"\x00\x07\x00\x00\x00\x00");
        plain.extend(u16::try_from(data.bytes.len()).unwrap().to_be_bytes());
        plain.extend(data.bytes);
        plain
    }

    #[test]
    fn an_answer_counts_only_with_its_signature() {
        for algorithm in [TsigAlgorithm::Sha256, TsigAlgorithm::Sha384, TsigAlgorithm::Sha512] {
            let key = Key { name: "Hop3.Key", algorithm, secret: b"secret" };
            let sign = |id| {
                let message = Message::update(id, "a.org", "x.a.org", "xy", true).unwrap();
                message.sign(&key, 1000).unwrap()
            };
            let (message, another) = (sign(7), sign(8));
            let answer = signed_answer(&message, &key, 1000);
            assert!(message.is_answered_by(&answer, &key, 1000));
            assert!(message.is_answered_by(&answer, &key, 1000 + u64::from(FUDGE)));
            assert!(!message.is_answered_by(&answer, &key, 1001 + u64::from(FUDGE)), "too old");
            assert!(!another.is_answered_by(&answer, &key, 1000), "of another question");
            assert!(!message.is_answered_by(&answer, &Key { secret: b"other", ..key }, 1000));
            for at in 0..answer.len() {
                let mut changed = answer.clone();
                changed[at] ^= 0x40;
                assert!(!message.is_answered_by(&changed, &key, 1000) || at < 2, "byte {at} is not covered");
                assert!(!message.is_answered_by(&answer[..at], &key, 1000), "cut at {at}");
            }
            let unsigned = b"\x00\x07\xa8\x00\x00\x00\x00\x00\x00\x00\x00\x00";
            assert!(!message.is_answered_by(unsigned, &key, 1000));
        }
    }

    #[test]
    fn answers_are_read_with_pointers_and_never_past_their_end() {
        let mut bytes =
            b"\x00\x07\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00\x01A\x03org\x00\x00\x06\x00\x01".to_vec();
        bytes.extend(b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x05\x00\x02\x00\x00");
        let expected = Answer { code: 0, zone: Some("a.org".into()) };
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
