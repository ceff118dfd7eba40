//! Certificates, as clients are shown them: validity, names, chain, and whether the server has the key.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hop3_proxy::{CertificateFacts, KeyProof};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection};

use super::Finding;

/// How long a step of a handshake may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Days that a certificate should still have.
const DAYS_LEFT: u64 = 14;
const DAY: u64 = 24 * 3600;

/// Shakes hands with the server on `address` as a client of `host` would, and judges what it is shown. A wildcard is asked
/// for by a name below it.
pub fn check(host: &str, address: SocketAddr, now: SystemTime) -> Finding {
    let name =
        host.strip_prefix("*.").map_or_else(|| host.to_owned(), |domain| format!("hop3-doctor.{domain}"));
    match shown(&name, address) {
        Ok(chain) => judge(host, &name, &chain, now),
        Err(error) => Finding::fail("certificates", format!("{host}: no TLS handshake is possible"))
            .cause(error.to_string())
            .hint("look for the server's own words: journalctl -u hop3, or its stderr"),
    }
}

/// Judges a chain that was shown to a client that asked for `name`.
fn judge(host: &str, name: &str, chain: &[CertificateDer<'_>], now: SystemTime) -> Finding {
    let import = format!("import a certificate and its key for {host}, or let one be issued");
    let fail = |what: String| Finding::fail("certificates", format!("{host}: {what}")).hint(import.clone());
    let warn = |what: String| Finding::warn("certificates", format!("{host}: {what}"));
    let Some(first) = chain.first() else { return fail("no certificate is shown".into()) };
    let facts = match CertificateFacts::of_der(first) {
        Ok(facts) => facts,
        Err(error) => return fail("the certificate cannot be read".into()).cause(error.to_string()),
    };
    if facts.not_after <= now {
        let days = now.duration_since(facts.not_after).unwrap_or_default().as_secs() / DAY;
        return fail(format!("the certificate expired {days} days ago"));
    }
    if facts.not_before > now + Duration::from_secs(60) {
        let cause = "it begins in the future, or the clock is behind";
        return fail("the certificate is not valid yet".into()).cause(cause);
    }
    if !facts.covers(name) {
        let cause = format!("it names {}", facts.names.join(", "));
        return fail("the certificate does not name the host".into()).cause(cause);
    }
    if facts.self_signed {
        return warn("the certificate is self-signed".into()).cause("browsers warn of it").hint(import);
    }
    if let Some(cause) = CertificateFacts::chain_gap(chain) {
        return warn("the chain is not complete".into())
            .cause(cause)
            .hint("append the authority's intermediate certificates to the chain, in order");
    }
    let days = facts.remaining(now).as_secs() / DAY;
    if days < DAYS_LEFT {
        return warn(format!("the certificate expires in {days} days")).hint(import);
    }
    // A wildcard holds in place of one label (RFC 9525 section 6.3); routes go deeper.
    let reach = match host.strip_prefix("*.") {
        Some(domain) => format!(
            "; it covers NAME.{domain}, not MORE.NAME.{domain}, which is served too: give such names a `*.NAME.{domain}` of their own"
        ),
        None => String::new(),
    };
    Finding::ok("certificates", format!("{host}: valid for {days} days, issued by {}{reach}", facts.issuer))
}

/// The chain that a client of `name` is shown. That a handshake succeeds shows that the server has the key.
fn shown(name: &str, address: SocketAddr) -> io::Result<Vec<CertificateDer<'static>>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = config.map_err(io::Error::other)?;
    // Judging the chain is ours; only the proof of the key is left to the handshake.
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(KeyProof(provider)));
    let config = Arc::new(config.with_no_client_auth());
    let server = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(config, server).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let chain = connection.peer_certificates().unwrap_or_default();
    Ok(chain.iter().map(|der| der.clone().into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::super::State;
    use super::*;

    /// The first of May 2026.
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_777_593_600)
    }

    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        der: CertificateDer<'static>,
    }

    fn authority(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let der = params.self_signed(&key).unwrap().der().clone();
        Authority { issuer: Issuer::new(params, key), der }
    }

    fn issued(by: &Authority, host: &str, from: (i32, u8, u8), to: (i32, u8, u8)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        params.signed_by(&KeyPair::generate().unwrap(), &by.issuer).unwrap().der().clone()
    }

    #[test]
    fn a_chain_is_judged_by_dates_names_and_links() {
        let (own, other) = (authority("Own"), authority("Other"));
        let good = issued(&own, "shop.test", (2026, 4, 1), (2026, 7, 1));
        let wild = issued(&own, "*.test", (2026, 4, 1), (2026, 7, 1));
        let old = issued(&own, "shop.test", (2025, 1, 1), (2026, 4, 21));
        let early = issued(&own, "shop.test", (2026, 6, 1), (2026, 7, 1));
        let ending = issued(&own, "shop.test", (2026, 2, 1), (2026, 5, 6));
        let cases: [(&str, Vec<&CertificateDer<'_>>, State, &str); 9] = [
            ("shop.test", vec![&good, &own.der], State::Ok, "valid for 61 days"),
            ("*.test", vec![&wild, &own.der], State::Ok, "it covers NAME.test, not MORE.NAME.test"),
            ("blog.test", vec![&good, &own.der], State::Fail, "does not name the host"),
            ("shop.test", vec![&old, &own.der], State::Fail, "expired 10 days ago"),
            ("shop.test", vec![&early, &own.der], State::Fail, "not valid yet"),
            ("shop.test", vec![&ending, &own.der], State::Warn, "expires in 5 days"),
            ("shop.test", vec![&good], State::Warn, "not complete"),
            ("shop.test", vec![&good, &other.der], State::Warn, "not complete"),
            ("shop.test", vec![], State::Fail, "no certificate"),
        ];
        for (host, chain, state, message) in cases {
            let chain: Vec<CertificateDer<'_>> = chain.into_iter().cloned().collect();
            let finding = judge(host, &host.replace('*', "any"), &chain, now());
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.message.contains(message), "{finding:?}");
            assert_eq!(finding.hint.is_some(), state != State::Ok, "{finding:?}");
        }
        let mut params = CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
        assert!(judge("shop.test", "shop.test", &[own], now()).message.contains("self-signed"));
    }

    #[test]
    fn a_server_that_speaks_no_tls_is_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let closing = std::thread::spawn(move || drop(listener.accept()));
        let finding = check("shop.test", address, now());
        assert_eq!(finding.state, State::Fail);
        assert!(finding.cause.is_some());
        closing.join().unwrap();
    }
}
