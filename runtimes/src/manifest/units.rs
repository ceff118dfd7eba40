//! Values with a unit, and lists a person may write as one value: durations, sizes, command lists.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A duration written as a number of seconds (`30`, `0.5`) or with units (`"30s"`, `"1h 30m"`, `"500ms"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A size in bytes, written as a number or with a binary unit: `"50m"`, `"1G"`, `"512 KiB"` (1 k = 1,024).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Commands or words written as one string or as a list of strings. Empty strings are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OneOrMany(pub Vec<String>);

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl OneOrMany {
    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("G", 30), ("M", 20), ("K", 10)] {
            if self.0 >= 1 << shift && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ByteSizeVisitor)
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"30s\" or a number of seconds")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Span, E> {
        u64::try_from(seconds).map(Span::seconds).map_err(|_| E::custom("a duration must not be negative"))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Span, E> {
        Ok(Span::seconds(seconds))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Span, E> {
        Duration::try_from_secs_f64(seconds).map(Span).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        if let Ok(seconds) = text.trim().parse() {
            return Ok(Span::seconds(seconds));
        }
        humantime::parse_duration(text)
            .map(Span)
            .map_err(|error| E::custom(format!("`{text}` is not a duration such as \"30s\": {error}")))
    }
}

struct ByteSizeVisitor;

impl Visitor<'_> for ByteSizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"50m\" or a number of bytes")
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
        u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom("a size must not be negative"))
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        parse_size(text)
            .ok_or_else(|| E::custom(format!("`{text}` is not a size such as \"50m\" or \"1 GiB\"")))
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
        not_empty(text.to_owned()).map(|text| OneOrMany(vec![text]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(not_empty(item)?);
        }
        Ok(OneOrMany(all))
    }
}

fn not_empty<E: de::Error>(text: String) -> Result<String, E> {
    if text.trim().is_empty() { Err(E::custom("an empty string is not a command or name")) } else { Ok(text) }
}

fn parse_size(text: &str) -> Option<ByteSize> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift).map(ByteSize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        span: Option<Span>,
        size: Option<ByteSize>,
        many: Option<OneOrMany>,
    }

    fn read(text: &str) -> Result<Sample, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn durations() {
        for (text, milliseconds) in
            [("30", 30_000), ("'30'", 30_000), ("'1m 30s'", 90_000), ("0.5", 500), ("'500ms'", 500)]
        {
            let span = read(&format!("span = {text}")).unwrap().span.unwrap();
            assert_eq!(span.0.as_millis(), milliseconds, "{text}");
        }
        for text in ["-1", "'soon'", "nan", "true", "''", "'99999999999999999999y'"] {
            assert!(read(&format!("span = {text}")).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_and_their_text_form() {
        for (text, bytes, shown) in [
            ("50", 50, "50"),
            ("'50m'", 50 << 20, "50M"),
            ("'1 GiB'", 1 << 30, "1G"),
            ("'512KB'", 512 << 10, "512K"),
        ] {
            let size = read(&format!("size = {text}")).unwrap().size.unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown), "{text}");
        }
        for text in ["-1", "'m'", "'1x'", "'99999999999g'", "1.5"] {
            assert!(read(&format!("size = {text}")).is_err(), "{text}");
        }
    }

    #[test]
    fn one_or_many() {
        assert_eq!(read("many = 'a b'").unwrap().many.unwrap().0, ["a b"]);
        assert_eq!(read("many = ['a', 'b']").unwrap().many.unwrap().0, ["a", "b"]);
        assert!(read("many = ['a', ' ']").is_err());
        assert!(read("many = 1").is_err());
    }
}
