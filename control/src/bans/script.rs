//! What is said to `nft`: one table of our own, replaced as a whole in one transaction of the kernel.

use std::fmt::Write;
use std::time::SystemTime;

use hop3_proxy::{Ban, Prefix};

/// The commands that make `table` hold these bans. `ports` are those that banned clients are kept from; others, such as
/// that of SSH, stay open to them. `allowed` is let through whatever else is banned.
pub fn replacing(table: &str, ports: &[u16], allowed: &[Prefix], bans: &[Ban], now: SystemTime) -> String {
    let mut text = removing(table);
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let bans = disjoint(bans, now);
    let (four, six): (Vec<&Ban>, Vec<&Ban>) = bans.into_iter().partition(|ban| ban.prefix.is_ipv4());
    let (allowed_four, allowed_six): (Vec<Prefix>, Vec<Prefix>) =
        allowed.iter().copied().partition(Prefix::is_ipv4);
    let shown = |prefixes: Vec<Prefix>| prefixes.iter().map(Prefix::to_string).collect();
    let timed = |bans: Vec<&Ban>| bans.into_iter().map(|ban| element(ban, now)).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "table inet {table} {{");
    set(&mut text, "allowed4", "ipv4_addr; flags interval; auto-merge", shown(allowed_four));
    set(&mut text, "allowed6", "ipv6_addr; flags interval; auto-merge", shown(allowed_six));
    set(&mut text, "banned4", "ipv4_addr; flags interval, timeout", timed(four));
    set(&mut text, "banned6", "ipv6_addr; flags interval, timeout", timed(six));
    let _ = write!(
        text,
        "  chain input {{\n    type filter hook input priority -10; policy accept;\n    \
         tcp dport != {{ {} }} accept\n    ip saddr @allowed4 accept\n    ip6 saddr @allowed6 accept\n    \
         ip saddr @banned4 counter drop\n    ip6 saddr @banned6 counter drop\n  }}\n}}\n",
        ports.join(", ")
    );
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

fn element(ban: &Ban, now: SystemTime) -> String {
    match ban.until {
        None => ban.prefix.to_string(),
        // At least a second: zero would mean for ever.
        Some(until) => {
            let seconds = until.duration_since(now).unwrap_or_default().as_secs().max(1);
            format!("{} timeout {seconds}s", ban.prefix)
        }
    }
}

/// The bans that hold, without those that lie in others: intervals of a set may not overlap. Where a network's ban ends
/// before that of an address in it, the proxy goes on turning the address away.
fn disjoint(bans: &[Ban], now: SystemTime) -> Vec<&Ban> {
    let mut holding: Vec<&Ban> = bans.iter().filter(|ban| ban.holds(now)).collect();
    holding.sort_by_key(|ban| (ban.prefix.is_ipv4(), ban.prefix.address(), ban.prefix.length()));
    let mut kept: Vec<&Ban> = Vec::with_capacity(holding.len());
    for ban in holding {
        if kept.last().is_none_or(|last| !last.prefix.contains(&ban.prefix)) {
            kept.push(ban);
        }
    }
    kept
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
        let text = replacing("hop3_x", &[80, 443], &["127.0.0.0/8".parse().unwrap()], &bans, now());
        assert!(
            text.starts_with("add table inet hop3_x\ndelete table inet hop3_x\ntable inet hop3_x {\n"),
            "{text}"
        );
        for part in [
            "elements = { 10.0.0.0/24, 10.0.1.1 timeout 60s }\n",
            "elements = { 2001:db8::/32 timeout 10s }\n",
            "elements = { 127.0.0.0/8 }\n",
            "tcp dport != { 80, 443 } accept\n",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("10.0.2.2"), "{text}");
    }
}
