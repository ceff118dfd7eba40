//! A source tree on its way from the command line to the server: packed, sent, unpacked beneath a directory handle.

mod ignore;
mod pack;
mod unpack;

pub use ignore::Ignore;
pub use pack::{PackError, Packed, pack};
pub use unpack::{Limits, UnpackError, unpack};

use std::path::{Component, Path};

/// Whether a link at `at` (relative to the tree) that points to `target` stays inside the tree, judged by its text.
fn link_stays_inside(at: &Path, target: &Path) -> bool {
    let mut depth = at.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests;
