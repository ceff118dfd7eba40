//! Header fields as they came: names and values as byte slices of the head they were read from, in order, repeats kept.
//!
//! Owns look-up, removal and list syntax (RFC 9110 section 5). What the fields
//! mean is decided elsewhere.

use bytes::Bytes;

/// One header field: the name as sent (any case) and the value without surrounding white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Field name, a token (RFC 9110 section 5.1), in the sender's spelling.
    pub name: Bytes,
    /// Field value without leading and trailing white space.
    pub value: Bytes,
}

/// An ordered list of header fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// An empty list with room for `capacity` fields.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Appends a field.
    pub fn push(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push(Header { name: name.into(), value: value.into() });
    }

    /// Replaces every field of this name by one.
    pub fn set(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.remove(name);
        self.push(Bytes::from_static(name.as_bytes()), value);
    }

    /// Gives the first field of this name another value, where it stands; whether there is one.
    pub fn replace(&mut self, name: &str, value: impl Into<Bytes>) -> bool {
        let first = self.0.iter_mut().find(|field| is_name(&field.name, name));
        first.map(|field| field.value = value.into()).is_some()
    }

    /// The first value of this name, compared without case.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|field| is_name(&field.name, name)).map(|field| &field.value)
    }

    /// All values of this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Bytes> + 'a {
        self.0.iter().filter(move |field| is_name(&field.name, name)).map(|field| &field.value)
    }

    /// Whether a field of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Removes every field of this name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|field| !is_name(&field.name, name));
    }

    /// Keeps the fields for which `keep` answers true.
    pub fn retain(&mut self, keep: impl FnMut(&Header) -> bool) {
        self.0.retain(keep);
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the content is gRPC's.
    pub fn is_grpc(&self) -> bool {
        let kind = self.get("content-type").and_then(|value| value.get(..b"application/grpc".len()));
        kind.is_some_and(|kind| is_name(kind, "application/grpc"))
    }

    /// Whether one of the comma-separated elements of the fields called `name` equals `token` (no case).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).any(|value| elements(value).any(|element| is_name(element, token)))
    }
}

/// Known names in lower case, most of which are told from another name by its length and first letter alone.
#[derive(Debug)]
pub struct NameSet {
    names: &'static [&'static str],
    /// By the low five bits of the first letter, which are the same in both cases: the lengths of the names that begin
    /// with it.
    lengths: [u32; 32],
}

impl NameSet {
    /// The set of these names, each of 1 to 31 letters.
    pub const fn new(names: &'static [&'static str]) -> Self {
        let mut lengths = [0; 32];
        let mut index = 0;
        while index < names.len() {
            let name = names[index].as_bytes();
            lengths[(name[0] & 31) as usize] |= 1 << name.len();
            index += 1;
        }
        Self { names, lengths }
    }

    /// Whether the set has this name, in any case.
    pub fn contains(&self, name: &[u8]) -> bool {
        let Some(first) = name.first() else { return false };
        let lengths = self.lengths[usize::from(first & 31)];
        name.len() < 32
            && lengths >> name.len() & 1 == 1
            && self.names.iter().any(|known| is_name(name, known))
    }
}

/// Compares a field name (or any token) with a known one, without case.
pub fn is_name(name: &[u8], expected: &str) -> bool {
    name.eq_ignore_ascii_case(expected.as_bytes())
}

/// The non-empty elements of a comma-separated list (RFC 9110 section 5.6.1), trimmed.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(|part| part.trim_ascii()).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_order_is_kept() {
        let mut headers = Headers::default();
        headers.push("Accept", "a");
        headers.push("ACCEPT", "b");
        headers.push("Host", "x");
        let values: Vec<_> = headers.all("accept").cloned().collect();
        assert_eq!(values, ["a", "b"]);
        headers.set("accept", "c");
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get("Accept").map(|value| &value[..]), Some(&b"c"[..]));
        headers.remove("HOST");
        assert!(!headers.contains("host"));
    }

    #[test]
    fn sets_know_their_names_in_any_case_and_no_others() {
        static SET: NameSet = NameSet::new(&["te", "x-real-ip", "an-extraordinarily-long-name-31"]);
        for name in ["te", "TE", "X-Real-IP", "an-extraordinarily-long-name-31"] {
            assert!(SET.contains(name.as_bytes()), "{name}");
        }
        let long = "t".repeat(34);
        for name in ["", "t", "tf", "x-real-iq", "\u{14}e", "an-extraordinarily-long-name-310", &long] {
            assert!(!SET.contains(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn tokens_of_lists() {
        let mut headers = Headers::default();
        headers.push("Connection", "keep-alive , Upgrade");
        headers.push("connection", ",x");
        assert!(headers.has_token("connection", "upgrade"));
        assert!(headers.has_token("connection", "X"));
        assert!(!headers.has_token("connection", "keep"));
    }
}
