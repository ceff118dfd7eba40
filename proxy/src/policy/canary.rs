//! A second group of instances that gets a part of the requests: by percentage, or those that carry a header.

use std::sync::Arc;

use bytes::Bytes;

use crate::headers::Headers;
use crate::upstream::pool::Pool;

/// Who goes to the canary.
#[derive(Clone, Debug)]
pub struct Canary {
    /// Its instances; they speak what the ordinary ones speak.
    pub pool: Arc<Pool>,
    /// Hundredths of the clients. The same client always gets the same.
    pub percent: u8,
    /// Requests that carry this header (with this value, unless it is empty) always go there.
    pub header: Option<(String, String)>,
}

impl Canary {
    /// Whether this request goes there. `client` is a number made of the client's address.
    pub fn takes(&self, headers: &Headers, client: u64) -> bool {
        let named = self.header.as_ref().is_some_and(|(name, wanted)| {
            headers.get(name).is_some_and(|value: &Bytes| wanted.is_empty() || value == wanted.as_bytes())
        });
        named || client % 100 < u64::from(self.percent)
    }

    /// Whether its instances are those of the other. Who goes there does not matter: each group's answers are kept apart.
    pub(crate) fn gives_same_answers(&self, other: &Self) -> bool {
        self.pool.same_source(&other.pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::pool::Protocol;

    #[test]
    fn clients_are_split_and_the_header_decides_first() {
        let pool = Arc::new(Pool::new(Protocol::Http, []));
        let canary = Canary { pool, percent: 5, header: Some(("x-canary".into(), "yes".into())) };
        let mut headers = Headers::default();
        assert_eq!((0..1000).filter(|client| canary.takes(&headers, *client)).count(), 50);
        headers.push("X-Canary", "no");
        assert!(!canary.takes(&headers, 50));
        headers.set("x-canary", "yes");
        assert!(canary.takes(&headers, 50));
    }
}
