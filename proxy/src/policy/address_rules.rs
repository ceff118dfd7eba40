//! Which networks may reach a route.

use std::net::IpAddr;

use crate::prefix::Prefix;

/// Allowed and denied networks. A denied address stays out whatever is allowed; where networks are allowed, all
/// others are denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Networks that may come; empty for all.
    pub allow: Vec<Prefix>,
    /// Networks that may not.
    pub deny: Vec<Prefix>,
}

impl AddressRules {
    /// Whether a client (behind trusted proxies) may come.
    pub fn admits(&self, client: IpAddr) -> bool {
        let is_in = |networks: &[Prefix]| networks.iter().any(|network| network.holds(client));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denied_wins_and_allowed_excludes_others() {
        let networks = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<Prefix>>();
        let cases: [(&[&str], &[&str], &str, bool); 8] = [
            (&[], &[], "1.2.3.4", true),
            (&["10.0.0.0/8"], &[], "10.1.1.1", true),
            (&["10.0.0.0/8"], &[], "1.2.3.4", false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.1.1", false),
            (&[], &["10.1.0.0/16"], "::ffff:10.1.1.1", false),
            (&[], &["fd00::/8"], "1.2.3.4", true),
            (&[], &["::ffff:10.0.0.0/104"], "10.1.1.1", false),
            (&["::ffff:10.0.0.0/104"], &[], "10.1.1.1", true),
        ];
        for (allow, deny, client, admitted) in cases {
            let rules = AddressRules { allow: networks(allow), deny: networks(deny) };
            assert_eq!(rules.admits(client.parse().unwrap()), admitted, "{allow:?} {deny:?} {client}");
        }
    }
}
