//! From `[proxy]` of an app or a static route to what the proxy is given.
//!
//! Owns what the keys mean, their defaults, and what of them is nonsense. Which instances there are, the firewall and
//! TLS towards clients are added where routes are made.

mod files;
mod instances;
mod policy;
mod rules;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use files::Files;
use hop3_proxy::{Canary, Pool, RouteLimits, StaticFiles};
use hop3_runtimes::manifest::proxy::upstream::CanaryOptions;
use hop3_runtimes::manifest::proxy::{PathRules, Proxy};
use hop3_runtimes::manifest::tls::ClientCertificateMode;
use hop3_runtimes::manifest::toml_error::{Diagnostic, locate};
use hop3_runtimes::manifest::waf::RateLimit;
pub use policy::Passwords;

/// What is wrong with a key of `[proxy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key's path below `[proxy]`.
    pub key: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What `[proxy]` is said about.
#[derive(Debug)]
pub struct Subject<'a> {
    /// App or static route.
    pub name: &'a str,
    /// Its hosts.
    pub hosts: &'a [String],
    /// Its files.
    pub files: Files<'a>,
    /// Where passwords are looked up.
    pub passwords: Passwords<'a>,
    /// The rate limit of `[waf]`, which holds where `[proxy]` has none.
    pub rate_limit: Option<&'a RateLimit>,
}

/// `[proxy]` in the proxy's terms.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Where the app begins; `/` for all of its hosts.
    pub prefix: String,
    /// The rules for everything.
    pub rules: Rules,
    /// Other rules for some paths.
    pub paths: Vec<PathTraffic>,
    /// Folders served under their own prefixes, each under the rules of its [`Traffic::path_of`].
    pub folders: Vec<(String, StaticFiles)>,
    /// The group of instances, yet without any.
    pub pool: Pool,
    /// How files of a static site or route are served; the folder is filled in later.
    pub files: StaticFiles,
    /// The group of the canary, yet without instances, and who goes there.
    pub canary: Option<(CanaryOptions, Canary)>,
}

/// Policy and limits.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What happens besides forwarding.
    pub policy: hop3_proxy::Policy,
    /// Sizes and deadlines.
    pub limits: RouteLimits,
}

/// Rules for a part of the paths.
#[derive(Debug, Clone)]
pub struct PathTraffic {
    /// The paths.
    pub prefix: String,
    /// Their rules.
    pub rules: Rules,
    /// What is asked of clients here, if it is something else.
    pub client_certificates: Option<ClientCertificateMode>,
}

impl Traffic {
    /// Checks and translates `[proxy]`. Reads the files it names.
    ///
    /// # Errors
    /// The first fault.
    pub fn new(proxy: &Proxy, subject: &Subject<'_>) -> Result<Traffic, Fault> {
        let prefix = prefix(proxy.path_prefix.as_deref().unwrap_or("/"), &["path-prefix"])?;
        let rules = rules::rules(proxy, subject, &[])?;
        let mut paths: Vec<PathTraffic> = Vec::new();
        for (index, path) in proxy.paths.iter().enumerate() {
            let made = path_traffic(proxy, path, index, &prefix, subject)?;
            if paths.iter().any(|other| other.prefix == made.prefix) {
                return Err(fault(["paths", &index.to_string(), "prefix"], "this prefix has rules already"));
            }
            paths.push(made);
        }
        let files = files::template(&proxy.files)?;
        let mut folders = Vec::new();
        for (url, folder) in &proxy.static_files {
            let at = ["static", url.as_str()];
            let url = below(&prefix, self::prefix(url, &at)?, &at)?;
            if url == prefix || paths.iter().any(|path| path.prefix == url) {
                return Err(fault(at, format!("`{url}` is routed already")));
            }
            let root = subject.files.folder(folder).map_err(|cause| fault(at, cause))?;
            let (strip_prefix, within) = (url.clone(), subject.files.within());
            // A single page stands for the paths of the app, not for files that are missing.
            folders.push((url, StaticFiles { root, within, strip_prefix, fallback: None, ..files.clone() }));
        }
        let pool = instances::pool(proxy, subject)?;
        let canary = instances::canary(proxy, subject, &pool)?;
        Ok(Traffic { prefix, rules, paths, folders, pool, files, canary })
    }

    /// The longest of [`Traffic::paths`] that holds `prefix`; `None` where the rules for everything hold.
    pub fn path_of(&self, prefix: &str) -> Option<&PathTraffic> {
        let holding = self.paths.iter().filter(|path| is_below(&path.prefix, prefix));
        holding.max_by_key(|path| path.prefix.len())
    }
}

impl Fault {
    /// The fault with its place in the text of a file. `below` is the path to the section.
    pub fn at(&self, file: &Path, text: &str, below: &[&str]) -> Diagnostic {
        let mut path: Vec<&str> = below.to_vec();
        path.extend(self.key.iter().map(String::as_str));
        let message = format!("[proxy] {}: {}", self.shown(), self.message);
        Diagnostic::at(file, text, locate(text, &path), message, self.hint.clone())
    }

    /// The key as it is written.
    pub fn shown(&self) -> String {
        self.key.join(".")
    }

    fn hint(self, hint: impl Into<String>) -> Fault {
        Fault { hint: Some(hint.into()), ..self }
    }

    fn below(mut self, path: &[&str]) -> Fault {
        self.key.splice(0..0, path.iter().map(|part| (*part).to_owned()));
        self
    }
}

fn fault<'a>(key: impl IntoIterator<Item = &'a str>, message: impl Into<String>) -> Fault {
    Fault { key: key.into_iter().map(str::to_owned).collect(), message: message.into(), hint: None }
}

fn path_traffic(
    proxy: &Proxy,
    path: &PathRules,
    index: usize,
    prefix: &str,
    subject: &Subject<'_>,
) -> Result<PathTraffic, Fault> {
    let number = index.to_string();
    let at = ["paths", &number, "prefix"];
    let own = below(prefix, self::prefix(&path.prefix, &at)?, &at)?;
    if own == prefix {
        return Err(fault(at, "these are all paths; write their rules in [proxy]"));
    }
    if proxy.strip_prefix == Some(true) && prefix != "/" {
        return Err(fault(at, "paths with rules of their own cannot be combined with `strip-prefix`"));
    }
    let mut rules = rules::rules(&proxy.at(path), subject, &["paths", &number])?;
    // What a path has of its own counts for it alone; what it inherits counts together with the app.
    rules.policy.rate_limit_of = path.rate_limit.as_ref().map(|_| own.as_str().into());
    rules.policy.concurrency_of = path.concurrency.as_ref().map(|_| own.as_str().into());
    Ok(PathTraffic { prefix: own, rules, client_certificates: path.client_certificates })
}

/// A path prefix without its final slash, unless it is `/`.
fn prefix(text: &str, key: &[&str]) -> Result<String, Fault> {
    let legal = text.starts_with('/') && !text.contains(['?', '#', '\\', '%', ' ']) && !text.contains("//");
    let climbs = text.split('/').any(|part| part == "." || part == "..");
    if !legal || climbs {
        let message = format!("`{}` is no path prefix", text.escape_debug());
        return Err(fault(key.iter().copied(), message).hint("write a path such as \"/shop\""));
    }
    match text.trim_end_matches('/') {
        "" => Ok("/".to_owned()),
        trimmed => Ok(trimmed.to_owned()),
    }
}

fn below(outer: &str, inner: String, key: &[&str]) -> Result<String, Fault> {
    if is_below(outer, &inner) {
        return Ok(inner);
    }
    Err(fault(key.iter().copied(), format!("`{inner}` does not lie below `path-prefix` ({outer})")))
}

/// Whether a path prefix is `outer` or lies below it.
fn is_below(outer: &str, inner: &str) -> bool {
    outer == "/" || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A relative path as it stands in a file.
fn shown(path: &Path) -> String {
    PathBuf::from(path).display().to_string()
}
