//! What can go wrong with rulesets, in words for the operator.

use std::io;
use std::path::PathBuf;

use hop3_seclang::diagnostic::Diagnostics;

use crate::Version;

/// Why a ruleset could not be installed, found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{path}`")]
    File {
        /// What was tried, e.g. `read`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Rule files hold errors; the text shows each with its line and carets.
    #[error("{0}")]
    Syntax(Diagnostics),
    /// No Core Rule Set is installed.
    #[error("no OWASP Core Rule Set is installed")]
    NotInstalled,
    /// That version is not installed.
    #[error("version {version} of the OWASP Core Rule Set is not installed")]
    UnknownVersion {
        /// The version asked for.
        version: Version,
        /// What is installed.
        installed: Vec<Version>,
    },
    /// Another content is already installed under that version.
    #[error("version {0} is already installed with other content")]
    Conflict(Version),
    /// An installed file is not what was installed.
    #[error("the installed version {version} was changed: {}", changes.join("; "))]
    Changed {
        /// The version.
        version: Version,
        /// Each file with what happened to it.
        changes: Vec<String>,
    },
    /// The archive or folder is no Core Rule Set.
    #[error("{place} is no OWASP Core Rule Set: {cause}")]
    NotARuleset {
        /// Path or address.
        place: String,
        /// What is missing or wrong.
        cause: String,
    },
    /// The archive is malformed, too large, or tries to leave its folder.
    #[error("cannot unpack {place}: {cause}")]
    Archive {
        /// Path or address.
        place: String,
        /// What is wrong.
        cause: String,
    },
    /// A pinned release whose content is not the pinned content.
    #[error("the content of {place} is not release {version}: its SHA-256 is {found}, expected {expected}")]
    Digest {
        /// Path or address.
        place: String,
        /// The release.
        version: Version,
        /// What was found.
        found: String,
        /// What was pinned.
        expected: String,
    },
    /// A download failed.
    #[error("cannot download {url}: {cause}")]
    Download {
        /// The address.
        url: String,
        /// What the network said.
        cause: String,
    },
    /// Neither the network nor the operating system had a Core Rule Set.
    #[error("no OWASP Core Rule Set could be found ({})", tried.join("; "))]
    NothingFound {
        /// Each source with the reason why it did not serve.
        tried: Vec<String>,
    },
}

impl RulesError {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotInstalled => "run `hop3 rules install owasp-crs`".to_owned(),
            Self::UnknownVersion { version, installed } if installed.is_empty() => {
                format!("run `hop3 rules install owasp-crs --version {version}`")
            }
            Self::UnknownVersion { installed, .. } => {
                let names: Vec<String> = installed.iter().map(Version::to_string).collect();
                format!("installed are: {}", names.join(", "))
            }
            Self::Conflict(version) => {
                format!(
                    "compare them, and remove the folder of version {version} first if the new one is right"
                )
            }
            Self::Changed { version, .. } => {
                format!("remove its folder and run `hop3 rules install owasp-crs --version {version}` again")
            }
            Self::NotARuleset { .. } => {
                "give the folder or .tar.gz that holds crs-setup.conf.example and rules/".to_owned()
            }
            Self::Digest { .. } => "do not use it; download the release again".to_owned(),
            Self::Download { .. } | Self::NothingFound { .. } => {
                "install Debian's package `modsecurity-crs`, or download the release elsewhere and run \
                 `hop3 rules install owasp-crs --from FILE.tar.gz`"
                    .to_owned()
            }
            Self::File { .. } | Self::Syntax(_) | Self::Archive { .. } => return None,
        })
    }
}
