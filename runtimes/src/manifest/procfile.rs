//! `Procfile`: one `type: command` per line, as Heroku and its kin read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::nearest::nearest;
use super::resources::CronJob;
use super::toml_error::Diagnostic;
use crate::names::ProcessName;

/// A `Procfile`, by meaning of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Procfile {
    /// `web: COMMAND`.
    pub web: Option<String>,
    /// `wsgi: module:callable`.
    pub wsgi: Option<WsgiTarget>,
    /// `static: FOLDER`.
    pub static_dir: Option<PathBuf>,
    /// `release: COMMAND`, once per release.
    pub release: Option<String>,
    /// `prebuild: COMMAND`.
    pub prebuild: Option<String>,
    /// `postbuild: COMMAND`.
    pub postbuild: Option<String>,
    /// `prerun: COMMAND`.
    pub prerun: Option<String>,
    /// `cron: * * * * * COMMAND`, any number of lines.
    pub cron: Vec<CronJob>,
    /// Every other type.
    pub workers: BTreeMap<ProcessName, String>,
}

/// A Python WSGI application (PEP 3333): `package.module:callable`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WsgiTarget(String);

/// Types whose line is not a process that keeps running.
const RESERVED: [&str; 8] = ["web", "wsgi", "static", "release", "prebuild", "postbuild", "prerun", "cron"];

impl Procfile {
    /// Reads the text of a `Procfile`. Empty lines and `#` comments are skipped.
    ///
    /// # Errors
    /// The first faulty line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Diagnostic> {
        let mut procfile = Self::default();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (index, raw) in text.lines().enumerate() {
            let line = raw.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fault = |message: String, hint: Option<String>| {
                Diagnostic::on_line(file, text, index + 1, message, hint)
            };
            let Some((kind, command)) = line.split_once(':') else {
                let hint = "write `web: COMMAND`".to_owned();
                return Err(fault("this line has no `:`".to_owned(), Some(hint)));
            };
            let (kind, command) = (kind.trim(), command.trim());
            if command.is_empty() {
                return Err(fault(format!("`{kind}` has no command"), None));
            }
            if command.contains('\0') {
                return Err(fault(format!("`{kind}` contains a NUL byte"), None));
            }
            if kind != "cron"
                && let Some(first) = seen.insert(kind.to_owned(), index + 1)
            {
                return Err(fault(format!("`{kind}` is already given on line {first}"), None));
            }
            procfile.take(kind, command).map_err(|(message, hint)| fault(message, hint))?;
        }
        procfile.check(file, text, &seen)?;
        Ok(procfile)
    }

    fn take(&mut self, kind: &str, command: &str) -> Result<(), (String, Option<String>)> {
        let text = command.to_owned();
        match kind {
            "web" => self.web = Some(text),
            "wsgi" => self.wsgi = Some(WsgiTarget::try_from(text).map_err(|message| (message, None))?),
            "static" => self.static_dir = Some(PathBuf::from(text)),
            "release" => self.release = Some(text),
            "prebuild" => self.prebuild = Some(text),
            "postbuild" => self.postbuild = Some(text),
            "prerun" => self.prerun = Some(text),
            "cron" => self.cron.push(cron_job(command).map_err(|message| (message, None))?),
            worker => {
                let hint = nearest(worker, RESERVED).map(|near| format!("did you mean `{near}`?"));
                let name = ProcessName::new(worker).map_err(|error| (error.to_string(), hint))?;
                self.workers.insert(name, text);
            }
        }
        Ok(())
    }

    /// Two lines that both claim the requests contradict each other.
    fn check(&self, file: &Path, text: &str, seen: &BTreeMap<String, usize>) -> Result<(), Diagnostic> {
        let mut claims: Vec<_> = ["web", "wsgi", "static"]
            .into_iter()
            .filter_map(|kind| seen.get(kind).map(|&line| (line, kind)))
            .collect();
        claims.sort_unstable();
        let [(first_line, first), (second_line, second), ..] = claims.as_slice() else {
            return Ok(());
        };
        let message = format!("`{second}` and `{first}` (line {first_line}) both answer the requests");
        let hint = "keep one; static folders beside an app belong in hop3.toml, [proxy.static]".to_owned();
        Err(Diagnostic::on_line(file, text, *second_line, message, Some(hint)))
    }
}

impl WsgiTarget {
    /// `package.module:callable`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WsgiTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_name = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let (module, callable) = text.split_once(':').unwrap_or((&text, "application"));
        if module.split('.').all(is_name) && is_name(callable) {
            Ok(Self(format!("{module}:{callable}")))
        } else {
            Err(format!("`{text}` is not `module:callable`, e.g. `shop.wsgi:application`"))
        }
    }
}

impl From<WsgiTarget> for String {
    fn from(target: WsgiTarget) -> Self {
        target.0
    }
}

fn cron_job(text: &str) -> Result<CronJob, String> {
    let fields = if text.starts_with('@') { 1 } else { 5 };
    let mut rest = text;
    for _ in 0..fields {
        rest = rest.trim_start();
        rest = &rest[rest.find(char::is_whitespace).unwrap_or(rest.len())..];
    }
    let command = rest.trim();
    if command.is_empty() {
        return Err("`cron` needs five time fields and a command".to_owned());
    }
    let schedule = text[..text.len() - rest.len()].split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(CronJob { schedule, command: command.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Procfile, String> {
        Procfile::parse(Path::new("Procfile"), text).map_err(|fault| fault.to_string())
    }

    #[test]
    fn all_kinds_of_lines() {
        let text = "# how it runs\nwsgi: shop.wsgi\nworker: celery -A shop worker\nprerun: ./migrate.sh\n\
                    release: echo done\nprebuild: a\npostbuild: b\ncron: */5 * * * *  ./tick now\ncron: @daily ./day\n";
        let procfile = parse(text).unwrap();
        assert_eq!(procfile.wsgi.unwrap().as_str(), "shop.wsgi:application");
        assert_eq!(procfile.workers.len(), 1);
        assert_eq!(procfile.cron[0].schedule, "*/5 * * * *");
        assert_eq!(procfile.cron[0].command, "./tick now");
        assert_eq!(procfile.cron[1].schedule, "@daily");
    }

    #[test]
    fn faults_are_placed() {
        for (text, message) in [
            ("web", "Procfile:1:1: this line has no `:`"),
            ("a: b\n  web:", "Procfile:2:3: `web` has no command"),
            ("web: a\nweb: b", "Procfile:2:1: `web` is already given on line 1"),
            ("wsgi: a b", "`a b` is not `module:callable`"),
            ("web: a\nwsgi: b:c", "Procfile:2:1: `wsgi` and `web` (line 1) both answer the requests"),
            ("my worker: x", "must not contain ` `"),
            ("cron: * * * * x", "needs five time fields"),
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.contains(message), "{text:?}: {fault}");
        }
    }
}
