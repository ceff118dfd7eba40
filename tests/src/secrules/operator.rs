//! Cases of operators: whether a rule with the operator matches a header of the given value.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::Document;
use hop3_seclang::ast::{DataFile, DirectiveKind, Operator, OperatorName, Template};
use hop3_seclang::loader::MemoryLoader;
use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart};

use super::case::{Case, bytes};

/// Why a case is not run.
const NO_DATABASE: &str = "the suite's database of places is not part of the test data";

/// The outcome of one case.
#[derive(Debug)]
pub enum Judged {
    /// It passed.
    Passed,
    /// It needs what is not there.
    Skipped(&'static str),
    /// It failed, and why.
    Failed(String),
}

/// Judges one case of a file in `folder`.
pub fn judge(folder: &Path, case: &Case) -> Judged {
    let database = fs::read(folder.join("../../data/GeoIP2-City-Test.mmdb")).ok();
    if database.is_none() && case.name.eq_ignore_ascii_case("geoLookup") {
        return Judged::Skipped(NO_DATABASE);
    }
    match run(folder, case, database) {
        Ok(()) => Judged::Passed,
        Err(why) => Judged::Failed(why),
    }
}

fn run(folder: &Path, case: &Case, database: Option<Vec<u8>>) -> Result<(), String> {
    let expected = case.ret == 1;
    let document = document(operator(folder, case)?, database)?;
    let ruleset = match Ruleset::compile(&document) {
        Ok(ruleset) => Arc::new(ruleset),
        // A parameter that makes no sense is refused at load, and cannot match.
        Err(_) if !expected => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let mut transaction = transaction(&ruleset);
    transaction.add_request_header(b"x", &bytes(&case.input));
    let _ = transaction.process_request_headers();
    let matched = transaction.interruption().is_some();
    if matched != expected {
        return Err(format!("answered {matched}"));
    }
    for (index, group) in case.re_groups.iter().take(10).enumerate().filter(|_| matched) {
        let found = transaction.tx(&index.to_string());
        let wanted = group.as_deref().map(bytes).unwrap_or_default();
        if found.clone().unwrap_or_default() != wanted {
            return Err(format!("group {index} is {found:?}"));
        }
    }
    Ok(())
}

/// A rule with the operator, which is put into the tree directly: some parameters cannot be written in a rule, e.g.
/// those with a newline.
fn document(operator: Operator, database: Option<Vec<u8>>) -> Result<Document, String> {
    let (mut loader, mut places) = (MemoryLoader::new(), "");
    if let Some(database) = database {
        loader = loader.with("places.mmdb", database);
        places = "SecGeoLookupDb places.mmdb\n";
    }
    let rule = "SecRule REQUEST_HEADERS:x \"@noMatch\" \"id:1,phase:1,deny,capture,t:none\"\n";
    let rules = format!("SecRuleEngine On\n{places}{rule}");
    let mut document =
        hop3_seclang::parse_str("case.conf", &rules, &loader).map_err(|error| error.to_string())?;
    let condition = document.directives.iter_mut().find_map(|directive| match &mut directive.kind {
        DirectiveKind::Rule(rule) => Arc::make_mut(rule).condition.as_mut(),
        _ => None,
    });
    condition.ok_or("the rule has no condition")?.operator.node = operator;
    Ok(document)
}

fn operator(folder: &Path, case: &Case) -> Result<Operator, String> {
    let name = OperatorName::from_name(&case.name).ok_or(format!("no @{}", case.name))?;
    let mut files = Vec::new();
    if matches!(name, OperatorName::PmFromFile | OperatorName::IpMatchFromFile) {
        let file = case.param.rsplit_once("/operators/").map_or(case.param.as_str(), |(_, file)| file);
        let path = folder.join(file);
        let contents = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?.into();
        files.push(DataFile { path, contents });
    }
    Ok(Operator { negated: false, name, argument: Template::literal(case.param.as_str()), files })
}

fn transaction(ruleset: &Arc<Ruleset>) -> Transaction {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let start =
        TransactionStart { id: "test-1".into(), unix_time: Duration::from_secs(1_700_000_000), entropy: 7 };
    Transaction::new(Arc::clone(ruleset), start, Connection { client: local(40_000), server: local(80) })
}
