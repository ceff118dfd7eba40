//! The rulesets under test: the Core Rule Set at two paranoia levels, or the base ruleset where there is none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hop3_rules::{RulesetName, Selection, Store};
use hop3_seclang::ast::DirectiveKind;
use hop3_seclang::loader::{Files, Loader};
use hop3_seclang::{Document, Parser};
use hop3_tests::data;
use hop3_waf::Ruleset;

/// What Debian installs.
const DEBIAN_CRS: &str = "/usr/share/modsecurity-crs";

/// Where Debian keeps its set-up.
const DEBIAN_SETUP: &str = "/etc/modsecurity/crs";

/// As the product has it, but never interrupting, so that every rule runs; and
/// with room for a mebibyte of arguments.
const ENGINE: &str = "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\n\
    SecRequestBodyNoFilesLimit 2097152\nSecArgumentsLimit 1000\n\
    SecResponseBodyAccess On\nSecResponseBodyLimit 2097152\nSecResponseBodyMimeType text/html\n\
    SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
    \"id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
    \"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";

/// Ids of the rules that only set things up: the engine's, and CRS's initialisation.
const SET_UP: [std::ops::RangeInclusive<u64>; 2] = [1..=899_999, 900_000..=901_999];

/// A ruleset and the document it came from.
pub struct Subject {
    pub name: &'static str,
    pub ruleset: Arc<Ruleset>,
    document: Document,
}

impl Subject {
    fn new(name: &'static str, document: Document) -> Self {
        let ruleset = Ruleset::compile(&document).unwrap_or_else(|error| panic!("{error}"));
        Self { name, ruleset: Arc::new(ruleset), document }
    }

    /// Ids of all rules that detect something.
    pub fn rules(&self) -> Vec<u64> {
        self.ruleset.rule_ids().filter(|id| !SET_UP.iter().any(|range| range.contains(id))).collect()
    }

    /// The set-up with one of the rules, or with none.
    pub fn with_only(&self, wanted: Option<u64>) -> Arc<Ruleset> {
        let mut document = self.document.clone();
        document.directives.retain(|directive| match &directive.kind {
            DirectiveKind::Rule(rule) => {
                wanted == Some(rule.id) || SET_UP.iter().any(|range| range.contains(&rule.id))
            }
            DirectiveKind::RuleUpdateTargetById { .. } => false,
            _ => true,
        });
        Arc::new(Ruleset::compile(&document).unwrap_or_else(|error| panic!("{error}")))
    }
}

/// The subjects that this machine has data for.
pub fn all() -> Vec<Subject> {
    let debian = || Some(PathBuf::from(DEBIAN_CRS)).filter(|path| path.is_dir());
    match data::suite("crs").or_else(debian) {
        Some(folder) => vec![
            Subject::new("CRS at paranoia level 1", crs(&folder, 1)),
            Subject::new("CRS at paranoia level 4", crs(&folder, 4)),
        ],
        None => vec![Subject::new("base ruleset", base())],
    }
}

fn crs(folder: &Path, level: u8) -> Document {
    let loader = Files::beneath([folder, Path::new(DEBIAN_SETUP)]);
    let mut parser = Parser::new(&loader);
    parser.text("engine.conf", ENGINE);
    let setup = folder.join("crs-setup.conf.example");
    parser.file(if setup.is_file() { setup } else { Path::new(DEBIAN_SETUP).join("crs-setup.conf") });
    let levels = ["tx.blocking_paranoia_level", "tx.detection_paranoia_level", "tx.paranoia_level"];
    let levels: String = levels.iter().map(|name| format!(",setvar:{name}={level}")).collect();
    parser.text("level.conf", format!("SecAction \"id:900005,phase:1,nolog,pass{levels}\"\n"));
    let pattern = folder.join("rules/*.conf").display().to_string();
    for path in loader.glob(&pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")) {
        parser.file(&path);
    }
    parser.finish().unwrap_or_else(|errors| panic!("{errors}"))
}

fn base() -> Document {
    let root = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let store = Store::open(root.path()).unwrap_or_else(|error| panic!("{error}"));
    let assembled =
        store.assemble(&Selection::new(RulesetName::Base)).unwrap_or_else(|error| panic!("{error}"));
    assembled.document
}
