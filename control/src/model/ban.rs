//! A ban as it is kept, sent and shown.

use hop3_proxy::{Ban, Prefix, Reason};
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One ban of an address or network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRecord {
    /// Address or network in CIDR notation.
    pub network: String,
    /// `manual`, or the offence that was one too many: `firewall`, `authentication`, `not-found`, `rate-limit`, `malformed`;
    /// `network` when many of its clients were banned.
    pub reason: String,
    /// The app where that happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The transaction in which that happened, or what the operator had to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Its beginning.
    pub since: Timestamp,
    /// Its end; `None` when it lasts until it is cleared.
    pub until: Option<Timestamp>,
    /// How many bans of this client or network it is, one following the other.
    pub count: u32,
}

impl From<&Ban> for BanRecord {
    fn from(ban: &Ban) -> BanRecord {
        BanRecord {
            network: ban.prefix.to_string(),
            reason: ban.reason.as_str().to_owned(),
            app: ban.app.as_deref().map(str::to_owned),
            note: ban.note.to_string(),
            since: ban.since.into(),
            until: ban.until.map(Timestamp::from),
            count: ban.count,
        }
    }
}

impl BanRecord {
    /// As the proxy takes it; `None` when the record was not written by this version and cannot be understood.
    pub fn ban(&self) -> Option<Ban> {
        Some(Ban {
            prefix: self.network.parse::<Prefix>().ok()?,
            reason: Reason::from_name(&self.reason)?,
            app: self.app.as_deref().map(Into::into),
            note: self.note.as_str().into(),
            since: self.since.system_time(),
            until: self.until.map(Timestamp::system_time),
            count: self.count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_survives_being_kept() {
        let record = BanRecord {
            network: "2001:db8::/64".into(),
            reason: "not-found".into(),
            app: Some("shop".into()),
            note: "1a2b".into(),
            since: Timestamp(5_000),
            until: Some(Timestamp(1_800_000_000_123)),
            count: 3,
        };
        assert_eq!(BanRecord::from(&record.ban().unwrap()), record);
        let forever = BanRecord { until: None, reason: "manual".into(), ..record };
        assert_eq!(BanRecord::from(&forever.ban().unwrap()), forever);
        assert_eq!(BanRecord { reason: "mood".into(), ..forever }.ban(), None);
    }
}
