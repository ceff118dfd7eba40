//! DNS: whether the hosts that are served lead to this machine.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hop3_proxy::is_address;

use super::Finding;

/// How long a name server may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Names that no name server of the world answers for (RFC 6761, RFC 6762).
const LOCAL: [&str; 5] = ["localhost", "test", "example", "invalid", "local"];
/// Names asked for at a time.
const AT_ONCE: usize = 16;

/// Where a host leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// To these addresses.
    To(Vec<IpAddr>),
    /// Nowhere, for this reason.
    Not(String),
}

/// Asks the system's resolver for all hosts and judges the answers. Wildcards are asked for by a name below them.
pub async fn check(hosts: BTreeSet<String>) -> Vec<Finding> {
    let own = own_addresses();
    let mut findings = Vec::new();
    let hosts: Vec<String> = hosts.into_iter().collect();
    for some in hosts.chunks(AT_ONCE) {
        let asked: Vec<_> = some.iter().map(|host| tokio::spawn(resolve(host.clone()))).collect();
        for (host, answer) in some.iter().zip(asked) {
            let resolved = answer.await.unwrap_or_else(|error| Resolved::Not(error.to_string()));
            findings.extend(judge(host, &resolved, &own));
        }
    }
    findings
}

async fn resolve(host: String) -> Resolved {
    let name = host.strip_prefix("*.").map_or_else(|| host.clone(), |domain| format!("hop3-doctor.{domain}"));
    match tokio::time::timeout(LIMIT, tokio::net::lookup_host((name, 443))).await {
        Ok(Ok(addresses)) => Resolved::To(addresses.map(|address| address.ip()).collect()),
        Ok(Err(error)) => Resolved::Not(error.to_string()),
        Err(_) => Resolved::Not(format!("no name server answered within {} s", LIMIT.as_secs())),
    }
}

/// What an answer means for a host; nothing for names that are not in the DNS.
fn judge(host: &str, resolved: &Resolved, own: &BTreeSet<IpAddr>) -> Option<Finding> {
    let last = host.rsplit('.').next().unwrap_or_default();
    if host == "*" || is_address(host) || LOCAL.contains(&last) {
        return None;
    }
    let public: Vec<String> =
        own.iter().filter(|address| !address.is_loopback()).map(IpAddr::to_string).collect();
    let record = format!("let an A or AAAA record of {host} lead here: {}", public.join(", "));
    Some(match resolved {
        Resolved::Not(reason) => {
            Finding::warn("names", format!("{host} does not resolve")).cause(reason.clone()).hint(record)
        }
        Resolved::To(addresses) if addresses.is_empty() => {
            Finding::warn("names", format!("{host} has no address")).hint(record)
        }
        Resolved::To(addresses) => {
            let shown: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            let elsewhere = addresses.iter().filter(|address| !own.contains(&address.to_canonical())).count();
            match elsewhere {
                0 => Finding::ok("names", format!("{host} leads here ({})", shown.join(", "))),
                all if all == addresses.len() => {
                    Finding::warn("names", format!("{host} leads elsewhere ({})", shown.join(", ")))
                        .cause("none of the addresses is this machine's own; behind a NAT or a proxy that is as it should be")
                        .hint(record)
                }
                _ => Finding::warn("names", format!("{host} leads here and elsewhere ({})", shown.join(", ")))
                    .cause("clients and certificate authorities may ask either")
                    .hint(record),
            }
        }
    })
}

/// The addresses of this machine's interfaces, from /proc.
fn own_addresses() -> BTreeSet<IpAddr> {
    let trie = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let six = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    local_ipv4(&trie)
        .into_iter()
        .map(IpAddr::V4)
        .chain(local_ipv6(&six).into_iter().map(IpAddr::V6))
        .collect()
}

/// Addresses that are followed by `/32 host LOCAL`.
fn local_ipv4(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in trie.lines() {
        if let Some(address) = line.trim().strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line.trim() == "/32 host LOCAL" {
            found.extend(last);
        }
    }
    found
}

/// The first column, 32 hexadecimal digits.
fn local_ipv6(table: &str) -> Vec<Ipv6Addr> {
    let first = |line: &str| u128::from_str_radix(line.split_whitespace().next()?, 16).ok();
    table.lines().filter_map(first).map(Ipv6Addr::from_bits).collect()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn own_addresses_are_read_from_the_kernels_tables() {
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.0\n        /24 link UNICAST\n     |-- 192.0.2.7\n        \
                    /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n";
        assert_eq!(local_ipv4(trie), [Ipv4Addr::new(192, 0, 2, 7)]);
        let six = "20010db8000000000000000000000007 02 40 00 80     eth0\n";
        assert_eq!(local_ipv6(six), ["2001:db8::7".parse::<Ipv6Addr>().unwrap()]);
        assert!(own_addresses().contains(&Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn answers_are_judged() {
        let own: BTreeSet<IpAddr> =
            ["127.0.0.1", "192.0.2.7"].iter().map(|text| text.parse().unwrap()).collect();
        let to =
            |addresses: &[&str]| Resolved::To(addresses.iter().map(|text| text.parse().unwrap()).collect());
        let cases = [
            ("shop.example.org", to(&["192.0.2.7"]), Some(State::Ok)),
            ("shop.example.org", to(&["::ffff:192.0.2.7"]), Some(State::Ok)),
            ("shop.example.org", to(&["192.0.2.7", "198.51.100.1"]), Some(State::Warn)),
            ("shop.example.org", to(&["198.51.100.1"]), Some(State::Warn)),
            ("shop.example.org", to(&[]), Some(State::Warn)),
            ("*.example.org", Resolved::Not("no such name".into()), Some(State::Warn)),
            ("shop.localhost", Resolved::Not("no such name".into()), None),
            ("*", to(&[]), None),
            ("192.0.2.9", to(&[]), None),
            ("[2001:db8::9]", to(&[]), None),
        ];
        for (host, resolved, state) in cases {
            let finding = judge(host, &resolved, &own);
            assert_eq!(finding.as_ref().map(|finding| finding.state), state, "{finding:?}");
            if let Some(hint) = finding.and_then(|finding| finding.hint) {
                assert!(hint.contains("192.0.2.7") && !hint.contains("127.0.0.1"), "{hint}");
            }
        }
    }
}
