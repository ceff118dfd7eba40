//! The value of Content-Encoding: codings in the order they were applied.

use std::fmt;

use crate::{CODINGS_LIMIT, Error};

/// A content coding that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `gzip`, `x-gzip` (RFC 1952).
    Gzip,
    /// `deflate`: zlib (RFC 1950), or bare deflate (RFC 1951) as some send it.
    Deflate,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
}

impl Coding {
    /// The coding of a registered name, compared without regard to case.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let known: [(&[u8], Self); 5] = [
            (b"gzip", Self::Gzip),
            (b"x-gzip", Self::Gzip),
            (b"deflate", Self::Deflate),
            (b"br", Self::Brotli),
            (b"zstd", Self::Zstd),
        ];
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, coding)| coding)
    }

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The codings that a Content-Encoding value lists, in the order they were
/// applied; several header lines are joined by a comma. `identity` and empty
/// members say nothing and are left out.
pub fn parse(value: &[u8]) -> Result<Vec<Coding>, Error> {
    let names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let said: Vec<&[u8]> =
        names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity")).collect();
    if said.len() > CODINGS_LIMIT {
        return Err(Error::TooMany(said.len()));
    }
    let unknown = |name: &[u8]| Error::Unknown(name[..name.len().min(64)].escape_ascii().to_string());
    said.into_iter().map(|name| Coding::from_name(name).ok_or_else(|| unknown(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(parse(b""), Ok(vec![]));
        assert_eq!(parse(b" identity , "), Ok(vec![]));
        assert_eq!(parse(b"GZIP,x-gzip ,deflate"), Ok(vec![Coding::Gzip, Coding::Gzip, Coding::Deflate]));
        assert_eq!(parse(b"br, zstd"), Ok(vec![Coding::Brotli, Coding::Zstd]));
        assert_eq!(parse(b"gzip;q=1"), Err(Error::Unknown("gzip;q=1".into())));
        assert_eq!(parse(b"gzip, \xffx"), Err(Error::Unknown("\\xffx".into())));
        assert_eq!(parse(b"gzip,gzip,gzip,gzip"), Err(Error::TooMany(4)));
    }
}
