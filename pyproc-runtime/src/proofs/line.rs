//! Admission, the waiting line and the permits, with callers that stay and callers that go.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{self, Arc};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use shuttle::future::block_on;
use tracing::subscriber::{NoSubscriber, set_global_default};

use super::stage::{HELD, Stage};
use super::{exhaust, explore};
use crate::error::{ErrorKind, Fate, Result};
use crate::spin::Spin;

/// A deadline that passes only when somebody says so.
const HOUR: Duration = Duration::from_secs(60 * 60);

#[test]
fn the_line_goes_on_while_a_place_is_free() {
    explore(|| {
        let stage = Stage::new(1, 1);
        let worker = stage.worker(0);
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        for (number, caller) in (1..).zip(callers) {
            assert_eq!(caller.join().unwrap().unwrap(), number);
        }
        stage.end([worker]);
    });
}

#[test]
fn two_workers_serve_one_line() {
    explore(|| {
        let stage = Stage::with(2, |pool| pool.max_in_flight_per_worker(1).max_in_flight(1));
        let workers = [0, 1].map(|slot| stage.worker(slot));
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        for (number, caller) in (1..).zip(callers) {
            assert_eq!(caller.join().unwrap().unwrap(), number);
        }
        stage.end(workers);
    });
}

#[test]
fn a_caller_that_goes_takes_nobodys_place_with_it() {
    explore(|| {
        let stage = Stage::new(1, 1);
        let worker = stage.worker(0);
        let leavers = [stage.leaver(1, 1), stage.leaver(2, 2)];
        let caller = stage.caller(3);
        assert_eq!(caller.join().unwrap().unwrap(), 3);
        for leaver in leavers {
            leaver.join().unwrap();
        }
        stage.end([worker]);
    });
}

#[test]
fn a_worker_hears_of_every_caller_that_goes() {
    explore(|| {
        let stage = Stage::new(1, 1);
        let worker = stage.worker(0);
        // Were it not cancelled, it would keep its place for ever.
        let leaver = stage.leaver(HELD, 1);
        let callers = [1, 2].map(|number| stage.caller(number));
        for (number, caller) in (1..).zip(callers) {
            assert_eq!(caller.join().unwrap().unwrap(), number);
        }
        leaver.join().unwrap();
        stage.end([worker]);
    });
}

#[test]
fn one_way_calls_go_their_way_and_leave_nothing_behind() {
    explore(|| {
        let stage = Stage::new(1, 1);
        let worker = stage.worker(0);
        let senders = [1, 2, 3]
            .map(|number| stage.start(move |stage| stage.wait(stage.pool.one_way("echo", number))));
        for sender in senders {
            sender.join().unwrap().unwrap();
        }
        stage.end([worker]);
    });
}

#[test]
fn one_way_calls_of_a_pool_that_closes_end_too() {
    // Thousands of them say that they were cut off.
    let _ = set_global_default(NoSubscriber::new());
    explore(|| {
        let stage = Stage::new(1, 1);
        let worker = stage.worker(0);
        let senders = [1, 2, 3]
            .map(|number| stage.start(move |stage| stage.wait(stage.pool.one_way("echo", number))));
        let closer = stage.start(|stage| stage.gate().close());
        for sender in senders {
            if let Err(error) = sender.join().unwrap() {
                assert_eq!(error.kind(), ErrorKind::Closed);
            }
        }
        closer.join().unwrap();
        stage.end([worker]);
    });
}

#[test]
fn whoever_looks_for_its_own_reply_and_whoever_does_not_gets_it() {
    explore(|| {
        let stage = Stage::with(1, |pool| pool.max_in_flight_per_worker(2).spin(Spin::Auto));
        let worker = stage.hire(0, 1);
        let worker = stage.start(move |_| worker.serve_lookers());
        let leaver = stage.leaver(3, 2);
        let callers = [1, 2].map(|number| stage.caller(number));
        for (number, caller) in (1..).zip(callers) {
            assert_eq!(caller.join().unwrap().unwrap(), number);
        }
        leaver.join().unwrap();
        stage.end([worker]);
    });
}

#[test]
fn a_deadline_in_the_line_ends_its_call_whenever_it_joins() {
    explore(|| {
        // There is no worker, so a call can end by its deadline only.
        let stage = Stage::new(1, 1);
        let is_over = Arc::new(AtomicBool::new(false));
        let has_ended = Arc::clone(&is_over);
        let supervisor = stage.start(move |stage| {
            let gate = stage.gate();
            // As the supervisor does it: told of no deadline, it would wait for ever.
            while !has_ended.load(Ordering::SeqCst) {
                match gate.poll_timeout() {
                    Some(at) => gate.handle_timeout(at),
                    None => block_on(gate.changed.notified()),
                }
            }
        });
        let callers = [HOUR, HOUR / 2].map(|time| {
            stage
                .start(move |stage| stage.wait(stage.pool.call::<_, u32>("echo", 1).deadline(time)))
        });
        for caller in callers {
            let error = caller.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Deadline);
            assert_eq!(error.fate(), Fate::NotStarted);
        }
        is_over.store(true, Ordering::SeqCst);
        stage.gate().changed.notify_one();
        stage.end([supervisor]);
    });
}

#[test]
fn a_deadline_that_passes_while_the_call_is_served_ends_it_once() {
    explore(|| {
        let stage = Stage::new(1, 1);
        let worker = stage.worker(0);
        let supervisor = stage.start(|stage| {
            stage.gate().handle_timeout(Instant::now() + 2 * HOUR);
        });
        let callers = [1, 2].map(|number| {
            stage.start(move |stage| {
                stage.wait(stage.pool.call::<_, u32>("echo", number).deadline(HOUR))
            })
        });
        for (number, caller) in (1..).zip(callers) {
            match caller.join().unwrap() {
                Ok(reply) => assert_eq!(reply, number),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Deadline);
                    assert_eq!(error.fate(), Fate::NotStarted);
                    assert!(!stage.executed().contains(&number));
                }
            }
        }
        supervisor.join().unwrap();
        stage.end([worker]);
    });
}

#[test]
fn nobody_is_woken_under_the_lock() {
    let ends: [fn(&Stage); 4] = [
        |stage| stage.gate().handle_timeout(Instant::now() + 2 * HOUR),
        |stage| stage.gate().close(),
        |stage| stage.gate().fail_slot(0),
        |stage| stage.gate().degrade_slot(0),
    ];
    for end in ends {
        exhaust(move || {
            let stage = Stage::new(1, 1);
            // The last waker of a task may own it, and with it another call, which leaves the line when it is dropped.
            let other = waiting(&stage);
            let bystander: Waker = Arc::new(Task(sync::Mutex::new(other))).into();
            let mut call = waiting(&stage);
            let mut context = Context::from_waker(&bystander);
            assert!(call.as_mut().poll(&mut context).is_pending());
            drop(bystander);
            end(&stage);
            let mut context = Context::from_waker(Waker::noop());
            assert!(call.as_mut().poll(&mut context).is_ready());
            drop(call);
            stage.end([]);
        });
    }
}

/// A task that is dropped with its last waker.
struct Task(#[expect(dead_code, reason = "it is only dropped")] sync::Mutex<Waiting>);

type Waiting = Pin<Box<dyn Future<Output = Result<u32>> + Send>>;

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// A call that waits in the line.
fn waiting(stage: &Stage) -> Waiting {
    let pool = stage.pool.clone();
    let mut call: Waiting = Box::pin(async move { pool.call("echo", 1).deadline(HOUR).await });
    let mut context = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    call
}
