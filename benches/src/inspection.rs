//! Puts requests before our engine, as the proxy does.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hop3_rules::{RulesetName, Selection, Source, Store};
use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart, Verdict};

use crate::corpus::Request;

/// Compiles a release of the Core Rule Set, or the embedded base ruleset, at
/// paranoia level 1, blocking.
///
/// # Errors
/// The folder holds no release, or its rules have errors.
pub fn ruleset(crs: Option<&Path>) -> Result<Arc<Ruleset>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path())?;
    let name = match crs {
        None => RulesetName::Base,
        Some(crs) => {
            store.install(&Source::Path(crs.into()), SystemTime::now())?;
            RulesetName::OwaspCrs(None)
        }
    };
    let assembled = store.assemble(&Selection::new(name))?;
    Ok(Arc::new(Ruleset::compile(&assembled.document)?))
}

/// Phases 1 and 2; whether the request is refused.
pub fn refuses(ruleset: &Arc<Ruleset>, request: &Request) -> bool {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let start = TransactionStart {
        id: "benchmark-transaction".to_owned(),
        unix_time: Duration::from_secs(1_700_000_000),
        entropy: 1,
    };
    let connection = Connection { client: address(50_000), server: address(80) };
    let mut transaction = Transaction::new(Arc::clone(ruleset), start, connection);
    transaction.set_request_line(request.method.as_bytes(), request.target.as_bytes(), b"HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    if let Verdict::Interrupt(_) = transaction.process_request_headers() {
        return true;
    }
    let _ = transaction.append_request_body(&request.body);
    matches!(transaction.process_request_body(), Verdict::Interrupt(_))
}
