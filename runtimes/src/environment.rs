//! The environment of an app's processes: made from nothing, so that nothing of the server's leaks in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where programs are looked for when the server itself has no `PATH`.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables of the server that a build may see: how to reach package registries. Running apps never see them.
pub const BUILD_VARIABLES: [&str; 22] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_DEFAULT_TIMEOUT",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_NATIVE_TLS",
    "NODE_EXTRA_CA_CERTS",
];

/// What of the server's own environment matters; read once, passed as a value.
#[derive(Clone, Debug, Default)]
pub struct HostEnvironment {
    /// `PATH`, for finding programs.
    pub path: String,
    /// `LANG` and `TZ`.
    pub locale: BTreeMap<String, OsString>,
    /// The variables of [`BUILD_VARIABLES`] that are set.
    pub build: BTreeMap<String, OsString>,
}

/// Variables of one process, complete: what is not here the process does not see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, OsString>);

impl HostEnvironment {
    /// Reads the environment of this process.
    #[must_use]
    pub fn read() -> Self {
        let pick = |names: &[&str]| {
            let set = |name: &&str| std::env::var_os(name).map(|value| ((*name).to_owned(), value));
            names.iter().filter_map(set).collect()
        };
        Self {
            path: std::env::var("PATH")
                .ok()
                .filter(|path| !path.is_empty())
                .unwrap_or(DEFAULT_PATH.to_owned()),
            locale: pick(&["LANG", "TZ"]),
            build: pick(&BUILD_VARIABLES),
        }
    }

    /// The first executable of this name on `PATH`.
    #[must_use]
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let is_executable = |path: &PathBuf| {
            path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        };
        std::env::split_paths(&self.path).map(|folder| folder.join(name)).find(is_executable)
    }
}

impl Environment {
    /// `PATH` with `first` in front, `HOME`, `LANG` (default `C.UTF-8`), `TZ` when the server has one.
    #[must_use]
    pub fn base(host: &HostEnvironment, home: &Path, first: &[PathBuf]) -> Self {
        let mut path = OsString::new();
        for folder in first {
            path.push(folder);
            path.push(":");
        }
        path.push(if host.path.is_empty() { DEFAULT_PATH } else { &host.path });
        let mut variables = host.locale.clone();
        variables.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".into());
        variables.insert("PATH".to_owned(), path);
        variables.insert("HOME".to_owned(), home.as_os_str().to_owned());
        Self(variables)
    }

    /// Adds or replaces a variable. Names with `=` or NUL and values with NUL are dropped: no process can have
    /// them, and the forms that make them refuse them earlier.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<OsString>) {
        use std::os::unix::ffi::OsStrExt;
        let (name, value) = (name.into(), value.into());
        if !name.is_empty() && !name.contains(['=', '\0']) && !value.as_bytes().contains(&0) {
            self.0.insert(name, value);
        }
    }

    /// Adds or replaces many.
    pub fn extend<N: Into<String>, V: Into<OsString>>(
        &mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) {
        variables.into_iter().for_each(|(name, value)| self.set(name, value));
    }

    /// The value of a variable.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&std::ffi::OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    /// All variables in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &OsString)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_holds_nothing_but_the_basics() {
        let host = HostEnvironment { path: "/bin".into(), ..HostEnvironment::default() };
        let mut environment = Environment::base(&host, Path::new("/home/a"), &["/v/bin".into()]);
        let names: Vec<_> = environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HOME", "LANG", "PATH"]);
        assert_eq!(environment.value("PATH").unwrap(), "/v/bin:/bin");
        environment.set("A\0", "x");
        environment.set("A", "x\0");
        assert_eq!(environment.iter().count(), 3);
    }

    #[test]
    fn finds_programs_on_the_path() {
        let host = HostEnvironment { path: "/nowhere:/bin".into(), ..HostEnvironment::default() };
        assert_eq!(host.find_program("sh").unwrap(), Path::new("/bin/sh"));
        assert!(host.find_program("no-such-program").is_none());
    }
}
