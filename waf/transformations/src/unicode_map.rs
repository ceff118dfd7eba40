//! The best-fit table of `SecUnicodeMapFile`: which byte a Unicode code unit
//! stands for in one code page.

/// A best-fit table, read from the text of a `unicode.mapping` file.
///
/// The four full stops of RFC 3490 section 3.1 (U+002E, U+3002, U+FF0E,
/// U+FF61) are `.` unless the file says otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnicodeMap {
    code_page: u32,
    /// Sorted by code unit, each at most once.
    entries: Box<[(u16, u8)]>,
}

/// Why a `unicode.mapping` text cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnicodeMapError {
    /// The text has no section for the code page.
    #[error("the Unicode map has no code page {code_page}; it has {}", list(.available))]
    UnknownCodePage {
        /// The code page that was asked for.
        code_page: u32,
        /// The code pages of the text, in its order.
        available: Vec<u32>,
    },
    /// An entry of the code page's section is not `HHHH:HH`.
    #[error(
        "line {line} of the Unicode map: `{entry}` is not of the form HHHH:HH (code unit and byte in hexadecimal)"
    )]
    Entry {
        /// The line, counted from 1.
        line: usize,
        /// The entry as it stands there.
        entry: String,
    },
}

impl UnicodeMap {
    /// Reads the section of `code_page` from the text of a `unicode.mapping`
    /// file: a line that begins with the page's number, then lines of
    /// `HHHH:HH` entries, up to the next line of another kind.
    ///
    /// # Errors
    ///
    /// When the page is not there, or an entry of it cannot be read. (v3 says
    /// nothing and goes on without those.)
    pub fn parse(text: &str, code_page: u32) -> Result<Self, UnicodeMapError> {
        let mut map =
            std::collections::BTreeMap::from([0x002e, 0x3002, 0xff0e, 0xff61].map(|stop| (stop, b'.')));
        let mut available = Vec::new();
        let mut within = false;
        for (number, line) in text.lines().enumerate() {
            let Some(first) = line.split_whitespace().next() else { continue };
            if !first.contains(':') {
                let page = first.parse::<u32>();
                within = page == Ok(code_page);
                available.extend(page);
            } else if within {
                for entry in line.split_whitespace() {
                    let (code, byte) = parse_entry(entry).ok_or_else(|| UnicodeMapError::Entry {
                        line: number + 1,
                        entry: entry.chars().take(40).collect(),
                    })?;
                    map.insert(code, byte);
                }
            }
        }
        if !available.contains(&code_page) {
            return Err(UnicodeMapError::UnknownCodePage { code_page, available });
        }
        Ok(Self { code_page, entries: map.into_iter().collect() })
    }

    /// The code page the table is for, such as 20127 (US-ASCII).
    #[must_use]
    pub const fn code_page(&self) -> u32 {
        self.code_page
    }

    /// How many code units the table maps.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is mapped; never so after [`UnicodeMap::parse`].
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The byte that `code` stands for, if the table has it.
    #[must_use]
    pub fn get(&self, code: u16) -> Option<u8> {
        let at = self.entries.binary_search_by_key(&code, |&(code, _)| code).ok()?;
        Some(self.entries[at].1)
    }
}

fn parse_entry(entry: &str) -> Option<(u16, u8)> {
    let (code, byte) = entry.split_once(':')?;
    // `from_str_radix` would take a sign.
    if !crate::hex::are_digits(code.as_bytes()) || !crate::hex::are_digits(byte.as_bytes()) {
        return None;
    }
    Some((u16::from_str_radix(code, 16).ok()?, u8::from_str_radix(byte, 16).ok()?))
}

fn list(pages: &[u32]) -> String {
    match pages {
        [] => "none".to_owned(),
        pages => pages.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::{UnicodeMap, UnicodeMapError};

    const TEXT: &str = "\r\n(MAC - Roman)\r\n\r\n1252  (ANSI - Latin I)\r\n0100:41 0101:61 \r\n0102:42\r\n\r\n\
                        20127 (US-ASCII)\n00a0:20 0100:5a\n\n(UTF-8)\n0100:58\n";

    #[test]
    fn reads_the_section_of_one_code_page() {
        let map = UnicodeMap::parse(TEXT, 1252).unwrap();
        assert_eq!(
            [0x100, 0x101, 0x102, 0xa0].map(|code| map.get(code)),
            [Some(0x41), Some(0x61), Some(0x42), None]
        );
        assert_eq!((map.code_page(), map.len(), map.is_empty()), (1252, 7, false));
        let map = UnicodeMap::parse(TEXT, 20127).unwrap();
        assert_eq!([0x100, 0xa0, 0x3002].map(|code| map.get(code)), [Some(0x5a), Some(0x20), Some(b'.')]);
    }

    #[test]
    fn a_missing_page_is_an_error_that_names_the_others() {
        let error = UnicodeMap::parse(TEXT, 437).unwrap_err();
        assert_eq!(error.to_string(), "the Unicode map has no code page 437; it has 1252, 20127");
        let error = UnicodeMap::parse("", 437).unwrap_err();
        assert_eq!(error.to_string(), "the Unicode map has no code page 437; it has none");
    }

    #[test]
    fn a_wrong_entry_is_an_error_with_its_line() {
        for entry in ["0100:", ":41", "0100:141", "10000:41", "+100:41", "x:41", "0100:4:1"] {
            let error = UnicodeMap::parse(&format!("1 (A)\n0100:41 {entry}\n"), 1).unwrap_err();
            assert_eq!(error, UnicodeMapError::Entry { line: 2, entry: entry.to_owned() });
        }
        assert!(UnicodeMap::parse("2 (B)\nx:y z:\n1 (A)\n0100:41", 1).is_ok());
    }
}
