//! Which worker a call goes to, when, with what beside it, and how often.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use futures::StreamExt;
use pyproc::{
    Answers, ErrorKind, Fate, Json, Pool, PoolBuilder, Priority, Protocol, Restart, Retry,
    RetryBudget, Stream, Weighted, WorkerIdentity, WorkerState,
};
use serde_json::{Value, json};
use support::{
    Held, Paths, assert_error, begun, kill, nothing_in_flight, pid_of, scenario,
    scenario_without_runtime, until, within,
};

fn workers(count: usize) -> PoolBuilder {
    support::pool("routing.py").workers(count)
}

/// Where the call of a key goes, when it is the only one.
async fn slot_of(pool: &Pool, key: usize) -> usize {
    pool.call("slot", json!({})).key(key).await.unwrap()
}

#[test]
fn metadata_go_there_and_back_also_for_a_call_that_waits() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let call = |number: usize| {
            let back = BTreeMap::from([("served", format!("ü{number}"))]);
            pool.call::<_, BTreeMap<String, String>>("echo_metadata", back)
                .metadata("traceparent", format!("00-{number}"))
                .metadata("user", "ä")
                .with_metadata()
        };
        // All but the first wait in the line.
        for (number, response) in futures::future::join_all((0..20).map(call))
            .await
            .into_iter()
            .enumerate()
        {
            let response = response.unwrap();
            let sent = [
                ("traceparent", format!("00-{number}")),
                ("user", "ä".to_owned()),
            ];
            assert!(
                response
                    .value
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.clone()))
                    .eq(sent)
            );
            let back: Vec<_> = response.metadata.iter().collect();
            assert_eq!(back, [("served", &*format!("ü{number}"))]);
        }
        // Without any, none.
        let nothing = BTreeMap::<String, String>::new();
        let call = pool.call::<_, BTreeMap<String, String>>("echo_metadata", &nothing);
        let response = call.with_metadata().await.unwrap();
        assert!(response.value.is_empty() && response.metadata.is_empty());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn metadata_of_calls_that_share_a_worker_are_not_mixed_up() {
    const ASYNC: &str = r#"
import asyncio
from pyproc import current_context

@expose
async def echo(text: str) -> str:
    for _ in range(3):
        current_context().set_metadata("text", text)
        await asyncio.sleep(0)
    return current_context().metadata["trace"]
"#;
    const IN_THREADS: &str = r#"
import time
from pyproc import current_context

@expose
def echo(text: str) -> str:
    current_context().set_metadata("text", text)
    time.sleep(0.001)
    return current_context().metadata["trace"]
"#;
    for (source, threads) in [(ASYNC, 1), (IN_THREADS, 4)] {
        scenario(async {
            let pool = support::pool_of(source).workers(1).threads(threads);
            let pool = pool.start().await.unwrap();
            let call = |number: usize| {
                let call = pool.call::<_, String>("echo", format!("text {number}"));
                call.metadata("trace", format!("trace {number}"))
                    .with_metadata()
            };
            let responses = futures::future::join_all((0..40).map(call)).await;
            for (number, response) in responses.into_iter().enumerate() {
                let response = response.unwrap();
                assert_eq!(response.value, format!("trace {number}"));
                let text = format!("text {number}");
                assert_eq!(response.metadata.get("text"), Some(&*text));
            }
            pool.shutdown().await.unwrap();
        });
    }
}

#[test]
fn metadata_that_no_frame_has_room_for_end_the_call_before_it_is_sent() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let call = pool.call::<_, u32>("pid", json!({}));
        let error = call
            .metadata("k", "v".repeat(65_531))
            .metadata("", "")
            .await;
        let error = error.unwrap_err();
        let culprits = ["call of `pid`", "65536 bytes"];
        assert_error(&error, ErrorKind::TooLarge, Fate::NotStarted, &culprits);
        assert_eq!(pool.status().in_flight, 0);
        let call = pool.call::<_, u32>("pid", json!({}));
        call.metadata("", "v".repeat(65_531)).await.unwrap();
        pool.shutdown().await.unwrap();
    });
}

#[test]
// Only the state page tells what the worker is in.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn metadata_go_along_when_a_call_moves_to_another_worker() {
    scenario(async {
        let pool = workers(1).max_in_flight_per_worker(2);
        let pool = pool.start().await.unwrap();
        let held = Held::begin(&pool).await;
        let back = BTreeMap::from([("served", "yes")]);
        let call = pool.call::<_, BTreeMap<String, String>>("echo_metadata", back);
        let behind = begun(call.metadata("traceparent", "00-1").with_metadata());
        kill(pid_of(&pool, 0));
        held.ended().await.unwrap_err();
        let response = behind.await.unwrap();
        assert_eq!(response.value["traceparent"], "00-1");
        assert_eq!(response.metadata.get("served"), Some("yes"));
        let counts = pool.status().counts;
        assert_eq!((counts.moved, counts.resent), (1, 0));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn metadata_go_along_when_a_call_is_sent_again() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let paths = Paths::new();
        let call = pool.call::<_, String>("trace_or_die_once", paths.path("died"));
        let call = call.idempotent().metadata("traceparent", "00-1");
        let response = call.with_metadata().await.unwrap();
        assert_eq!(response.value, "00-1");
        assert_eq!(response.metadata.get("order"), Some("ab"));
        assert_eq!(pool.status().counts.resent, 1);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn the_json_protocol_leaves_metadata_out_in_both_directions() {
    scenario(async {
        let pool = workers(1).listen().protocol(Protocol::Json).codec(Json);
        let pool = pool.start().await.unwrap();
        let back = BTreeMap::from([("served", "yes")]);
        let call = pool.call::<_, BTreeMap<String, String>>("echo_metadata", back);
        let call = call.metadata("traceparent", "00-1").with_metadata();
        let response = call.await.unwrap();
        assert!(response.value.is_empty() && response.metadata.is_empty());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_program_without_a_runtime_sends_metadata_too() {
    scenario_without_runtime(|| {
        let pool = workers(1).start_blocking().unwrap();
        let call = pool
            .handle()
            .call::<_, String>("trace", json!({"first": "a", "second": "b"}));
        let response = pool.wait(call.metadata("traceparent", "00-1").with_metadata());
        let response = response.unwrap();
        assert_eq!(response.value, "00-1");
        assert_eq!(response.metadata.get("order"), Some("ab"));
        pool.shutdown().unwrap();
    });
}

#[test]
fn a_slow_worker_gets_less() {
    scenario(async {
        let pool = workers(2)
            .router(Weighted::default())
            .start()
            .await
            .unwrap();
        let mut calls = [0; 2];
        for _ in 0..40 {
            let slot: usize = pool.call("slow_in_slot_0", json!({})).await.unwrap();
            calls[slot] += 1;
        }
        // One to measure it, and a few more when the machine is slower than both.
        assert!((1..=6).contains(&calls[0]), "{calls:?}");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_hot_key_overloads_no_worker_and_stays_where_it_is_when_it_cools() {
    scenario(async {
        let pool = workers(4)
            .max_in_flight_per_worker(64)
            .start()
            .await
            .unwrap();
        let home = slot_of(&pool, 7).await;
        let paths = Paths::new();
        let hold = Held::argument(&paths);
        let call = |_| begun(pool.call::<_, Value>("hold", &hold).key(7_usize));
        let calls: Vec<_> = (0..32).map(call).collect();
        let loads: Vec<_> = pool
            .status()
            .workers
            .iter()
            .map(|worker| worker.in_flight)
            .collect();
        assert_eq!(loads.iter().sum::<usize>(), 32);
        // A quarter more than the average of 8.
        assert_eq!(
            (loads[home], loads.iter().max()),
            (10, Some(&10)),
            "{loads:?}"
        );
        paths.write("gate");
        for result in futures::future::join_all(calls).await {
            result.unwrap();
        }
        for _ in 0..5 {
            assert_eq!(slot_of(&pool, 7).await, home);
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_dead_slot_moves_only_its_keys_and_has_them_again_when_it_is_back() {
    for comes_back in [false, true] {
        scenario(async {
            let pool = workers(3).restart(comes_back).start().await.unwrap();
            let mut homes = Vec::new();
            for key in 0..30 {
                homes.push(slot_of(&pool, key).await);
            }
            assert!((0..3).all(|slot| homes.contains(&slot)), "{homes:?}");
            let dead = homes[0];
            let status = || pool.status().workers[dead].clone();
            kill(status().pid.unwrap());
            until(
                "it is gone for good, or its successor is there",
                || match status().state {
                    WorkerState::Ready => status().generation == 2,
                    state => state == WorkerState::Failed,
                },
            )
            .await;
            for (key, home) in homes.into_iter().enumerate() {
                let stays = comes_back || home != dead;
                assert_eq!(slot_of(&pool, key).await == home, stays, "{key}");
            }
            pool.shutdown().await.unwrap();
        });
    }
}

#[test]
fn low_priority_is_passed_over_seven_times_and_not_starved() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let held = Held::begin(&pool).await;
        let note = |name: &str, priority| {
            begun(
                pool.call::<_, ()>("note", name.to_owned())
                    .priority(priority),
            )
        };
        let mut calls = vec![note("low", Priority::Low), note("normal", Priority::Normal)];
        for number in 0..20 {
            calls.push(note(&format!("high {number}"), Priority::High));
        }
        held.end().await.unwrap();
        for result in futures::future::join_all(calls).await {
            result.unwrap();
        }
        let notes: Vec<String> = pool.call("notes", json!({})).await.unwrap();
        let place = |name| notes.iter().position(|note| note == name);
        assert_eq!(
            [place("high 0"), place("high 6")],
            [Some(0), Some(6)],
            "{notes:?}"
        );
        assert_eq!(
            [place("low"), place("normal")],
            [Some(7), Some(15)],
            "{notes:?}"
        );
        pool.shutdown().await.unwrap();
    });
}

/// The slots that have answered, or how they have not.
fn answers(
    broadcast: Vec<(WorkerIdentity, pyproc::Result<usize>)>,
) -> Vec<(usize, Result<usize, Fate>)> {
    let answer = |(worker, result): (WorkerIdentity, pyproc::Result<usize>)| {
        let result = result.map_err(|error| {
            assert_error(&error, ErrorKind::WorkerDied, error.fate(), &[]);
            assert_eq!(error.worker(), Some(&worker));
            error.fate()
        });
        (worker.slot(), result)
    };
    broadcast.into_iter().map(answer).collect()
}

#[test]
fn every_worker_answers_a_broadcast_once_also_a_busy_one() {
    scenario(async {
        let pool = workers(3)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let begin = [(); 3].map(|()| Held::begin(&pool));
        let held = futures::future::join_all(begin).await;
        let broadcast = begun(pool.broadcast::<_, usize>("reload", 7));
        // It is above the limit, and does not wait in the line.
        let status = pool.status();
        assert_eq!((status.in_flight, status.waiting), (6, 0));
        for held in held {
            held.end().await.unwrap();
        }
        let expected = [0, 1, 2].map(|slot| (slot, Ok(slot)));
        assert_eq!(answers(broadcast.await.unwrap()), expected);
        for (_, version) in pool
            .broadcast::<_, u32>("version", json!({}))
            .await
            .unwrap()
        {
            assert_eq!(version.unwrap(), 7);
        }
        let status = pool.status();
        assert_eq!((status.in_flight, status.counts.returned), (0, 9));
        pool.shutdown().await.unwrap();
        let error = pool.broadcast::<_, usize>("reload", 8).await.unwrap_err();
        assert_error(&error, ErrorKind::Closed, Fate::NotStarted, &["`reload`"]);
    });
}

#[test]
// Only the state page tells what the worker is in.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn a_worker_that_dies_of_a_broadcast_is_one_answer_and_the_call_is_not_moved() {
    scenario(async {
        let pool = workers(3).start().await.unwrap();
        let broadcast = pool.broadcast("die_in_slot", 1).await.unwrap();
        let died = [(0, Ok(0)), (1, Err(Fate::MayHaveRun)), (2, Ok(2))];
        assert_eq!(answers(broadcast), died);
        until("its successor is there", || {
            let worker = &pool.status().workers[1];
            worker.state == WorkerState::Ready && worker.generation == 2
        })
        .await;
        // One that dies before it has begun it says so.
        let held = Held::begin(&pool).await;
        let holder = pool
            .status()
            .workers
            .into_iter()
            .find(|worker| worker.in_flight == 1);
        let holder = holder.unwrap();
        let broadcast = begun(pool.broadcast::<_, usize>("reload", 1));
        kill(holder.pid.unwrap());
        let answers = answers(broadcast.await.unwrap());
        assert_eq!(answers[holder.slot], (holder.slot, Err(Fate::NotStarted)));
        assert_eq!(
            answers.iter().filter(|(_, answer)| answer.is_ok()).count(),
            2
        );
        held.ended().await.unwrap_err();
        let status = pool.status();
        assert_eq!(
            (status.in_flight, status.counts.moved, status.counts.resent),
            (0, 0, 0)
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_late_broadcast_of_an_async_function_says_so_in_every_answer() {
    const NAP: &str = r#"
import asyncio

@expose
async def nap(seconds: float) -> None:
    await asyncio.sleep(seconds)
"#;
    scenario(async {
        let pool = support::pool_of(NAP).workers(2).start().await.unwrap();
        let broadcast = pool.broadcast::<_, ()>("nap", 600.0);
        let answers = broadcast.deadline(Duration::from_millis(200)).await;
        let answers = answers.unwrap();
        assert_eq!(answers.len(), 2);
        for (_, answer) in answers {
            let error = answer.unwrap_err();
            assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &["`nap`"]);
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_broadcast_that_is_dropped_gives_all_its_places_back() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let begin = [(); 2].map(|()| Held::begin(&pool));
        let held = futures::future::join_all(begin).await;
        drop(begun(pool.broadcast::<_, usize>("reload", 7)));
        for held in held {
            held.end().await.unwrap();
        }
        nothing_in_flight(&pool).await;
        let versions = pool
            .broadcast::<_, u32>("version", json!({}))
            .await
            .unwrap();
        assert!(
            versions
                .into_iter()
                .all(|(_, version)| version.unwrap() == 0)
        );
        assert_eq!(pool.status().counts.cancelled, 2);
        pool.shutdown().await.unwrap();
    });
}

/// The lines of the file that functions append to.
fn lines(paths: &Paths) -> Vec<String> {
    paths.text("log").lines().map(str::to_owned).collect()
}

#[test]
fn one_way_calls_are_accepted_at_once_and_a_shutdown_waits_for_them() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        let paths = Paths::new();
        let hold = Held::argument(&paths);
        pool.one_way("hold", hold).await.unwrap();
        for number in 0..10 {
            let entry = json!({"path": paths.path("log"), "text": number.to_string()});
            pool.one_way("append", entry).await.unwrap();
        }
        let status = pool.status();
        assert_eq!((status.in_flight, status.waiting), (1, 10));
        assert!(lines(&paths).is_empty());
        let (report, ()) = futures::join!(pool.shutdown(), async { paths.write("gate") });
        // Some may have ended before it looked.
        assert_eq!(report.unwrap().cut, 0);
        assert!(
            lines(&paths)
                .into_iter()
                .eq((0..10).map(|number| number.to_string()))
        );
        let status = pool.status();
        assert_eq!(
            (status.in_flight, status.waiting, status.counts.returned),
            (0, 0, 11)
        );
    });
}

#[test]
fn one_way_calls_that_cannot_be_made_say_so_and_those_that_fail_are_counted() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .max_waiting(1)
            .max_frame(65_536)
            .start()
            .await
            .unwrap();
        let error = pool.one_way("fial", "x").await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::FunctionNotFound,
            Fate::NotStarted,
            &["did you mean `fail`?"],
        );
        let error = pool.one_way("count", json!({})).await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &["yields a stream"],
        );
        let error = pool.one_way("fail", "x".repeat(70_000)).await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::TooLarge,
            Fate::NotStarted,
            &["max_frame"],
        );
        let paths = Paths::new();
        let hold = Held::argument(&paths);
        pool.one_way("hold", hold).await.unwrap();
        pool.one_way("fail", "no more").await.unwrap();
        let error = pool.one_way("fail", "too many").await.unwrap_err();
        assert_error(&error, ErrorKind::Overloaded, Fate::NotStarted, &["`fail`"]);
        paths.write("gate");
        until("all have ended", || pool.status().counts.failed == 5).await;
        let status = pool.status();
        assert_eq!(
            (status.counts.returned, status.in_flight, status.waiting),
            (1, 0, 0)
        );
        // One that waits too long ends at its deadline.
        let held = Held::begin(&pool).await;
        let late = pool
            .one_way("fail", "late")
            .deadline(Duration::from_millis(20));
        late.await.unwrap();
        until("it is late", || pool.status().counts.failed == 6).await;
        assert_eq!(pool.status().waiting, 0);
        held.end().await.unwrap();
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn one_way_calls_under_kill_9_run_once_at_most_and_all_end() {
    const CALLS: usize = 200;
    scenario(async {
        let restart = Restart::new().intensity(100).backoff(Duration::ZERO);
        let pool = workers(2)
            .restart(restart)
            .breaker(false)
            .start()
            .await
            .unwrap();
        let paths = Paths::new();
        for batch in 0..5 {
            for number in 0..CALLS / 5 {
                let entry = json!({"path": paths.path("log"), "text": format!("{batch} {number}")});
                pool.one_way("append", entry).await.unwrap();
            }
            let victim = || pool.status().workers[batch % 2].clone();
            let before = victim().generation;
            until("some have run", || lines(&paths).len() > 30 * batch + 5).await;
            kill(victim().pid.unwrap());
            until("its successor is there", || {
                victim().generation > before && victim().state == WorkerState::Ready
            })
            .await;
        }
        until("all have ended", || {
            let counts = pool.status().counts;
            counts.returned + counts.failed == CALLS as u64
        })
        .await;
        let status = pool.status();
        assert_eq!(
            (status.in_flight, status.waiting, status.counts.resent),
            (0, 0, 0)
        );
        let ran = lines(&paths);
        let distinct: HashSet<_> = ran.iter().collect();
        assert_eq!(distinct.len(), ran.len(), "one ran twice");
        assert!(ran.len() as u64 >= status.counts.returned);
        // Each death takes with it what had begun: one call, or those that were sent together.
        assert!(
            status.counts.returned >= CALLS as u64 / 2,
            "{:?}",
            status.counts
        );
        pool.shutdown().await.unwrap();
    });
}

/// A policy that would try calls again for a long time.
fn patient() -> Retry {
    let ms = Duration::from_millis(1);
    Retry::new()
        .attempts(10_000)
        .backoff(ms)
        .max_backoff(3 * ms)
}

#[test]
fn a_refused_call_is_tried_again_until_there_is_a_place() {
    scenario(async {
        let pool = workers(1).max_in_flight_per_worker(1).max_waiting(0);
        let pool = pool
            .retry_budget(RetryBudget::new().per_second(1000))
            .start()
            .await
            .unwrap();
        let held = Held::begin(&pool).await;
        let error = pool.call::<_, usize>("slot", json!({})).await.unwrap_err();
        assert_error(&error, ErrorKind::Overloaded, Fate::NotStarted, &["`slot`"]);
        assert_eq!(pool.status().counts.retried, 0);
        let call = pool.call::<_, usize>("slot", json!({})).retry(patient());
        let mut items = pool.stream::<_, u32>("count", json!({})).retry(patient());
        let open = async {
            until("both were refused twice", || {
                pool.status().counts.retried >= 4
            })
            .await;
            held.end().await.unwrap();
        };
        let (slot, item, ()) = futures::join!(call, items.next(), open);
        assert_eq!((slot.unwrap(), item.unwrap().unwrap()), (0, 1));
        assert!(items.next().await.is_none());
        let counts = pool.status().counts;
        assert_eq!(
            (counts.returned, counts.failed, counts.overloaded),
            (3, 1, 1)
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_call_is_not_tried_again_when_its_deadline_comes_first() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .max_waiting(0)
            .retry(patient());
        let pool = pool
            .retry_budget(RetryBudget::new().per_second(10_000))
            .start()
            .await
            .unwrap();
        let held = Held::begin(&pool).await;
        let call = pool
            .call::<_, usize>("slot", json!({}))
            .deadline(Duration::from_millis(30));
        let error = within(Duration::from_secs(5), "its end", call)
            .await
            .unwrap_err();
        assert_error(&error, ErrorKind::Overloaded, Fate::NotStarted, &["`slot`"]);
        held.end().await.unwrap();
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_storm_of_retries_is_bounded_by_the_budget() {
    const CALLS: u64 = 200;
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .max_waiting(0)
            .retry(patient());
        let budget = RetryBudget::new().ratio(0.1).per_second(1);
        let pool = pool.retry_budget(budget).start().await.unwrap();
        let held = Held::begin(&pool).await;
        let began = Instant::now();
        let storm = (0..CALLS).map(|_| pool.call::<_, usize>("slot", json!({})));
        for result in futures::future::join_all(storm).await {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Overloaded);
        }
        let counts = pool.status().counts;
        // What there is at first, what the calls and the time bring, and one of rounding.
        let most = 10 + CALLS / 10 + began.elapsed().as_secs() + 1;
        assert!((10..=most).contains(&counts.retried), "{counts:?}");
        assert_eq!(counts.overloaded, CALLS);
        held.end().await.unwrap();
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_call_whose_worker_died_takes_from_the_budget() {
    scenario(async {
        let nothing = RetryBudget::new().ratio(0.0).per_second(0);
        let pool = workers(2).retry_budget(nothing).start().await.unwrap();
        let paths = Paths::new();
        let call = |death: &str| {
            pool.call::<_, usize>("die_once", paths.path(death))
                .idempotent()
        };
        // Without a policy it is sent again in any case.
        call("first").await.unwrap();
        // With one it needs the budget.
        let error = call("second").retry(3).await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::WorkerDied,
            Fate::MayHaveRun,
            &["`die_once`"],
        );
        assert_eq!(pool.status().counts.resent, 1);
        pool.shutdown().await.unwrap();

        let pool = workers(2).retry(3).start().await.unwrap();
        let call = |death: &str| pool.call::<_, usize>("die_once", paths.path(death));
        call("third").idempotent().await.unwrap();
        // A policy alone does not make a call one that may run twice.
        let error = call("fourth").await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::WorkerDied,
            Fate::MayHaveRun,
            &["`die_once`"],
        );
        let counts = pool.status().counts;
        assert_eq!((counts.resent, counts.retried), (1, 0));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_program_without_a_runtime_waits_between_two_tries() {
    scenario_without_runtime(|| {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .max_waiting(0)
            .retry(patient());
        let pool = pool.retry_budget(RetryBudget::new().per_second(10_000));
        let pool = pool.start_blocking().unwrap();
        let paths = Paths::new();
        let hold = Held::argument(&paths);
        let held = begun(pool.handle().call::<_, Value>("hold", hold));
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while pool.status().counts.retried < 3 {
                    std::thread::yield_now();
                }
                paths.write("gate");
            });
            assert_eq!(pool.call::<_, usize>("slot", json!({})).unwrap(), 0);
        });
        pool.wait(held).unwrap();
        pool.shutdown().unwrap();
    });
}

#[pyproc::remote]
trait Routed {
    #[pyproc(priority = "high", retry = 3)]
    async fn session_slot(
        &self,
        #[pyproc(key)] session: &str,
        #[pyproc(metadata)] traceparent: &str,
        question: u32,
    ) -> pyproc::Result<(usize, String)>;
    #[pyproc(broadcast)]
    async fn reload(&self, version: u32) -> pyproc::Result<Answers<usize>>;
    #[pyproc(one_way)]
    async fn append(&self, path: &str, text: &str) -> pyproc::Result<()>;
    fn count(&self, #[pyproc(metadata)] user: &str) -> impl Stream<Item = pyproc::Result<u32>>;
}

#[test]
fn the_methods_of_a_trait_have_keys_metadata_and_other_ways() {
    scenario(async {
        let pool = workers(3).start().await.unwrap();
        let routed = RoutedClient::new(&pool).unwrap();
        let mut homes = HashSet::new();
        for session in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            let (home, trace) = routed.session_slot(session, "00-1", 1).await.unwrap();
            assert_eq!(trace, "00-1");
            // It is the same key by name.
            let by_name: usize = pool.call("slot", json!({})).key(session).await.unwrap();
            assert_eq!(by_name, home);
            homes.insert(home);
        }
        assert!(homes.len() > 1, "{homes:?}");
        let reloaded = answers(routed.reload(7).await.unwrap());
        assert_eq!(reloaded, [0, 1, 2].map(|slot| (slot, Ok(slot))));
        let paths = Paths::new();
        routed.append(&paths.path("log"), "entry").await.unwrap();
        until("it was written", || lines(&paths) == ["entry"]).await;
        let items: Vec<_> = routed.count("ada").collect().await;
        assert_eq!(items.len(), 1);
        pool.shutdown().await.unwrap();
    });
}
