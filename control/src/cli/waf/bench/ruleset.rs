//! Which rules are measured, and how long loading them takes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hop3_rules::{RulesetName, Selection, Source, Store};
use hop3_seclang::Parser;
use hop3_seclang::loader::Files;
use hop3_waf::Ruleset;

use crate::data::DataDir;
use crate::failure::{Failure, Kind};
use crate::firewall::failed;

/// Rules ready to be measured.
#[derive(Debug)]
pub struct Loaded {
    /// What they are called, with their version.
    pub name: String,
    /// The compiled rules.
    pub ruleset: Arc<Ruleset>,
    /// How long reading, parsing and compiling took.
    pub time: Duration,
}

/// Loads the rules that `named` means, blocking, at a paranoia level.
///
/// # Errors
/// There are no such rules, or they have errors.
pub fn load(named: Option<&str>, paranoia: u8, data: &DataDir) -> Result<Loaded, Failure> {
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::new(Kind::Internal, "cannot make a temporary folder").because(&error))?;
    let open = |root: &Path| Store::open(root).map_err(|error| failed(&error));
    // Nothing is made in the server's directory by measuring.
    let installed = || if data.rules().is_dir() { open(&data.rules()) } else { open(scratch.path()) };
    match Meant::by(named)? {
        Meant::Default => {
            let store = installed()?;
            let current = store.current().map_err(|error| failed(&error))?;
            let name = if current.is_some() { RulesetName::OwaspCrs(current) } else { RulesetName::Base };
            assembled(&store, name, paranoia)
        }
        Meant::Installed(name) => assembled(&installed()?, name, paranoia),
        Meant::Release(path) => {
            let store = open(scratch.path())?;
            store.install(&Source::Path(path.into()), SystemTime::now()).map_err(|error| failed(&error))?;
            assembled(&store, RulesetName::OwaspCrs(None), paranoia)
        }
        Meant::File(path) => file(Path::new(path), paranoia),
    }
}

/// What the argument of `--ruleset` means.
#[derive(Debug, PartialEq, Eq)]
enum Meant<'a> {
    Default,
    Installed(RulesetName),
    /// A folder or an archive.
    Release(&'a str),
    File(&'a str),
}

impl<'a> Meant<'a> {
    fn by(named: Option<&'a str>) -> Result<Meant<'a>, Failure> {
        let Some(text) = named else { return Ok(Meant::Default) };
        match text {
            "base" => return Ok(Meant::Installed(RulesetName::Base)),
            "owasp-crs" => return Ok(Meant::Installed(RulesetName::OwaspCrs(None))),
            _ => {}
        }
        let version = text.strip_prefix("owasp-crs").and_then(|rest| rest.strip_prefix(['@', ' ', '/', '-']));
        if let Ok(version) = version.unwrap_or(text).parse()
            && !Path::new(text).exists()
        {
            return Ok(Meant::Installed(RulesetName::OwaspCrs(Some(version))));
        }
        let path = Path::new(text);
        if path.is_dir() || (path.is_file() && (text.ends_with(".tar.gz") || text.ends_with(".tgz"))) {
            Ok(Meant::Release(text))
        } else if path.is_file() {
            Ok(Meant::File(text))
        } else {
            Err(Failure::not_found(format!("there is no ruleset `{text}`")).hint(
                "name base, owasp-crs, owasp-crs@VERSION, the folder of a CRS release, or a .conf file",
            ))
        }
    }
}

fn assembled(store: &Store, name: RulesetName, paranoia: u8) -> Result<Loaded, Failure> {
    let selection =
        Selection { paranoia_level: paranoia, detection_paranoia_level: paranoia, ..Selection::new(name) };
    let begin = Instant::now();
    let assembled = store.assemble(&selection).map_err(|error| failed(&error))?;
    let ruleset = compiled(&assembled.document)?;
    let time = begin.elapsed();
    let version = assembled.version.map(|version| format!(" {version}")).unwrap_or_default();
    Ok(Loaded { name: format!("{}{version}", assembled.name), ruleset, time })
}

/// A configuration of the person's own: it may include whatever they may read, and says itself how bodies are parsed.
fn file(path: &Path, paranoia: u8) -> Result<Loaded, Failure> {
    let loader = Files::beneath(["/"]);
    let begin = Instant::now();
    let mut parser = Parser::new(&loader);
    parser.text("hop3/bench.conf", setup(paranoia));
    parser.file(path);
    let document = parser.finish().map_err(|diagnostics| wrong(&diagnostics))?;
    let ruleset = compiled(&document)?;
    Ok(Loaded { name: path.display().to_string(), ruleset, time: begin.elapsed() })
}

/// What the options say, where the file does not say otherwise. CRS 3 and 4 name the level differently.
fn setup(paranoia: u8) -> String {
    let levels: String =
        ["blocking_paranoia_level", "detection_paranoia_level", "paranoia_level", "executing_paranoia_level"]
            .map(|name| format!(",setvar:'tx.{name}={paranoia}'"))
            .concat();
    format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecAction \"id:8100101,phase:1,pass,nolog,t:none{levels}\"\n"
    )
}

fn compiled(document: &hop3_seclang::Document) -> Result<Arc<Ruleset>, Failure> {
    Ruleset::compile(document).map(Arc::new).map_err(|error| wrong(&error))
}

fn wrong(error: &dyn std::fmt::Display) -> Failure {
    Failure::usage("the rules have errors").detail(error.to_string().lines().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_folders_and_files_are_told_apart() {
        let installed = |version: Option<&str>| {
            Meant::Installed(RulesetName::OwaspCrs(version.map(|version| version.parse().unwrap())))
        };
        let here = env!("CARGO_MANIFEST_DIR");
        let manifest = format!("{here}/Cargo.toml");
        let cases = [
            (None, Meant::Default),
            (Some("base"), Meant::Installed(RulesetName::Base)),
            (Some("owasp-crs"), installed(None)),
            (Some("owasp-crs@4.28.0"), installed(Some("4.28.0"))),
            (Some("4.28.0"), installed(Some("4.28.0"))),
            (Some(here), Meant::Release(here)),
            (Some(&manifest), Meant::File(&manifest)),
        ];
        for (named, meant) in cases {
            assert_eq!(Meant::by(named).unwrap(), meant, "{named:?}");
        }
        let error = Meant::by(Some("./nowhere.conf")).unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (Kind::NotFound, "there is no ruleset `./nowhere.conf`")
        );
    }
}
