//! Work that blocks, done by a few threads of the blocking pool, in the order it came.
//!
//! The pool itself makes a thread for every work that finds none idle, a hundred for a hundred streams, and each keeps what
//! its last work took of the allocator. Turns that are handed from one work to the next would not bound them: a
//! thread that woke who waits for its result is not idle yet when that comes with the next work. So threads look for
//! more work themselves before they go back to the pool.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// A queue and how many threads work on it. Clones share it.
#[derive(Clone, Debug)]
pub struct WorkQueue {
    most: usize,
    state: Arc<Mutex<State>>,
}

/// The work was not done: it panicked, or the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work was given up")]
pub struct GivenUp;

/// What comes of a work; who drops it wants it no more.
#[derive(Debug)]
pub struct Outcome<T>(oneshot::Receiver<T>);

impl<T> Future for Outcome<T> {
    type Output = Result<T, GivenUp>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|_| GivenUp)
    }
}

#[derive(Default)]
struct State {
    threads: usize,
    waiting: VecDeque<Work>,
}

type Work = Box<dyn FnOnce() + Send>;

impl fmt::Debug for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting.len();
        out.debug_struct("State").field("threads", &self.threads).field("waiting", &waiting).finish()
    }
}

impl WorkQueue {
    /// For this many threads, at least one.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), state: Arc::default() }
    }

    /// Does the work when its turn comes. What nobody waits for any more when it begins is left undone.
    ///
    /// # Errors
    /// [`GivenUp`]; no other work suffers from it.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GivenUp> {
        self.submit(work).await
    }

    /// The same, begun whether or not its outcome is waited for already.
    pub fn submit<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
        let (sender, receiver) = oneshot::channel();
        let work = Box::new(move || {
            if !sender.is_closed() {
                // Whoever leaves now gets no answer.
                let _ = sender.send(work());
            }
        });
        if self.enqueue(work) {
            let queue = self.clone();
            spawn_blocking(move || queue.work_off());
        }
        Outcome(receiver)
    }

    /// Whether there is to be one thread more.
    fn enqueue(&self, work: Work) -> bool {
        let mut state = self.lock();
        state.waiting.push_back(work);
        let more = state.threads < self.most;
        state.threads += usize::from(more);
        more
    }

    /// On a thread of the pool, until nothing waits.
    fn work_off(&self) {
        while let Some(work) = self.next() {
            // The panic was reported; its work's waiter hears that nothing comes.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
        // What others have freed of what was made here, until now.
        hop3_allocator::give_back();
    }

    /// The next work; without any the thread is no longer counted.
    fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        state.threads -= usize::from(next.is_none());
        next
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::patience::at_once;

    #[tokio::test]
    async fn few_threads_do_all_of_it() {
        let queue = WorkQueue::new(3);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let works = (0..200).map(|number| {
            let (queue, now, most) = (queue.clone(), now.clone(), most.clone());
            tokio::spawn(async move {
                let work = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_micros(100));
                    now.fetch_sub(1, Ordering::SeqCst);
                    number
                };
                queue.run(work).await
            })
        });
        for (number, work) in works.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(work.await.unwrap(), Ok(number));
        }
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?} at a time");
    }

    #[tokio::test]
    async fn work_in_vain_is_left_out_and_panics_end_nothing_else() {
        let queue = WorkQueue::new(1);
        let (release, wait) = mpsc::channel::<()>();
        let mut first = pin!(queue.run(move || wait.recv().is_ok()));
        assert!(at_once(first.as_mut()).await.is_pending());
        let done = Arc::new(AtomicUsize::new(0));
        let counted = done.clone();
        {
            let mut left = pin!(queue.run(move || counted.fetch_add(1, Ordering::SeqCst)));
            assert!(at_once(left.as_mut()).await.is_pending());
        }
        let mut panics = pin!(queue.run(|| -> u8 { panic!("as it should") }));
        assert!(at_once(panics.as_mut()).await.is_pending());
        release.send(()).unwrap();
        assert_eq!(first.await, Ok(true));
        assert_eq!(panics.await, Err(GivenUp));
        assert_eq!(queue.run(|| 7).await, Ok(7));
        assert_eq!(done.load(Ordering::SeqCst), 0);
    }
}
