//! Closed sets of names: one macro that makes an enum, its spellings and the
//! look-up from text, so that the parser, the formatter and the documentation
//! share one table.

/// Defines a plain enum whose variants have a canonical spelling and optional
/// further spellings. Look-up ignores ASCII case.
macro_rules! named_enum {
    (
        $(#[$outer:meta])*
        $name:ident {
            $( $(#[$inner:meta])* $variant:ident = $text:literal $(| $alias:literal)* ),+ $(,)?
        }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $( $(#[$inner])* #[doc = concat!("`", $text, "`.")] $variant ),+
        }

        impl $name {
            /// Every member, in the order of the table.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// Every accepted spelling with its member; the canonical one comes first.
            pub const SPELLINGS: &'static [(&'static str, $name)] =
                &[$( ($text, $name::$variant), $( ($alias, $name::$variant), )* )+];

            /// The canonical spelling.
            pub const fn name(self) -> &'static str {
                match self { $( $name::$variant => $text ),+ }
            }

            /// Finds a member by any of its spellings, ignoring ASCII case.
            pub fn from_name(text: &str) -> Option<Self> {
                Self::SPELLINGS
                    .iter()
                    .find(|(spelling, _)| spelling.eq_ignore_ascii_case(text))
                    .map(|&(_, member)| member)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use named_enum;

/// The candidate nearest to `wrong` by edit distance (ASCII case ignored), when
/// it is near enough to be what the author meant.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if wrong.is_empty() || wrong.len() > LONGEST {
        return None;
    }
    let allowed = (wrong.len() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(wrong.len()) <= allowed)
        .map(|candidate| (edit_distance(wrong.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, ignoring ASCII case.
fn edit_distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(!a.eq_ignore_ascii_case(b));
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn nearest_finds_a_slip_and_nothing_far() {
        let names = ["beginsWith", "endsWith", "contains"];
        assert_eq!(nearest("beginWith", names), Some("beginsWith"));
        assert_eq!(nearest("CONTAINSS", names), Some("contains"));
        assert_eq!(nearest("wibble", names), None);
        assert_eq!(nearest("", names), None);
    }
}
