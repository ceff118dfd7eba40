//! Operators with their arguments prepared, or refused with a reason.

use std::collections::BTreeSet;
use std::sync::Arc;

use hop3_bodies::xml::dtd::Dtd;
use hop3_bodies::xml::schema::Schema;
use hop3_lua::Script;
use hop3_seclang::ast::{self, OperatorName, RxMode};
use hop3_seclang::diagnostic::Diagnostic;
use hop3_seclang::source::{Located, Span};

use super::Compiler;
use super::draft::Draft;
use crate::inspection::Inspection;
use crate::operators::{
    BlockList, ByteRange, CheckDigits, Comparison, FuzzyHashes, Networks, Operator, PathTemplate, RxTemplate,
    parse_phrases, phrases_of_file,
};
use crate::regex::{Flags, Pattern};
use crate::ruleset::Fallback;
use crate::template::Template;
use crate::xml_body::{Definition, Validation};

/// Why an operator is not there, and what to use instead. The parser refuses
/// some by itself; what it lets pass is the engine's to refuse.
fn refusal(name: OperatorName) -> Option<&'static str> {
    hop3_seclang::refused::operator(name)
}

impl Compiler<'_> {
    /// The patterns of all rules that remain; those that cannot be compiled are left to whoever asks for one, who is
    /// told why.
    pub(super) fn patterns_of(&self, drafts: &[Draft]) -> Vec<Arc<Pattern>> {
        let flags = self.rx_flags();
        let links = drafts.iter().filter(|draft| !draft.removed).flat_map(|draft| &draft.links);
        let operators = links.filter_map(|link| link.operator.as_ref());
        let is_pattern = |name| matches!(name, OperatorName::Rx | OperatorName::RxGlobal);
        let texts: BTreeSet<&[u8]> = operators
            .filter(|operator| is_pattern(operator.name))
            .map(|operator| operator.argument.raw())
            .collect();
        self.parts.patterns(texts, flags)
    }

    fn rx_flags(&self) -> Flags {
        Flags {
            multi_line: self.settings.rx_mode == RxMode::Multiline,
            limited: self.settings.limits_all_patterns,
            ..Flags::default()
        }
    }

    /// Prepares an operator. `None` after an error.
    pub(super) fn operator(&mut self, rule_id: u64, operator: &Located<ast::Operator>) -> Option<Operator> {
        use OperatorName as N;
        let span = operator.span;
        if let Some(reason) = refusal(operator.name) {
            self.errors
                .push(Diagnostic::error(span, format!("`@{}` is not supported: {reason}", operator.name)));
            return None;
        }
        let argument = Template::compile(&operator.argument, &mut self.names);
        let raw = operator.argument.raw();
        let text = || operator.argument.raw_str();
        Some(match operator.name {
            N::Rx if argument.as_literal().is_none() => {
                Operator::RxTemplate(Box::new(RxTemplate::new(argument, self.rx_flags())))
            }
            N::Rx => Operator::Rx(self.rx(rule_id, raw, span)?),
            N::RxGlobal => Operator::RxGlobal(self.rx(rule_id, raw, span)?),
            N::RestPath => Operator::Inspection(Inspection::Path(self.path_template(&text(), span)?)),
            N::Pm => self.phrases(parse_phrases(raw), span)?,
            N::PmFromFile => {
                let phrases =
                    operator.files.iter().flat_map(|file| phrases_of_file(&file.contents)).collect();
                self.phrases(phrases, span)?
            }
            N::PmFromDataset => {
                let lines = self.dataset(&text(), span)?;
                self.phrases(lines.into_iter().map(String::into_bytes).collect(), span)?
            }
            N::IpMatch => self.networks(Networks::parse_list(&text()), span)?,
            N::IpMatchFromFile => {
                let mut networks = Ok(Networks::default());
                for file in &operator.files {
                    networks =
                        networks.and_then(|known| Ok(known.join(Networks::parse_file(&file.contents)?)));
                }
                self.networks(networks, span)?
            }
            N::IpMatchFromDataset => {
                let lines = self.dataset(&text(), span)?;
                self.networks(Networks::parse_file(lines.join("\n").as_bytes()), span)?
            }
            N::BeginsWith => Operator::BeginsWith(argument),
            N::EndsWith => Operator::EndsWith(argument),
            N::Contains | N::StrMatch => Operator::Contains(argument),
            N::ContainsWord => Operator::ContainsWord(argument),
            N::StrEq => Operator::StrEq(argument),
            N::Within => Operator::Within(argument),
            N::Eq => Operator::Compare(Comparison::Equal, argument),
            N::Ge => Operator::Compare(Comparison::AtLeast, argument),
            N::Gt => Operator::Compare(Comparison::Above, argument),
            N::Le => Operator::Compare(Comparison::AtMost, argument),
            N::Lt => Operator::Compare(Comparison::Below, argument),
            N::ValidateByteRange => self.byte_range(&text(), span),
            N::ValidateUrlEncoding => Operator::UrlEncoding,
            N::ValidateUtf8Encoding => Operator::Utf8Encoding,
            N::VerifyCc => self.check_digits(CheckDigits::CreditCard, rule_id, raw, span)?,
            N::VerifyCpf => self.check_digits(CheckDigits::Cpf, rule_id, raw, span)?,
            N::VerifySsn => self.check_digits(CheckDigits::Ssn, rule_id, raw, span)?,
            N::VerifySvnr => self.check_digits(CheckDigits::Svnr, rule_id, raw, span)?,
            N::ValidateNid => self.national_id(rule_id, &text(), span)?,
            N::DetectSqli => Operator::DetectSqli,
            N::DetectXss => Operator::DetectXss,
            N::UnconditionalMatch => Operator::Always,
            N::ValidateDtd | N::ValidateSchema => Operator::Inspection(self.validation(operator, span)?),
            N::InspectFile => {
                let script = self.script(operator.files.first()?, &text(), span)?;
                Operator::Inspection(Inspection::Script { script, with_value: true })
            }
            N::FuzzyHash => {
                let hashes = FuzzyHashes::parse(&operator.files.first()?.contents, &text());
                Operator::Inspection(Inspection::FuzzyHash(hashes))
            }
            N::NoMatch => Operator::Never,
            N::Rbl => self.block_list(&text(), span)?,
            N::GeoLookup => match &self.settings.places {
                Some(places) => Operator::GeoLookup(places.clone()),
                None => self.never(span, "`@geoLookup` never matches: there is no SecGeoLookupDb"),
            },
            other => {
                self.errors.push(Diagnostic::error(span, format!("`@{other}` is not supported")));
                return None;
            }
        })
    }

    fn block_list(&mut self, zone: &str, span: Span) -> Option<Operator> {
        let Some(list) = BlockList::new(zone) else {
            let message = format!("`{zone}` is no domain of a block list");
            self.errors.push(Diagnostic::error(span, message).hint("write one such as `bl.example.org`"));
            return None;
        };
        let list = match &self.settings.http_bl_key {
            _ if !list.wants_key() => list,
            Some(key) => match list.with_key(key) {
                Some(list) => list,
                None => {
                    let message = "the key of SecHttpBlKey is none of Project Honey Pot";
                    self.errors.push(Diagnostic::error(span, message).hint("it is twelve letters"));
                    return None;
                }
            },
            None => {
                let message =
                    format!("`@rbl {zone}` never matches: the list answers only those who have a key");
                self.warnings.push(Diagnostic::warning(span, message).hint("set it with SecHttpBlKey"));
                return Some(Operator::Never);
            }
        };
        self.warnings.push(
            Diagnostic::warning(span, "`@rbl` never matches unless the server may ask name servers")
                .hint("set `rbl = true` in [server.firewall] of hop3-server.toml, or use @ipMatchFromFile"),
        );
        Some(Operator::Rbl(list))
    }

    /// A definition that XML bodies are held against.
    fn validation(&mut self, operator: &Located<ast::Operator>, span: Span) -> Option<Inspection> {
        let name = operator.argument.raw_str().into_owned();
        if !self.settings.xml_external_entity {
            let message = format!("`{name}` is not loaded: SecXmlExternalEntity is Off");
            let hint = "write `SecXmlExternalEntity On`; what a body names is never loaded all the same";
            self.errors.push(Diagnostic::error(span, message).hint(hint));
            return None;
        }
        let contents = &operator.files.first()?.contents;
        let definition = match operator.name {
            OperatorName::ValidateDtd => Dtd::parse(contents)
                .map(Definition::Dtd)
                .map_err(|error| format!("the DTD `{name}` cannot be used: {error}")),
            _ => Schema::parse(contents)
                .map(Definition::Schema)
                .map_err(|error| format!("the schema `{name}` cannot be used: {error}")),
        };
        match definition {
            Ok(definition) => Some(Inspection::Xml(Box::new(Validation { name, definition }))),
            Err(message) => {
                self.errors.push(Diagnostic::error(span, message));
                None
            }
        }
    }

    /// A script, compiled.
    pub(super) fn script(&mut self, file: &ast::DataFile, name: &str, span: Span) -> Option<Arc<Script>> {
        match Script::new(name, &file.contents) {
            Ok(script) => Some(Arc::new(script)),
            Err(error) => {
                let message = format!("the script `{name}` cannot be compiled: {error}");
                self.errors.push(Diagnostic::error(span, message));
                None
            }
        }
    }

    /// An operator whose source of knowledge the engine does not have, as v3
    /// without its file: the ruleset loads, and says so.
    fn never(&mut self, span: Span, message: &str) -> Operator {
        self.warnings.push(Diagnostic::warning(span, message).hint("use @ipMatchFromFile with a local list"));
        Operator::Never
    }

    fn rx(&mut self, rule_id: u64, pattern: &[u8], span: Span) -> Option<Arc<Pattern>> {
        let flags = self.rx_flags();
        match self.parts.pattern(pattern, flags) {
            Ok(pattern) => {
                if let Some(construct) = pattern.pcre_only() {
                    self.fallbacks.push(Fallback { rule_id, construct });
                }
                Some(pattern)
            }
            Err(error) => {
                self.errors.push(Diagnostic::error(span, format!("the pattern cannot be compiled: {error}")));
                None
            }
        }
    }

    fn check_digits(
        &mut self,
        kind: CheckDigits,
        rule_id: u64,
        pattern: &[u8],
        span: Span,
    ) -> Option<Operator> {
        Some(Operator::CheckDigits(kind, self.rx(rule_id, pattern, span)?))
    }

    /// Coraza's `@validateNid COUNTRY PATTERN`.
    fn national_id(&mut self, rule_id: u64, text: &str, span: Span) -> Option<Operator> {
        let (country, pattern) = text.trim().split_once(' ').unwrap_or((text, ""));
        match country {
            "us" => self.check_digits(CheckDigits::Ssn, rule_id, pattern.as_bytes(), span),
            other => {
                let message = format!("`@validateNid` does not know the country `{other}`");
                self.errors.push(Diagnostic::error(span, message).hint("`us` is known"));
                None
            }
        }
    }

    fn phrases(&mut self, phrases: Vec<Vec<u8>>, span: Span) -> Option<Operator> {
        if phrases.iter().all(Vec::is_empty) {
            self.warnings
                .push(Diagnostic::warning(span, "there is no phrase to look for: the rule never matches"));
        }
        match self.parts.phrases(phrases) {
            Ok(set) => Some(Operator::Phrases(set)),
            Err(reason) => {
                self.errors
                    .push(Diagnostic::error(span, format!("the phrases cannot be prepared: {reason}")));
                None
            }
        }
    }

    fn networks(&mut self, networks: Result<Networks, String>, span: Span) -> Option<Operator> {
        match networks {
            Ok(networks) => Some(Operator::IpMatch(networks.into())),
            Err(part) => {
                let message = format!("`{part}` is no address and no network");
                let hint = "write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32";
                self.errors.push(Diagnostic::error(span, message).hint(hint));
                None
            }
        }
    }

    fn byte_range(&mut self, text: &str, span: Span) -> Operator {
        let (range, wrong) = ByteRange::parse(text);
        for part in wrong {
            let message = format!("`{part}` is no range of bytes: it counts as 0");
            self.warnings
                .push(Diagnostic::warning(span, message).hint("write numbers from 0 to 255: `10,13,32-126`"));
        }
        Operator::ByteRange(range)
    }

    fn path_template(&mut self, text: &str, span: Span) -> Option<PathTemplate> {
        PathTemplate::parse(text.trim())
            .map_err(|reason| {
                let message = format!("the path cannot be used: {reason}");
                let hint = "write one such as `/users/{id}/posts/{post}`";
                self.errors.push(Diagnostic::error(span, message).hint(hint));
            })
            .ok()
    }

    fn dataset(&mut self, name: &str, span: Span) -> Option<Vec<String>> {
        let found = self.datasets.get(&name.trim().to_ascii_lowercase()).cloned();
        if found.is_none() {
            let message = format!("there is no dataset `{}` before this rule", name.trim());
            self.errors.push(Diagnostic::error(span, message).hint("define it with SecDataset"));
        }
        found
    }
}
