//! What is said to `nft`: one table of our own, made as a whole in one transaction of the kernel, and then changed
//! element by element.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::SystemTime;

use hop3_proxy::{Ban, Prefix};

/// What the sets hold: networks that do not overlap, each with the end of its ban, to the second: the kernel ends it then.
pub type Elements = BTreeMap<Prefix, Option<SystemTime>>;

/// The bans that hold, without those that lie in others: intervals of a set may not overlap. Where a network's ban ends
/// before that of an address in it, the proxy goes on turning the address away.
pub fn elements(bans: &[Ban], now: SystemTime) -> Elements {
    let mut holding: Vec<&Ban> = bans.iter().filter(|ban| ban.holds(now)).collect();
    holding.sort_by_key(|ban| (ban.prefix.is_ipv4(), ban.prefix.address(), ban.prefix.length()));
    let mut kept: Vec<&Ban> = Vec::with_capacity(holding.len());
    for ban in holding {
        if kept.last().is_none_or(|last| !last.prefix.contains(&ban.prefix)) {
            kept.push(ban);
        }
    }
    kept.into_iter().map(|ban| (ban.prefix, ban.until)).collect()
}

/// The commands that make `table` hold these elements. `ports` are those that banned clients are kept from; others, such
/// as that of SSH, stay open to them. `allowed` is let through whatever else is banned.
pub fn replacing(
    table: &str,
    ports: &[u16],
    allowed: &[Prefix],
    elements: &Elements,
    now: SystemTime,
) -> String {
    let mut text = removing(table);
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let (allowed_four, allowed_six): (Vec<Prefix>, Vec<Prefix>) =
        allowed.iter().copied().partition(Prefix::is_ipv4);
    let shown = |prefixes: Vec<Prefix>| prefixes.iter().map(Prefix::to_string).collect();
    let banned = |four: bool| timed(elements.iter().filter(|(prefix, _)| prefix.is_ipv4() == four), now);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "table inet {table} {{");
    set(&mut text, "allowed4", "ipv4_addr; flags interval; auto-merge", shown(allowed_four));
    set(&mut text, "allowed6", "ipv6_addr; flags interval; auto-merge", shown(allowed_six));
    set(&mut text, "banned4", "ipv4_addr; flags interval, timeout", banned(true));
    set(&mut text, "banned6", "ipv6_addr; flags interval, timeout", banned(false));
    let _ = write!(
        text,
        // A match on a TCP port holds for TCP alone, so everything else from a banned client passes the hook by.
        "  chain clients {{\n    ip saddr @allowed4 accept\n    ip6 saddr @allowed6 accept\n    \
         ip saddr @banned4 counter drop\n    ip6 saddr @banned6 counter drop\n  }}\n  \
         chain input {{\n    type filter hook input priority -10; policy accept;\n    \
         tcp dport {{ {} }} jump clients\n  }}\n}}\n",
        ports.join(", ")
    );
    text
}

/// The commands that turn the sets from `before` to `after`; empty when nothing is to be done. What has ended at `now`
/// the kernel has taken away by itself.
pub fn changing(table: &str, before: &Elements, after: &Elements, now: SystemTime) -> String {
    let is_over = |until: &Option<SystemTime>| until.is_some_and(|until| until <= now);
    let changed =
        |prefix: &Prefix, until: &Option<SystemTime>, other: &Elements| other.get(prefix) != Some(until);
    let gone = before.iter().filter(|(prefix, until)| !is_over(until) && changed(prefix, until, after));
    let gone: Vec<Prefix> = gone.map(|(prefix, _)| *prefix).collect();
    let new: Vec<_> = after.iter().filter(|(prefix, until)| changed(prefix, until, before)).collect();
    let mut text = String::new();
    for (four, name) in [(true, "banned4"), (false, "banned6")] {
        let mut say = |verb: &str, elements: Vec<String>| {
            if !elements.is_empty() {
                let _ = writeln!(text, "{verb} element inet {table} {name} {{ {} }}", elements.join(", "));
            }
        };
        let gone = gone.iter().filter(|prefix| prefix.is_ipv4() == four);
        say("delete", gone.map(Prefix::to_string).collect());
        let new = new.iter().filter(|(prefix, _)| prefix.is_ipv4() == four);
        say("add", timed(new.copied(), now));
    }
    text
}

/// The commands that take `table` away, whether it is there or not.
pub fn removing(table: &str) -> String {
    format!("add table inet {table}\ndelete table inet {table}\n")
}

fn set(text: &mut String, name: &str, kind: &str, elements: Vec<String>) {
    let _ = write!(text, "  set {name} {{\n    type {kind};\n");
    if !elements.is_empty() {
        let _ = writeln!(text, "    elements = {{ {} }}", elements.join(", "));
    }
    text.push_str("  }\n");
}

fn timed<'e>(
    elements: impl Iterator<Item = (&'e Prefix, &'e Option<SystemTime>)>,
    now: SystemTime,
) -> Vec<String> {
    let element = |(prefix, until): (&Prefix, &Option<SystemTime>)| match until {
        None => prefix.to_string(),
        // At least a second: zero would mean for ever.
        Some(until) => {
            let seconds = until.duration_since(now).unwrap_or_default().as_secs().max(1);
            format!("{prefix} timeout {seconds}s")
        }
    };
    elements.map(element).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hop3_proxy::Reason;

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1000)
    }

    fn ban(prefix: &str, seconds: Option<u64>) -> Ban {
        Ban {
            prefix: prefix.parse().unwrap(),
            reason: Reason::Manual,
            app: None,
            note: "".into(),
            since: now(),
            until: seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
            count: 1,
        }
    }

    #[test]
    fn overlapping_bans_become_one_interval() {
        let bans = [
            ban("10.0.0.1", Some(1060)),
            ban("10.0.0.0/24", None),
            ban("10.0.1.1", Some(1060)),
            ban("10.0.2.2", Some(999)),
            ban("2001:db8::/64", Some(1000 + 86_400)),
            ban("2001:db8::/32", Some(1010)),
        ];
        let allowed = ["127.0.0.0/8".parse().unwrap()];
        let text = replacing("hop3_x", &[80, 443], &allowed, &elements(&bans, now()), now());
        assert!(
            text.starts_with("add table inet hop3_x\ndelete table inet hop3_x\ntable inet hop3_x {\n"),
            "{text}"
        );
        for part in [
            "elements = { 10.0.0.0/24, 10.0.1.1 timeout 60s }\n",
            "elements = { 2001:db8::/32 timeout 10s }\n",
            "elements = { 127.0.0.0/8 }\n",
            "policy accept;\n    tcp dport { 80, 443 } jump clients\n  }\n",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("10.0.2.2"), "{text}");
    }

    #[test]
    fn what_changes_is_said_and_nothing_else() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let before = [
            ban("10.0.0.1", Some(1060)),
            ban("10.0.0.2", Some(1010)),
            ban("10.0.0.3", Some(1060)),
            ban("10.0.0.4", None),
            ban("2001:db8::/64", None),
        ];
        let before = elements(&before, now());
        assert_eq!(changing("t", &before, &before, at(1005)), "");
        let after = [
            ban("10.0.0.1", Some(1060)),
            ban("10.0.0.3", Some(1200)),
            ban("192.0.2.0/24", None),
            ban("192.0.2.7", Some(1100)),
        ];
        let text = changing("t", &before, &elements(&after, at(1020)), at(1020));
        let expected = "delete element inet t banned4 { 10.0.0.3, 10.0.0.4 }\n\
                        add element inet t banned4 { 10.0.0.3 timeout 180s, 192.0.2.0/24 }\n\
                        delete element inet t banned6 { 2001:db8::/64 }\n";
        assert_eq!(text, expected, "10.0.0.2 has ended by itself, 192.0.2.7 lies in its network");
    }
}
