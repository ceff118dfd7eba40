//! The group of instances, before it is known which there are.

use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::{
    Balancing, Breaker, Canary, FastCgi, HashKey, HealthCheck, Pool, Protocol, ScriptFiles, StickyCookie,
    UpstreamTls, UpstreamTlsOptions,
};
use hop3_runtimes::manifest::proxy::Proxy;
use hop3_runtimes::manifest::proxy::upstream::{
    BalancingMethod, CanaryOptions, FastCgiOptions, FrontScript, UpstreamProtocol,
};
use hop3_runtimes::manifest::units::Span;

use super::{Fault, Files, Subject, fault};

/// The group that the keys describe, yet without instances.
pub(super) fn pool(proxy: &Proxy, subject: &Subject<'_>) -> Result<Pool, Fault> {
    let mut pool = Pool::new(protocol(proxy, subject)?, []);
    pool.tls = proxy.upstream_tls.as_ref().map(|_| tls(proxy, subject)).transpose()?;
    if pool.tls.is_some() && proxy.protocol.is_some_and(|protocol| protocol != UpstreamProtocol::Http) {
        return Err(fault(["upstream-tls"], "TLS is spoken with `protocol = \"http\"` alone"));
    }
    let options = &proxy.balancing;
    pool.balancing = match options.method.clone() {
        None | Some(BalancingMethod::LeastConnections) => Balancing::LeastConnections,
        Some(BalancingMethod::HashClient) => Balancing::Hash(HashKey::Client),
        Some(BalancingMethod::HashTarget) => Balancing::Hash(HashKey::Target),
        Some(BalancingMethod::HashHeader(name)) => Balancing::Hash(HashKey::Header(name)),
        Some(BalancingMethod::HashCookie(name)) => Balancing::Hash(HashKey::Cookie(name)),
    };
    if let Some(sticky) = &options.sticky {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if sticky.cookie.is_empty() || !sticky.cookie.bytes().all(is_name) {
            let message = format!("`{}` is no name of a cookie", sticky.cookie.escape_debug());
            return Err(fault(["balancing", "sticky", "cookie"], message));
        }
        let max_age = sticky.max_age.map(|span| span.0);
        pool.sticky = Some(StickyCookie { name: sticky.cookie.clone(), max_age });
    }
    pool.slow_start = options.slow_start.map_or(Duration::ZERO, |span| span.0);
    if options.max_connections == Some(0) {
        return Err(fault(["balancing", "max-connections"], "must be at least 1"));
    }
    pool.max_connections = options.max_connections.map_or(pool.max_connections, |count| count as usize);
    pool.max_idle = options.max_idle.map_or(pool.max_idle, |count| count as usize);
    pool.response_buffering = proxy.response_buffering.map_or(pool.response_buffering, |size| size.0);
    pool.max_idle_time = options.max_idle_time.map_or(pool.max_idle_time, |span| span.0);
    pool.retries = options.retries.map_or(pool.retries, |count| count as usize);
    pool.breaker = breaker(proxy)?;
    pool.health_check = health_check(proxy, subject)?;
    Ok(pool)
}

/// Who goes to the canary, and the group there, yet without instances.
pub(super) fn canary(
    proxy: &Proxy,
    subject: &Subject<'_>,
    pool: &Pool,
) -> Result<Option<(CanaryOptions, Canary)>, Fault> {
    if !proxy.canary_of.is_empty() && matches!(subject.files, Files::Anywhere(_)) {
        return Err(fault(["canary-of"], "a [[route]] is nobody's canary, only apps are"));
    }
    let Some(options) = &proxy.canary else { return Ok(None) };
    if !options.upstream.is_empty() && !matches!(subject.files, Files::Anywhere(_)) {
        // The proxy would reach for an app what the app itself cannot: the server's own socket, other machines.
        return Err(fault(
            ["canary", "upstream"],
            "addresses are for a [[route]] alone; an app names an `app`",
        )
        .hint("deploy the other version as an app, and name that"));
    }
    if options.app.is_some() != options.upstream.is_empty() {
        return Err(fault(["canary"], "needs `app` (another app) or `upstream` (addresses), not both"));
    }
    if options.percent > 100 {
        return Err(fault(["canary", "percent"], "must lie between 0 and 100"));
    }
    for (index, address) in options.upstream.0.iter().enumerate() {
        let parsed: Result<hop3_proxy::Endpoint, _> = address.parse();
        parsed.map_err(|error| fault(["canary", "upstream", &index.to_string()], error.to_string()))?;
    }
    let header = options.header.as_ref().map(|text| {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let name = name.trim().to_ascii_lowercase();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(fault(["canary", "header"], "is written `NAME` or `NAME: VALUE`"));
        }
        Ok((name, value.trim().to_owned()))
    });
    let canary =
        Canary { pool: Arc::new(pool.clone()), percent: options.percent, header: header.transpose()? };
    Ok(Some((options.clone(), canary)))
}

fn protocol(proxy: &Proxy, subject: &Subject<'_>) -> Result<Protocol, Fault> {
    let protocol = proxy.protocol.unwrap_or_default();
    if proxy.fastcgi.is_some() && protocol != UpstreamProtocol::Fastcgi {
        return Err(fault(["fastcgi"], "needs `protocol = \"fastcgi\"`"));
    }
    Ok(match protocol {
        UpstreamProtocol::Http => Protocol::Http,
        UpstreamProtocol::H2c => Protocol::H2c,
        UpstreamProtocol::Uwsgi => Protocol::Uwsgi,
        UpstreamProtocol::Fastcgi => {
            let default = FastCgiOptions::default();
            let options = proxy.fastcgi.as_ref().unwrap_or(&default);
            Protocol::FastCgi(Arc::new(FastCgi { scripts: scripts(options, subject)? }))
        }
    })
}

fn scripts(options: &FastCgiOptions, subject: &Subject<'_>) -> Result<Option<ScriptFiles>, Fault> {
    let Some(root) = &options.root else {
        if options.index.is_some() || options.front.is_some() {
            return Err(fault(["fastcgi"], "`index` and `front` need `root`, the folder of the scripts"));
        }
        return Ok(None);
    };
    let root = subject.files.folder(root).map_err(|cause| fault(["fastcgi", "root"], cause))?;
    let mut files = ScriptFiles::new(root);
    Arc::make_mut(&mut files.files).within = subject.files.within();
    let is_name =
        |name: &str| !name.is_empty() && !name.starts_with('/') && name.split('/').all(|part| part != "..");
    if let Some(index) = &options.index {
        if !is_name(index) {
            return Err(fault(["fastcgi", "index"], "is the name of a script below `root`"));
        }
        files.index.clone_from(index);
    }
    match &options.front {
        None | Some(FrontScript::Switch(true)) => {}
        Some(FrontScript::Switch(false)) => files.front = None,
        Some(FrontScript::Script(front)) if is_name(front) => files.front = Some(front.clone()),
        Some(FrontScript::Script(_)) => {
            return Err(fault(["fastcgi", "front"], "is the name of a script below `root`, or false"));
        }
    }
    Ok(Some(files))
}

/// TLS towards instances; the default where nothing is said.
pub(super) fn tls(proxy: &Proxy, subject: &Subject<'_>) -> Result<Arc<UpstreamTls>, Fault> {
    let default = Default::default();
    let options = proxy.upstream_tls.as_ref().unwrap_or(&default);
    let read = |path: &Option<std::path::PathBuf>, key: &str| {
        let read = path.as_ref().map(|path| subject.files.pem(path)).transpose();
        read.map_err(|cause| fault(["upstream-tls", key], cause))
    };
    let identity = match (read(&options.certificate, "certificate")?, read(&options.key, "key")?) {
        (Some(chain), Some(key)) => Some((chain, key)),
        (None, None) => None,
        _ => return Err(fault(["upstream-tls"], "`certificate` and `key` go together")),
    };
    let made = UpstreamTls::new(&UpstreamTlsOptions {
        server_name: options.server_name.clone(),
        authorities: read(&options.ca, "ca")?,
        verify: options.verify.unwrap_or(true),
        identity,
        http2: options.http2.unwrap_or(true),
    });
    made.map(Arc::new).map_err(|error| fault(["upstream-tls"], error.to_string()))
}

fn breaker(proxy: &Proxy) -> Result<Breaker, Fault> {
    let (written, default) = (&proxy.breaker, Breaker::default());
    let span = |span: Option<Span>, or: Duration| span.map_or(or, |span| span.0);
    let made = Breaker {
        aside_after: written.aside_after.unwrap_or(default.aside_after).max(1),
        first_pause: span(written.first_pause, default.first_pause),
        longest_pause: span(written.longest_pause, default.longest_pause),
        open_after: written.open_after.unwrap_or(default.open_after),
    };
    if made.first_pause.is_zero() || made.longest_pause < made.first_pause {
        return Err(fault(
            ["breaker"],
            "`first-pause` must be more than nothing and at most `longest-pause`",
        ));
    }
    Ok(made)
}

fn health_check(proxy: &Proxy, subject: &Subject<'_>) -> Result<Option<HealthCheck>, Fault> {
    let Some(written) = &proxy.health_check else { return Ok(None) };
    let default = HealthCheck::default();
    // A check without pause or patience would be a mistake with a price.
    let floor = Duration::from_millis(100);
    let span = |span: Option<Span>, or: Duration| span.map_or(or, |span| span.0).max(floor);
    let host = subject.hosts.first().map(|host| host.trim_start_matches("*.").to_owned());
    let host = written.host.clone().or(host).unwrap_or(default.host);
    if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(fault(["health-check", "host"], "is no host name"));
    }
    Ok(Some(HealthCheck {
        path: written.path.as_ref().map_or(default.path, |path| path.as_str().to_owned()),
        host: if host == "*" { "localhost".to_owned() } else { host },
        status: written.status.map(|status| status.get()),
        interval: span(written.interval, default.interval),
        timeout: span(written.timeout, default.timeout),
        fall: written.fall.unwrap_or(default.fall).max(1),
        rise: written.rise.unwrap_or(default.rise).max(1),
    }))
}
