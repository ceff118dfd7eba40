//! What happens to requests and answers besides forwarding.

use hop3_proxy::{
    AddressRules, BasicAuth, CacheRules, Coding, Compression, ConcurrencyLimit, Cors, ErrorPages,
    HeaderRules, Maintenance, Policy, Prefix, RateKey, Redirect,
};
use hop3_runtimes::manifest::proxy::forms::CodingName;
use hop3_runtimes::manifest::proxy::{self, HeaderChanges, Proxy};
use hop3_runtimes::manifest::waf::{RateLimit, RateLimitKey};

use super::{Fault, Subject, fault, prefix};
use crate::model::Variables;

/// The key of changes to requests.
const REQUESTS: &str = "request-headers";

/// Where the hashes of passwords are.
#[derive(Debug, Clone, Copy)]
pub enum Passwords<'a> {
    /// In the app's configuration.
    Configuration(&'a Variables),
    /// Written out; there is no configuration.
    Written,
}

/// The policy that the rules describe.
pub(super) fn policy(proxy: &Proxy, subject: &Subject<'_>) -> Result<Policy, Fault> {
    let allow = networks(&proxy.allow, &["allow"])?;
    let addresses = AddressRules { allow, deny: networks(&proxy.deny, &["deny"])? };
    let compression = proxy.compression.as_ref().filter(|choice| choice.enabled);
    let basic_auth = proxy.basic_auth.as_ref().map(|auth| passwords(auth, subject)).transpose()?;
    Ok(Policy {
        addresses,
        maintenance: maintenance(proxy, subject)?,
        rate_limit: rate_limit(proxy, subject)?,
        rate_limit_of: None,
        redirects: redirects(proxy, subject)?,
        cors: proxy.cors.as_ref().map(cors).transpose()?,
        basic_auth,
        concurrency: concurrency(proxy)?,
        concurrency_of: None,
        request_headers: headers(&proxy.request_headers, REQUESTS)?,
        response_headers: response_headers(proxy)?,
        compression: compression.map(|choice| {
            let default = Compression::default();
            let codings = choice.codings.iter().map(|coding| match coding {
                CodingName::Br => Coding::Brotli,
                CodingName::Gzip => Coding::Gzip,
                CodingName::Zstd => Coding::Zstd,
            });
            Compression {
                codings: if choice.codings.is_empty() { default.codings } else { codings.collect() },
                min_size: choice.min_size.map_or(default.min_size, |size| size.0),
                types: if choice.types.is_empty() { default.types } else { choice.types.clone() },
            }
        }),
        cache: cache(proxy)?,
        error_pages: error_pages(proxy, subject)?,
        hold: proxy.hold.map(|span| span.0).filter(|time| !time.is_zero()),
        strip_prefix: proxy.strip_prefix.unwrap_or(false),
        request_buffering: proxy.request_buffering.unwrap_or(false),
        canary: None,
    })
}

fn networks(written: &[String], key: &[&str]) -> Result<Vec<Prefix>, Fault> {
    let read = |(index, text): (usize, &String)| {
        text.parse().map_err(|error: hop3_proxy::PrefixError| {
            fault(key.iter().copied().chain([index.to_string().as_str()]), error.to_string())
        })
    };
    written.iter().enumerate().map(read).collect()
}

fn maintenance(proxy: &Proxy, subject: &Subject<'_>) -> Result<Option<Maintenance>, Fault> {
    let Some(written) = &proxy.maintenance else { return Ok(None) };
    let page = written.page.as_ref().map(|path| subject.files.page(path)).transpose();
    let page = page.map_err(|cause| fault(["maintenance", "page"], cause))?;
    let allow = networks(&written.allow, &["maintenance", "allow"])?;
    let retry_after = written.retry_after.map(|span| span.0);
    Ok(written.enabled.then(|| Maintenance { page: page.map(Into::into), retry_after, allow }))
}

fn rate_limit(proxy: &Proxy, subject: &Subject<'_>) -> Result<Option<hop3_proxy::RateLimit>, Fault> {
    let Some(written) = proxy.rate_limit.as_ref().or(subject.rate_limit) else { return Ok(None) };
    let RateLimit { requests, per, burst, key } = written;
    if *requests == 0 {
        return Err(fault(
            ["rate-limit", "requests"],
            "must be at least 1; `maintenance` keeps everybody out",
        ));
    }
    if per.0.is_zero() {
        return Err(fault(["rate-limit", "per"], "must be longer than nothing"));
    }
    let key = match key {
        RateLimitKey::Client => RateKey::Client,
        RateLimitKey::Header(name) => RateKey::Header(name.clone()),
        RateLimitKey::All => RateKey::Route,
    };
    Ok(Some(hop3_proxy::RateLimit { requests: *requests, period: per.0, burst: *burst, key }))
}

/// The longest paths first, so that what is said about a part goes before what is said about the whole.
fn redirects(proxy: &Proxy, subject: &Subject<'_>) -> Result<Vec<Redirect>, Fault> {
    let mut written: Vec<_> = proxy.redirect.iter().collect();
    written.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    let read = |(from, target): (&String, &proxy::forms::RedirectTarget)| {
        let wrong = |message: String| fault(["redirect", from], message);
        let redirect =
            Redirect::new(from, &target.to, target.status).map_err(|error| wrong(error.to_string()))?;
        if let Some(host) = redirect.host().filter(|host| !serves(subject.hosts, host)) {
            return Err(wrong(format!("`{host}` is no host of '{}'", subject.name))
                .hint("add it to [domains], so that its requests come here"));
        }
        Ok(redirect)
    };
    written.into_iter().map(read).collect()
}

fn serves(hosts: &[String], host: &str) -> bool {
    hosts.iter().any(|known| {
        let below = known.strip_prefix("*.").and_then(|domain| host.strip_suffix(domain));
        known == "*" || known.eq_ignore_ascii_case(host) || below.is_some_and(|rest| rest.ends_with('.'))
    })
}

fn cors(written: &proxy::CorsOptions) -> Result<Cors, Fault> {
    let proxy::CorsOptions { origins, methods, headers, expose, credentials, max_age } = written.clone();
    let max_age = max_age.map_or(600, |span| u32::try_from(span.0.as_secs()).unwrap_or(u32::MAX));
    let cors = Cors { origins, methods, headers, expose, credentials, max_age };
    cors.check().map_err(|error| fault(["cors"], error.to_string()))?;
    Ok(cors)
}

fn passwords(written: &proxy::BasicAuth, subject: &Subject<'_>) -> Result<BasicAuth, Fault> {
    let mut users = Vec::new();
    for (user, value) in &written.users {
        let wrong = |message: String| fault(["basic-auth", "users", user], message);
        let is_hash = value.starts_with('$');
        let hash = match subject.passwords {
            _ if is_hash => value.clone(),
            Passwords::Written => {
                return Err(
                    wrong("this is no bcrypt hash".into()).hint(format!("make one: htpasswd -nB {user}"))
                );
            }
            Passwords::Configuration(variables) => {
                let found = variables.iter().find(|(key, _)| key.as_str() == value);
                let Some((_, hash)) = found else {
                    return Err(wrong(format!("the app's configuration has no `{value}`")).hint(format!(
                        "set it to a bcrypt hash (htpasswd -nB {user}): hop3 config:set {} {value}='$2y$…'",
                        subject.name
                    )));
                };
                hash.reveal().trim().to_owned()
            }
        };
        users.push((user.clone(), hash));
    }
    let realm = written.realm.as_deref().unwrap_or(subject.name);
    BasicAuth::new(realm, users).map_err(|error| fault(["basic-auth"], error.to_string()))
}

fn concurrency(proxy: &Proxy) -> Result<Option<ConcurrencyLimit>, Fault> {
    let Some(written) = &proxy.concurrency else { return Ok(None) };
    if written.requests == 0 {
        return Err(fault(["concurrency", "requests"], "must be at least 1"));
    }
    Ok(Some(ConcurrencyLimit {
        requests: written.requests as usize,
        queue: written.queue as usize,
        patience: written.patience.0,
    }))
}

fn headers(written: &HeaderChanges, section: &str) -> Result<HeaderRules, Fault> {
    let mut rules = HeaderRules::default();
    let wrong = |part: &str, name: &str, error: hop3_proxy::HeaderRuleError| {
        fault([section, part, name], error.to_string())
    };
    for (index, name) in written.remove.iter().enumerate() {
        rules.remove(name).map_err(|error| wrong("remove", &index.to_string(), error))?;
    }
    for (name, value) in &written.set {
        let is_host = section == REQUESTS && name.eq_ignore_ascii_case("host");
        let made = if is_host { rules.set_host(value) } else { rules.set(name, value) };
        made.map_err(|error| wrong("set", name, error))?;
    }
    for (name, value) in &written.add {
        rules.add(name, value).map_err(|error| wrong("add", name, error))?;
    }
    Ok(rules)
}

/// `headers`, then `[proxy.response-headers]`.
fn response_headers(proxy: &Proxy) -> Result<HeaderRules, Fault> {
    let mut rules = headers(&proxy.response_headers, "response-headers")?;
    for (name, value) in &proxy.headers {
        let made = if value.is_empty() { rules.remove(name) } else { rules.set(name, value) };
        made.map_err(|error| fault(["headers", name], error.to_string()))?;
    }
    Ok(rules)
}

fn cache(proxy: &Proxy) -> Result<Option<CacheRules>, Fault> {
    if proxy.cache.is_empty() {
        return Ok(None);
    }
    let mut rules = CacheRules::default();
    for (path, life) in &proxy.cache {
        rules.prefixes.push((prefix(path, &["cache", path])?, life.0));
    }
    if let Some(size) = proxy.cache_limits.max_size {
        rules.max_size = usize::try_from(size.0).unwrap_or(usize::MAX);
    }
    if let Some(size) = proxy.cache_limits.max_entry {
        rules.max_entry = usize::try_from(size.0).unwrap_or(usize::MAX);
    }
    if rules.max_entry > rules.max_size {
        return Err(fault(["cache-limits", "max-entry"], "must not be larger than `max-size`"));
    }
    Ok(Some(rules))
}

fn error_pages(proxy: &Proxy, subject: &Subject<'_>) -> Result<ErrorPages, Fault> {
    let mut pages = ErrorPages::default();
    for (status, path) in &proxy.error_pages {
        let wrong = |message: String| fault(["error-pages", status], message);
        let page = subject.files.page(path).map_err(wrong)?.into();
        match (status.as_str(), status.parse()) {
            ("4xx", _) => pages.classes.push((4, page)),
            ("5xx", _) => pages.classes.push((5, page)),
            (_, Ok(code @ 400..=599)) => pages.exact.push((code, page)),
            _ => {
                return Err(wrong(format!("`{status}` is no status of an error"))
                    .hint("write a number from 400 to 599, \"4xx\" or \"5xx\""));
            }
        }
    }
    Ok(pages)
}
