//! The memory that rulesets hold, counted by the allocator: exact, so that a few percent more are noticed. What the
//! allocator keeps beyond what is asked of it is not in these numbers.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use hop3_rules::{RulesetName, Selection, Snippet, Source, Store};
use hop3_tests::data;
use hop3_waf::{Parts, Ruleset};

/// Most bytes of the first application, and while its rules are loaded.
const FIRST: usize = 8_000_000;
const FIRST_PREPARED: usize = 16_000_000;
const FIRST_AT_MOST: usize = 20_000_000;
/// Most bytes of each further application with exceptions of its own.
const FURTHER: usize = 600_000;

/// Counts the bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: both functions hand their arguments on to the system's allocator unchanged and give back what it gives; the
// counting beside them allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps to what `GlobalAlloc` asks, which is what the system's allocator asks.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above; the block comes from `alloc`, so from the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test alone: others at the same time would be counted, too.
#[test]
fn applications_share_the_rules() {
    let Some(crs) = data::suite("crs") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let store = installed(folder.path(), &crs);
    let parts = Parts::default();
    let begin = in_use();
    MOST.store(begin, Ordering::Relaxed);
    let first = compiled(&store, &Selection::new(RulesetName::OwaspCrs(None)), &parts);
    let loaded = in_use() - begin;
    let most = MOST.load(Ordering::Relaxed) - begin;
    first.prepare();
    let prepared = in_use() - begin;
    println!("first application: {loaded} bytes, {prepared} with all patterns built, {most} while loading");
    let mut further = vec![first];
    for number in 1..=4 {
        let before = in_use();
        let ruleset = compiled(&store, &exceptions(number), &parts);
        // Nothing that is not built already.
        ruleset.prepare();
        further.push(ruleset);
        let more = in_use() - before;
        println!("application {number} beside it: {more} bytes");
        assert!(more <= FURTHER, "{more} bytes for one more application");
    }
    assert!(loaded <= FIRST, "{loaded} bytes for the first application");
    assert!(prepared <= FIRST_PREPARED, "{prepared} bytes for the first application with all patterns");
    assert!(most <= FIRST_AT_MOST, "{most} bytes while the rules are loaded");
    drop(further);
    parts.prune();
    let left = in_use() - begin;
    assert!(left <= FURTHER, "{left} bytes are left of rulesets that nobody uses");
}

fn in_use() -> usize {
    IN_USE.load(Ordering::Relaxed)
}

fn installed(folder: &Path, crs: &Path) -> Store {
    let store = Store::open(folder).unwrap_or_else(|error| panic!("{error}"));
    store
        .install(&Source::Path(crs.into()), SystemTime::UNIX_EPOCH)
        .unwrap_or_else(|error| panic!("{error}"));
    store
}

fn compiled(store: &Store, selection: &Selection, parts: &Parts) -> Arc<Ruleset> {
    let assembled = store.assemble(selection).unwrap_or_else(|error| panic!("{error}"));
    let ruleset = Ruleset::compile_with(&assembled.document, parts);
    Arc::new(ruleset.unwrap_or_else(|error| panic!("{error}")))
}

/// A rule for a path before the rules, removals and a narrowed target after them, as an application's tuning is.
fn exceptions(number: usize) -> Selection {
    let before = format!(
        "SecRule REQUEST_FILENAME \"@beginsWith /admin/{number}/\" \"id:8100200,phase:1,pass,nolog,t:none,\
         t:urlDecodeUni,t:normalizePath,ctl:ruleRemoveTargetById=942100;ARGS:text_{number}\"\n"
    );
    let after =
        format!("SecRuleRemoveById 941100\nSecRuleUpdateTargetById 942130-942200 \"!ARGS:field_{number}\"\n");
    let snippet = |text| Snippet { name: "hop3.toml [[waf.tuning]]".to_owned(), text };
    Selection {
        before: vec![snippet(before)],
        after: vec![snippet(after)],
        ..Selection::new(RulesetName::OwaspCrs(None))
    }
}
