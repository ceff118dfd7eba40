//! SHA-256 of files and of whole rulesets.

use sha2::{Digest, Sha256};

use crate::tree::Tree;

/// SHA-256 of `bytes` in lower-case hexadecimal.
pub(crate) fn file(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// One digest for a whole ruleset, independent of how it was packed.
///
/// SHA-256 over one line `HASH  PATH` a file, by path, which is what
/// `sha256sum crs-setup.conf.example plugins/*.conf rules/* | sha256sum` prints
/// in the release's folder under `LC_ALL=C`.
pub(crate) fn tree(tree: &Tree) -> String {
    let mut hasher = Sha256::new();
    for (path, bytes) in &tree.files {
        hasher.update(format!("{}  {path}\n", file(bytes)));
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
