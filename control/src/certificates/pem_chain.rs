//! A certificate chain as text, and what its first certificate says: read once, when somebody first asks.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use hop3_proxy::CertificateFacts;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// PEM, the server's own certificate first. Copies are cheap, and share what was read.
#[derive(Clone)]
pub struct PemChain(Arc<Text>);

struct Text {
    pem: String,
    /// `None` when it is no certificate.
    facts: OnceLock<Option<Arc<CertificateFacts>>>,
}

impl PemChain {
    /// What the first certificate says; `None` when there is none that can be read.
    pub fn facts(&self) -> Option<Arc<CertificateFacts>> {
        self.0.facts.get_or_init(|| CertificateFacts::of_pem(&self.0.pem).ok().map(Arc::new)).clone()
    }
}

impl From<String> for PemChain {
    fn from(pem: String) -> Self {
        Self(Arc::new(Text { pem, facts: OnceLock::new() }))
    }
}

impl From<&str> for PemChain {
    fn from(pem: &str) -> Self {
        pem.to_owned().into()
    }
}

impl Deref for PemChain {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0.pem
    }
}

impl PartialEq for PemChain {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.pem == other.0.pem
    }
}

impl Eq for PemChain {}

impl fmt::Debug for PemChain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.pem, out)
    }
}

impl Serialize for PemChain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.pem)
    }
}

impl<'de> Deserialize<'de> for PemChain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::tests::{DAY, START, chain};
    use super::*;

    #[test]
    fn it_is_text_outside_and_read_once_for_all_copies() {
        let (pem, _) = chain(&["a.org"], START, DAY);
        let held = PemChain::from(pem.clone());
        let stored = serde_json::to_string(&held).unwrap();
        assert_eq!(stored, serde_json::to_string(&pem).unwrap());
        let copy = held.clone();
        let facts = held.facts().unwrap();
        assert!(facts.covers("a.org") && Arc::ptr_eq(&facts, &copy.facts().unwrap()));
        let other: PemChain = serde_json::from_str(&stored).unwrap();
        assert!(other == held && !Arc::ptr_eq(&facts, &other.facts().unwrap()));
        assert!(PemChain::from("rubbish").facts().is_none());
    }
}
