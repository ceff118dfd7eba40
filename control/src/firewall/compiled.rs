//! Compiled rulesets, shared by all who chose the same.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};

use hop3_rules::{RulesError, RulesetName, Selection, Store};
use hop3_waf::trace::RuleTexts;
use hop3_waf::{Parts, Ruleset};

use super::logs::rule_texts;
use crate::failure::{Failure, Kind};

/// A ruleset ready for the proxy.
#[derive(Debug)]
pub struct Compiled {
    /// The rules.
    pub ruleset: Arc<Ruleset>,
    /// `base`, `owasp-crs`, or a path.
    pub name: String,
    /// The ruleset's version, where it has one.
    pub version: Option<String>,
    /// What a debug log says about the rules, when they ask for one.
    pub texts: Option<Arc<RuleTexts>>,
}

/// All compiled rulesets in use. A ruleset is dropped when the last app that uses it is.
#[derive(Debug)]
pub struct Rulesets {
    store: Store,
    shared: Mutex<HashMap<Selection, Weak<Compiled>>>,
    /// What rulesets that are not the same have in common.
    parts: Parts,
    /// Whether requests are served: then none is to wait for patterns that are new.
    serving: AtomicBool,
    /// To the thread that builds patterns behind everything else, until requests are served.
    aside: Mutex<Option<mpsc::Sender<Arc<Ruleset>>>>,
}

impl Rulesets {
    /// For the rules installed in `store`; nothing is compiled yet.
    pub fn new(store: Store) -> Rulesets {
        Rulesets {
            store,
            shared: Mutex::default(),
            parts: Parts::default(),
            serving: AtomicBool::new(false),
            aside: Mutex::default(),
        }
    }

    /// From now on requests are served, and what is compiled is ready for them before it is given out.
    pub fn begin_serving(&self) {
        self.serving.store(true, Ordering::Release);
        // The thread ends when it has built what it was given.
        drop(locked(&self.aside).take());
    }

    /// The installed rules.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The ruleset of `selection`: compiled now, or the one another app already uses. Blocks for up to a second.
    ///
    /// # Errors
    /// It is not installed, or a rule has an error; nothing changes then.
    pub fn compiled(&self, selection: &Selection) -> Result<Arc<Compiled>, Failure> {
        let (compiled, is_new) = self.found_or_compiled(selection)?;
        if self.serving.load(Ordering::Acquire) {
            // Also one that somebody else compiled, who may not have come this far. What is built already costs nothing.
            compiled.ruleset.prepare();
        } else if is_new {
            self.prepare_aside(compiled.ruleset.clone());
        }
        Ok(compiled)
    }

    /// The ruleset, and whether it is a new one.
    fn found_or_compiled(&self, selection: &Selection) -> Result<(Arc<Compiled>, bool), Failure> {
        // A file's content can change under the same selection, so those are always read.
        let shareable = !matches!(selection.ruleset, RulesetName::File(_));
        // Held while compiling, so that ten apps that start at once compile one ruleset once.
        let mut shared = locked(&self.shared);
        shared.retain(|_, compiled| compiled.strong_count() > 0);
        if let Some(compiled) = shared.get(selection).filter(|_| shareable).and_then(Weak::upgrade) {
            return Ok((compiled, false));
        }
        let assembled = self.store.assemble(selection).map_err(|error| failed(&error))?;
        let ruleset = Ruleset::compile_with(&assembled.document, &self.parts)
            .map_err(|error| rule_error("a rule cannot be compiled", &error.to_string()))?;
        let ruleset = Arc::new(ruleset);
        let compiled = Arc::new(Compiled {
            texts: rule_texts(&assembled.document, &ruleset),
            ruleset,
            name: assembled.name,
            version: assembled.version,
        });
        if shareable {
            shared.insert(selection.clone(), Arc::downgrade(&compiled));
        }
        Ok((compiled, true))
    }

    /// Builds what the ruleset would otherwise build when a request first asks for it, behind everything else that the
    /// machine has to do: a server that starts need not wait for it. A request that asks earlier builds what it needs
    /// itself, so it does not matter if there is no thread to be had.
    fn prepare_aside(&self, ruleset: Arc<Ruleset>) {
        let mut aside = locked(&self.aside);
        let sender = aside.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel::<Arc<Ruleset>>();
            let work = move || {
                // Of this thread alone. Without it the work is done all the same.
                let _ = rustix::process::setpriority_process(None, 19);
                receiver.iter().for_each(|ruleset| ruleset.prepare());
            };
            drop(std::thread::Builder::new().name("waf-prepare".to_owned()).spawn(work));
            sender
        });
        let _no_thread = sender.send(ruleset);
    }
}

/// None of what our mutexes hold is left half changed by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A failure of the rules' library, with its hint.
pub fn failed(error: &RulesError) -> Failure {
    let failure = match error {
        RulesError::Syntax(diagnostics) => {
            return rule_error("the rules have errors", &diagnostics.to_string());
        }
        RulesError::NotInstalled | RulesError::UnknownVersion { .. } => Failure::not_found(error.to_string()),
        RulesError::Conflict(_) | RulesError::Changed { .. } | RulesError::Digest { .. } => {
            Failure::conflict(error.to_string())
        }
        RulesError::NotARuleset { .. } | RulesError::Archive { .. } => Failure::usage(error.to_string()),
        RulesError::Download { .. } | RulesError::NothingFound { .. } => {
            Failure::new(Kind::Unavailable, error.to_string())
        }
        _ => Failure::internal("the rules could not be used").because(error),
    };
    failure.maybe_hint(error.hint())
}

/// Errors in rules: the first line is the message, the excerpts are the detail.
fn rule_error(summary: &str, text: &str) -> Failure {
    let mut lines: Vec<String> =
        text.lines().map(|line| line.strip_prefix("error: ").unwrap_or(line).to_owned()).collect();
    // A single hint belongs where all hints stand; several stay beside the errors they belong to.
    let hints: Vec<usize> = (0..lines.len()).filter(|&line| lines[line].starts_with("hint: ")).collect();
    let hint = match hints.as_slice() {
        [only] => Some(lines.remove(*only).trim_start_matches("hint: ").to_owned()),
        _ => None,
    };
    let mut lines = lines.into_iter();
    let message = lines.next().unwrap_or_else(|| summary.to_owned());
    Failure::usage(message)
        .detail(lines.take(60).map(|line| line.strip_prefix("   ").unwrap_or(&line).to_owned()))
        .maybe_hint(hint)
}
