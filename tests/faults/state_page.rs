//! What the state page tells of a dead worker, and what a worker that spoils it can do.

use std::path::Path;
use std::time::Duration;

use pyproc::{Call, DefaultCodec, Error, ErrorKind, Fate, Pool, PoolBuilder};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::fate::Log;
use crate::support::{
    assert_error, call, call_with, kill, pid_of, pool, pool_of, scenario, until, within,
};

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

/// Each of the calls that a worker runs waits until the last worker is left.
const WAITS: &str = r#"
import asyncio
import pathlib
import resource
import time

@expose
def wait(begun: str, go: str) -> None:
    pathlib.Path(begun).touch()
    while not pathlib.Path(go).exists():
        time.sleep(0.001)

@expose
async def wait_beside(begun: str, go: str) -> None:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + (24 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    pathlib.Path(begun).touch()
    while not pathlib.Path(go).exists():
        await asyncio.sleep(0.001)

@expose
def length(text: str) -> int:
    return len(text)
"#;

/// Five workers that are not replaced, and in each of them a call of `function` that goes on until the file `go` is there.
async fn five_that_wait(
    builder: PoolBuilder,
    function: &'static str,
    directory: &Path,
) -> (Pool, Vec<JoinHandle<pyproc::Result<Value>>>) {
    let pool = builder.workers(5).restart(false).breaker(false);
    let pool = pool.start().await.unwrap();
    let mut waiting = Vec::new();
    for number in 0..5 {
        let begun = directory.join(number.to_string());
        let argument = json!({ "begun": begun, "go": directory.join("go") });
        let call = pool.call_owned(function, argument);
        waiting.push(tokio::spawn(call.into_future()));
        until("it has begun", || begun.exists()).await;
    }
    (pool, waiting)
}

#[test]
fn fault_14_a_call_that_had_not_begun_is_not_blamed_for_the_deaths_of_workers_that_were_busy() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let builder = pool_of(WAITS).max_in_flight_per_worker(2);
        let (pool, waiting) = five_that_wait(builder, "wait", directory.path()).await;
        let killing = async {
            for _ in 0..4 {
                let has_both = || {
                    let workers = pool.status().workers;
                    workers.into_iter().find(|worker| worker.in_flight == 2)
                };
                until("it waits behind another", || has_both().is_some()).await;
                let pid = has_both().unwrap().pid.unwrap();
                kill(pid);
                until("it has moved", || {
                    has_both().is_none_or(|worker| worker.pid != Some(pid))
                })
                .await;
            }
            std::fs::write(directory.path().join("go"), "").unwrap();
        };
        let (length, ()) = futures::join!(pool.call::<_, usize>("length", "four"), killing);
        assert_eq!(length.unwrap(), 4);
        assert_eq!(pool.status().counts.moved, 4);
        let ended = futures::future::join_all(waiting).await;
        let lost = ended.iter().filter(|call| call.as_ref().unwrap().is_err());
        assert_eq!(lost.count(), 4);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_14_a_call_that_kills_its_workers_before_they_begin_it_finds_no_cover_in_those_that_rest() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let builder = pool_of(WAITS).max_frame(128 << 20);
        let (pool, waiting) = five_that_wait(builder, "wait_beside", directory.path()).await;
        let text = "x".repeat(64 << 20);
        let error = pool.call::<_, usize>("length", &text).await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::WorkerDied,
            Fate::NotStarted,
            &["4 workers"],
        );
        std::fs::write(directory.path().join("go"), "").unwrap();
        let ended = futures::future::join_all(waiting).await;
        let lost = ended.iter().filter(|call| call.as_ref().unwrap().is_err());
        assert_eq!(lost.count(), 4);
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
