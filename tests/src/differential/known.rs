//! The differences that are understood: `differential/differences.yaml`.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use serde::Deserialize;

use super::generate::Exchange;
use super::observe::{Difference, Observed, Side};

/// The list, in order; the first entry that fits explains a difference.
#[derive(Debug)]
pub struct Known {
    entries: Vec<Entry>,
}

/// One cause of differences.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub cause: String,
    /// Which side is right.
    pub right: Right,
    /// Why.
    pub why: String,
    rules: Regex,
    logged_by: Option<Side>,
    beside: Option<Regex>,
    when: Option<Regex>,
}

/// Which side a difference speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// This engine.
    Hop3,
    /// The library; the entry is a defect of this engine that is to be fixed.
    Libmodsecurity,
    /// Both: the manual leaves it open.
    Either,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    cause: String,
    rules: String,
    logged_by: Option<Side>,
    beside: Option<String>,
    when: Option<String>,
    right: Right,
    why: String,
}

impl Known {
    /// Reads the list.
    ///
    /// # Errors
    /// What is wrong with its text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rows: Vec<Row> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let entries = rows.into_iter().map(Entry::new).collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The number of the entry that explains a difference between answers to a request; `wire` is [`wire`]'s.
    pub fn explain(
        &self,
        difference: &Difference,
        ours: &Observed,
        theirs: &Observed,
        wire: &[u8],
    ) -> Option<usize> {
        let beside: String =
            ours.rules.keys().chain(theirs.rules.keys()).map(|rule| format!("{rule}\n")).collect();
        self.entries.iter().position(|entry| entry.fits(difference, &beside, wire))
    }
}

impl Entry {
    fn new(row: Row) -> Result<Self, String> {
        let compile = |pattern: &str| {
            let config =
                syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true).multi_line(true);
            Regex::builder().syntax(config).build(pattern).map_err(|error| format!("{}: {error}", row.cause))
        };
        let rules = compile(&format!("^(?:{})$", row.rules))?;
        let beside = row.beside.map(|rules| compile(&format!("^(?:{rules})$"))).transpose()?;
        let when = row.when.as_deref().map(compile).transpose()?;
        Ok(Self {
            rules,
            beside,
            when,
            cause: row.cause,
            right: row.right,
            why: row.why,
            logged_by: row.logged_by,
        })
    }

    fn fits(&self, difference: &Difference, beside: &str, wire: &[u8]) -> bool {
        let (name, by) = match difference {
            Difference::Logged { rule, by } => (rule.to_string(), Some(*by)),
            Difference::Phase { rule } => (format!("phase of {rule}"), None),
            Difference::Scores(..) => ("scores".to_owned(), None),
            Difference::Stop(..) => ("stop".to_owned(), None),
        };
        let by_fits = by.is_none() || self.logged_by.is_none() || self.logged_by == by;
        let is_in = |pattern: &Option<Regex>, text: &[u8]| {
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
        };
        by_fits
            && self.rules.is_match(&name)
            && is_in(&self.beside, beside.as_bytes())
            && is_in(&self.when, wire)
    }
}

/// What the patterns of the list are matched against: the request as sent, an empty line, then the response.
pub fn wire(exchange: &Exchange) -> Vec<u8> {
    let mut bytes = exchange.request.to_bytes();
    bytes.extend_from_slice(format!("\r\n\r\nHTTP/1.1 {}\r\n", exchange.response.status).as_bytes());
    for (name, value) in &exchange.response.headers {
        bytes.extend([name, &b": "[..], value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&exchange.response.body);
    bytes
}
