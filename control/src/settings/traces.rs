//! `[server.traces]`: where spans of sampled traces are exported to.

use std::collections::BTreeMap;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

/// Where a collector takes traces (OTLP/HTTP).
const DEFAULT_PATH: &str = "/v1/traces";

/// `[server.traces]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TraceOptions {
    /// The collector, such as `http://127.0.0.1:4318`. Default: none, nothing is exported.
    pub endpoint: Option<String>,
    /// One of this many requests without a trace begins a sampled one; 0 for none. Default: 0.
    pub sample: u32,
    /// What the collector calls us. Default: `hop3`.
    pub service_name: Option<String>,
    /// Header fields of each export, for collectors that want to know who sends.
    pub headers: BTreeMap<String, String>,
}

/// `[server.traces]` resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSettings {
    /// Host and port of the collector.
    pub authority: String,
    /// Where it takes traces.
    pub path: String,
    /// One of this many requests without a trace begins a sampled one; 0 for none.
    pub sample: u32,
    /// What the collector calls us.
    pub service: String,
    /// Header fields of each export, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl TraceOptions {
    /// Its meaning, or what is wrong with it.
    pub(super) fn resolve(self) -> Result<Option<TraceSettings>, String> {
        let Some(endpoint) = self.endpoint else { return Ok(None) };
        let uri: Uri = endpoint.parse().map_err(|error| format!("`endpoint` is no URL: {error}"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(
                    "`endpoint` is spoken to without TLS: put a collector beside the server, such as \
                            \"http://127.0.0.1:4318\", and let that forward over TLS"
                        .into(),
                );
            }
            _ => return Err("`endpoint` is a URL such as \"http://127.0.0.1:4318\"".into()),
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or("`endpoint` names no host")?;
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => DEFAULT_PATH,
            path => path,
        };
        let mut headers = Vec::new();
        for (name, value) in self.headers {
            let field =
                HeaderName::try_from(&name).map_err(|_| format!("`headers`: `{name}` is no field name"))?;
            HeaderValue::try_from(&value).map_err(|_| format!("`headers`: the value of `{name}` is none"))?;
            headers.push((field.as_str().to_owned(), value));
        }
        Ok(Some(TraceSettings {
            authority: format!("{host}:{}", uri.port_u16().unwrap_or(80)),
            path: path.to_owned(),
            sample: self.sample,
            service: self.service_name.unwrap_or_else(|| "hop3".to_owned()),
            headers,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(endpoint: &str) -> Result<Option<TraceSettings>, String> {
        TraceOptions { endpoint: Some(endpoint.to_owned()), ..TraceOptions::default() }.resolve()
    }

    #[test]
    fn endpoints_are_plain_http() {
        assert_eq!(TraceOptions::default().resolve(), Ok(None));
        let settings = resolve("http://[::1]/otlp?x=1").unwrap().unwrap();
        assert_eq!((&settings.authority[..], &settings.path[..]), ("[::1]:80", "/otlp?x=1"));
        assert!(resolve("https://collector").unwrap_err().contains("without TLS"));
        for wrong in ["collector:4318", "ftp://a/", "/v1/traces", "http://", "a b"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }
}
