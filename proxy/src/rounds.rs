//! Has the requests of a busy thread go from stage to stage together.
//!
//! A thread with several requests at hand does better to inspect all of them and then to hand all of them on than to take
//! each through alone: the rules stay in the processor's caches, and the back end, which each write wakes, takes the
//! processor less often. A request that is alone waits for nobody.

use std::cell::Cell;

thread_local! {
    /// Requests that this thread began since it last had nothing to do.
    static BEGUN: Cell<u32> = const { Cell::new(0) };
}

/// Tells that this thread has nothing to do: for a runtime to call before it parks one of its threads.
pub fn thread_parks() {
    BEGUN.set(0);
}

/// Counts a request that begins.
pub(crate) fn begin() {
    BEGUN.set(BEGUN.get().saturating_add(1));
}

/// Lets the other requests of this thread, if there are any, come as far as this one.
pub(crate) async fn wait_for_others() {
    if BEGUN.get() > 1 {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Three stages of a request, each noted with a mark.
    async fn go(marks: [char; 3], seen: &Mutex<String>) {
        for mark in marks {
            seen.lock().unwrap().push(mark);
            wait_for_others().await;
        }
    }

    #[tokio::test]
    async fn requests_of_a_busy_thread_go_from_stage_to_stage_together() {
        let seen = Mutex::new(String::new());
        thread_parks();
        begin();
        begin();
        tokio::join!(go(['a', 'b', 'c'], &seen), go(['A', 'B', 'C'], &seen));
        assert_eq!(seen.lock().unwrap().to_ascii_lowercase(), "aabbcc");
    }

    #[tokio::test]
    async fn a_request_that_is_alone_waits_for_nobody() {
        let seen = Mutex::new(String::new());
        begin();
        thread_parks();
        begin();
        tokio::join!(go(['a', 'b', 'c'], &seen), go(['A', 'B', 'C'], &seen));
        assert_eq!(*seen.lock().unwrap(), "abcABC");
    }
}
