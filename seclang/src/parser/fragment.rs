//! Files that are read once and are part of many documents: a release of rules between what each application says.

use std::collections::{BTreeMap, HashMap};

use super::{MOST_ERRORS, Parser};
use crate::ast::{Directive, IdRange, Phase};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::loader::Loader;
use crate::source::{Sources, Span};

/// What some files say. Its rules are shared by all documents that it is put into.
#[derive(Debug)]
pub struct Fragment {
    sources: Sources,
    directives: Vec<Directive>,
    warnings: Vec<Diagnostic>,
    ids: BTreeMap<u64, Span>,
    removed: Vec<IdRange>,
    defaults: HashMap<Phase, Span>,
    opened: usize,
    read: usize,
}

impl<'l> Parser<'l> {
    /// What was read, to be put into documents. It was read as if nothing stood before it: a
    /// `SecRemoteRulesFailAction` of the document does not reach into it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn fragment(self) -> Result<Fragment, Diagnostics> {
        if self.errors > 0 {
            return Err(Diagnostics { list: self.findings, sources: self.sources.into() });
        }
        Ok(Fragment {
            sources: self.sources,
            directives: self.directives,
            warnings: self.findings,
            ids: self.ids,
            removed: self.removed,
            defaults: self.defaults,
            opened: self.opened,
            read: self.read,
        })
    }

    /// For a document that will hold `fragment`, at the place where [`Parser::put`] puts it.
    pub fn around(loader: &'l dyn Loader, fragment: &'l Fragment) -> Self {
        // The spans of its rules name its files by number, so they come first.
        let sources = fragment.sources.clone();
        Self { sources, fragment: Some(fragment), ..Self::new(loader) }
    }

    /// Puts the fragment that the parser was made for here, as if its files were read now; once.
    pub fn put(&mut self) -> &mut Self {
        let Some(fragment) = self.fragment.take() else { return self };
        self.opened += fragment.opened;
        self.read += fragment.read;
        fragment.warnings.iter().cloned().for_each(|warning| self.report(warning));
        for range in &fragment.removed {
            self.free(*range);
        }
        for (&id, &at) in &fragment.ids {
            if self.errors >= MOST_ERRORS {
                return self;
            }
            self.take(id, at);
        }
        let mut defaults: Vec<_> = fragment.defaults.iter().map(|(&phase, &span)| (phase, span)).collect();
        defaults.sort_by_key(|(_, span)| (span.file, span.start));
        for (phase, span) in defaults {
            self.default_action_set(phase, span);
        }
        self.directives.extend(fragment.directives.iter().cloned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::MemoryLoader;

    const RELEASE: &str = "SecDefaultAction \"phase:1,log,pass\"\nSecRule ARGS \"@pm a b\" \"id:10,phase:2,deny,chain\"\n  \
                           SecRule ARGS_NAMES \"@streq c\"\nSecMarker END\nSecRuleRemoveById 20\nInclude more.conf\n";
    const MORE: &str = "SecAction \"id:11,phase:1,pass,nolog\"\n";

    fn loader() -> MemoryLoader {
        MemoryLoader::new().with("release.conf", RELEASE).with("more.conf", MORE)
    }

    fn fragment(loader: &MemoryLoader) -> Fragment {
        let mut parser = Parser::new(loader);
        parser.file("release.conf");
        parser.fragment().unwrap()
    }

    /// What is read in one go, and with the fragment.
    fn both(before: &str, after: &str) -> [Result<crate::Document, Diagnostics>; 2] {
        let loader = loader();
        let mut plain = Parser::new(&loader);
        plain.text("before.conf", before).file("release.conf").text("after.conf", after);
        let fragment = fragment(&loader);
        let mut shared = Parser::around(&loader, &fragment);
        shared.text("before.conf", before).put().text("after.conf", after);
        [plain.finish(), shared.finish()]
    }

    #[test]
    fn the_document_is_the_same() {
        let before = "SecAction \"id:1,phase:1,pass\"\nSecAction \"id:20,phase:1,pass\"\n";
        let after =
            "SecRuleRemoveById 10\nSecAction \"id:10,phase:1,pass\"\nSecAction \"id:20,phase:1,pass\"\n";
        let [plain, shared] = both(before, after).map(Result::unwrap);
        assert_eq!(plain, shared);
        assert_eq!(plain.rules().count(), 6);
        for (plain_rule, rule) in plain.rules().zip(shared.rules()) {
            assert_eq!(plain.sources.place(plain_rule.span), shared.sources.place(rule.span));
            assert_eq!(plain.sources.text(plain_rule.span), shared.sources.text(rule.span));
        }
        assert_eq!(plain.sources.files().len(), shared.sources.files().len());
    }

    #[test]
    fn rules_are_shared() {
        let loader = loader();
        let fragment = fragment(&loader);
        let document = |text: &str| {
            let mut parser = Parser::around(&loader, &fragment);
            parser.text("own.conf", text).put();
            parser.finish().unwrap()
        };
        let [first, second] = ["SecAction \"id:1,pass\"\n", ""].map(document);
        let heads = |document: &crate::Document| {
            document.rules().filter(|rule| rule.id >= 10).map(std::ptr::from_ref).collect::<Vec<_>>()
        };
        assert_eq!(heads(&first), heads(&second));
        assert_eq!((heads(&first).len(), first.rules().count()), (2, 3));
    }

    #[test]
    fn errors_and_warnings_are_the_same() {
        let cases = [
            ("SecAction \"id:10,pass\"\n", ""),
            ("", "SecAction \"id:11,pass\"\n"),
            ("SecDefaultAction \"phase:1,log,pass\"\n", ""),
            ("", "SecDefaultAction \"phase:1,log,deny\"\n"),
            ("SecRule ARGS \"@contain x\" \"id:3\"\n", "SecNothing\n"),
        ];
        for (before, after) in cases {
            let told = both(before, after).map(|read| match read {
                Ok(document) => document
                    .warnings
                    .iter()
                    .map(|warning| {
                        format!("{} {}", document.sources.place(warning.span.unwrap()), warning.message)
                    })
                    .collect::<Vec<_>>()
                    .join("\n"),
                Err(diagnostics) => diagnostics.to_string(),
            });
            assert!(!told[0].is_empty());
            assert_eq!(told[0], told[1], "{before}{after}");
        }
        let loader = MemoryLoader::new().with("release.conf", "SecRule ARGS\n");
        let mut parser = Parser::new(&loader);
        parser.file("release.conf");
        assert!(parser.fragment().unwrap_err().to_string().contains("release.conf:1"));
    }
}
