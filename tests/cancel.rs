//! Calls that nobody wants any more: their workers are free again, or are replaced.

#![allow(clippy::unwrap_used, reason = "these are tests")]
// Without a state page a function that runs goes on.
#![cfg(all(target_os = "linux", not(pyproc_portable)))]

mod support;

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::StreamExt;
use pyproc::{ErrorKind, Fate, Pool, PoolBuilder, WorkerState};
use serde_json::{Value, json};
use support::{
    Held, Paths, assert_error, assert_never_replaced, begun, call, call_and_drop, call_with, death,
    nothing_in_flight, pid_of, scenario, until, until_while, within,
};

/// Far less than `overdue_after`, after which a worker would be free in any case, and far more than an interrupt takes.
const SOON: Duration = Duration::from_secs(20);

fn workers(count: usize) -> PoolBuilder {
    support::pool("cancel.py")
        .workers(count)
        .overdue_after(Duration::from_secs(3600))
}

#[test]
fn fault_70_a_dropped_call_that_sleeps_or_computes_is_interrupted_and_its_worker_goes_on() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let worker = pid_of(&pool, 0);
        for function in ["sleep", "loop"] {
            let paths = Paths::new();
            let argument = json!(paths.path("started"));
            call_and_drop(&pool, function, argument, &paths).await;
            let next = within(SOON, "the worker is free", call::<u32>(&pool, "pid")).await;
            assert_eq!(next.unwrap(), worker);
        }
        let status = pool.status();
        assert_eq!((status.in_flight, status.counts.cancelled), (0, 2));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_dropped_call_cleans_up_and_keeps_its_place_until_it_has() {
    let source = "import os\n\
        import time\n\
        from pathlib import Path\n\
        @expose\n\
        def clean_up(started: str, cleaning: str, gate: str) -> None:\n    \
            try:\n        \
                Path(started).touch()\n        \
                time.sleep(1000)\n    \
            except BaseException as error:\n        \
                Path(cleaning + '.partial').write_text(type(error).__name__)\n        \
                os.rename(cleaning + '.partial', cleaning)\n        \
                while not os.path.exists(gate):\n            \
                    time.sleep(0.001)\n        \
                raise\n";
    scenario(async {
        let pool = support::pool_of(source)
            .workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let paths = Paths::new();
        let mut argument = Held::argument(&paths);
        argument["cleaning"] = json!(paths.path("cleaning"));
        call_and_drop(&pool, "clean_up", argument, &paths).await;
        paths.there_is("cleaning").await;
        assert_eq!(paths.text("cleaning"), "Interrupted");
        let status = pool.status();
        assert_eq!((status.in_flight, status.workers[0].in_flight), (1, 1));
        paths.write("gate");
        nothing_in_flight(&pool).await;
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_70_a_dropped_call_that_swallows_the_interrupt_costs_its_worker_which_is_named() {
    scenario(async {
        let pool = workers(1).overdue_after(Duration::from_millis(100));
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        let stuck = pid_of(&pool, 0);
        let paths = Paths::new();
        let argument = json!(paths.path("started"));
        call_and_drop(&pool, "swallow", argument, &paths).await;
        let report = death(&mut events).await;
        assert_eq!(report.worker().pid(), Some(stuck));
        let said = report.to_string();
        assert!(
            said.contains("`swallow` did not end after it was cancelled"),
            "{said}"
        );
        let stacks = report.stacks().expect("where it was");
        assert!(stacks.contains("in swallow\n"), "{stacks}");
        let next = within(SOON, "its successor answers", call::<u32>(&pool, "pid")).await;
        assert_ne!(next.unwrap(), stuck);
        assert_eq!(pool.status().in_flight, 0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_dropped_call_of_a_pool_without_interrupts_goes_on_to_its_end() {
    scenario(async {
        let overdue_after = Duration::from_millis(20);
        let pool = workers(1)
            .interrupt_after(None)
            .overdue_after(overdue_after);
        let pool = pool.max_in_flight_per_worker(1).start().await.unwrap();
        let paths = Paths::new();
        call_and_drop(&pool, "hold", Held::argument(&paths), &paths).await;
        tokio::time::sleep(5 * overdue_after).await;
        assert_eq!(pool.status().in_flight, 1);
        paths.write("gate");
        nothing_in_flight(&pool).await;
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn what_comes_of_an_interrupt_is_no_mark_against_the_worker() {
    scenario(async {
        let pool = workers(2).eject_after(2).start().await.unwrap();
        let paths = Paths::new();
        call_with(&pool, "echo", json!(1)).await.unwrap();
        for _ in 0..10 {
            let argument = json!(paths.path("started"));
            call_and_drop(&pool, "translate", argument, &paths).await;
            nothing_in_flight(&pool).await;
            std::fs::remove_file(paths.path("started")).unwrap();
            call_with(&pool, "echo", json!(1)).await.unwrap();
        }
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_generator_that_is_stuck_when_its_stream_is_dropped_is_interrupted() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let worker = pid_of(&pool, 0);
        let paths = Paths::new();
        let mut stream = pool.stream::<_, u64>("stuck_in_next", paths.path("started"));
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        paths.there_is("started").await;
        drop(stream);
        let next = within(SOON, "the worker is free", call::<u32>(&pool, "pid")).await;
        assert_eq!(next.unwrap(), worker);
        assert_eq!(pool.status().in_flight, 0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_generator_that_yields_soon_when_its_stream_is_dropped_is_closed_rather_than_interrupted() {
    const STREAMS: usize = 20;
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let mut closed = 0;
        for _ in 0..STREAMS {
            let paths = Paths::new();
            let mut stream = pool.stream::<_, u64>("yield_soon", paths.path("end"));
            assert_eq!(stream.next().await.unwrap().unwrap(), 0);
            drop(stream);
            until("it was ended", || !paths.text("end").is_empty()).await;
            closed += usize::from(paths.text("end") == "GeneratorExit");
        }
        // A busy machine may keep one from yielding for longer than it is left alone.
        assert!(closed > STREAMS / 2, "{closed} of {STREAMS} were closed");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_generator_that_never_yields_and_swallows_the_interrupt_costs_its_worker_which_is_named() {
    scenario(async {
        let pool = workers(1).overdue_after(Duration::from_millis(100));
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        let paths = Paths::new();
        let mut stream = pool.stream::<_, u64>("never_yields", paths.path("started"));
        let mut item = StreamExt::next(&mut stream);
        until_while("it has begun", &mut item, || paths.has("started")).await;
        drop(stream);
        let said = death(&mut events).await.to_string();
        assert!(
            said.contains("`never_yields` did not end after it was cancelled"),
            "{said}"
        );
        let next = within(SOON, "its successor answers", call::<u32>(&pool, "pid")).await;
        next.unwrap();
        pool.shutdown().await.unwrap();
    });
}

/// Polls a future until it ends, or drops it when this time has passed. A timer would be too coarse.
async fn poll_for<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    let begin = Instant::now();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = futures::poll!(&mut future) {
            return Some(output);
        }
        if begin.elapsed() >= time {
            return None;
        }
        tokio::task::yield_now().await;
    }
}

/// Asserts that nothing of the calls is left, in the pool or in its workers, and that none of those was replaced.
async fn assert_all_is_as_before(pool: &Pool) {
    until("all places are free", || {
        let status = pool.status();
        let in_workers: usize = status.workers.iter().map(|worker| worker.in_flight).sum();
        (status.in_flight, status.waiting, in_workers) == (0, 0, 0)
    })
    .await;
    for number in 0..100 {
        let answer = call_with(pool, "echo", json!(number)).await;
        assert_eq!(answer.unwrap(), json!(number));
    }
    assert_never_replaced(pool);
    let workers = pool.status().workers;
    assert!(
        workers
            .iter()
            .all(|worker| worker.state == WorkerState::Ready),
        "{workers:?}"
    );
}

#[test]
fn fault_70_a_call_may_be_cancelled_at_every_point_of_its_life() {
    const POINTS: u32 = 100;
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(2)
            .start()
            .await
            .unwrap();
        let pad = "x".repeat(200_000);
        let mut ends = [0, 0];
        for point in 0..POINTS {
            let after = Duration::from_micros(20) * point;
            // One in front, so that the others wait for their turn, in the worker and in the line.
            let first = poll_for(
                2 * after,
                call_with(&pool, "work", json!({"number": 1, "microseconds": 500})),
            );
            let second = poll_for(
                after,
                call_with(&pool, "work", json!({"number": 2, "microseconds": 300})),
            );
            let third = poll_for(
                after,
                call_with(&pool, "large", json!({"number": 3, "pad": pad})),
            );
            let items = async {
                let stream = pool.stream::<_, u64>("numbers", 5);
                stream.map(Result::unwrap).collect::<Vec<_>>().await
            };
            let items = poll_for(2 * after, items);
            let (first, second, third, items) = futures::join!(first, second, third, items);
            for (number, answer) in [(1, first), (2, second)] {
                ends[usize::from(answer.is_some())] += 1;
                assert!(answer.is_none_or(|answer| answer.unwrap() == json!(number)));
            }
            if let Some(answer) = third {
                let answer = answer.unwrap();
                assert_eq!(
                    (&answer["number"], &answer["pad"]),
                    (&json!(3), &json!(pad))
                );
            }
            assert!(items.is_none_or(|items| items == [0, 1, 2, 3, 4]));
            assert_eq!(
                call_with(&pool, "echo", json!(point)).await.unwrap(),
                json!(point)
            );
        }
        assert!(
            ends.iter().all(|count| *count > 5),
            "all have ended the same way: {ends:?}"
        );
        assert_all_is_as_before(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_70_after_a_storm_of_ten_thousand_cancelled_calls_permits_ledger_and_workers_are_exact() {
    const CALLERS: u64 = 50;
    const CALLS_EACH: u64 = 200;
    scenario(async {
        let pool = workers(2)
            .max_in_flight_per_worker(4)
            .start()
            .await
            .unwrap();
        let callers = (0..CALLERS).map(|caller| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(caller);
                let mut ended = 0;
                for call in 0..CALLS_EACH {
                    let number = caller * CALLS_EACH + call;
                    let argument = json!({ "number": number, "microseconds": random.u32(0..200) });
                    let after = Duration::from_micros(random.u64(0..4000));
                    if let Some(answer) = poll_for(after, call_with(&pool, "work", argument)).await
                    {
                        assert_eq!(answer.unwrap(), json!(number));
                        ended += 1;
                    }
                }
                ended
            })
        });
        let mut ended = 0;
        for caller in futures::future::join_all(callers).await {
            ended += caller.unwrap();
        }
        let cancelled = CALLERS * CALLS_EACH - ended;
        assert!(
            ended > 500 && cancelled > 500,
            "{ended} have ended, {cancelled} were cancelled"
        );
        let counts = pool.status().counts;
        assert_eq!((counts.returned, counts.failed), (ended, 0));
        assert!(counts.cancelled <= cancelled, "{counts:?}");
        assert_eq!((counts.moved, counts.resent), (0, 0));
        assert_all_is_as_before(&pool).await;
        let mut tallies = BTreeMap::new();
        while tallies.len() < 2 {
            let told = futures::join!(call::<Value>(&pool, "tally"), call::<Value>(&pool, "tally"));
            for tally in [told.0.unwrap(), told.1.unwrap()] {
                assert_eq!(
                    tally["begun"], tally["ended"],
                    "a function was left: {tally}"
                );
                tallies.insert(tally["pid"].to_string(), tally["begun"].as_u64().unwrap());
            }
        }
        let begun: u64 = tallies.values().sum();
        assert!(
            (ended..=CALLERS * CALLS_EACH).contains(&begun),
            "{begun} have begun"
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_deadline_that_passes_in_a_queue_ends_the_call_there_and_its_function_never_runs() {
    const DEADLINE: Duration = Duration::from_millis(100);
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(3)
            .start()
            .await
            .unwrap();
        let held = Held::begin(&pool).await;
        // Two wait in the worker, one of them for a batch, and one in the pool's line.
        let in_worker = pool.call::<_, u64>("work", json!({ "number": 1, "microseconds": 0 }));
        let in_batch = pool.call::<_, u64>("score", 2);
        let in_line = pool.call::<_, u64>("score", 3);
        let late = futures::join!(
            in_worker.deadline(DEADLINE),
            in_batch.deadline(DEADLINE),
            in_line.deadline(DEADLINE),
        );
        let (in_worker, in_batch, in_line) = (
            late.0.unwrap_err(),
            late.1.unwrap_err(),
            late.2.unwrap_err(),
        );
        assert_error(
            &in_worker,
            ErrorKind::Deadline,
            Fate::MayHaveRun,
            &["`work`"],
        );
        assert_error(
            &in_batch,
            ErrorKind::Deadline,
            Fate::MayHaveRun,
            &["`score`"],
        );
        let culprits = ["`score`", "waited for its turn"];
        assert_error(&in_line, ErrorKind::Deadline, Fate::NotStarted, &culprits);
        let status = pool.status();
        assert_eq!((status.in_flight, status.waiting), (3, 0));
        assert_eq!(held.end().await.unwrap(), "held");
        assert_all_is_as_before(&pool).await;
        let tally: Value = call(&pool, "tally").await.unwrap();
        assert_eq!(tally["begun"], 0, "something has run: {tally}");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn the_time_that_a_call_has_left_counts_what_it_has_waited() {
    const WAIT: Duration = Duration::from_millis(100);
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let held = Held::begin(&pool).await;
        let begin = Instant::now();
        let left = pool.call::<_, f64>("remaining", json!({}));
        let left = begun(left.deadline(Duration::from_secs(3600)));
        tokio::time::sleep(WAIT).await;
        held.end().await.unwrap();
        let left = left.await.unwrap();
        let [waited, least] = [begin.elapsed(), WAIT].map(|time| time.as_secs_f64());
        assert!(
            (3600.0 - waited..=3600.0 - least).contains(&left),
            "{left} s are left"
        );
        pool.shutdown().await.unwrap();
    });
}
