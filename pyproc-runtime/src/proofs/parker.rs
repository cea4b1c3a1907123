//! Threads that wait for a call. They may wake for no reason at any time, so there is no end of schedules.

use std::future::poll_fn;

use bytes::Bytes;
use shuttle::thread;

use super::explore;
use crate::blocking::parker::wait;
use crate::ledger::{Promise, Receipt, Reply};

/// A call that ends at some time.
fn call() -> (thread::JoinHandle<()>, Receipt) {
    let (promise, receipt) = Promise::new();
    let worker = thread::spawn(move || promise.keep(Ok(Reply::from(Bytes::new()))));
    (worker, receipt)
}

#[test]
fn a_thread_that_parks_while_its_call_ends_is_woken() {
    explore(|| {
        let (worker, mut receipt) = call();
        assert!(wait(poll_fn(|context| receipt.poll(context))).is_ok());
        worker.join().unwrap();
    });
}

#[test]
fn a_wait_within_a_wait_takes_no_wake_up_away() {
    explore(|| {
        let (outer_worker, mut outer) = call();
        let (inner_worker, mut inner) = call();
        let mut has_waited = false;
        let outcome = wait(poll_fn(|context| {
            let poll = outer.poll(context);
            if poll.is_pending() && !std::mem::replace(&mut has_waited, true) {
                // Both have this thread, and each other's wake-ups.
                assert!(wait(poll_fn(|context| inner.poll(context))).is_ok());
            }
            poll
        }));
        assert!(outcome.is_ok());
        outer_worker.join().unwrap();
        inner_worker.join().unwrap();
    });
}
