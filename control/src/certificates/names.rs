//! Which names an authority can be asked for.

use hop3_proxy::is_address;

/// Most names in one certificate; Let's Encrypt's limit, and nobody's is lower.
pub(super) const MOST_NAMES: usize = 100;

/// Top-level names that no public authority issues for (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476).
const SPECIAL: [&str; 9] =
    ["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"];

/// Why no authority is asked for a host; `None` when it can be. `public` tells an authority for the internet from one
/// of the operator's own.
pub(super) fn unissuable(host: &str, public: bool, wildcards: bool) -> Option<&'static str> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    if is_address(name) {
        Some("an address has no name to prove")
    } else if last == "localhost" {
        Some("`localhost` is every machine's own name")
    } else if !name.contains('.') {
        Some("a name without a dot belongs to nobody")
    } else if public && SPECIAL.contains(&last) {
        Some("its top-level name is not on the internet")
    } else if host.starts_with("*.") && !wildcards {
        Some("a wildcard needs dns-01: set [server.acme.dns]")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_can_prove_are_not_asked_for() {
        let cases = [
            ("shop.example.org", true, false, true),
            ("*.example.org", true, true, true),
            ("*.example.org", true, false, false),
            ("demo.localhost", true, true, false),
            ("demo.localhost", false, true, false),
            ("localhost", false, true, false),
            ("intranet", false, true, false),
            ("shop.test", true, true, false),
            ("shop.test", false, true, true),
            ("printer.home.arpa", true, true, false),
            ("10.0.0.1", false, true, false),
            ("[::1]", false, true, false),
        ];
        for (host, public, wildcards, asked) in cases {
            assert_eq!(unissuable(host, public, wildcards).is_none(), asked, "{host} {public} {wildcards}");
        }
    }
}
