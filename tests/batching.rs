//! Functions that take many calls at once, and callers that make many.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use pyproc::{Error, ErrorKind, Fate, Pool, PoolBuilder, Result, WorkerState};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::{
    Held, Paths, assert_error, call, kill, nothing_in_flight, pid_of, pool_of, scenario,
    scenario_without_runtime, until,
};
use tokio::task::JoinHandle;

fn workers(count: usize) -> PoolBuilder {
    support::pool("batching.py").workers(count)
}

/// A call by itself.
fn spawn<R: DeserializeOwned + Send + 'static>(
    pool: &Pool,
    function: &'static str,
    argument: impl Into<Value>,
) -> JoinHandle<Result<R>> {
    tokio::spawn(pool.call_owned(function, argument.into()))
}

async fn in_flight(pool: &Pool, calls: usize) {
    until("all calls are with the worker", || {
        pool.status().in_flight == calls
    })
    .await;
}

/// The batches that the worker has run so far. Calls of different tasks come in any order.
async fn batches(pool: &Pool) -> Vec<BTreeSet<u64>> {
    call(pool, "batches").await.unwrap()
}

fn of<R>(result: std::result::Result<Result<R>, tokio::task::JoinError>) -> Result<R> {
    result.unwrap()
}

#[test]
fn a_call_that_finds_its_worker_idle_is_run_alone() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        for number in 0..5 {
            let doubled: u64 = pool.call("double", number).await.unwrap();
            assert_eq!(doubled, 2 * number);
        }
        assert!(batches(&pool).await.iter().map(BTreeSet::len).eq([1; 5]));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn calls_that_wait_while_the_worker_is_busy_are_run_together() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let held = Held::begin(&pool).await;
        // A worker that is slow would have no more than one call, but for its batches.
        let calls: Vec<_> = (0..63).map(|n| spawn::<u64>(&pool, "double", n)).collect();
        in_flight(&pool, 64).await;
        held.end().await.unwrap();
        for (number, doubled) in (0..).zip(join_all(calls).await) {
            assert_eq!(of(doubled).unwrap(), 2 * number);
        }
        let batches = batches(&pool).await;
        assert!(
            batches.iter().map(BTreeSet::len).eq([32, 31]),
            "{batches:?}"
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn calls_that_wait_in_the_line_are_handed_over_together() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight_per_worker(4)
            .start()
            .await
            .unwrap();
        let paths = Paths::new();
        let argument = paths.path("batch");
        let arguments = [&*argument; 4];
        let hold = async {
            let sizes = pool.call_many::<_, u64>("hold_together", arguments);
            sizes
                .await
                .into_iter()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
        };
        let wait = async {
            paths.there_is("batch.together").await;
            let others = arguments.map(|path| spawn::<u64>(&pool, "hold_together", path));
            until("all others wait", || pool.status().waiting == 4).await;
            paths.write("batch.go");
            let sizes = join_all(others).await.into_iter();
            sizes.map(|size| of(size).unwrap()).collect::<Vec<_>>()
        };
        // The places of the first four are free at once, and so all others are sent at once.
        assert_eq!(tokio::join!(hold, wait), (vec![4; 4], vec![4; 4]));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn an_idle_worker_waits_for_company_if_the_function_says_so() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        for _ in 0..3 {
            let calls = [1, 2, 3].map(|n| pool.call::<_, BTreeSet<u64>>("company", n));
            for present in join_all(calls).await {
                assert_eq!(present.unwrap(), BTreeSet::from([1, 2, 3]));
            }
        }
        // Who waits for company keeps others waiting no longer.
        let patient = spawn::<Vec<u64>>(&pool, "company", 4);
        in_flight(&pool, 1).await;
        let tripled: u64 = pool.call("triple", 5).await.unwrap();
        assert_eq!((tripled, of(patient.await).unwrap()), (15, vec![4]));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn one_poisoned_item_fails_its_caller_and_nobody_else() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let held = Held::begin(&pool).await;
        let calls = [json!(2), json!(3), json!("four"), json!(6)]
            .map(|argument| spawn::<f64>(&pool, "halve", argument));
        in_flight(&pool, 5).await;
        held.end().await.unwrap();
        let [two, three, four, six] = join_all(calls).await.try_into().unwrap();
        assert_eq!((of(two).unwrap(), of(six).unwrap()), (1.0, 3.0));
        let (kind, fate) = (ErrorKind::Exception, Fate::Failed);
        let odd = of(three).unwrap_err();
        assert_error(&odd, kind, fate, &["pyproc.ItemError: 3 is odd"]);
        let (kind, fate) = (ErrorKind::InvalidArgument, Fate::NotStarted);
        let misfit = of(four).unwrap_err();
        assert_error(&misfit, kind, fate, &["$: expected int, got str"]);
        assert_eq!(batches(&pool).await, [BTreeSet::from([2, 3, 6])]);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn what_ends_a_batch_ends_every_call_of_it() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let held = Held::begin(&pool).await;
        let raised = [2, 13, 4].map(|n| spawn::<f64>(&pool, "halve", n));
        let lost = [1, 2, 3].map(|n| spawn::<u64>(&pool, "lose", n));
        in_flight(&pool, 7).await;
        held.end().await.unwrap();
        for result in join_all(raised).await {
            let (kind, fate) = (ErrorKind::Exception, Fate::Failed);
            let friend = "ValueError: 13 is nobody's friend";
            assert_error(&of(result).unwrap_err(), kind, fate, &[friend]);
        }
        for result in join_all(lost).await {
            let (kind, fate) = (ErrorKind::InvalidResult, Fate::Failed);
            let numbers = "function `lose` returned 2 results for a batch of 3 calls";
            assert_error(&of(result).unwrap_err(), kind, fate, &[numbers]);
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_call_that_is_over_before_its_batch_begins_is_no_part_of_it() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let held = Held::begin(&pool).await;
        let late = pool
            .call_owned::<_, u64>("double", 1)
            .deadline(Duration::from_millis(20));
        let (late, dropped) = (tokio::spawn(late), spawn::<u64>(&pool, "double", 2));
        let others = [3, 4].map(|n| spawn::<u64>(&pool, "double", n));
        in_flight(&pool, 5).await;
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        // It ends by itself, while the worker is busy.
        let error = of(late.await).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        held.end().await.unwrap();
        let doubled = join_all(others).await;
        assert!(doubled.into_iter().map(|n| of(n).unwrap()).eq([6, 8]));
        nothing_in_flight(&pool).await;
        assert_eq!(batches(&pool).await, [BTreeSet::from([3, 4])]);
        pool.shutdown().await.unwrap();
    });
}

#[cfg(all(target_os = "linux", not(pyproc_portable)))]
#[test]
fn a_worker_that_is_killed_in_a_batch_takes_its_members_and_no_others() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let held = Held::begin(&pool).await;
        let paths = Paths::new();
        let members: Vec<_> = (0..4)
            .map(|_| spawn::<u64>(&pool, "hold_together", paths.path("batch")))
            .collect();
        in_flight(&pool, 5).await;
        let others: Vec<_> = (0..4).map(|n| spawn::<u64>(&pool, "double", n)).collect();
        in_flight(&pool, 9).await;
        held.end().await.unwrap();
        paths.there_is("batch.together").await;
        assert_eq!(paths.text("batch.together"), "4");
        kill(pid_of(&pool, 0));
        for member in join_all(members).await {
            let (kind, fate) = (ErrorKind::WorkerDied, Fate::MayHaveRun);
            assert_error(&of(member).unwrap_err(), kind, fate, &[]);
        }
        for (number, doubled) in (0..).zip(join_all(others).await) {
            assert_eq!(of(doubled).unwrap(), 2 * number);
        }
        assert_eq!(pool.status().counts.moved, 4);
        pool.shutdown().await.unwrap();
    });
}

#[cfg(all(target_os = "linux", not(pyproc_portable)))]
#[test]
fn a_batch_is_interrupted_when_nobody_waits_for_any_of_it() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let worker = pid_of(&pool, 0);
        let held = Held::begin(&pool).await;
        let paths = Paths::new();
        let late = pool
            .call_owned::<_, u64>("hold_together", paths.path("batch"))
            .deadline(Duration::from_millis(400));
        let late = tokio::spawn(late);
        let dropped = spawn::<u64>(&pool, "hold_together", paths.path("batch"));
        in_flight(&pool, 3).await;
        held.end().await.unwrap();
        paths.there_is("batch.together").await;
        assert_eq!(paths.text("batch.together"), "2");
        dropped.abort();
        let error = of(late.await).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        nothing_in_flight(&pool).await;
        let tripled: u64 = pool.call("triple", 1).await.unwrap();
        assert_eq!((tripled, pid_of(&pool, 0)), (3, worker));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn idempotent_members_of_a_batch_that_was_killed_are_sent_again() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let paths = Paths::new();
        let members = pool
            .call_many::<_, u64>("hold_together", vec![paths.path("batch"); 4])
            .idempotent();
        let (results, ()) = tokio::join!(members, async {
            paths.there_is("batch.together").await;
            let victim = pid_of(&pool, 0);
            kill(victim);
            paths.write("batch.go");
        });
        for size in results {
            assert!((1..=4).contains(&size.unwrap()));
        }
        assert_eq!(pool.status().counts.resent, 4);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn results_go_to_the_right_callers() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let callers = (0_u64..64).map(|caller| {
            let pool = &pool;
            async move {
                for round in 0..40 {
                    let number = 1000 * caller + 7 * round;
                    match round % 4 {
                        0 => {
                            let doubled: u64 = pool.call("double", number).await.unwrap();
                            assert_eq!(doubled, 2 * number);
                        }
                        1 => {
                            let tripled: u64 = pool.call("triple", number).await.unwrap();
                            assert_eq!(tripled, 3 * number);
                        }
                        2 if number % 5 == 0 => {
                            let misfit = pool.call::<_, u64>("double", number.to_string());
                            let error = misfit.await.unwrap_err();
                            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
                        }
                        _ => match pool.call::<_, f64>("halve", number).await {
                            Ok(half) => assert_eq!(half, number as f64 / 2.0),
                            Err(error) => {
                                assert_eq!(number % 2, 1);
                                let message = error.python().unwrap().message().to_owned();
                                assert_eq!(message, format!("{number} is odd"));
                            }
                        },
                    }
                }
            }
        });
        join_all(callers).await;
        let status = pool.status();
        assert_eq!((status.in_flight, status.waiting), (0, 0));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn many_calls_of_one_caller_arrive_together() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        // Nothing else is in flight, and the worker sleeps.
        for inputs in [20, 32, 1] {
            let doubled = pool.call_many::<_, u64>("double", 0..inputs).await;
            assert!(
                doubled
                    .into_iter()
                    .map(Result::unwrap)
                    .eq((0..inputs).map(|n| 2 * n))
            );
        }
        assert!(
            batches(&pool)
                .await
                .iter()
                .map(BTreeSet::len)
                .eq([20, 32, 1])
        );
        assert!(
            pool.call_many::<[u64; 0], u64>("double", [])
                .await
                .is_empty()
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn each_of_many_calls_has_a_result_of_its_own() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let inputs: Vec<Value> = (0..9).map(Value::from).chain([json!("ten")]).collect();
        let results: Vec<Result<f64>> = pool.call_many("halve", &inputs).await;
        for (number, result) in results.iter().take(9).enumerate() {
            match result {
                Ok(half) => assert_eq!(*half, number as f64 / 2.0),
                Err(error) => assert_eq!((error.kind(), number % 2), (ErrorKind::Exception, 1)),
            }
        }
        let misfit = results[9].as_ref().unwrap_err();
        assert_eq!(misfit.kind(), ErrorKind::InvalidArgument);
        let results: Vec<Result<u64>> = pool.call_many("nobody", 0..3).await;
        assert_eq!(results.len(), 3);
        let is_unknown = |error: Error| error.kind() == ErrorKind::FunctionNotFound;
        assert!(
            results
                .into_iter()
                .all(|result| result.is_err_and(is_unknown))
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn many_calls_of_a_function_without_batches_are_calls_like_any_other() {
    scenario(async {
        // More than may be under way, and far more than may wait.
        let pool = workers(2).max_waiting(10).start().await.unwrap();
        let tripled = pool.call_many::<_, u64>("triple", 0..2000).await;
        assert!(
            tripled
                .into_iter()
                .map(Result::unwrap)
                .eq((0..2000).map(|n| 3 * n))
        );
        assert_eq!(pool.status().counts.returned, 2000);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn many_calls_wait_for_room_in_the_line_even_while_there_is_no_worker() {
    scenario(async {
        let pool = workers(1).max_waiting(10).start().await.unwrap();
        kill(pid_of(&pool, 0));
        until("the worker is gone", || {
            pool.status().workers[0].state != WorkerState::Ready
        })
        .await;
        let doubled = pool.call_many::<_, u64>("double", 0..300).await;
        assert!(
            doubled
                .into_iter()
                .map(Result::unwrap)
                .eq((0..300).map(|n| 2 * n))
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn where_others_fill_the_line_one_of_many_calls_is_refused_as_any_call_is() {
    scenario(async {
        let limits = workers(1).max_in_flight_per_worker(1).max_waiting(0);
        let pool = limits.start().await.unwrap();
        let held = Held::begin(&pool).await;
        let refused = pool.call_many::<_, u64>("double", 0..3).await;
        let is_refused = |error: Error| error.kind() == ErrorKind::Overloaded;
        assert!(
            refused
                .into_iter()
                .all(|result| result.is_err_and(is_refused))
        );
        held.end().await.unwrap();
        let doubled = pool.call_many::<_, u64>("double", 0..3).await;
        assert!(doubled.into_iter().map(Result::unwrap).eq([0, 2, 4]));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn inputs_that_call_the_pool_themselves_get_no_deadlock() {
    scenario_without_runtime(|| {
        let pool = workers(1)
            .max_in_flight_per_worker(1)
            .start_blocking()
            .unwrap();
        let inputs = (0..5).map(|n| pool.call::<_, u64>("triple", n).unwrap());
        let doubled = pool.call_many::<_, u64>("double", inputs);
        assert!(
            doubled
                .into_iter()
                .map(Result::unwrap)
                .eq((0..5).map(|n| 6 * n))
        );
        pool.shutdown().unwrap();
    });
}

#[test]
fn the_deadline_of_many_calls_is_one_for_all() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let held = Held::begin(&pool).await;
        let results = pool
            .call_many::<_, u64>("double", 0..600)
            .deadline(Duration::from_millis(50))
            .await;
        assert_eq!(results.len(), 600);
        let is_late = |error: Error| error.kind() == ErrorKind::Deadline;
        assert!(results.into_iter().all(|result| result.is_err_and(is_late)));
        held.end().await.unwrap();
        nothing_in_flight(&pool).await;
        assert!(batches(&pool).await.is_empty());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn dropping_many_calls_cancels_those_that_have_not_begun() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let held = Held::begin(&pool).await;
        let many = pool.call_many::<_, u64>("double", 0..600);
        let dropped = tokio::time::timeout(Duration::from_millis(20), many).await;
        assert!(dropped.is_err());
        held.end().await.unwrap();
        nothing_in_flight(&pool).await;
        // The worker may have come to the end of its call before it heard of what it has.
        let run: usize = batches(&pool).await.iter().map(BTreeSet::len).sum();
        assert!(run < 64, "{run}");
        assert_eq!(pool.status().counts.cancelled, 512);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn many_calls_survive_the_death_of_their_worker() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let many = pool.call_many::<_, u64>("double", 0..5000).idempotent();
        let (results, ()) = tokio::join!(many, async {
            until("some have ended", || pool.status().counts.returned > 100).await;
            kill(pid_of(&pool, 0));
        });
        assert!(
            results
                .into_iter()
                .map(Result::unwrap)
                .eq((0..5000).map(|n| 2 * n))
        );
        until("there is a successor", || {
            pool.status().workers[0].state == WorkerState::Ready
        })
        .await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_program_without_a_runtime_makes_many_calls() {
    scenario_without_runtime(|| {
        let pool = workers(1).start_blocking().unwrap();
        let doubled = pool.call_many::<_, u64>("double", [1, 2, 3]);
        assert!(doubled.into_iter().map(Result::unwrap).eq([2, 4, 6]));
        pool.shutdown().unwrap();
    });
}

#[test]
fn a_worker_that_listens_runs_batches_too() {
    scenario(async {
        let pool = workers(1).listen().start().await.unwrap();
        let doubled = pool.call_many::<_, u64>("double", 0..10).await;
        assert!(
            doubled
                .into_iter()
                .map(Result::unwrap)
                .eq((0..10).map(|n| 2 * n))
        );
        assert_eq!(batches(&pool).await.len(), 1);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_function_that_cannot_take_batches_keeps_its_worker_from_starting() {
    scenario(async {
        let one_row = "@expose(batch=4)\ndef predict(row: int) -> int:\n    return row\n";
        let error = pool_of(one_row).start().await.unwrap_err();
        let culprits = [
            "function `predict` (",
            "app.py",
            "parameter `row`",
            "`list[…]`",
        ];
        assert_error(&error, ErrorKind::Start, Fate::NotStarted, &culprits);
    });
}
