//! Workers that die, leave or are replaced, and pools that end, while calls come and go.

use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};
use tracing::subscriber::NoSubscriber;

use super::explore;
use super::stage::Stage;
use crate::error::{ErrorKind, Fate, Result};

/// Waits for callers of the calls from number 1 on; those that have an error must have this one. Returns how many have.
fn failures(
    callers: impl IntoIterator<Item = JoinHandle<Result<u32>>>,
    kind: ErrorKind,
    fates: &[Fate],
) -> usize {
    let mut failures = 0;
    for (number, caller) in (1..).zip(callers) {
        match caller.join().unwrap() {
            Ok(reply) => assert_eq!(reply, number, "the reply to another call"),
            Err(error) => {
                assert_eq!(error.kind(), kind, "{error}");
                assert!(fates.contains(&error.fate()), "{error}: {:?}", error.fate());
                failures += 1;
            }
        }
    }
    failures
}

#[test]
fn a_death_ends_the_calls_that_it_touched_and_no_others() {
    explore(|| {
        let stage = Stage::new(1, 2);
        let mut first = stage.hire(0, 1);
        let worker = stage.start(move |stage| {
            // It dies of the first call that it sees; what it has done with others in its socket nobody can tell.
            if let Some(calls) = first.wait_for_calls() {
                first.execute(calls[0].0, calls[0].1);
                first.die();
                stage.hire(0, 2).serve();
            }
        });
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        let died = failures(callers, ErrorKind::WorkerDied, &[Fate::MayHaveRun]);
        assert!((1..=2).contains(&died), "{died} calls died of one death");
        stage.end([worker]);
    });
}

#[test]
fn of_the_calls_that_a_dead_worker_had_only_the_one_that_it_ran_dies_with_it() {
    explore(|| {
        let stage = Stage::new(1, 3);
        let mut first = stage.hire_with_page(0, 1);
        let worker = stage.start(move |stage| {
            if let Some(calls) = first.wait_for_calls() {
                first.execute(calls[0].0, calls[0].1);
                first.die();
                stage.hire_with_page(0, 2).serve();
            }
        });
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        let died = failures(callers, ErrorKind::WorkerDied, &[Fate::MayHaveRun]);
        assert_eq!(died, 1);
        assert_eq!(stage.executed().len(), 3, "a call was not run, or twice");
        stage.end([worker]);
    });
}

#[test]
fn an_idempotent_call_outlives_its_worker() {
    explore(|| {
        let stage = Stage::new(1, 2);
        let first = stage.hire(0, 1);
        let worker = stage.start(move |stage| {
            let mut first = first;
            if first.wait_for_calls().is_some() {
                first.die();
                stage.hire(0, 2).serve();
            }
        });
        let callers = [1, 2].map(|number| {
            stage.start(move |stage| stage.wait(stage.pool.call("echo", number).idempotent()))
        });
        assert_eq!(failures(callers, ErrorKind::WorkerDied, &[]), 0);
        stage.end([worker]);
    });
}

#[test]
fn whoever_makes_a_one_way_call_hears_of_no_end_that_comes_after_its_acceptance() {
    // What would be logged in every schedule goes nowhere. Another proof may have seen to it.
    let _ = tracing::subscriber::set_global_default(NoSubscriber::default());
    explore(|| {
        let stage = Stage::new(1, 1);
        let mut first = stage.hire(0, 1);
        let worker = stage.start(move |stage| {
            if first.wait_for_calls().is_some() {
                first.die();
                stage.hire(0, 2).serve();
            }
        });
        // The worker may look for calls at any time.
        let bell = stage.start(|stage| {
            for _ in 0..8 {
                stage.ring();
                thread::yield_now();
            }
        });
        let caller = stage.start(|stage| stage.wait(stage.pool.one_way("echo", 1)));
        caller.join().unwrap().unwrap();
        bell.join().unwrap();
        // It is over by the time that this is answered.
        assert_eq!(stage.call(2).unwrap(), 2);
        assert_eq!(stage.executed(), [2]);
        stage.end([worker]);
    });
}

#[test]
fn what_a_dead_worker_has_answered_counts() {
    explore(|| {
        let stage = Stage::new(1, 1);
        let mut first = stage.hire(0, 1);
        let worker = stage.start(move |stage| {
            if let Some(calls) = first.wait_for_calls() {
                for (call, number) in calls {
                    first.run(call, number);
                }
                // Nobody has read the answer yet.
                first.die();
                stage.hire(0, 2).serve();
            }
        });
        let callers = [1, 2].map(|number| stage.caller(number));
        let leaver = stage.leaver(3, 1);
        assert_eq!(failures(callers, ErrorKind::WorkerDied, &[]), 0);
        leaver.join().unwrap();
        stage.end([worker]);
    });
}

#[test]
fn a_worker_that_leaves_in_good_order_costs_no_call() {
    explore(|| {
        let stage = Stage::new(1, 2);
        let mut first = stage.hire(0, 1);
        let worker = stage.start(move |stage| {
            if let Some(mut calls) = first.wait_for_calls() {
                let (call, number) = calls.remove(0);
                first.run(call, number);
                first.leave();
                stage.hire(0, 2).serve();
            }
        });
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        assert_eq!(failures(callers, ErrorKind::WorkerDied, &[]), 0);
        stage.end([worker]);
    });
}

#[test]
fn a_successor_takes_over_while_the_predecessor_finishes() {
    explore(|| {
        let stage = Stage::new(1, 1);
        let first = stage.worker(0);
        let supervisor = stage.start(|stage| stage.hire(0, 2).serve());
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        assert_eq!(failures(callers, ErrorKind::WorkerDied, &[]), 0);
        stage.end([first, supervisor]);
    });
}

#[test]
fn a_pool_that_shrinks_and_grows_costs_no_call() {
    explore(|| {
        let stage = Stage::new(2, 1);
        let workers = [0, 1].map(|slot| stage.worker(slot));
        let supervisor = stage.start(|stage| {
            stage.gate().remove_slot(1);
            stage.gate().add_slot(1);
            stage.hire(1, 2).serve();
        });
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        assert_eq!(failures(callers, ErrorKind::WorkerDied, &[]), 0);
        stage.end(workers.into_iter().chain([supervisor]));
    });
}

#[test]
fn a_pool_that_is_closed_ends_every_call() {
    explore(|| {
        let stage = Stage::new(1, 1);
        let worker = stage.hire(0, 1);
        let connection = worker.connection.clone();
        let worker = stage.start(move |_| worker.serve());
        let supervisor = stage.start(move |stage| {
            stage.gate().close();
            connection.cut();
            connection.drain();
        });
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        let fates = [Fate::NotStarted, Fate::MayHaveRun];
        failures(callers, ErrorKind::Closed, &fates);
        supervisor.join().unwrap();
        stage.end([worker]);
    });
}

#[test]
fn a_pool_that_drains_finishes_what_it_has_accepted_and_then_knows_it() {
    explore(|| {
        let stage = Stage::new(1, 1);
        let worker = stage.worker(0);
        let supervisor = stage.start(|stage| {
            let gate = stage.gate();
            gate.drain();
            // As the supervisor does it: were it not told, it would wait for ever.
            while !gate.is_idle() {
                block_on(gate.changed.notified());
            }
            gate.close();
            gate.turned_away()
        });
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        failures(callers, ErrorKind::Closed, &[Fate::NotStarted]);
        assert_eq!(
            supervisor.join().unwrap(),
            0,
            "an accepted call was refused"
        );
        stage.end([worker]);
    });
}

#[test]
fn whoever_waits_for_the_last_worker_is_told_when_none_will_come() {
    explore(|| {
        let stage = Stage::new(2, 1);
        let mut first = stage.hire(0, 1);
        let worker = stage.start(move |stage| {
            stage.gate().fail_slot(1);
            if first.wait_for_calls().is_some() {
                first.die();
                stage.gate().fail_slot(0);
            }
        });
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        let (mut died, mut refused) = (0, 0);
        for caller in callers {
            match caller.join().unwrap().unwrap_err() {
                error if error.kind() == ErrorKind::WorkerDied => died += 1,
                error => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable);
                    assert_eq!(error.fate(), Fate::NotStarted);
                    refused += 1;
                }
            }
        }
        assert_eq!((died, refused), (1, 2));
        stage.end([worker]);
    });
}

#[test]
fn a_slot_that_was_given_up_and_comes_back_takes_calls_again() {
    explore(|| {
        let stage = Stage::new(1, 1);
        let supervisor = stage.start(|stage| {
            stage.gate().degrade_slot(0);
            stage.hire(0, 2)
        });
        let callers = [1, 2].map(|number| stage.caller(number));
        let worker = supervisor.join().unwrap();
        let worker = stage.start(move |_| worker.serve());
        failures(callers, ErrorKind::Unavailable, &[Fate::NotStarted]);
        assert_eq!(stage.call(3).unwrap(), 3);
        stage.end([worker]);
    });
}

#[test]
fn calls_whose_runtime_is_gone_end_as_closed() {
    explore(|| {
        let stage = Stage::new(1, 2);
        let worker = stage.hire(0, 1);
        let end = stage.start(move |stage| {
            // As the attendant is dropped, and then the supervisor.
            let worker = worker;
            worker.connection.abort();
            stage.gate().close();
        });
        let callers = [1, 2, 3].map(|number| stage.caller(number));
        let fates = [Fate::NotStarted, Fate::MayHaveRun];
        assert_eq!(failures(callers, ErrorKind::Closed, &fates), 3);
        stage.end([end]);
    });
}
