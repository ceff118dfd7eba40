//! Header fields that a route removes, sets or adds.

use bytes::Bytes;

use crate::headers::Headers;
use crate::http1::field::{check_value, is_token_byte};
use crate::http1::target::host_of;

/// Fields that frame messages or belong to one connection: nobody may set or remove them, but for
/// [`HeaderRules::set_host`].
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
    host: Option<Bytes>,
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
    /// Not a host, with or without a port.
    #[error("`{0}` is no host; write a name or an address, with a port where it is not the usual one")]
    Host(String),
    /// A field that frames the message.
    #[error("header `{0}` belongs to the connection and cannot be changed")]
    Framing(String),
}

impl HeaderRules {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty() && self.host.is_none()
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

    /// Names another host to the back end than the client's, as servers with several hosts at one address want it
    /// (`:authority` over HTTP/2). For requests alone.
    pub fn set_host(&mut self, host: &str) -> Result<(), HeaderRuleError> {
        let host = host.trim();
        let legal = host_of(host.as_bytes()).is_some_and(|name| !name.is_empty()) && !host.ends_with(':');
        if !legal {
            return Err(HeaderRuleError::Host(host.to_owned()));
        }
        self.host = Some(host.to_owned().into());
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
        if let Some(host) = &self.host {
            headers.replace("host", host.clone());
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
    fn the_host_stays_where_it_is_and_is_one() {
        let mut rules = HeaderRules::default();
        for bad in ["", "a b", "a/b", "http://a.test", "u@a.test", "a.test:", "a.test:x", "a\r\nb"] {
            assert!(matches!(rules.set_host(bad), Err(HeaderRuleError::Host(_))), "{bad:?}");
        }
        assert!(rules.is_empty());
        rules.set_host("legacy.test:8080").unwrap();
        let mut headers = Headers::default();
        headers.push("Host", "shop.test");
        headers.push("accept", "*/*");
        rules.apply(&mut headers);
        let fields: Vec<_> = headers.iter().map(|field| field.value.clone()).collect();
        assert_eq!(fields, ["legacy.test:8080", "*/*"]);
        for good in ["a.test", "192.0.2.1:80", "[2001:db8::1]:8080"] {
            rules.set_host(good).unwrap();
        }
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
