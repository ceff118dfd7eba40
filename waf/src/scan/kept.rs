//! Results in which nothing is found that is not in the value, too: then one search counts for both.
//!
//! `cmdLine` rewrites every value that has a space or a comma, which most have, but it joins bytes only where it deletes
//! one of `\ " ' ^`, or the blanks before a slash or a bracket. Without those every text without a space that occurs in
//! the result occurs in the value.

use hop3_transformations::Transformation;

use super::needs::Texts;

/// What the texts sought in a result and below it are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// One of them has a slash elsewhere than in front.
    slashes: bool,
    /// One of them has an opening bracket elsewhere than in front.
    brackets: bool,
    /// Classes with the space, which may be new in the result, that anything there waits for.
    spaces: u128,
}

impl Kept {
    /// For these texts; `None` when one has a space. The other blanks are never in a result.
    pub(super) fn of(texts: &Texts) -> Option<Self> {
        let mut kept = Self::default();
        for text in texts.iter() {
            let (_, rest) = text.split_first()?;
            if text.contains(&b' ') {
                return None;
            }
            kept.slashes |= rest.contains(&b'/');
            kept.brackets |= rest.contains(&b'(');
        }
        Some(kept)
    }

    /// The same where something waits for these classes, of which all have the space.
    pub(super) fn waiting_for(self, spaces: u128) -> Self {
        Self { spaces: self.spaces | spaces, ..self }
    }

    /// For the texts of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            slashes: self.slashes | other.slashes,
            brackets: self.brackets | other.brackets,
            spaces: self.spaces | other.spaces,
        }
    }

    /// Whether all that is found in the result is found in the value, which has these classes of bytes.
    pub(super) fn holds(&self, value: &[u8], classes: u128) -> bool {
        classes & self.spaces == self.spaces
            && Transformation::cmd_line_keeps_texts(value, self.slashes, self.brackets)
    }
}
