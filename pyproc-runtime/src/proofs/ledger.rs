//! The promise, the receipt and the permit.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::thread;

use super::{exhaust, explore};
use crate::ledger::{
    Ended, Entry, Failure, Issuer, Outcome, Permit, Promise, Receipt, Reply, ReturnedPermits, Seat,
};
use crate::sync::Mutex;

/// Counts the permits that it is given back.
#[derive(Default)]
struct Drawer {
    permits: AtomicUsize,
}

/// Counts how often it was woken.
#[derive(Default)]
struct Bell {
    rings: AtomicUsize,
}

/// The table of a connection with one call in flight, which lies behind the connection's lock.
type Table = Arc<Mutex<Option<Entry>>>;

impl Issuer for Drawer {
    fn take_back(self: Arc<Self>, _: Seat, ended: Ended, _: Instant) {
        // It takes a lock in the product, so others may run here.
        thread::yield_now();
        self.permits.fetch_add(ended.all(), Ordering::SeqCst);
    }

    fn note_stream(&self, _: Seat, _: Instant) {}

    fn serve(self: Arc<Self>, _: Instant) {}
}

impl Drawer {
    /// A call with a permit of this drawer.
    fn open(self: &Arc<Self>) -> (Table, Receipt) {
        let issuer: Arc<dyn Issuer> = Arc::<Self>::clone(self);
        let (promise, receipt) = Promise::new();
        let entry = promise.with_permit(Some(Permit::new(issuer, Seat::default())));
        (Arc::new(Mutex::new(Some(entry))), receipt)
    }

    fn permits(&self) -> usize {
        self.permits.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, Ordering::SeqCst);
    }
}

fn reply() -> Outcome {
    Ok(Reply::from(Bytes::from_static(b"7")))
}

fn is_reply(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(reply) if reply.as_ref() == b"7")
}

/// Waits as the caller's future does.
fn wait(receipt: &mut Receipt) -> Outcome {
    block_on(poll_fn(|context| receipt.poll(context)))
}

/// Polls once, for another task.
fn poll_for(bell: &Arc<Bell>, receipt: &mut Receipt) -> Poll<Outcome> {
    let waker = Waker::from(Arc::clone(bell));
    receipt.poll(&Context::from_waker(&waker))
}

/// Takes the entry out of the table, as for a reply.
fn take(table: &Table) -> Option<Entry> {
    table.lock().unwrap().take()
}

/// Tells a caller something without taking its entry out.
fn tell(table: &Table, tell: fn(&Entry) -> Option<Waker>) {
    let caller = table.lock().unwrap().as_ref().and_then(tell);
    if let Some(caller) = caller {
        caller.wake();
    }
}

#[test]
fn whoever_parks_while_the_call_ends_is_woken() {
    exhaust(|| {
        let (promise, mut receipt) = Promise::new();
        let worker = thread::spawn(move || promise.keep(reply()));
        assert!(is_reply(&wait(&mut receipt)));
        worker.join().unwrap();
    });
}

#[test]
fn a_promise_that_is_dropped_ends_the_call_as_closed() {
    exhaust(|| {
        let (promise, mut receipt) = Promise::new();
        let worker = thread::spawn(move || drop(promise));
        assert!(matches!(wait(&mut receipt), Err(Failure::Closed)));
        worker.join().unwrap();
    });
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_is_woken() {
    exhaust(|| {
        let (promise, mut receipt) = Promise::new();
        let worker = thread::spawn(move || promise.keep(reply()));
        let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];
        let is_over = bells
            .each_ref()
            .iter()
            .any(|bell| poll_for(bell, &mut receipt).is_ready());
        if !is_over {
            assert!(is_reply(&wait(&mut receipt)));
        }
        worker.join().unwrap();
        let rings: usize = bells
            .iter()
            .map(|bell| bell.rings.load(Ordering::SeqCst))
            .sum();
        assert!(rings <= 1, "one end has woken {rings} times");
    });
}

#[test]
fn whoever_looks_and_is_woken_by_nobody_finds_the_outcome_in_the_next_poll() {
    exhaust(|| {
        let (promise, mut receipt) = Promise::new();
        let worker = thread::spawn(move || promise.keep(reply()));
        let bell = Arc::new(Bell::default());
        if poll_for(&bell, &mut receipt).is_pending() {
            receipt.wake_nobody();
            let had_ended = receipt.has_ended();
            let rings = bell.rings.load(Ordering::SeqCst);
            assert!(rings == 0 || had_ended, "woken for nothing");
            assert!(is_reply(&wait(&mut receipt)));
            assert_eq!(bell.rings.load(Ordering::SeqCst), rings);
        }
        worker.join().unwrap();
    });
}

#[test]
fn a_reply_that_races_with_its_deadline_and_with_the_end_of_the_pool_ends_the_call_once() {
    explore(|| {
        let drawer = Arc::new(Drawer::default());
        let (table, mut receipt) = drawer.open();
        let tables = [(); 3].map(|()| Arc::clone(&table));
        let [replied, expired, cut] = tables;
        let threads = [
            thread::spawn(move || take(&replied).unwrap().end(reply())),
            thread::spawn(move || tell(&expired, |entry| entry.expire(None, None))),
            thread::spawn(move || tell(&cut, Entry::cut)),
        ];
        let outcome = wait(&mut receipt);
        match &outcome {
            Err(Failure::Expired { .. } | Failure::Closed) => {}
            outcome => {
                assert!(is_reply(outcome));
                assert_eq!(drawer.permits(), 1, "the place is not free yet");
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(drawer.permits(), 1);
    });
}

#[test]
fn a_permit_returns_once_whether_the_caller_stays_or_goes() {
    explore(|| {
        let drawer = Arc::new(Drawer::default());
        let calls = [drawer.open(), drawer.open()];
        let [(first, mut stays), (second, goes)] = calls;
        let worker = thread::spawn(move || {
            let mut entries = [take(&first).unwrap(), take(&second).unwrap()];
            // As a turn of the connection does it: one lock for the permits of all.
            let mut permits = ReturnedPermits::new(Instant::now());
            entries.iter_mut().for_each(|entry| permits.add(entry));
            drop(permits);
            for entry in entries {
                entry.end(reply());
            }
        });
        let leaver = thread::spawn(move || drop(goes));
        assert!(is_reply(&wait(&mut stays)));
        assert_eq!(drawer.permits(), 2, "the places are not free yet");
        worker.join().unwrap();
        leaver.join().unwrap();
        assert_eq!(drawer.permits(), 2);
    });
}

#[test]
fn an_entry_that_is_withdrawn_keeps_its_permit_for_the_next_try() {
    exhaust(|| {
        let drawer = Arc::new(Drawer::default());
        let (table, receipt) = drawer.open();
        let line = thread::spawn({
            let drawer = Arc::clone(&drawer);
            move || {
                let (promise, permit) = take(&table).unwrap().withdraw();
                let is_abandoned = promise.is_abandoned();
                assert_eq!(drawer.permits(), 0);
                drop(permit);
                drop(promise);
                is_abandoned
            }
        });
        let caller = thread::spawn(move || drop(receipt));
        line.join().unwrap();
        caller.join().unwrap();
        assert_eq!(drawer.permits(), 1);
    });
}
