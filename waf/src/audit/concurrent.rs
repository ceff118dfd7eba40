//! The concurrent log: a file for each transaction, and a line of the index
//! (reference manual, `SecAuditLogType`; the layout of v3).

use hop3_transformations::{Context, Transformation};

use super::record::AuditTransaction;
use crate::variables::time;

/// Where the record lies below `SecAuditLogStorageDir`: `YYYYMMDD/YYYYMMDD-HHMM/YYYYMMDD-HHMMSS-ID`, in UTC.
pub fn storage_path(record: &AuditTransaction) -> String {
    let (day, clock) = time::compact(record.time());
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let id: String = record.id.chars().map(safe).collect();
    format!("{day}/{day}-{}/{day}-{clock}-{id}", &clock[..4])
}

/// The line of the index about a record that was written to `file`, with `content`.
pub fn index_line(record: &AuditTransaction, file: &str, content: &[u8]) -> Vec<u8> {
    let request = &record.request;
    let header = |wanted: &str| {
        let found = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map_or_else(|| "-".to_owned(), |(_, value)| plain(value))
    };
    let response = record.response.body.as_ref().map_or(0, |body| body.text.len() + body.omitted);
    let line = format!(
        "{} {} - [{}] \"{} {} {}\" {} {response} {} \"{}\" {} - {} 0 {} md5:{}\n",
        header("host"),
        record.client.ip(),
        time::common_log(record.time()),
        plain(&request.method),
        plain(&request.uri),
        plain(&request.protocol),
        record.response.status,
        header("referer"),
        header("user-agent"),
        record.id,
        plain(file),
        content.len(),
        md5(content),
    );
    line.into_bytes()
}

/// A text that ends neither its field nor its line.
fn plain(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars()
        .flat_map(
            |c| if c.is_control() || "\"\\".contains(c) { c.escape_default().collect() } else { vec![c] },
        )
        .collect()
}

fn md5(content: &[u8]) -> String {
    let (mut digest, mut text) = (Vec::new(), Vec::new());
    Transformation::Md5.apply(content, &mut digest, &Context::default());
    Transformation::HexEncode.apply(&digest, &mut text, &Context::default());
    String::from_utf8_lossy(&text).into_owned()
}
