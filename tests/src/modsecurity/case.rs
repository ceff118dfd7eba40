//! Regression files as they lie on disk.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::report::Report;

/// One case: rules, one request with its response, and what is expected.
#[derive(Debug, Default)]
pub struct Case {
    /// The file's name.
    pub file: String,
    /// The number within the file, from 0.
    pub number: usize,
    /// False for a case that v3 does not run either.
    pub enabled: bool,
    /// What is tested.
    pub title: String,
    /// The library that v3 has to be built with.
    pub resource: String,
    /// Who asks.
    pub client: End,
    /// Who was asked.
    pub server: End,
    /// The request.
    pub request: Request,
    /// The response.
    pub response: Response,
    /// Lines of SecLang.
    pub rules: Vec<String>,
    /// What must hold.
    pub expected: Expected,
}

impl<'de> Deserialize<'de> for Case {
    /// By hand, because some cases have a key twice: the later value counts,
    /// and `expected` is the union of both.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CaseVisitor;
        impl<'de> Visitor<'de> for CaseVisitor {
            type Value = Case;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a case")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Case, A::Error> {
                let mut case = Case { enabled: true, ..Case::default() };
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "enabled" => case.enabled = map.next_value::<i64>()? != 0,
                        "title" => case.title = map.next_value()?,
                        "resource" => case.resource = map.next_value()?,
                        "client" => case.client = map.next_value()?,
                        "server" => case.server = map.next_value()?,
                        "request" => case.request = map.next_value()?,
                        "response" => case.response = map.next_value()?,
                        "rules" => case.rules = map.next_value()?,
                        "expected" => case.expected.add(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(case)
            }
        }
        deserializer.deserialize_map(CaseVisitor)
    }
}

/// One end of a connection.
#[derive(Debug, Default, Deserialize)]
pub struct End {
    /// Address; `None` for one that is absent or none.
    #[serde(default, deserialize_with = "address")]
    pub ip: Option<IpAddr>,
    /// Port; 0 for one that is absent or none.
    #[serde(default, deserialize_with = "port")]
    pub port: u16,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_str().and_then(|text| text.parse().ok()))
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_u64().and_then(|number| number.try_into().ok());
    Ok(number.or_else(|| value.as_str()?.parse().ok()).unwrap_or(0))
}

/// A request in parts.
#[derive(Debug, Default, Deserialize)]
pub struct Request {
    /// Method; may be empty.
    #[serde(default)]
    pub method: String,
    /// Target; may be empty.
    #[serde(default)]
    pub uri: String,
    /// The number after `HTTP/`.
    pub http_version: Option<Value>,
    /// Header fields in the order of the file.
    #[serde(default)]
    pub headers: Headers,
    /// Body.
    #[serde(default)]
    pub body: Body,
}

impl Request {
    /// The protocol as v3 builds it: `HTTP/` and the number, if there is one.
    pub fn protocol(&self) -> String {
        match &self.http_version {
            Some(Value::String(text)) => format!("HTTP/{text}"),
            Some(number) => format!("HTTP/{number}"),
            None => "HTTP/".to_owned(),
        }
    }
}

/// A response in parts; its status is that of the case so far.
#[derive(Debug, Default, Deserialize)]
pub struct Response {
    /// Protocol.
    #[serde(default)]
    pub protocol: String,
    /// Header fields in the order of the file.
    #[serde(default)]
    pub headers: Headers,
    /// Body.
    #[serde(default)]
    pub body: Body,
}

/// A body as lines; each of them, the last one too, is followed by a line feed.
#[derive(Debug, Default)]
pub struct Body(pub Vec<u8>);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Lines(Vec<String>),
            // Some files write `""` for an empty body.
            Text(String),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Lines(lines) => {
                lines.iter().flat_map(|line| [line.as_bytes(), b"\n"]).collect::<Vec<_>>().concat()
            }
            Written::Text(text) => text.into_bytes(),
        }))
    }
}

/// Header fields in file order, repeated names too.
#[derive(Debug, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeadersVisitor;
        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of header fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(header) = map.next_entry()? {
                    headers.push(header);
                }
                Ok(Headers(headers))
            }

            // Some files write `""` for no headers.
            fn visit_str<E>(self, _: &str) -> Result<Headers, E> {
                Ok(Headers::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Headers, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Headers::default())
            }
        }
        deserializer.deserialize_any(HeadersVisitor)
    }
}

/// What must hold after the last step. Every key that is present counts.
#[derive(Debug, Default, Deserialize)]
pub struct Expected {
    /// Status of the last intervention; 200 when the key is absent.
    pub http_code: Option<u16>,
    /// URL of the last intervention.
    pub redirect_url: Option<String>,
    /// Matches the loading error; without it loading must succeed.
    pub parser_error: Option<String>,
    /// Matches the server's log.
    pub error_log: Option<String>,
    /// Matches the audit log.
    pub audit_log: Option<String>,
    /// Matches the debug log at level 9.
    pub debug_log: Option<String>,
}

impl Expected {
    fn add(&mut self, later: Self) {
        self.http_code = later.http_code.or(self.http_code);
        for (known, new) in [
            (&mut self.redirect_url, later.redirect_url),
            (&mut self.parser_error, later.parser_error),
            (&mut self.error_log, later.error_log),
            (&mut self.audit_log, later.audit_log),
            (&mut self.debug_log, later.debug_log),
        ] {
            *known = new.or(known.take());
        }
    }
}

impl Case {
    /// `file#number (title)`.
    pub fn name(&self) -> String {
        format!("{}#{} ({})", self.file, self.number, self.title)
    }

    /// The rules as one text.
    pub fn text(&self) -> String {
        self.rules.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// Whether only the debug log can judge part of the case.
    pub fn needs_debug_log(&self) -> bool {
        self.expected.debug_log.as_deref().is_some_and(|pattern| !pattern.is_empty())
    }
}

/// Reads every `.json` in `dir`, by name; what is no case fails in `report` and keeps no other from being run.
///
/// # Errors
/// When the folder cannot be read.
pub fn load(dir: &Path, report: &mut Report) -> io::Result<Vec<Case>> {
    let entries =
        fs::read_dir(dir).map_err(|error| io::Error::other(format!("{}: {error}", dir.display())))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let list = match read(&path) {
            Ok(list) => list,
            Err(why) => {
                report.fail(&file, why);
                continue;
            }
        };
        for (number, case) in list.into_iter().enumerate() {
            match case {
                Ok(case) => cases.push(Case { file: file.clone(), number, ..case }),
                Err(why) => report.fail(format!("{file}#{number}"), why),
            }
        }
    }
    Ok(cases)
}

/// The cases of a file; where one is none, each by itself.
fn read(path: &Path) -> Result<Vec<Result<Case, String>>, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    if let Ok(list) = serde_json::from_slice::<Vec<Case>>(&text) {
        return Ok(list.into_iter().map(Ok).collect());
    }
    let list: Vec<Value> = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    Ok(list.into_iter().map(|value| Case::deserialize(value).map_err(|error| error.to_string())).collect())
}
