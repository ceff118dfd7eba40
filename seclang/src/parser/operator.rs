//! Operators: name, negation, argument, and the files the argument names.

use std::net::IpAddr;
use std::path::PathBuf;

use super::arguments::shorten;
use super::{Parser, unknown_name};
use crate::ast::{DataFile, Operator, OperatorName, Template};
use crate::diagnostic::Diagnostic;
use crate::source::Located;
use crate::text::{Slice, Text, is_blank};

impl Parser<'_> {
    /// Reads the second argument of `SecRule`.
    pub(super) fn operator(&mut self, text: &Text) -> Option<Located<Operator>> {
        let slice = text.all();
        let start = slice.position(|b| !is_blank(*b)).unwrap_or(slice.len());
        let (negated, rest) = match slice.bytes().get(start) {
            Some(b'!') => (true, slice.from(start + 1)),
            _ => (false, slice),
        };
        let lead = rest.position(|b| !is_blank(*b)).unwrap_or(rest.len());
        let (name, argument) = match rest.bytes().get(lead) {
            Some(b'@') => self.named(rest.from(lead))?,
            _ => (OperatorName::Rx, rest),
        };
        let files = self.check_argument(name, argument)?;
        let template = match name {
            name if expands_macros(name) => self.template(argument.bytes().to_vec(), argument.span()),
            _ => Template::literal(argument.bytes()),
        };
        Some(Located::new(text.span, Operator { negated, name, argument: template, files }))
    }

    /// `@name argument`.
    fn named<'t>(&mut self, slice: Slice<'t>) -> Option<(OperatorName, Slice<'t>)> {
        let blanks = slice.from(1).bytes().iter().take_while(|b| is_blank(**b)).count();
        let word = slice.from(1 + blanks);
        let end = word.position(|b| is_blank(*b)).unwrap_or(word.len());
        let (name, argument) = (word.sub(0..end), word.from(end));
        let text = name.lossy();
        let whole = slice.sub(0..1 + blanks + end);
        let Some(operator) = OperatorName::from_name(&text) else {
            let error = Diagnostic::error(whole.span(), format!("unknown operator `@{}`", shorten(&text)));
            self.report(unknown_name(
                error,
                &text,
                "@",
                OperatorName::SPELLINGS.iter().map(|(name, _)| *name),
            ));
            return None;
        };
        if let Some(why) = crate::refused::operator(operator) {
            let error =
                Diagnostic::error(whole.span(), format!("the operator `@{operator}` is not supported"));
            self.report(error.hint(why));
            return None;
        }
        let argument = match operator {
            // Blanks are part of these arguments, except the one after the name.
            OperatorName::Rx | OperatorName::RxGlobal => {
                let lead = argument.position(|b| !is_blank(*b)).unwrap_or(argument.len());
                argument.from(lead)
            }
            _ => argument.trim(),
        };
        Some((operator, argument))
    }

    /// What can be said about an argument without running it; the files it names.
    fn check_argument(&mut self, name: OperatorName, argument: Slice<'_>) -> Option<Vec<DataFile>> {
        use OperatorName::*;
        let has_macro = !Template::parse(argument.bytes()).is_literal();
        match name {
            DetectSqli | DetectXss | UnconditionalMatch | NoMatch | ValidateUrlEncoding
            | ValidateUtf8Encoding | GeoLookup
                if !argument.is_empty() =>
            {
                self.warn(argument.span(), format!("`@{name}` takes no argument; this one has no effect"));
            }
            Eq | Ge | Gt | Le | Lt => {
                let text = argument.lossy();
                if !has_macro && text.parse::<i64>().is_err() {
                    let message = format!("`{}` is not a number, and counts as 0", shorten(&text));
                    self.warn(argument.span(), message);
                }
            }
            ValidateByteRange => self.byte_ranges(argument)?,
            IpMatch if !has_macro => self.networks(argument)?,
            PmFromFile | IpMatchFromFile => return self.data_files(name, argument),
            ValidateDtd | ValidateSchema => {
                let files = self.data_files(name, argument)?;
                if files.len() > 1 {
                    self.error(argument.span(), format!("`@{name}` takes one file"));
                    return None;
                }
                return Some(files);
            }
            FuzzyHash => return self.hashes(argument),
            InspectFile => return self.script(argument).map(|script| vec![script]),
            Pm | PmFromDataset | IpMatchFromDataset | RestPath | Rbl if argument.is_empty() => {
                self.error(argument.span(), format!("`@{name}` needs an argument"));
                return None;
            }
            _ => {}
        }
        Some(Vec::new())
    }

    /// A Lua script, read now: nothing else is run on requests.
    pub(super) fn script(&mut self, argument: Slice<'_>) -> Option<DataFile> {
        let text = argument.lossy();
        if !text.ends_with(".lua") {
            let message = format!("`{}` is no Lua script", shorten(&text));
            self.report(Diagnostic::error(argument.span(), message).hint(crate::refused::PROGRAMS));
            return None;
        }
        let path = self.resolve(&text);
        let contents = self.data_file(&path, argument.span())?;
        Some(DataFile { path, contents })
    }

    /// `FILE SCORE`.
    fn hashes(&mut self, argument: Slice<'_>) -> Option<Vec<DataFile>> {
        let parts = argument.split(is_blank);
        let [file, score] = parts.as_slice() else {
            self.report(
                Diagnostic::error(argument.span(), "`@fuzzyHash` needs a file and a score")
                    .hint("write `@fuzzyHash FILE SCORE`, with a score from 0 to 100"),
            );
            return None;
        };
        self.number_in(*score, "the score", 0, 100)?;
        let path = self.resolve(&file.lossy());
        let contents = self.data_file(&path, file.span())?;
        Some(vec![DataFile { path, contents }])
    }

    /// `9,10,32-126`.
    fn byte_ranges(&mut self, argument: Slice<'_>) -> Option<()> {
        let parts = argument.split(|b| b == b',');
        if parts.is_empty() {
            self.error(argument.span(), "`@validateByteRange` needs bytes or ranges of bytes");
            return None;
        }
        for part in parts.into_iter().map(Slice::trim) {
            let (first, last) = part.split_once(b'-').unwrap_or((part, part));
            let first = self.number_in(first, "byte", 0, 255)?;
            let last = self.number_in(last, "byte", 0, 255)?;
            if first > last {
                self.error(part.span(), format!("the range `{first}-{last}` is empty"));
                return None;
            }
        }
        Some(())
    }

    /// `192.0.2.1,2001:db8::/32`.
    fn networks(&mut self, argument: Slice<'_>) -> Option<()> {
        let parts = argument.split(|b| b == b',' || is_blank(b));
        if parts.is_empty() {
            self.error(argument.span(), "`@ipMatch` needs an address or a network");
            return None;
        }
        for part in parts {
            if !is_network(&part.lossy()) {
                let message = format!("`{}` is no address and no network", shorten(&part.lossy()));
                let error = Diagnostic::error(part.span(), message);
                self.report(error.hint("write addresses like `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`"));
                return None;
            }
        }
        Some(())
    }

    fn data_files(&mut self, name: OperatorName, argument: Slice<'_>) -> Option<Vec<DataFile>> {
        let parts = argument.split(is_blank);
        if parts.is_empty() {
            self.error(argument.span(), format!("`@{name}` needs the name of a file"));
            return None;
        }
        let mut files = Vec::new();
        for part in parts {
            let text = part.lossy();
            if text.starts_with("http://") || text.starts_with("https://") {
                let error = Diagnostic::error(part.span(), "lists are never fetched while rules load");
                self.report(error.hint("download the file, and name its path"));
                return None;
            }
            let path: PathBuf = self.resolve(&text);
            let contents = self.data_file(&path, part.span())?;
            files.push(DataFile { path, contents });
        }
        Some(files)
    }
}

/// Whether the operator expands macros when it runs.
fn expands_macros(name: OperatorName) -> bool {
    use OperatorName::*;
    matches!(
        name,
        BeginsWith
            | Contains
            | ContainsWord
            | EndsWith
            | Eq
            | Ge
            | Gt
            | Le
            | Lt
            | IpMatch
            | Rx
            | RxGlobal
            | StrEq
            | StrMatch
            | Within
    )
}

fn is_network(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|bits| bits <= most))
}
