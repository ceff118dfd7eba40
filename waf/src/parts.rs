//! What rulesets have in common: patterns, phrase lists, automata, plans, rules. Each
//! is built once and lives as long as a ruleset that uses it, so a server with
//! many applications on one Core Rule Set holds its large parts once, and a
//! ruleset that is loaded anew finds them ready.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::operators::PhraseSet;
use crate::regex::{Flags, Pattern, PatternError};
use crate::rule::RuleBody;
use crate::scan::{Dictionary, Plan};

/// The parts that rulesets in use are made of. Give the same one to all
/// [`Ruleset::compile_with`](crate::Ruleset::compile_with) whose rulesets should share.
#[derive(Debug, Default)]
pub struct Parts {
    patterns: Mutex<HashMap<PatternKey, Weak<Pattern>>>,
    /// By a hash of the phrases.
    phrases: Mutex<HashMap<u64, Vec<Weak<PhraseSet>>>>,
    dictionaries: Mutex<Vec<Weak<Dictionary>>>,
    plans: Mutex<Vec<Weak<Plan>>>,
    /// By id.
    rules: Mutex<HashMap<u64, Vec<Weak<RuleBody>>>>,
    hashes: RandomState,
}

/// Most threads that compile patterns.
const MOST_THREADS: usize = 8;
/// Fewer patterns than this are not worth a thread.
const FEW_PATTERNS: usize = 64;

/// Text and flags.
type PatternKey = (Box<[u8]>, Flags);

impl Parts {
    /// Forgets what no ruleset uses any longer. Nothing but memory depends on it.
    pub fn prune(&self) {
        lock(&self.patterns).retain(|_, pattern| pattern.strong_count() > 0);
        lock(&self.phrases).retain(|_, sets| {
            sets.retain(|set| set.strong_count() > 0);
            !sets.is_empty()
        });
        lock(&self.dictionaries).retain(|dictionary| dictionary.strong_count() > 0);
        lock(&self.plans).retain(|plan| plan.strong_count() > 0);
        lock(&self.rules).retain(|_, rules| {
            rules.retain(|rule| rule.strong_count() > 0);
            !rules.is_empty()
        });
    }

    /// A pattern.
    pub(crate) fn pattern(&self, text: &[u8], flags: Flags) -> Result<Arc<Pattern>, PatternError> {
        let key = (Box::from(text), flags);
        if let Some(known) = lock(&self.patterns).get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        // Not under the lock: several threads prepare patterns. Two may prepare the same; the first stays.
        let pattern = Arc::new(Pattern::new(text, flags)?);
        let mut patterns = lock(&self.patterns);
        if let Some(known) = patterns.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        patterns.insert(key, Arc::downgrade(&pattern));
        Ok(pattern)
    }

    /// Many patterns, without those that cannot be compiled: the new ones at once on all processors when they are many.
    pub(crate) fn patterns<'t>(
        &self,
        texts: impl IntoIterator<Item = &'t [u8]>,
        flags: Flags,
    ) -> Vec<Arc<Pattern>> {
        let (mut all, mut new) = (Vec::new(), Vec::new());
        {
            let patterns = lock(&self.patterns);
            for text in texts {
                match patterns.get(&(text.into(), flags)).and_then(Weak::upgrade) {
                    Some(known) => all.push(known),
                    None => new.push(text),
                }
            }
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(text) = new.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.extend(self.pattern(text, flags));
            }
            done
        };
        let processors = || std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let threads = if new.len() < FEW_PATTERNS { 1 } else { processors() };
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            all.extend(work());
            // What a helper that panicked did not deliver is compiled when it is asked for.
            helpers.into_iter().for_each(|helper| all.extend(helper.join().unwrap_or_default()));
        });
        all
    }

    /// The set of these phrases; the error is the automaton's: too many or too long ones.
    pub(crate) fn phrases(&self, phrases: Vec<Vec<u8>>) -> Result<Arc<PhraseSet>, String> {
        let phrases = PhraseSet::distinct(phrases);
        let mut sets = lock(&self.phrases);
        let sets = sets.entry(self.hashes.hash_one(&phrases)).or_default();
        if let Some(known) = sets.iter().filter_map(Weak::upgrade).find(|set| set.iter().eq(&phrases)) {
            return Ok(known);
        }
        let set = Arc::new(PhraseSet::new(&phrases)?);
        sets.push(Arc::downgrade(&set));
        Ok(set)
    }

    /// One with all of these texts but a few, given packed and in ascending order; `None` when they are too many.
    pub(crate) fn dictionary(&self, texts: &[u64]) -> Option<Arc<Dictionary>> {
        let mut dictionaries = lock(&self.dictionaries);
        let mut known = dictionaries.iter().filter_map(Weak::upgrade);
        if let Some(known) = known.find(|dictionary| dictionary.serves(texts)) {
            return Some(known);
        }
        let dictionary = Arc::new(Dictionary::new(texts)?);
        dictionaries.push(Arc::downgrade(&dictionary));
        Some(dictionary)
    }

    /// The plan, or the same one that is in use already.
    pub(crate) fn plan(&self, plan: Plan) -> Arc<Plan> {
        let mut plans = lock(&self.plans);
        if let Some(known) = plans.iter().filter_map(Weak::upgrade).find(|known| **known == plan) {
            return known;
        }
        let plan = Arc::new(plan);
        plans.push(Arc::downgrade(&plan));
        plan
    }

    /// The rule, or the same one that is in use already.
    pub(crate) fn rule(&self, rule: RuleBody) -> Arc<RuleBody> {
        let mut rules = lock(&self.rules);
        let rules = rules.entry(rule.id).or_default();
        if let Some(known) = rules.iter().filter_map(Weak::upgrade).find(|known| **known == rule) {
            return known;
        }
        let rule = Arc::new(rule);
        rules.push(Arc::downgrade(&rule));
        rule
    }
}

/// What a thread that panicked left behind is whole: each part is inserted at once.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_live_as_long_as_they_are_used() {
        let parts = Parts::default();
        let first = parts.pattern(b"a+", Flags::default()).unwrap();
        assert!(Arc::ptr_eq(&first, &parts.pattern(b"a+", Flags::default()).unwrap()));
        let folding = Flags { fold: true, ..Flags::default() };
        assert!(!Arc::ptr_eq(&first, &parts.pattern(b"a+", folding).unwrap()));
        assert!(parts.pattern(b"(", Flags::default()).is_err());
        let words = || vec![b"One".to_vec(), b"one".to_vec(), Vec::new(), b"two".to_vec()];
        let phrases = parts.phrases(words()).unwrap();
        assert!(Arc::ptr_eq(&phrases, &parts.phrases(words()).unwrap()));
        assert!(phrases.iter().eq([&b"One"[..], b"two"]));
        drop((first, phrases));
        parts.prune();
        assert!(lock(&parts.patterns).is_empty() && lock(&parts.phrases).is_empty());
    }
}
