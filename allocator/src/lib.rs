//! The product's allocator, mimalloc, and when it gives memory back: what a burst took must not stay with the process
//! because nothing happens after it.
//!
//! mimalloc keeps freed memory for a second, and looks at what other threads freed only while its own thread allocates
//! much. On a server that has become quiet neither would happen for a long time. A crate of its own, because it is the
//! one place of the data path that has to call C.

use std::cell::Cell;
use std::time::{Duration, Instant};

pub use mimalloc::MiMalloc;

/// Time between two collections of one thread. Freed memory goes back with the first one a second later.
const PAUSE: Duration = Duration::from_millis(100);

// SAFETY: as `mimalloc.h` declares it: `void mi_collect(bool force)`. It collects the calling thread's own heap, may be
// called at any time and from any thread, and touches no memory that is in use.
unsafe extern "C" {
    safe fn mi_collect(force: bool);
}

thread_local! {
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Collects what the calling thread no longer uses, at most ten times a second. To be called by threads that have nothing
/// else to do.
pub fn give_back() {
    let now = Instant::now();
    LAST.with(|last| {
        if last.get().is_none_or(|last| now.duration_since(last) >= PAUSE) {
            last.set(Some(now));
            mi_collect(false);
        }
    });
}

/// Gives back at once what the calling thread no longer uses and what all threads have freed in large pieces. It takes
/// milliseconds: for threads that have done something large and rare, such as loading rules.
pub fn give_back_now() {
    mi_collect(true);
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[global_allocator]
    static ALLOCATOR: MiMalloc = MiMalloc;

    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn what_another_thread_freed_goes_back() {
        let (sender, receiver) = mpsc::channel::<Vec<Vec<u8>>>();
        // Frees what this thread allocated.
        let other = thread::spawn(move || receiver.into_iter().for_each(drop));
        let before = resident();
        sender.send((0..1000).map(|_| black_box(vec![1; 40_000])).collect()).unwrap();
        let grown = resident();
        drop(sender);
        other.join().unwrap();
        assert!(grown > before + 30_000, "{before} {grown}");
        for _ in 0..100 {
            give_back();
            if resident() < before + 4_000 {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{} KiB are left of {}", resident() - before, grown - before);
    }
}
