//! What the state page tells of a dead worker, and what a worker that spoils it can do.

use std::time::Duration;

use pyproc::{Call, DefaultCodec, Error, ErrorKind, Fate, Pool, PoolBuilder};
use serde_json::{Value, json};

use crate::fate::Log;
use crate::support::{assert_error, call, call_with, kill, pid_of, pool, scenario, within};

/// How many calls wait in the worker behind the one that it runs; the script knows the number, too.
const BEHIND: usize = 7;

/// One worker, which is sent several calls at once.
fn one_worker() -> PoolBuilder {
    pool("fate.py")
        .workers(1)
        .max_in_flight_per_worker(1 + BEHIND)
}

fn entry(number: usize) -> String {
    format!("call {number}")
}

/// Has the worker run `first`, with calls behind it that were sent and have not begun, and then kills it. Returns what
/// became of the first, and of those behind it.
async fn kill_with_calls_behind(
    pool: &Pool,
    log: &Log,
    first: Call<'_, DefaultCodec, Value, Value>,
    begun: &str,
) -> (pyproc::Result<Value>, Vec<pyproc::Result<Value>>) {
    let behind = async {
        log.has(begun).await;
        let calls = (0..BEHIND).map(|number| call_with(pool, "note", log.with(&entry(number))));
        futures::future::join_all(calls).await
    };
    let killing = async {
        log.has(begun).await;
        log.has("seven behind").await;
        kill(pid_of(pool, 0));
    };
    let (first, behind, ()) = futures::join!(first, behind, killing);
    (first, behind)
}

#[test]
fn fault_02_calls_that_had_not_begun_when_their_worker_was_killed_move_and_run_once() {
    scenario(async {
        let log = Log::new();
        let pool = one_worker().start().await.unwrap();
        let killed = pid_of(&pool, 0);
        let first = pool.call("note_and_hang", log.with("first"));
        let (first, behind) = kill_with_calls_behind(&pool, &log, first, "first").await;
        let error = first.unwrap_err();
        assert_error(
            &error,
            ErrorKind::WorkerDied,
            Fate::MayHaveRun,
            &["SIGKILL"],
        );
        assert_eq!(error.death().unwrap().worker().pid(), Some(killed));
        for (number, result) in behind.into_iter().enumerate() {
            assert_eq!(result.unwrap(), json!(entry(number)));
            assert_eq!(log.count(&entry(number)), 1, "{:?}", log.entries());
        }
        assert_eq!(log.count("first"), 1);
        let counts = pool.status().counts;
        assert_eq!((counts.resent, counts.moved), (0, 7));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_14_those_who_wait_behind_a_poisonous_call_are_not_blamed_for_it() {
    scenario(async {
        let log = Log::new();
        let pool = one_worker().poison_limit(1).start().await.unwrap();
        let first = pool.call("note_and_hang", log.with("first")).idempotent();
        let (first, behind) = kill_with_calls_behind(&pool, &log, first, "first").await;
        assert_eq!(first.unwrap_err().kind(), ErrorKind::WorkerDied);
        for result in behind {
            result.unwrap();
        }
        pool.shutdown().await.unwrap();
    });
}

/// What a worker writes to its state page, and what becomes of the calls that it had been sent and had not begun.
async fn with_a_page_that_says(taken: i64) -> Vec<Error> {
    let log = Log::new();
    let pool = one_worker().start().await.unwrap();
    for _ in 0..3 {
        call::<u32>(&pool, "pid").await.unwrap();
    }
    let argument = json!({ "path": log.path, "taken": taken });
    let first = pool.call("scribble", argument);
    let (first, behind) = kill_with_calls_behind(&pool, &log, first, "scribbled").await;
    assert_error(
        &first.unwrap_err(),
        ErrorKind::WorkerDied,
        Fate::MayHaveRun,
        &["SIGKILL"],
    );
    let mut errors = Vec::new();
    for (number, result) in behind.into_iter().enumerate() {
        let expected = usize::from(result.is_ok());
        assert_eq!(log.count(&entry(number)), expected, "{:?}", log.entries());
        errors.extend(result.err());
    }
    // The host lives, and so does the pool.
    assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
    pool.shutdown().await.unwrap();
    errors
}

#[test]
fn fault_58_a_state_page_of_garbage_makes_no_fate_surer_than_it_is() {
    // All of it; a call that nobody has made; a call that was answered before others were.
    for taken in [-1, i64::MAX, 1] {
        scenario(async {
            let errors = with_a_page_that_says(taken).await;
            assert_eq!(errors.len(), BEHIND, "{taken}");
            for error in errors {
                assert_error(&error, ErrorKind::WorkerDied, Fate::MayHaveRun, &[]);
            }
        });
    }
}

#[test]
fn fault_58_a_terabyte_in_place_of_stacks_is_not_read() {
    scenario(async {
        let log = Log::new();
        let pool = one_worker().interrupt_after(None).start().await.unwrap();
        let call = pool.call::<_, Value>("spoil_the_stacks", json!(log.path));
        let killing = async {
            log.has("spoiled").await;
            kill(pid_of(&pool, 0));
        };
        let time = Duration::from_secs(5);
        let ended = within(time, "the call ends", call);
        let (result, ()) = futures::join!(ended, killing);
        let error = result.unwrap_err();
        assert_error(&error, ErrorKind::WorkerDied, Fate::MayHaveRun, &[]);
        let stacks = error.death().unwrap().stacks().unwrap();
        assert!(stacks.len() <= 80 << 10, "{} bytes", stacks.len());
        assert!(stacks.contains("garbage"));
        assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
        pool.shutdown().await.unwrap();
    });
}
