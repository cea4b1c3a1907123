//! Waiting for a future in a thread that has nothing else to do.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::thread_local;

/// Wakes a thread that waits.
struct Unparker {
    thread: Thread,
    /// Whether something happened since the last poll. The thread's own token does not serve for that: whatever parks
    /// within a poll, a lock or another call, may take it away.
    is_woken: AtomicBool,
}

impl Unparker {
    fn of_this_thread() -> Arc<Self> {
        Arc::new(Self {
            thread: thread::current(),
            is_woken: AtomicBool::new(false),
        })
    }
}

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    /// One for all futures of a thread, so that waiting allocates nothing.
    static UNPARKER: Arc<Unparker> = Unparker::of_this_thread();
}

pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let unparker = UNPARKER
        .try_with(Arc::clone)
        // The thread is ending, and its destructors call.
        .unwrap_or_else(|_| Unparker::of_this_thread());
    let waker = Waker::from(Arc::clone(&unparker));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let output = loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => break output,
            Poll::Pending => {
                while !unparker.is_woken.swap(false, Ordering::Acquire) {
                    thread::park();
                }
            }
        }
    };
    // What woke this may have been meant for a future around it, in whose poll this was called.
    unparker.is_woken.store(true, Ordering::Release);
    output
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn a_wait_within_a_poll_takes_no_wake_up_away() {
        let mut polls = 0;
        let outer = poll_fn(|context: &mut Context<'_>| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            // It has the same thread, and parks on the same token.
            let mut has_waited = false;
            wait(poll_fn(|_| {
                if std::mem::replace(&mut has_waited, true) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }));
            thread::park_timeout(std::time::Duration::ZERO);
            Poll::Pending
        });
        wait(outer);
        assert_eq!(polls, 2);
    }
}
