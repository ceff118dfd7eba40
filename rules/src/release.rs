//! The release of the Core Rule Set that this version of Hop3 was tested with.

use crate::Version;

/// A release whose content is known.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// Its version.
    pub version: &'static str,
    /// SHA-256 of its content, see `digest::tree`.
    pub digest: &'static str,
}

/// The newest release that Hop3's own tests passed with.
pub const PINNED: Release =
    Release { version: "4.28.0", digest: "305dcb94493541c637f4f6dd226cad3960f8c10bcb2cea82aea2a5469641621c" };

impl Release {
    /// The release of that version, when its content is known.
    pub(crate) fn known(version: &Version) -> Option<Self> {
        (version.to_string() == PINNED.version).then_some(PINNED)
    }

    /// Where the project publishes a version.
    pub(crate) fn url(version: &Version) -> String {
        format!(
            "https://github.com/coreruleset/coreruleset/releases/download/v{version}/coreruleset-{version}-minimal.tar.gz"
        )
    }
}
