//! Fetches an archive over HTTPS.

use std::time::Duration;

use crate::error::RulesError;
use crate::tree::MAX_TOTAL;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(120);

/// The body behind `url`, bounded in size and time.
///
/// # Errors
/// When `url` is not `https://`, or the network or the server refuses.
pub(crate) fn fetch(url: &str) -> Result<Vec<u8>, RulesError> {
    let failed = |cause: String| RulesError::Download { url: url.to_owned(), cause };
    if !url.starts_with("https://") {
        return Err(failed("rules are only downloaded over https".to_owned()));
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(TOTAL_TIMEOUT))
        .https_only(true)
        .build()
        .into();
    let mut response = agent.get(url).call().map_err(|error| failed(error.to_string()))?;
    response
        .body_mut()
        .with_config()
        .limit(MAX_TOTAL)
        .read_to_vec()
        .map_err(|error| failed(error.to_string()))
}
