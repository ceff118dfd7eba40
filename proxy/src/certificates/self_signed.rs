//! Certificates of our own making: for hosts whose real one is not there yet, and for clients that name no known host.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

use super::{CertificateError, CertificateOrigin, CertificatePem, FALLBACK_NAME};

/// How long one is valid; browsers refuse longer ones even where they are told to trust them.
const LIFETIME: Duration = Duration::from_secs(397 * 86_400);
/// One is replaced when less than this is left.
pub(super) const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// Clients whose clock is slow must not find it from the future.
const CLOCK_SLACK: Duration = Duration::from_secs(86_400);

/// A certificate for `host` that is valid at `now`.
pub(super) fn self_signed(host: &str, now: SystemTime) -> Result<CertificatePem, CertificateError> {
    let error =
        |cause: rcgen::Error| CertificateError::Generate { host: host.to_owned(), cause: cause.to_string() };
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let mut names = vec![name];
    if host == FALLBACK_NAME {
        names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    }
    let mut params = CertificateParams::new(names).map_err(error)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{host} (self-signed)").chars().take(64).collect::<String>());
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch.saturating_sub(CLOCK_SLACK);
    params.not_after = epoch + since_epoch + LIFETIME;
    let key = KeyPair::generate().map_err(error)?;
    let certificate = params.self_signed(&key).map_err(error)?;
    Ok(CertificatePem {
        chain: certificate.pem(),
        key: key.serialize_pem(),
        origin: CertificateOrigin::SelfSigned,
    })
}
