//! `[env]` and the `ENV` file: what a manifest says about the variables of an app.
//!
//! Generating values, reading addons and joining with `config:set` is the caller's; this file owns the forms.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::toml_error::Diagnostic;

/// An environment variable's name: letters, digits and `_`, not starting with a digit
/// (POSIX.1-2017, chapter 8.1), at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvName(String);

/// Why a text is not an environment variable's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an environment variable name; use letters, digits and _, not starting with a digit")]
pub struct EnvNameError(String);

/// `[env]`: variables by name, and `[env.computed]`, templates with `${VAR}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EnvSection {
    /// Variables in name order.
    #[serde(flatten)]
    pub variables: BTreeMap<EnvName, EnvValue>,
    /// Values put together from others, e.g. `"https://${HOST}/"`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub computed: BTreeMap<EnvName, String>,
}

/// One variable of `[env]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EnvValue {
    /// Written out; numbers and booleans become their text.
    Literal(String),
    /// `{generate = "hex", length = 32}`: made once, then kept.
    Generated {
        /// The form of the value.
        generate: Generator,
        /// How many random bytes (`hex`, `base64`, `urlsafe`) or characters (`password`).
        #[serde(skip_serializing_if = "Option::is_none")]
        length: Option<u16>,
    },
    /// `{from = "mydb", key = "PGHOST"}`: a variable of an attached addon.
    FromAddon {
        /// The addon's name.
        from: String,
        /// The addon's variable.
        key: String,
    },
    /// `{key = "domain"}`: a fact about the app itself.
    Fact {
        /// Which fact, e.g. `domain`.
        key: String,
    },
}

/// Forms of a generated value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generator {
    /// Lower-case hexadecimal.
    Hex,
    /// Base64 with padding (RFC 4648 section 4).
    Base64,
    /// Base64 for URLs, without padding (RFC 4648 section 5).
    Urlsafe,
    /// Letters, digits and punctuation that needs no quoting.
    Password,
    /// A random UUID (RFC 9562 section 5.4).
    Uuid,
}

impl EnvName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// When it is not a POSIX name.
    pub fn new(name: impl Into<String>) -> Result<Self, EnvNameError> {
        let name = name.into();
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let body = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if starts && body && name.len() <= 255 {
            Ok(Self(name))
        } else {
            Err(EnvNameError(name.chars().filter(|c| !c.is_control()).take(80).collect()))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for EnvName {
    type Error = EnvNameError;
    fn try_from(name: String) -> Result<Self, EnvNameError> {
        Self::new(name)
    }
}

impl From<EnvName> for String {
    fn from(name: EnvName) -> Self {
        name.0
    }
}

impl EnvSection {
    /// The variables that are written out, ready for a process.
    #[must_use]
    pub fn literals(&self) -> BTreeMap<EnvName, String> {
        let literal = |(name, value): (&EnvName, &EnvValue)| match value {
            EnvValue::Literal(text) => Some((name.clone(), text.clone())),
            _ => None,
        };
        self.variables.iter().filter_map(literal).collect()
    }
}

/// Reads an `ENV` file: `NAME=value` per line, `#` comments, optional `export `, values bare or in single or
/// double quotes (in double quotes `\n`, `\t`, `\"`, `\\` are escapes). Nothing is expanded.
///
/// # Errors
/// The first faulty line; its text is not shown, since such files hold secrets.
pub fn parse_env_file(file: &Path, text: &str) -> Result<BTreeMap<EnvName, String>, Diagnostic> {
    let mut variables = BTreeMap::new();
    for (index, raw) in text.lines().enumerate() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |message: String, hint: Option<String>| {
            Diagnostic::on_line(file, text, index + 1, message, hint).without_source()
        };
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, value)) = line.split_once('=') else {
            return Err(fault("this line has no `=`".into(), Some("write NAME=value".into())));
        };
        let name = EnvName::new(name.trim()).map_err(|error| fault(error.to_string(), None))?;
        let value = unquote(value.trim()).map_err(|message| fault(format!("{name}: {message}"), None))?;
        if variables.insert(name.clone(), value).is_some() {
            return Err(fault(format!("`{name}` is given twice"), Some("keep one of the two lines".into())));
        }
    }
    Ok(variables)
}

fn unquote(value: &str) -> Result<String, &'static str> {
    if value.contains('\0') {
        return Err("a value cannot contain a NUL byte");
    }
    match value.chars().next() {
        Some('\'') => match value[1..].split_once('\'') {
            Some((inner, rest)) if is_end(rest) => Ok(inner.to_owned()),
            Some(_) => Err("text after the closing quote"),
            None => Err("the quote is not closed"),
        },
        Some('"') => unescape(&value[1..]),
        _ => Ok(value.split(" #").next().unwrap_or_default().trim_end().to_owned()),
    }
}

fn unescape(value: &str) -> Result<String, &'static str> {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_end(characters.as_str()) => return Ok(text),
            '"' => return Err("text after the closing quote"),
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other @ ('"' | '\\' | '$')) => text.push(other),
                Some(other) => text.extend(['\\', other]),
                None => break,
            },
            other => text.push(other),
        }
    }
    Err("the quote is not closed")
}

fn is_end(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with('#')
}

impl<'de> Deserialize<'de> for EnvSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SectionVisitor)
    }
}

impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct SectionVisitor;

impl<'de> Visitor<'de> for SectionVisitor {
    type Value = EnvSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of environment variables")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EnvSection, A::Error> {
        let mut section = EnvSection::default();
        while let Some(key) = map.next_key::<EnvName>()? {
            if key.as_str() == "computed" {
                section.computed = map.next_value()?;
            } else {
                section.variables.insert(key, map.next_value()?);
            }
        }
        Ok(section)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = EnvValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, number, boolean, or a table with `generate`, `from` or `key`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<EnvValue, E> {
        if text.contains('\0') {
            return Err(E::custom("an environment variable cannot contain a NUL byte"));
        }
        Ok(EnvValue::Literal(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<EnvValue, E> {
        Ok(EnvValue::Literal(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<EnvValue, E> {
        Ok(EnvValue::Literal(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<EnvValue, E> {
        Ok(EnvValue::Literal(number.to_string()))
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<EnvValue, E> {
        Ok(EnvValue::Literal(flag.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EnvValue, A::Error> {
        let table = ValueTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
        match table {
            ValueTable { generate: Some(generate), length, from: None, key: None } => {
                Ok(EnvValue::Generated { generate, length })
            }
            ValueTable { generate: None, length: None, from: Some(from), key: Some(key) } => {
                Ok(EnvValue::FromAddon { from, key })
            }
            ValueTable { generate: None, length: None, from: None, key: Some(key) } => {
                Ok(EnvValue::Fact { key })
            }
            _ => Err(de::Error::custom(
                "write {generate = …, length = …}, {from = addon, key = …} or {key = \"domain\"}",
            )),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueTable {
    generate: Option<Generator>,
    length: Option<u16>,
    from: Option<String>,
    key: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env_file(text: &str) -> Result<BTreeMap<EnvName, String>, String> {
        parse_env_file(Path::new("ENV"), text).map_err(|fault| fault.to_string())
    }

    #[test]
    fn env_file_forms() {
        let text =
            "# c\n\nA=1\nexport B = two words # note\nC='a # \"b'\nD=\"x\\ny\\\"\"\nE=\nF=a=b\r\nG=a#b\n";
        let variables = env_file(text).unwrap();
        let show: Vec<_> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(show, ["A=1", "B=two words", "C=a # \"b", "D=x\ny\"", "E=", "F=a=b", "G=a#b"]);
    }

    #[test]
    fn env_file_faults_never_show_the_value() {
        for (text, message) in [
            ("A=1\nhunter2", "ENV:2:1: this line has no `=`"),
            ("1A=hunter2", "ENV:1:1: `1A` is not an environment variable name"),
            ("A='hunter2", "ENV:1:1: A: the quote is not closed"),
            ("A=\"hunter2", "ENV:1:1: A: the quote is not closed"),
            ("A=\"a\" hunter2", "ENV:1:1: A: text after the closing quote"),
            ("A=1\nA=hunter2", "ENV:2:1: `A` is given twice"),
        ] {
            let fault = env_file(text).unwrap_err();
            assert!(fault.starts_with(message), "{fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn section_round_trips() {
        let text = "A = 'x'\nB = 5\nC = true\nD = {generate = 'hex', length = 32}\nE = {from = 'db', key = 'PGHOST'}\n\
                    F = {key = 'domain'}\n[computed]\nURL = 'https://${F}/'\n";
        let section: EnvSection = toml::from_str(text).unwrap();
        assert_eq!(section.literals().len(), 3);
        assert_eq!(section.computed.len(), 1);
        let json = serde_json::to_string(&section).unwrap();
        assert_eq!(serde_json::from_str::<EnvSection>(&json).unwrap(), section);
        assert!(toml::from_str::<EnvSection>("A = {generate = 'hex', key = 'x'}").is_err());
        assert!(toml::from_str::<EnvSection>("'A B' = 1").is_err());
    }
}
