//! Document → ruleset.
//!
//! First settings and drafts of rules in the order of the text, then removals
//! and updates, which may reach any rule, then jumps, then rule by rule targets,
//! operators and actions.

mod actions;
mod control;
mod draft;
mod error;
mod flow;
mod operators;
mod targets;
mod update;

use std::collections::HashMap;
use std::sync::Arc;

use hop3_seclang::Document;
use hop3_seclang::ast::{DirectiveKind, Phase, Setting, Variable};
use hop3_seclang::diagnostic::Diagnostic;
use hop3_seclang::source::FileId;

pub use error::CompileError;

use crate::collections::tx::{Slot, SlotNames};
use crate::fold::{self, Folded, Folding};
use crate::parts::Parts;
use crate::regex::Pattern;
use crate::rule::{Rule, Selector};
use crate::ruleset::{Fallback, Ruleset};
use crate::scan::bits::Bits;
use crate::scan::{self, Strategy};
use crate::settings::{SettingState, Settings};
use crate::template::Template;
use draft::{Defaults, Draft};

/// Compiles a document out of parts that other rulesets may have, too.
pub(crate) fn compile(document: &Document, parts: &Parts) -> Result<Ruleset, CompileError> {
    let mut compiler = Compiler::new(document, parts);
    compiler.read();
    let mut ruleset = compiler
        .link()
        .map_err(|diagnostics| CompileError { diagnostics, sources: document.sources.clone() })?;
    scan::note_well_known(&mut ruleset);
    Ok(ruleset)
}

/// What the passes share.
struct Compiler<'d> {
    document: &'d Document,
    settings: Settings,
    drafts: Vec<Draft<'d>>,
    /// Markers, each with the number of drafts before it.
    markers: Vec<(String, usize)>,
    defaults: Defaults<'d>,
    names: SlotNames,
    /// What other rulesets may have, too.
    parts: &'d Parts,
    datasets: HashMap<String, Vec<String>>,
    signatures: Vec<String>,
    fallbacks: Vec<Fallback>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    files: HashMap<FileId, Arc<str>>,
    /// Tags without macros.
    tags: HashMap<Box<[u8]>, Template>,
}

impl<'d> Compiler<'d> {
    fn new(document: &'d Document, parts: &'d Parts) -> Self {
        Self {
            document,
            settings: Settings::default(),
            drafts: Vec::new(),
            markers: Vec::new(),
            defaults: Defaults::default(),
            names: SlotNames::new(),
            parts,
            datasets: HashMap::new(),
            signatures: Vec::new(),
            fallbacks: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            files: HashMap::new(),
            tags: HashMap::new(),
        }
    }

    /// First pass.
    fn read(&mut self) {
        let mut state = SettingState::default();
        let mut updates = Vec::new();
        let document = self.document;
        for directive in &document.directives {
            match &directive.kind {
                DirectiveKind::Setting(Setting::ComponentSignature(signature)) => {
                    self.signatures.push(signature.clone());
                }
                DirectiveKind::Setting(Setting::Dataset { name, lines }) => {
                    self.datasets.insert(name.to_ascii_lowercase(), lines.clone());
                }
                DirectiveKind::Setting(setting) => {
                    if let Err(reason) = self.settings.apply(setting, &mut state) {
                        self.errors.push(Diagnostic::error(directive.span, reason));
                    }
                }
                DirectiveKind::Marker(name) => self.markers.push((name.clone(), self.drafts.len())),
                DirectiveKind::DefaultAction(actions) => self.defaults.set(actions),
                DirectiveKind::Rule(rule) => self.drafts.push(Draft::new(rule, &self.defaults)),
                DirectiveKind::Inert { .. } => {}
                other => updates.push((directive.span, other)),
            }
        }
        // As in ModSecurity v3, a removal or an update also reaches rules that stand after it.
        updates.into_iter().for_each(|(span, directive)| self.update(span, directive));
    }

    /// Second and third pass.
    fn link(mut self) -> Result<Ruleset, Vec<Diagnostic>> {
        let drafts = std::mem::take(&mut self.drafts);
        let jumps = flow::resolve(&drafts, &self.markers);
        // Kept until the rules have taken them.
        let _ahead = self.patterns_of(&drafts);
        let mut phases: [Vec<Rule>; 5] = Default::default();
        for (index, draft) in drafts.iter().enumerate().filter(|(_, draft)| !draft.removed) {
            let rule = self.rule(index, draft, &drafts, jumps[index]);
            phases[usize::from(draft.phase.number() - 1)].push(rule);
        }
        // Rules were pushed one by one: without this up to twice their memory stays.
        phases.iter_mut().for_each(Vec::shrink_to_fit);
        let limits_slot = self.names.intern(b"MSC_PCRE_LIMITS_EXCEEDED");
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let folding =
            Folding { phases: &phases, settings: &self.settings, names: &self.names, limits: limits_slot };
        let Folded { alive, relied_on, prologue, arguments } = fold::fold(&folding);
        let tx_selections = tx_selections(&phases, &self.names);
        let scan = scan::build(&phases, &alive, &arguments, &self.names, self.parts);
        let walked = std::array::from_fn(|phase| {
            let mut walked = Bits::new(phases[phase].len());
            for (position, strategy) in scan.strategies(phase).iter().enumerate() {
                if *strategy == Strategy::Walked {
                    walked.insert(position);
                }
            }
            walked
        });
        Ok(Ruleset {
            phases,
            walked,
            relied_on,
            scan,
            prologue: prologue.into(),
            tx_selections,
            settings: self.settings,
            tx_names: self.names,
            limits_slot,
            signatures: self.signatures,
            warnings: self.warnings,
            fallbacks: self.fallbacks,
        })
    }

    /// The name of a file, shared by all rules in it.
    fn file(&mut self, id: FileId) -> Arc<str> {
        let sources = &self.document.sources;
        let name = || sources.file(id).map_or_else(String::new, |file| file.path.display().to_string());
        self.files.entry(id).or_insert_with(|| name().into()).clone()
    }
}

/// The patterns that select TX variables, each with what it selects of the rules' own.
fn tx_selections(phases: &[Vec<Rule>; 5], names: &SlotNames) -> Vec<(Arc<Pattern>, Bits)> {
    let links = phases.iter().flatten().flat_map(|rule| &rule.links);
    let targets = links.filter_map(|link| link.condition.as_ref()).flat_map(|condition| &condition.targets);
    let mut selections: Vec<(Arc<Pattern>, Bits)> = Vec::new();
    for target in targets.filter(|target| target.variable == Variable::Tx) {
        if let Selector::Pattern(pattern) = &target.selector
            && !selections.iter().any(|(known, _)| Arc::ptr_eq(known, pattern))
        {
            let mut slots = Bits::new(names.len());
            let selected =
                (0..names.len()).filter(|slot| target.selector.selects(names.spelling(Slot(*slot as u32))));
            selected.for_each(|slot| slots.insert(slot));
            selections.push((pattern.clone(), slots));
        }
    }
    selections
}

/// Phase of rules that name none.
const DEFAULT_PHASE: Phase = Phase::RequestBody;

#[cfg(test)]
mod tests;
