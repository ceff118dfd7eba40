//! Cross-origin requests (Fetch standard, section 3.2): answers to preflights, and the fields that let scripts read
//! answers.

use bytes::Bytes;

use crate::headers::Headers;
use crate::http1::response::ResponseHead;
use crate::request::Request;

/// Which origins may do what. Replaces what the app says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// `https://app.example.org`, or `*` for all.
    pub origins: Vec<String>,
    /// Methods besides GET, HEAD and POST.
    pub methods: Vec<String>,
    /// Request header fields besides the harmless ones.
    pub headers: Vec<String>,
    /// Response header fields that scripts may read.
    pub expose: Vec<String>,
    /// Whether cookies and passwords may be sent along; never with `*`.
    pub credentials: bool,
    /// How long browsers remember a preflight, in seconds.
    pub max_age: u32,
}

/// Why this is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorsError {
    /// No origin at all.
    #[error("`origins` is empty; name at least one, e.g. \"https://app.example.org\"")]
    NoOrigin,
    /// Not `scheme://host[:port]`.
    #[error("`{0}` is no origin; write scheme://host[:port] without a path, or `*`")]
    Origin(String),
    /// Browsers ignore it, and it would open everything to everybody.
    #[error("`credentials` cannot be combined with the origin `*`")]
    Credentials,
    /// Not a token.
    #[error("`{0}` is no method or header name")]
    Token(String),
}

impl Cors {
    /// Checks the rule.
    pub fn check(&self) -> Result<(), CorsError> {
        if self.origins.is_empty() {
            return Err(CorsError::NoOrigin);
        }
        for origin in &self.origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let host = host.and_then(|host| crate::http1::target::host_of(host.as_bytes()));
            if origin != "*" && host.is_none() {
                return Err(CorsError::Origin(origin.clone()));
            }
        }
        if self.credentials && self.origins.iter().any(|origin| origin == "*") {
            return Err(CorsError::Credentials);
        }
        let tokens = self.methods.iter().chain(&self.headers).chain(&self.expose);
        let is_token =
            |text: &&String| !text.is_empty() && text.bytes().all(crate::http1::field::is_token_byte);
        let mut bad = tokens.filter(|text| !is_token(text));
        bad.next().map_or(Ok(()), |bad| Err(CorsError::Token(bad.clone())))
    }

    /// The answer to a preflight; none when the request is no preflight.
    pub fn preflight(&self, request: &Request) -> Option<ResponseHead> {
        let asked = request.headers.contains("access-control-request-method");
        if &request.method[..] != b"OPTIONS" || !asked || !request.headers.contains("origin") {
            return None;
        }
        let mut head = ResponseHead::new(204);
        self.mark(request, &mut head.headers);
        if head.headers.contains("access-control-allow-origin") {
            let methods: Vec<&str> =
                ["GET", "HEAD", "POST"].into_iter().chain(self.methods.iter().map(String::as_str)).collect();
            head.headers.push("access-control-allow-methods", methods.join(", "));
            if !self.headers.is_empty() {
                head.headers.push("access-control-allow-headers", self.headers.join(", "));
            }
            head.headers.push("access-control-max-age", self.max_age.to_string());
        }
        Some(head)
    }

    /// Puts the fields of every answer into its header.
    pub fn mark(&self, request: &Request, headers: &mut Headers) {
        headers.retain(|field| !field.name.to_ascii_lowercase().starts_with(b"access-control-"));
        let all = self.origins.iter().any(|origin| origin == "*");
        if !all {
            add_vary(headers, "Origin");
        }
        let Some(origin) = request.headers.get("origin") else { return };
        let allowed: Option<Bytes> = if all {
            Some(Bytes::from_static(b"*"))
        } else {
            let known = self.origins.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(origin));
            known.then(|| origin.clone())
        };
        let Some(allowed) = allowed else { return };
        headers.push("access-control-allow-origin", allowed);
        if self.credentials {
            headers.push("access-control-allow-credentials", "true");
        }
        if !self.expose.is_empty() {
            headers.push("access-control-expose-headers", self.expose.join(", "));
        }
    }
}

/// Adds a name to `Vary` unless it is there.
pub fn add_vary(headers: &mut Headers, name: &'static str) {
    if !headers.has_token("vary", name) && !headers.has_token("vary", "*") {
        headers.push("vary", name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::target::Scheme;

    fn cors() -> Cors {
        Cors {
            origins: vec!["https://a.org".into(), "http://b.org:81".into()],
            methods: vec!["PUT".into()],
            headers: vec!["X-Token".into()],
            expose: vec!["X-Total".into()],
            credentials: true,
            max_age: 600,
        }
    }

    fn request(method: &str, lines: &str) -> Request {
        let head = format!("{method} / HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
        crate::http1::request::parse_request(head.into(), Scheme::Http, 100).unwrap()
    }

    #[test]
    fn preflights_are_answered_for_known_origins() {
        let ask = "Access-Control-Request-Method: PUT\r\n";
        let head = cors().preflight(&request("OPTIONS", &format!("Origin: https://A.org\r\n{ask}"))).unwrap();
        let value =
            |name: &str| head.headers.get(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
        assert_eq!(value("access-control-allow-origin").as_deref(), Some("https://A.org"));
        assert_eq!(value("access-control-allow-methods").as_deref(), Some("GET, HEAD, POST, PUT"));
        assert_eq!(value("access-control-allow-headers").as_deref(), Some("X-Token"));
        assert_eq!(value("access-control-allow-credentials").as_deref(), Some("true"));
        assert_eq!(value("vary").as_deref(), Some("Origin"));
        let other =
            cors().preflight(&request("OPTIONS", &format!("Origin: https://evil.org\r\n{ask}"))).unwrap();
        assert!(!other.headers.contains("access-control-allow-origin"));
        assert!(cors().preflight(&request("OPTIONS", "Origin: https://a.org\r\n")).is_none());
        assert!(cors().preflight(&request("GET", &format!("Origin: https://a.org\r\n{ask}"))).is_none());
    }

    #[test]
    fn answers_carry_our_rule_and_not_the_apps() {
        let mut headers = Headers::default();
        headers.push("Access-Control-Allow-Origin", "*");
        cors().mark(&request("GET", "Origin: https://evil.org\r\n"), &mut headers);
        assert!(!headers.contains("access-control-allow-origin"));
        cors().mark(&request("GET", "Origin: http://b.org:81\r\n"), &mut headers);
        assert!(headers.contains("access-control-expose-headers"));
        assert_eq!(headers.all("vary").count(), 1);
    }

    #[test]
    fn bad_rules_are_refused() {
        let with = |change: fn(&mut Cors)| {
            let mut cors = cors();
            change(&mut cors);
            cors.check()
        };
        assert_eq!(cors().check(), Ok(()));
        assert_eq!(with(|cors| cors.origins.clear()), Err(CorsError::NoOrigin));
        assert_eq!(with(|cors| cors.origins.push("*".into())), Err(CorsError::Credentials));
        assert!(with(|cors| cors.origins.push("https://a.org/x".into())).is_err());
        assert!(with(|cors| cors.origins.push("a.org".into())).is_err());
        assert!(with(|cors| cors.methods.push("P T".into())).is_err());
    }
}
