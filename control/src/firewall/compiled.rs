//! Compiled rulesets, shared by all who chose the same.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

/// All compiled rulesets in use, and how they come about: at start by whoever asks, later by a thread of their own, which
/// yields to requests and gives back the memory that loading took.
#[derive(Debug)]
pub struct Rulesets {
    known: Arc<Known>,
    /// Whether requests are served: then none is to wait for patterns that are new.
    serving: AtomicBool,
    /// To the thread that builds patterns behind everything else, until requests are served.
    aside: Mutex<Option<mpsc::Sender<Arc<Ruleset>>>>,
    /// To the thread that compiles, once requests are served.
    loader: Mutex<Option<mpsc::Sender<Job>>>,
}

/// What the loader is asked for.
enum Job {
    /// To compile, and to tell the outcome.
    Compile(Selection, mpsc::Sender<Result<Arc<Compiled>, Failure>>),
    /// To look whether some are used no longer.
    LookOver,
}

/// The loader's niceness: where processors are scarce requests get ten times as much of them, and even a machine that has
/// none to spare loads rules in the end.
const NICENESS: i32 = 10;
/// The loader's pause after which memory is given back.
const PAUSE: Duration = Duration::from_secs(1);

impl Rulesets {
    /// For the rules installed in `store`; nothing is compiled yet.
    pub fn new(store: Store) -> Rulesets {
        let known = Known { store: store.keeping(), in_use: Mutex::default(), parts: Parts::default() };
        Rulesets {
            known: Arc::new(known),
            serving: AtomicBool::new(false),
            aside: Mutex::default(),
            loader: Mutex::default(),
        }
    }

    /// From now on requests are served, and what is compiled is ready for them before it is given out.
    pub fn begin_serving(&self) {
        self.serving.store(true, Ordering::Release);
        // The thread ends when it has built what it was given.
        drop(locked(&self.aside).take());
        self.known.store.forget();
        hop3_allocator::give_back_now();
    }

    /// The installed rules.
    pub fn store(&self) -> &Store {
        &self.known.store
    }

    /// The ruleset of `selection`: compiled now, or the one another app already uses. Blocks for up to a second.
    ///
    /// # Errors
    /// It is not installed, or a rule has an error; nothing changes then.
    pub fn compiled(&self, selection: &Selection) -> Result<Arc<Compiled>, Failure> {
        if self.serving.load(Ordering::Acquire) {
            return self.load(selection).unwrap_or_else(|| self.known.ready(selection));
        }
        let (compiled, is_new) = self.known.found_or_compiled(selection)?;
        if is_new {
            self.prepare_aside(compiled.ruleset.clone());
        }
        Ok(compiled)
    }

    /// The same by the loader; `None` when there is no such thread to be had.
    fn load(&self, selection: &Selection) -> Option<Result<Arc<Compiled>, Failure>> {
        let (sender, outcome) = mpsc::channel();
        self.ask_loader(Job::Compile(selection.clone(), sender))?;
        outcome.recv().ok()
    }

    /// Has those given up before long that nobody uses any longer, after others were published.
    pub fn look_over(&self) {
        if self.serving.load(Ordering::Acquire) {
            // Without such a thread they stay, which costs memory alone.
            let _no_thread = self.ask_loader(Job::LookOver);
        }
    }

    fn ask_loader(&self, job: Job) -> Option<()> {
        let mut loader = locked(&self.loader);
        if loader.is_none() {
            *loader = start_loader(self.known.clone());
        }
        loader.as_ref()?.send(job).ok()
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
                hop3_allocator::give_back_now();
            };
            drop(std::thread::Builder::new().name("waf-prepare".to_owned()).spawn(work));
            sender
        });
        let _no_thread = sender.send(ruleset);
    }
}

/// The thread lives as long as the sender.
fn start_loader(known: Arc<Known>) -> Option<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let work = move || {
        // Of this thread, and of those that it has help it.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        let (mut has_loaded, mut is_settled) = (false, true);
        loop {
            // Woken by jobs alone when there is nothing to give up.
            let job = match is_settled {
                true => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => jobs.recv_timeout(PAUSE),
            };
            match job {
                Ok(Job::LookOver) => is_settled = false,
                Ok(Job::Compile(selection, asker)) => {
                    // Who no longer waits does not want it.
                    let _ = asker.send(known.ready(&selection));
                    (has_loaded, is_settled) = (true, false);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let given_up;
                    (given_up, is_settled) = known.give_up_unused();
                    if has_loaded || given_up > 0 {
                        known.store.forget();
                        hop3_allocator::give_back_now();
                    }
                    has_loaded = false;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    std::thread::Builder::new().name("waf-load".to_owned()).spawn(work).ok().map(|_| sender)
}

/// What was compiled, and what that is made of.
#[derive(Debug)]
struct Known {
    store: Store,
    in_use: Mutex<InUse>,
    /// What rulesets that are not the same have in common.
    parts: Parts,
}

/// Rulesets that somebody uses, or that nobody has given up yet.
#[derive(Debug, Default)]
struct InUse {
    shared: HashMap<Selection, Arc<Compiled>>,
    /// Those of files, whose content can change under the same selection: they are always read.
    of_files: Vec<Arc<Compiled>>,
}

impl Known {
    /// The ruleset with all its patterns built.
    fn ready(&self, selection: &Selection) -> Result<Arc<Compiled>, Failure> {
        let (compiled, _) = self.found_or_compiled(selection)?;
        // Also one that was compiled at start and may not have come this far. What is built already costs nothing.
        compiled.ruleset.prepare();
        Ok(compiled)
    }

    /// The ruleset, and whether it is a new one.
    fn found_or_compiled(&self, selection: &Selection) -> Result<(Arc<Compiled>, bool), Failure> {
        // Held while compiling, so that ten apps that start at once compile one ruleset once.
        let mut in_use = locked(&self.in_use);
        if let Some(compiled) = in_use.shared.get(selection) {
            return Ok((compiled.clone(), false));
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
        match selection.ruleset {
            RulesetName::File(_) => in_use.of_files.push(compiled.clone()),
            _ => drop(in_use.shared.insert(selection.clone(), compiled.clone())),
        }
        Ok((compiled, true))
    }

    /// Gives up the rulesets that nobody uses any longer, here and not where a request happens to end last; says how
    /// many. Whether all others are in use by apps, and not only by requests under way.
    fn give_up_unused(&self) -> (usize, bool) {
        let mut in_use = locked(&self.in_use);
        let InUse { shared, of_files } = &mut *in_use;
        let before = shared.len() + of_files.len();
        let is_chosen = |compiled: &Arc<Compiled>| Arc::strong_count(compiled) > 1;
        let is_used =
            |compiled: &Arc<Compiled>| is_chosen(compiled) || Arc::strong_count(&compiled.ruleset) > 1;
        shared.retain(|_, compiled| is_used(compiled));
        of_files.retain(is_used);
        let given_up = before - shared.len() - of_files.len();
        (given_up, shared.values().chain(of_files.iter()).all(is_chosen))
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

#[cfg(test)]
mod tests {
    use hop3_rules::Snippet;

    use super::*;

    fn rulesets(folder: &std::path::Path) -> Rulesets {
        Rulesets::new(Store::open(folder).unwrap())
    }

    fn selection(own: &str) -> Selection {
        let after = vec![Snippet { name: "own".to_owned(), text: own.to_owned() }];
        Selection { after, ..Selection::new(RulesetName::Base) }
    }

    #[test]
    fn what_is_the_same_is_compiled_once_before_and_while_requests_are_served() {
        let folder = tempfile::tempdir().unwrap();
        let rulesets = rulesets(folder.path());
        let plain = rulesets.compiled(&selection("")).unwrap();
        rulesets.begin_serving();
        assert!(Arc::ptr_eq(&plain, &rulesets.compiled(&selection("")).unwrap()));
        let own = rulesets.compiled(&selection("SecAction \"id:7,phase:1,pass\"\n")).unwrap();
        assert_eq!(own.ruleset.rule_count(), plain.ruleset.rule_count() + 1);
        let failure = rulesets.compiled(&selection("SecNothing\n")).unwrap_err();
        assert!(failure.message.contains("SecNothing"), "{failure}");
        // The thread outlives errors.
        assert!(Arc::ptr_eq(
            &own,
            &rulesets.compiled(&selection("SecAction \"id:7,phase:1,pass\"\n")).unwrap()
        ));
    }

    #[test]
    fn what_is_used_no_longer_is_given_up_though_nothing_else_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let rulesets = rulesets(folder.path());
        let only = Arc::downgrade(&rulesets.compiled(&selection("")).unwrap().ruleset);
        rulesets.begin_serving();
        rulesets.look_over();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while only.strong_count() > 0 {
            assert!(std::time::Instant::now() < deadline, "it is still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn rulesets_are_given_up_when_neither_an_app_nor_a_request_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let rulesets = rulesets(folder.path());
        let known = &rulesets.known;
        let (chosen, other) =
            (rulesets.compiled(&selection("")).unwrap(), known.ready(&selection("SecMarker X\n")).unwrap());
        assert_eq!(known.give_up_unused(), (0, true));
        let under_way = other.ruleset.clone();
        drop(other);
        assert_eq!(known.give_up_unused(), (0, false));
        drop(under_way);
        assert_eq!(known.give_up_unused(), (1, true));
        drop(chosen);
        // Patterns may still be built aside.
        while known.give_up_unused() != (1, true) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
