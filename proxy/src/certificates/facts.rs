//! What a certificate says: names, validity, issuer, serial number. Read from PEM or DER; nothing is trusted here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};

/// What the server's own certificate of a chain says (RFC 5280).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// DNS names and addresses of the subjectAltName extension, lower case, in order. The common name does not count
    /// (RFC 9525 section 2).
    pub names: Vec<String>,
    /// First moment of validity.
    pub not_before: SystemTime,
    /// Last moment of validity.
    pub not_after: SystemTime,
    /// Who issued it, as a distinguished name.
    pub issuer: String,
    /// Whether issuer and subject are the same.
    pub self_signed: bool,
    /// The serial number, DER content bytes.
    pub serial: Vec<u8>,
    /// `keyIdentifier` of the authorityKeyIdentifier extension.
    pub authority_key: Option<Vec<u8>>,
}

/// Why nothing could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// The text holds no `CERTIFICATE` block, or a damaged one.
    #[error("it is no PEM certificate: {0}")]
    Pem(String),
    /// The bytes are no X.509 certificate.
    #[error("it is no X.509 certificate: {0}")]
    X509(String),
}

impl CertificateFacts {
    /// Of the first certificate of a PEM chain.
    ///
    /// # Errors
    /// See [`FactsError`].
    pub fn of_pem(chain: &str) -> Result<Self, FactsError> {
        let first = CertificateDer::pem_slice_iter(chain.as_bytes()).next();
        let first = first.ok_or_else(|| FactsError::Pem("it holds no certificate".to_owned()))?;
        Self::of_der(&first.map_err(|error| FactsError::Pem(error.to_string()))?)
    }

    /// Of a DER certificate.
    ///
    /// # Errors
    /// See [`FactsError`].
    pub fn of_der(der: &[u8]) -> Result<Self, FactsError> {
        let wrong = |error: String| FactsError::X509(error);
        let (_, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|error| wrong(error.to_string()))?;
        let alternatives =
            certificate.subject_alternative_name().map_err(|error| wrong(error.to_string()))?;
        let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
        let validity = certificate.validity();
        Ok(Self {
            names: names.filter_map(name).collect(),
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()),
            issuer: certificate.issuer().to_string(),
            self_signed: certificate.issuer().as_raw() == certificate.subject().as_raw(),
            serial: certificate.raw_serial().to_vec(),
            authority_key: authority_key(&certificate),
        })
    }

    /// What is missing in a DER chain between the server's certificate and an authority that clients know. Only the names
    /// in the links are compared: whom clients trust is theirs to know.
    pub fn chain_gap<D: AsRef<[u8]>>(chain: &[D]) -> Option<String> {
        let mut links: Vec<X509Certificate<'_>> = Vec::with_capacity(chain.len());
        for der in chain {
            match x509_parser::parse_x509_certificate(der.as_ref()) {
                Ok((_, certificate)) => links.push(certificate),
                Err(error) => {
                    return Some(format!("certificate {} of it cannot be read: {error}", links.len() + 1));
                }
            }
        }
        if let [only] = &links[..]
            && only.issuer().as_raw() != only.subject().as_raw()
        {
            return Some(format!("the certificate of its issuer is missing: {}", only.issuer()));
        }
        links.windows(2).find_map(|pair| match pair {
            [certificate, next] if certificate.issuer().as_raw() != next.subject().as_raw() => {
                Some(format!("{} did not issue the certificate before it", next.subject()))
            }
            _ => None,
        })
    }

    /// Whether the certificate may be shown for a host (`example.org`, `*.example.org`, an address): a wildcard of the
    /// certificate stands for exactly one label (RFC 9525 section 6.3).
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let above = host.split_once('.').map(|(_, domain)| domain);
        self.names.iter().any(|name| {
            *name == host
                || name
                    .strip_prefix("*.")
                    .is_some_and(|domain| above == Some(domain) && !host.starts_with("*."))
        })
    }

    /// Time left at `now`; zero when it has expired.
    pub fn remaining(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(*bytes).ok()?)).to_string()),
            16 => Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?)).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn authority_key(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(identifier) => {
            identifier.key_identifier.as_ref().map(|key| key.0.to_vec())
        }
        _ => None,
    })
}

fn moment(seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) => UNIX_EPOCH + Duration::from_secs(seconds),
        Err(_) => UNIX_EPOCH,
    }
}

#[cfg(test)]
mod tests {
    use super::super::self_signed::self_signed;
    use super::*;

    #[test]
    fn a_certificate_tells_names_and_validity() {
        let now = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        let facts = CertificateFacts::of_pem(&self_signed("Shop.Example", now).unwrap().chain).unwrap();
        assert_eq!(facts.names, ["shop.example"]);
        assert!(facts.self_signed && facts.not_before < now);
        assert!(facts.remaining(now) > Duration::from_secs(300 * 86_400));
        assert!(facts.remaining(now) < Duration::from_secs(400 * 86_400));
        assert_eq!(facts.remaining(facts.not_after + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn hosts_are_covered_by_name_or_by_a_wildcard_one_label_above() {
        let facts = CertificateFacts {
            names: ["a.org", "*.b.org", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
            not_before: UNIX_EPOCH,
            not_after: UNIX_EPOCH,
            issuer: String::new(),
            self_signed: false,
            serial: Vec::new(),
            authority_key: None,
        };
        let cases = [
            ("a.org", true),
            ("A.ORG", true),
            ("x.a.org", false),
            ("b.org", false),
            ("x.b.org", true),
            ("*.b.org", true),
            ("*.x.b.org", false),
            ("y.x.b.org", false),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("*.org", false),
        ];
        for (host, covered) in cases {
            assert_eq!(facts.covers(host), covered, "{host}");
        }
    }

    #[test]
    fn a_gap_in_a_chain_is_named() {
        let certificate = |host: &str| {
            let chain = self_signed(host, UNIX_EPOCH + Duration::from_secs(1_900_000_000)).unwrap().chain;
            CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()
        };
        let (shop, other) = (certificate("shop.example"), certificate("other.example"));
        let rubbish = CertificateDer::from(vec![0; 9]);
        assert_eq!(CertificateFacts::chain_gap(&[&shop]), None);
        let gap = |chain: &[&CertificateDer<'_>]| CertificateFacts::chain_gap(chain).unwrap();
        assert!(
            gap(&[&shop, &other])
                .ends_with("other.example (self-signed) did not issue the certificate before it")
        );
        let unreadable = "certificate 2 of it cannot be read: ";
        assert!(gap(&[&shop, &rubbish]).starts_with(unreadable));
        assert!(gap(&[&shop, &rubbish, &other]).starts_with(unreadable), "no word of who issued what");
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        assert!(matches!(CertificateFacts::of_pem(""), Err(FactsError::Pem(_))));
        let rubbish = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(CertificateFacts::of_pem(rubbish), Err(FactsError::X509(_))));
    }
}
