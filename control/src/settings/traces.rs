//! `[server.traces]`: where spans of sampled traces are exported to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hop3_proxy::{Endpoint, UpstreamTls, UpstreamTlsOptions};
use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

/// Where a collector takes traces (OTLP/HTTP).
const DEFAULT_PATH: &str = "/v1/traces";

/// `[server.traces]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TraceOptions {
    /// The collector, such as `http://127.0.0.1:4318` or `https://traces.example.org`. Default: none, nothing is
    /// exported.
    pub endpoint: Option<String>,
    /// PEM file of the authorities that may vouch for an `https://` collector. Default: those of the system.
    pub ca: Option<PathBuf>,
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
    pub collector: Endpoint,
    /// How TLS is spoken with it; `None` for plain HTTP.
    pub tls: Option<Arc<UpstreamTls>>,
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
    /// Its meaning, or what is wrong with it. Files are relative to `folder`.
    pub(super) fn resolve(self, folder: &Path) -> Result<Option<TraceSettings>, String> {
        let Some(endpoint) = self.endpoint else { return Ok(None) };
        let uri: Uri = endpoint.parse().map_err(|error| format!("`endpoint` is no URL: {error}"))?;
        let (tls, port) = match uri.scheme_str() {
            Some("http") if self.ca.is_some() => return Err("`ca` needs an `endpoint` with https://".into()),
            Some("http") => (None, 80),
            Some("https") => (Some(tls(self.ca.map(|file| folder.join(file)).as_deref())?), 443),
            _ => return Err("`endpoint` is a URL such as \"http://127.0.0.1:4318\"".into()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or("`endpoint` names no host")?;
        let collector = format!("{host}:{}", uri.port_u16().unwrap_or(port));
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
            collector: collector
                .parse()
                .map_err(|_| format!("`endpoint`: `{collector}` is no host and port"))?,
            tls,
            path: path.to_owned(),
            sample: self.sample,
            service: self.service_name.unwrap_or_else(|| "hop3".to_owned()),
            headers,
        }))
    }
}

/// TLS towards a collector whose certificate is of one of the authorities in a PEM file, or of the system's.
fn tls(ca: Option<&Path>) -> Result<Arc<UpstreamTls>, String> {
    let read = |file: &Path| {
        fs::read(file).map_err(|error| format!("`ca`: `{}` cannot be read: {error}", file.display()))
    };
    let authorities = ca.map(read).transpose()?;
    let options = UpstreamTlsOptions { authorities, http2: false, ..UpstreamTlsOptions::default() };
    UpstreamTls::new(&options).map(Arc::new).map_err(|error| format!("`endpoint` with TLS: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(endpoint: &str) -> Result<Option<TraceSettings>, String> {
        TraceOptions { endpoint: Some(endpoint.to_owned()), ..TraceOptions::default() }.resolve(Path::new(""))
    }

    #[test]
    fn endpoints_are_urls() {
        assert_eq!(TraceOptions::default().resolve(Path::new("")), Ok(None));
        let settings = resolve("http://[::1]/otlp?x=1").unwrap().unwrap();
        assert_eq!((settings.collector.to_string().as_str(), &settings.path[..]), ("[::1]:80", "/otlp?x=1"));
        assert!(settings.tls.is_none());
        let folder = tempfile::tempdir().unwrap();
        let authority = rcgen::generate_simple_self_signed(["authority.test".to_owned()]).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.cert.pem()).unwrap();
        let endpoint = Some("https://collector.test".to_owned());
        let options = TraceOptions { endpoint, ca: Some("ca.pem".into()), ..TraceOptions::default() };
        let secure = options.resolve(folder.path()).unwrap().unwrap();
        assert_eq!(
            (secure.collector.to_string().as_str(), secure.tls.is_some()),
            ("collector.test:443", true)
        );
        for wrong in ["collector:4318", "ftp://a/", "/v1/traces", "http://", "a b"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }
}
