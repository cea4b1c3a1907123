//! Async functions: many calls at once on the event loop of one worker.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use pyproc::{ErrorKind, EventLoop, Fate, InFlight, Pool, PoolBuilder};
use support::{
    Paths, assert_error, assert_never_replaced, begun, kill, nothing_in_flight, pid_of, scenario,
    until_while,
};

fn workers(count: usize) -> PoolBuilder {
    support::pool("async_functions.py").workers(count)
}

async fn assert_well(pool: &Pool) {
    assert_eq!(pool.call::<_, u64>("double", 21).await.unwrap(), 42);
    assert_eq!(pool.call::<_, u64>("plain", 21).await.unwrap(), 42);
    nothing_in_flight(pool).await;
}

#[test]
fn a_thousand_calls_are_under_way_at_once_in_one_worker() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1000)
            .start()
            .await
            .unwrap();
        // Each waits for all others, so one that was not begun would keep them all.
        let calls = (0..1000).map(|_| pool.call::<_, u64>("meet", 1000).into_future());
        assert_eq!(try_join_all(calls).await.unwrap(), [1000; 1000]);
        assert_well(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn many_calls_are_under_way_at_once_without_a_word_about_it() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let calls = (0..500).map(|_| pool.call::<_, u64>("meet", 500).into_future());
        assert_eq!(try_join_all(calls).await.unwrap(), [500; 500]);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_worker_with_an_async_function_is_sent_calls_of_all_its_functions_ahead() {
    const PLAIN: &str = r#"
import os, time

@expose
def hold(gate: str) -> str:
    while not os.path.exists(gate):
        time.sleep(0.001)
    return "held"
"#;
    const ASYNC: &str = r#"
@expose
async def other(x: int) -> int:
    return x
"#;
    scenario(async {
        for (source, limit, waiting) in [
            (PLAIN.to_owned(), InFlight::Auto, 19),
            (format!("{PLAIN}{ASYNC}"), InFlight::Auto, 0),
            (format!("{PLAIN}{ASYNC}"), InFlight::AtMost(5), 15),
        ] {
            let pool = support::pool_of(&source).workers(1);
            let pool = pool.max_in_flight_per_worker(limit).start().await.unwrap();
            let paths = Paths::new();
            let call = |_| pool.call::<_, String>("hold", paths.path("gate"));
            let calls = (0..20).map(call).map(IntoFuture::into_future);
            let held = begun(try_join_all(calls));
            let status = pool.status();
            let expected = (20 - waiting, waiting);
            assert_eq!((status.in_flight, status.waiting), expected, "{limit:?}");
            paths.write("gate");
            assert_eq!(held.await.unwrap().len(), 20);
            pool.shutdown().await.unwrap();
        }
    });
}

#[test]
fn no_more_calls_are_begun_than_a_worker_may_have() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(3)
            .deadline(Duration::from_millis(200))
            .start()
            .await
            .unwrap();
        let four = (0..4).map(|_| pool.call::<_, u64>("meet", 4).into_future());
        for result in join_all(four).await {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Deadline);
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn calls_keep_their_contextvars_to_themselves() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let calls = (1..300).map(|number| pool.call::<_, u64>("isolated", number).into_future());
        let seen = try_join_all(calls).await.unwrap();
        assert!(seen.into_iter().eq(1..300));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn plain_functions_run_beside_calls_that_wait() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let paths = Paths::new();
        let mut held = pool.call::<_, ()>("hold", paths.path("mark"));
        until_while("it has begun", &mut held, || paths.has("mark.began")).await;
        for number in 0..100_u64 {
            let name = ["plain", "own_loop"][usize::from(number % 2 == 0)];
            assert_eq!(pool.call::<_, u64>(name, number).await.unwrap(), 2 * number);
        }
        drop(begun(held));
        paths.there_is("mark.ended").await;
        assert_well(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_exception_group_tells_what_is_in_it() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let error = pool.call::<_, ()>("group", 1).await.unwrap_err();
        let culprit = "ValueError: of the group";
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Exception, Fate::Failed)
        );
        assert!(
            error
                .python()
                .unwrap()
                .traceback()
                .unwrap()
                .contains(culprit)
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_dropped_call_has_its_task_cancelled() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let paths = [(); 20].map(|()| Paths::new());
        let held = |paths: &Paths| pool.call::<_, ()>("hold", paths.path("mark"));
        let mut calls = join_all(paths.iter().map(held));
        until_while("they have begun", &mut calls, || {
            paths.iter().all(|paths| paths.has("mark.began"))
        })
        .await;
        drop(calls);
        for paths in &paths {
            paths.there_is("mark.ended").await;
        }
        assert_well(&pool).await;
        assert_eq!(pool.status().counts.cancelled, 20);
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_task_that_swallows_its_cancel_gives_its_place_back_when_it_ends() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(2)
            .start()
            .await
            .unwrap();
        let paths = Paths::new();
        let mut call = pool.call::<_, String>("swallow", paths.path("mark"));
        until_while("it has begun", &mut call, || paths.has("mark.began")).await;
        drop(call);
        paths.there_is("mark.swallowed").await;
        assert_well(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_late_call_has_its_task_cancelled() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let paths = Paths::new();
        let call = pool
            .call::<_, ()>("hold", paths.path("mark"))
            .deadline(Duration::from_millis(100));
        let error = call.await.unwrap_err();
        assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &["hold"]);
        paths.there_is("mark.ended").await;
        assert_well(&pool).await;
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
// Only the state page tells what the worker is in.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn a_call_that_blocks_the_event_loop_is_interrupted_and_the_others_go_on() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let paths = Paths::new();
        let mut held = pool.call::<_, ()>("hold", paths.path("waits"));
        until_while("it has begun", &mut held, || paths.has("waits.began")).await;
        let blocked = pool
            .call::<_, ()>("block", paths.path("blocks"))
            .deadline(Duration::from_millis(100));
        let error = blocked.await.unwrap_err();
        assert_error(&error, ErrorKind::Deadline, Fate::Failed, &["block"]);
        // The loop has its thread again.
        let doubled: u64 = pool.call("double", 21).await.unwrap();
        assert_eq!(doubled, 42);
        assert!(!paths.has("waits.ended"));
        assert_never_replaced(&pool);
        drop(begun(held));
        paths.there_is("waits.ended").await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn the_calls_of_a_killed_worker_that_had_begun_may_have_run() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(100)
            .start()
            .await
            .unwrap();
        let paths = [(); 100].map(|()| Paths::new());
        let held = |paths: &Paths| pool.call::<_, ()>("hold", paths.path("mark"));
        let calls = paths.iter().map(held);
        let kill = async {
            for paths in &paths {
                paths.there_is("mark.began").await;
            }
            kill(pid_of(&pool, 0));
        };
        let (results, ()) = futures::join!(join_all(calls), kill);
        for result in results {
            let error = result.unwrap_err();
            let (kind, fate) = (ErrorKind::WorkerDied, Fate::MayHaveRun);
            assert_error(&error, kind, fate, &["hold", "SIGKILL"]);
        }
        assert_well(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_call_that_kills_its_worker_takes_only_so_many_with_it() {
    scenario(async {
        let pool = workers(1).poison_limit(2).start().await.unwrap();
        let error = pool.call::<_, ()>("die", 1).idempotent().await.unwrap_err();
        assert_error(&error, ErrorKind::WorkerDied, Fate::MayHaveRun, &["die"]);
        assert_eq!(pool.status().counts.resent, 1);
        assert_well(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn sys_exit_in_a_task_ends_the_worker_and_its_calls() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let paths = Paths::new();
        let held = pool.call::<_, ()>("hold", paths.path("mark"));
        let leave = async {
            paths.there_is("mark.began").await;
            pool.call::<_, ()>("leave", 7).await
        };
        let (held, left) = futures::join!(held, leave);
        for error in [held.unwrap_err(), left.unwrap_err()] {
            let (kind, fate) = (ErrorKind::WorkerDied, Fate::MayHaveRun);
            assert_error(&error, kind, fate, &["exit code 7"]);
        }
        assert!(paths.has("mark.ended"));
        assert_well(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn async_generators_are_streams() {
    scenario(async {
        let pool = workers(1).stream_window(1000).start().await.unwrap();
        for name in ["count", "slowly"] {
            let streams = (0..20).map(|_| {
                let stream = pool.stream::<_, u64>(name, 300);
                stream.map(Result::unwrap).collect::<Vec<_>>()
            });
            for numbers in join_all(streams).await {
                assert!(numbers.into_iter().eq(0..300));
            }
        }
        let mut stream = pool.stream::<_, u64>("fail_after", 1);
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        let error = stream.next().await.unwrap().unwrap_err();
        let kind = ErrorKind::Exception;
        assert_error(&error, kind, Fate::Failed, &["ValueError: no more"]);
        assert!(stream.next().await.is_none());
        assert_well(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_async_generator_that_is_dropped_midway_runs_its_finally() {
    scenario(async {
        // Its generator waits for its reader in the one case, and never does in the other.
        for window in [20, 1 << 20] {
            let pool = workers(1).stream_window(window).start().await.unwrap();
            let paths = Paths::new();
            let mut stream = pool.stream::<_, u64>("tidy", paths.path("closed"));
            for number in 0..3 {
                assert_eq!(stream.next().await.unwrap().unwrap(), number);
            }
            drop(stream);
            paths.there_is("closed").await;
            assert_well(&pool).await;
            assert_never_replaced(&pool);
            pool.shutdown().await.unwrap();
        }
    });
}

#[test]
fn a_shutdown_waits_for_calls_that_wait() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let calls = (0..50).map(|_| pool.call::<_, f64>("nap", 0.05).into_future());
        let calls = begun(try_join_all(calls));
        let (naps, report) = futures::join!(calls, pool.shutdown());
        assert_eq!(naps.unwrap().len(), 50);
        report.unwrap();
    });
}

#[test]
fn uvloop_is_taken_where_it_is_asked_for() {
    scenario(async {
        let pool = workers(1).event_loop(EventLoop::Uvloop);
        let pool = pool.start().await.unwrap();
        let module: String = pool.call("loop_module", 1).await.unwrap();
        assert_eq!(module, "uvloop");
        let calls = (0..100).map(|_| pool.call::<_, u64>("meet", 100).into_future());
        assert_eq!(try_join_all(calls).await.unwrap(), [100; 100]);
        assert_well(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
// Only the state page tells what the worker is in.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn a_late_call_that_goes_on_in_small_steps_does_not_take_its_worker_along() {
    const STUBBORN: &str = r#"
import asyncio
import pathlib
import time

@expose
async def stubborn(path: str) -> None:
    while True:
        try:
            pathlib.Path(path).touch()
            end = time.monotonic() + 0.02
            while time.monotonic() < end:
                pass
            await asyncio.sleep(0.002)
        except BaseException:
            pass

@expose
async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds
"#;
    // Where it is interrupted, it is looked at every few milliseconds.
    for interrupt_after in [Some(Duration::ZERO), None] {
        scenario(async {
            let paths = Paths::new();
            let pool = support::pool_of(STUBBORN)
                .workers(1)
                .interrupt_after(interrupt_after)
                .overdue_after(Duration::from_millis(300))
                .drain_grace(Duration::from_secs(60));
            let pool = pool.start().await.unwrap();
            let wanted = async { pool.call::<_, f64>("nap", 2.0).await.unwrap() };
            let unwanted = async {
                let call = pool.call::<_, ()>("stubborn", paths.path("begun"));
                let error = call.deadline(Duration::from_millis(300)).await;
                assert_eq!(error.unwrap_err().kind(), ErrorKind::Deadline);
                assert!(paths.has("begun"));
                support::until("it is abandoned", || {
                    pool.status().workers[0].generation == 2
                })
                .await;
            };
            // By then the abandoned call has been found in one of its steps again and again.
            let (value, ()) = futures::join!(wanted, unwanted);
            assert_eq!(value.to_bits(), 2.0_f64.to_bits());
            pool.shutdown().await.unwrap();
        });
    }
}

#[test]
fn a_stream_whose_reader_takes_its_time_is_left_to_it_when_another_call_does_not_end() {
    const SLOW: &str = r#"
import asyncio
from collections.abc import AsyncIterator

@expose
async def refuse() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

@expose
async def count(to: int) -> AsyncIterator[str]:
    for number in range(to):
        yield str(number) * 1000
"#;
    scenario(async {
        let pool = support::pool_of(SLOW)
            .workers(1)
            .stream_window(1)
            .overdue_after(Duration::from_millis(300))
            .drain_grace(Duration::from_secs(60));
        let pool = pool.start().await.unwrap();
        let mut items = pool.stream::<_, String>("count", 10);
        items.next().await.unwrap().unwrap();
        let refused = pool.call::<_, ()>("refuse", serde_json::json!({}));
        let error = refused.deadline(Duration::from_millis(50)).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Deadline);
        // The worker has a successor, and what is left of its own time it has for the stream.
        support::until("it is abandoned", || {
            pool.status().workers[0].generation == 2
        })
        .await;
        let rest: Vec<_> = items.collect().await;
        assert_eq!(rest.len(), 9);
        assert!(rest.iter().all(Result::is_ok), "{rest:?}");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn workers_that_listen_have_no_event_loop_to_choose() {
    scenario(async {
        let pool = workers(1).listen().event_loop(EventLoop::Uvloop);
        let error = pool.start().await.unwrap_err();
        assert_error(&error, ErrorKind::Config, Fate::NotStarted, &["event_loop"]);
    });
}
