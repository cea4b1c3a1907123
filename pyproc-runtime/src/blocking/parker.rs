//! Waiting for a future in a thread that has nothing else to do.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Wakes a thread that waits. One that is woken without a reason only polls once more.
struct Unparker(Thread);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    /// One for all futures of a thread, so that waiting allocates nothing.
    static WAKER: Waker = Waker::from(Arc::new(Unparker(thread::current())));
}

pub(super) fn wait<F: Future>(future: F) -> F::Output {
    let waker = WAKER
        .try_with(Waker::clone)
        // The thread is ending, and its destructors call.
        .unwrap_or_else(|_| Waker::from(Arc::new(Unparker(thread::current()))));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
