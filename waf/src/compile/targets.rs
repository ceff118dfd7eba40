//! Variables and selectors of rules.

use hop3_seclang::ast::{self, Variable};
use hop3_seclang::diagnostic::Diagnostic;
use hop3_seclang::source::{Located, Span};

use super::Compiler;
use crate::regex::Flags;
use crate::rule::{Selector, Target};

impl Compiler<'_> {
    /// The targets of a link; exclusions are attached to the targets they narrow.
    pub(super) fn targets(&mut self, targets: &[Located<ast::Target>]) -> Box<[Target]> {
        let mut compiled: Vec<Target> = Vec::new();
        for target in targets.iter().filter(|target| !target.exclude) {
            let selector = self.selector(target.variable, target.selector.as_ref(), target.span);
            compiled.push(Target {
                variable: target.variable,
                selector,
                count: target.count,
                exclusions: Vec::new(),
            });
        }
        for exclusion in targets.iter().filter(|target| target.exclude) {
            let selector = self.selector(exclusion.variable, exclusion.selector.as_ref(), exclusion.span);
            let narrowed = compiled.iter_mut().filter(|target| target.variable == exclusion.variable);
            narrowed.for_each(|target| target.exclusions.push(selector.clone()));
        }
        // Nothing is left of a target that is excluded as a whole.
        compiled.retain(|target| {
            !target.exclusions.iter().any(|exclusion| same_or_all(exclusion, &target.selector))
                || target.count
        });
        compiled.into()
    }

    /// A selector of a variable. On an error nothing is selected: the document is refused anyway.
    pub(super) fn selector(
        &mut self,
        variable: Variable,
        selector: Option<&ast::Selector>,
        span: Span,
    ) -> Selector {
        match selector {
            None => Selector::All,
            Some(ast::Selector::Key(key)) if variable == Variable::Tx => {
                Selector::Slot(self.names.intern(key.as_bytes()))
            }
            Some(ast::Selector::Key(key)) => Selector::Name(key.as_bytes().into()),
            Some(ast::Selector::Regex { pattern, span }) => {
                let flags = Flags { fold: true, ..Flags::default() };
                match self.patterns.pattern(pattern.as_bytes(), flags) {
                    Ok(pattern) => Selector::Pattern(pattern),
                    Err(error) => {
                        self.errors.push(Diagnostic::error(*span, format!("the selector's {error}")));
                        Selector::All
                    }
                }
            }
            Some(ast::Selector::XPath(path)) => self.xpath(path, span),
        }
    }

    fn xpath(&mut self, path: &str, span: Span) -> Selector {
        match path.trim() {
            "/*" | "//*" | "/*/text()" | "//text()" => Selector::XmlText,
            "//@*" | "/@*" => Selector::XmlAttributes,
            other => {
                let message = format!("the XPath expression `{other}` is not supported");
                self.errors.push(
                    Diagnostic::error(span, message)
                        .hint("use `XML:/*` for all text or `XML://@*` for all attributes"),
                );
                Selector::All
            }
        }
    }
}

/// Whether an exclusion takes away everything that a target selects.
fn same_or_all(exclusion: &Selector, selected: &Selector) -> bool {
    match (exclusion, selected) {
        (Selector::All, _)
        | (Selector::XmlText, Selector::XmlText)
        | (Selector::XmlAttributes, Selector::XmlAttributes) => true,
        (Selector::Slot(left), Selector::Slot(right)) => left == right,
        _ => false,
    }
}
