//! Header fields that a route removes, sets or adds.

use bytes::Bytes;

use crate::headers::Headers;
use crate::http1::field::{check_value, is_token_byte};

/// Fields that frame messages or belong to one connection: nobody may set or remove them.
const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-encoding",
];

/// Changes to a header, in this order: removed, set, added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    remove: Vec<String>,
    set: Vec<(Bytes, Bytes)>,
    add: Vec<(Bytes, Bytes)>,
}

/// Why a rule is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRuleError {
    /// Not a token (RFC 9110 section 5.1).
    #[error("`{0}` is no header name")]
    Name(String),
    /// Control characters or line ends.
    #[error("the value of header `{0}` holds control characters")]
    Value(String),
    /// A field that frames the message.
    #[error("header `{0}` belongs to the connection and cannot be changed")]
    Framing(String),
}

impl HeaderRules {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Removes every field of this name.
    pub fn remove(&mut self, name: &str) -> Result<(), HeaderRuleError> {
        self.remove.push(field_name(name)?);
        Ok(())
    }

    /// Replaces every field of this name by one.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), HeaderRuleError> {
        self.set.push((field_name(name)?.into(), field_value(name, value)?));
        Ok(())
    }

    /// Adds a field beside others of its name.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), HeaderRuleError> {
        self.add.push((field_name(name)?.into(), field_value(name, value)?));
        Ok(())
    }

    /// Whether fields of this name are not what the sender wrote: removed, or replaced by our own.
    pub fn overrules(&self, name: &[u8]) -> bool {
        self.remove.iter().any(|removed| removed.as_bytes().eq_ignore_ascii_case(name))
            || self.set.iter().any(|(set, _)| set.eq_ignore_ascii_case(name))
    }

    /// Changes a header.
    pub fn apply(&self, headers: &mut Headers) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.retain(|field| !field.name.eq_ignore_ascii_case(name));
            headers.push(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            headers.push(name.clone(), value.clone());
        }
    }
}

/// A name in lower case.
fn field_name(name: &str) -> Result<String, HeaderRuleError> {
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(HeaderRuleError::Name(name.to_owned()));
    }
    if FRAMING.contains(&lower.as_str()) {
        return Err(HeaderRuleError::Framing(lower));
    }
    Ok(lower)
}

fn field_value(name: &str, value: &str) -> Result<Bytes, HeaderRuleError> {
    let value = value.trim();
    match check_value(value.as_bytes()) {
        Ok(()) => Ok(value.to_owned().into()),
        Err(_) => Err(HeaderRuleError::Value(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_change_a_header_in_order() {
        let mut rules = HeaderRules::default();
        rules.remove("Server").unwrap();
        rules.set("X-Frame-Options", "DENY").unwrap();
        rules.add("Link", "</a>").unwrap();
        let mut headers = Headers::default();
        for (name, value) in
            [("SERVER", "x"), ("x-frame-options", "a"), ("X-Frame-Options", "b"), ("link", "c")]
        {
            headers.push(name, value);
        }
        rules.apply(&mut headers);
        let fields: Vec<_> = headers
            .iter()
            .map(|field| format!("{}={}", field.name.escape_ascii(), field.value.escape_ascii()))
            .collect();
        assert_eq!(fields, ["link=c", "x-frame-options=DENY", "link=</a>"]);
        let overruled =
            ["Server", "x-FRAME-options", "Link", "x"].map(|name| rules.overrules(name.as_bytes()));
        assert_eq!(overruled, [true, true, false, false]);
    }

    #[test]
    fn what_would_break_messages_is_refused() {
        let mut rules = HeaderRules::default();
        assert_eq!(rules.set("a b", "x"), Err(HeaderRuleError::Name("a b".into())));
        assert_eq!(rules.set("a", "x\r\nb: c"), Err(HeaderRuleError::Value("a".into())));
        assert_eq!(rules.remove("Content-Length"), Err(HeaderRuleError::Framing("content-length".into())));
        assert!(rules.is_empty());
    }
}
