//! `@rbl`: an address or name looked up in a block list of the DNS (RFC 5782).
//!
//! The engine neither asks nor waits: the host answers from what it knows, and
//! what it does not know yet is no match this time.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Longest name in the DNS, in bytes (RFC 1035, section 2.3.4).
const NAME_LIMIT: usize = 253;
/// Longest label of a name, in bytes.
const LABEL_LIMIT: usize = 63;

/// What a host knows about names in block lists. Must not block.
pub trait BlockLists: Send + Sync + fmt::Debug {
    /// Whether `name`, such as `2.0.0.127.list.example`, is in its list. A host that does not know may find out for
    /// the next time.
    fn find(&self, name: &str) -> Listing;
}

/// The answer of a block list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It is listed; the address says why, in the list's own code.
    Listed(IpAddr),
    /// It is not.
    NotListed,
    /// Nobody knows yet.
    Unknown,
}

/// One list.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BlockList {
    zone: String,
    /// What a list of Project Honey Pot wants before the address (`SecHttpBlKey`).
    key: Option<String>,
}

/// Letters of a key.
const KEY_LENGTH: usize = 12;

/// Shown without the key, which is a secret.
impl fmt::Debug for BlockList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockList").field("zone", &self.zone).finish_non_exhaustive()
    }
}

/// Lists below this name answer only those who have a key.
const HTTP_BL: &str = "httpbl.org";

impl BlockList {
    /// The list below `zone`, e.g. `bl.example.org`; `None` when that is no name.
    pub(crate) fn new(zone: &str) -> Option<Self> {
        let zone = zone.trim().trim_matches('.').to_ascii_lowercase();
        is_name(&zone).then_some(Self { zone, key: None })
    }

    /// Whether the list answers only those who have a key.
    pub(crate) fn wants_key(&self) -> bool {
        self.zone == HTTP_BL || self.zone.ends_with(&format!(".{HTTP_BL}"))
    }

    /// The list, asked with a key; `None` when that is none: twelve letters.
    pub(crate) fn with_key(mut self, key: &str) -> Option<Self> {
        let is_key = key.len() == KEY_LENGTH && key.bytes().all(|byte| byte.is_ascii_alphabetic());
        self.key = is_key.then(|| key.to_ascii_lowercase());
        is_key.then_some(self)
    }

    /// The code under which a value is listed.
    pub(crate) fn find(&self, value: &[u8], lists: &dyn BlockLists) -> Option<IpAddr> {
        match lists.find(&self.name_of(value)?) {
            Listing::Listed(code) => Some(code),
            Listing::NotListed | Listing::Unknown => None,
        }
    }

    /// The name to ask for: addresses reversed (RFC 5782, sections 2.1 and 2.4), names as they are.
    fn name_of(&self, value: &[u8]) -> Option<String> {
        let value = std::str::from_utf8(value).ok()?;
        let name = match IpAddr::from_str(value).map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.{}", self.zone)
            }
            // Lists that want a key know addresses of IPv4 alone.
            _ if self.key.is_some() => return None,
            Ok(IpAddr::V6(address)) => {
                let nibbles = address.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
                let labels: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
                format!("{labels}{}", self.zone)
            }
            Err(_) => format!("{}.{}", value.trim_end_matches('.').to_ascii_lowercase(), self.zone),
        };
        let name = match &self.key {
            Some(key) => format!("{key}.{name}"),
            None => name,
        };
        is_name(&name).then_some(name)
    }
}

/// Whether a text can be asked for: labels of letters, digits, hyphens and underscores.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_LIMIT).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= NAME_LIMIT && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;

    /// Knows one address, and remembers what it was asked.
    #[derive(Debug, Default)]
    struct OneListed(Mutex<Vec<String>>);

    impl BlockLists for OneListed {
        fn find(&self, name: &str) -> Listing {
            self.0.lock().unwrap().push(name.to_owned());
            match name {
                "7.2.0.192.bl.test" => Listing::Listed([127, 0, 0, 2].into()),
                "8.2.0.192.bl.test" => Listing::Unknown,
                _ => Listing::NotListed,
            }
        }
    }

    #[test]
    fn the_host_is_asked_and_unknown_is_no_match() {
        let rules = "SecRuleEngine On\n\
            SecRule REMOTE_ADDR \"@rbl bl.test\" \"id:1,phase:1,deny,status:403,capture,log,msg:'%{TX.0}'\"\n\
            SecRule ARGS \"!@rbl bl.test\" \"id:2,phase:1,pass,log\"\n";
        let document =
            hop3_seclang::parse_str("t", rules, &hop3_seclang::loader::MemoryLoader::new()).unwrap();
        let ruleset = Arc::new(crate::Ruleset::compile(&document).unwrap());
        let lists = Arc::new(OneListed::default());
        let sent = |client: [u8; 4], lists: Option<Arc<OneListed>>| {
            let start = crate::TransactionStart { id: "t".into(), unix_time: Duration::ZERO, entropy: 0 };
            let (client, server) = ((client, 1).into(), ([127, 0, 0, 1], 80).into());
            let mut transaction =
                crate::Transaction::new(ruleset.clone(), start, crate::Connection { client, server });
            if let Some(lists) = lists {
                transaction = transaction.with_block_lists(lists);
            }
            transaction.set_request_line(b"GET", b"/?q=a%20b", b"HTTP/1.1");
            let _ = transaction.process_request_headers();
            let matches = transaction.matches().iter();
            matches.map(|found| (found.rule_id, found.message.clone())).collect::<Vec<_>>()
        };
        let listed = || Some(lists.clone());
        assert_eq!(sent([192, 0, 2, 7], listed()), [(1, "127.0.0.2".to_owned())]);
        assert_eq!(sent([192, 0, 2, 8], listed()), [(2, String::new())]);
        assert_eq!(sent([192, 0, 2, 9], listed()), [(2, String::new())]);
        assert_eq!(sent([192, 0, 2, 7], None), [(2, String::new())], "nobody to ask");
        let asked = lists.0.lock().unwrap().clone();
        assert_eq!(
            asked,
            ["7.2.0.192.bl.test", "8.2.0.192.bl.test", "9.2.0.192.bl.test"],
            "`a b` is no name"
        );
    }

    #[test]
    fn names_in_lists() {
        let list = BlockList::new("BL.example.org.").unwrap();
        for (value, name) in [
            ("192.0.2.99", Some("99.2.0.192.bl.example.org")),
            ("::ffff:192.0.2.99", Some("99.2.0.192.bl.example.org")),
            (
                "2001:db8:1:2:3:4:567:89ab",
                Some("b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example.org"),
            ),
            ("Spam.example", Some("spam.example.bl.example.org")),
            ("", None),
            ("a b", None),
            ("a..b", None),
            ("/etc/passwd", None),
            ("\u{e9}", None),
        ] {
            assert_eq!(list.name_of(value.as_bytes()).as_deref(), name, "{value}");
        }
        assert_eq!(list.name_of(&[b'a'; 64]), None);
        assert_eq!(list.name_of("a.".repeat(130).as_bytes()), None);
        assert_eq!(BlockList::new("not a zone"), None);
        let list = BlockList::new("dnsbl.httpbl.org").unwrap();
        assert!(list.wants_key() && !BlockList::new("nohttpbl.org").unwrap().wants_key());
        let list = list.with_key("AbcDefGhiJkl").unwrap();
        assert_eq!(list.name_of(b"192.0.2.99").as_deref(), Some("abcdefghijkl.99.2.0.192.dnsbl.httpbl.org"));
        assert_eq!((list.name_of(b"2001:db8::1"), list.name_of(b"a.example")), (None, None));
        assert!(!format!("{list:?}").contains("abcdef"));
        assert_eq!(list.clone().with_key("no key"), None);
        assert_eq!(list.with_key("abc.defghijk"), None);
    }
}
