//! Calls that share their worker with others and are no longer wanted: what becomes of them, and of the others.

#![allow(clippy::unwrap_used, reason = "these are tests")]
// Without a state page it is not known which calls were begun.
#![cfg(all(target_os = "linux", not(pyproc_portable)))]

mod support;

use std::time::{Duration, Instant};

use pyproc::{ErrorKind, Event, Fate, PoolBuilder, WorkerState};
use serde_json::{Value, json};
use support::{
    Held, Paths, assert_error, assert_never_replaced, begun, call, call_and_drop, call_with, death,
    gone, nothing_in_flight, pid_of, scenario, until, within,
};

/// Far more than anything here takes.
const SOON: Duration = Duration::from_secs(20);

/// A caller waits no longer than half a second past its deadline, and the machine may be busy.
const GRACE: Duration = Duration::from_secs(2);

fn workers(count: usize) -> PoolBuilder {
    support::pool("shared.py")
        .workers(count)
        .overdue_after(Duration::from_secs(3600))
}

#[test]
fn a_dropped_async_call_is_cancelled_and_those_beside_it_go_on() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let held = Held::begin(&pool).await;
        let paths = Paths::new();
        let [started, end] = ["started", "end"].map(|name| paths.path(name));
        call_and_drop(
            &pool,
            "tidy",
            json!({ "started": started, "end": end }),
            &paths,
        )
        .await;
        until("it is cancelled", || !paths.text("end").is_empty()).await;
        assert_eq!(paths.text("end"), "CancelledError");
        until("its place is free", || pool.status().in_flight == 1).await;
        assert_eq!(held.end().await.unwrap(), "held");
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_late_async_call_is_cancelled_and_its_caller_gets_a_deadline_error() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let held = Held::begin(&pool).await;
        let paths = Paths::new();
        let late = pool.call::<_, Value>("rest", paths.path("started"));
        let error = late.deadline(Duration::from_millis(300)).await.unwrap_err();
        let culprits = ["`rest`", "the function was cancelled"];
        assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &culprits);
        until("its place is free", || pool.status().in_flight == 1).await;
        assert_eq!(held.end().await.unwrap(), "held");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_call_that_refuses_to_end_is_abandoned_and_its_worker_replaced_when_the_others_have_ended() {
    const DEADLINE: Duration = Duration::from_millis(200);
    scenario(async {
        let pool = workers(1).overdue_after(Duration::from_millis(400));
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        let old = pid_of(&pool, 0);
        let held = Held::begin(&pool).await;
        let paths = Paths::new();
        let begin = Instant::now();
        let late = pool.call::<_, Value>("refuse", paths.path("started"));
        let error = late.deadline(DEADLINE).await.unwrap_err();
        assert!(begin.elapsed() < DEADLINE + GRACE, "{error}");
        assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &["`refuse`"]);
        assert_eq!(pool.status().in_flight, 2, "it is not free");

        until("its successor is ready", || {
            let worker = &pool.status().workers[0];
            worker.generation == 2 && worker.state == WorkerState::Ready
        })
        .await;
        let successor: u32 = call(&pool, "pid").await.unwrap();
        assert_ne!(successor, old);
        assert!(!gone(old), "it has a call that goes on");
        assert_eq!(held.end().await.unwrap(), "held");
        let report = death(&mut events).await;
        assert_eq!(report.worker().pid(), Some(old));
        let said = report.to_string();
        assert!(
            said.contains("`refuse` did not end after its deadline"),
            "{said}"
        );
        nothing_in_flight(&pool).await;
        assert_eq!(call::<u32>(&pool, "pid").await.unwrap(), successor);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn calls_beside_an_abandoned_one_have_so_long_to_end_and_their_errors_name_the_culprit() {
    scenario(async {
        let pool = workers(1)
            .overdue_after(Duration::from_millis(50))
            .drain_grace(Duration::from_millis(100));
        let pool = pool.start().await.unwrap();
        let held = Held::begin(&pool).await;
        let paths = Paths::new();
        call_and_drop(&pool, "refuse", json!(paths.path("started")), &paths).await;
        let error = held.ended().await.unwrap_err();
        let culprits = ["`hold`", "`refuse` did not end after it was cancelled"];
        assert_error(&error, ErrorKind::WorkerDied, Fate::MayHaveRun, &culprits);
        call::<u32>(&pool, "pid").await.unwrap();
        assert_eq!(pool.status().in_flight, 0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_async_function_that_blocks_the_loop_is_told_of_and_named_in_the_errors_of_the_others() {
    scenario(async {
        let pool = workers(1).loop_blocked_after(Duration::from_millis(200));
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        let worker = pid_of(&pool, 0);
        let paths = Paths::new();
        let blocking = call_with(&pool, "block", json!(paths.path("started")));
        let meanwhile = async {
            paths.there_is("started").await;
            let blocked = async {
                loop {
                    if let Some(Event::LoopBlocked {
                        function, stacks, ..
                    }) = events.next().await
                    {
                        return (function, stacks.unwrap_or_default());
                    }
                }
            };
            let (function, stacks) = within(SOON, "it is told of", blocked).await;
            assert_eq!(function, "block");
            assert!(stacks.contains("in block\n"), "{stacks}");
            let late = pool.call::<_, u32>("pid", json!({}));
            let error = late.deadline(Duration::from_millis(300)).await.unwrap_err();
            let culprits = ["`pid`", "blocked by `block`"];
            assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &culprits);
        };
        tokio::select! {
            result = blocking => panic!("{result:?}"),
            () = meanwhile => {}
        }
        // It is dropped by now, and interrupted, because it keeps the others waiting.
        let next = within(SOON, "the loop goes on", call::<u32>(&pool, "pid")).await;
        assert_eq!(next.unwrap(), worker);
        nothing_in_flight(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_async_function_that_blocks_the_loop_and_swallows_the_interrupt_costs_its_worker_at_once() {
    scenario(async {
        let pool = workers(1).overdue_after(Duration::from_millis(100));
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        let held = Held::begin(&pool).await;
        let paths = Paths::new();
        let argument = json!(paths.path("started"));
        call_and_drop(&pool, "block_and_refuse", argument, &paths).await;
        let said = death(&mut events).await.to_string();
        let culprit = "`block_and_refuse` did not end after it was cancelled";
        assert!(said.contains(culprit), "{said}");
        let error = held.ended().await.unwrap_err();
        assert_error(&error, ErrorKind::WorkerDied, Fate::MayHaveRun, &[culprit]);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_batch_is_interrupted_when_nobody_wants_any_of_its_calls_any_more() {
    scenario(async {
        let pool = support::pool("cancel.py").workers(1);
        let pool = pool.max_in_flight_per_worker(8).start().await.unwrap();
        let worker = pid_of(&pool, 0);
        for wanted in [true, false] {
            let paths = Paths::new();
            let end = paths.path("end");
            let held = Held::begin(&pool).await;
            let calls =
                ["first", "second", &end].map(|path| pool.call::<_, String>("ponder", path));
            let [first, second, last] = calls.map(begun);
            until("they wait in the worker", || {
                pool.status().workers[0].in_flight == 4
            })
            .await;
            held.end().await.unwrap();
            paths.there_is("end.begun").await;
            drop((first, second));
            if wanted {
                // An interrupt would come at once.
                tokio::time::sleep(Duration::from_millis(50)).await;
                paths.write("end");
                assert_eq!(within(SOON, "it goes on", last).await.unwrap(), end);
            } else {
                drop(last);
            }
            nothing_in_flight(&pool).await;
            assert_eq!(paths.has("end"), wanted);
        }
        assert_eq!(pid_of(&pool, 0), worker);
        pool.shutdown().await.unwrap();
    });
}
