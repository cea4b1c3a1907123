//! More calls than a pool can take, calls that nobody waits for, and pools that change under load.

use std::fs;
use std::time::{Duration, Instant};

use futures::future::join_all;
use pyproc::{ErrorKind, Fate, Pool};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::oracle::GRACE;
use crate::support::{assert_error, call_with, pool, scenario, until};

/// What the workers write down: which calls have run, and in which order.
struct Log(TempDir);

impl Log {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A call that is written down and returns.
    fn entry(&self, name: &str) -> Value {
        json!({ "log": self.0.path().join("log"), "entry": name })
    }

    /// A call that is written down, and returns when the gate is open.
    fn entry_at_gate(&self, name: &str) -> Value {
        let mut entry = self.entry(name);
        entry["until"] = json!(self.0.path().join("gate"));
        entry
    }

    fn open_gate(&self) {
        fs::write(self.0.path().join("gate"), "").unwrap();
    }

    fn read(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.path().join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn spawn(pool: &Pool, entry: Value) -> JoinHandle<pyproc::Result<Value>> {
    let pool = pool.clone();
    tokio::spawn(async move { call_with(&pool, "write_down", entry).await })
}

#[test]
fn fault_68_a_full_line_refuses_at_once_exactly_those_beyond_it() {
    scenario(async {
        let log = Log::new();
        let pool = pool("faults.py").workers(2).max_in_flight_per_worker(1);
        let pool = pool.max_waiting(5).start().await.unwrap();
        let callers = (0..100).map(|number| spawn(&pool, log.entry_at_gate(&number.to_string())));
        let callers: Vec<_> = callers.collect();
        // While the others still run and wait.
        until("all others are refused", || {
            pool.status().counts.overloaded == 93
        })
        .await;
        assert_eq!((pool.status().in_flight, pool.status().waiting), (2, 5));
        log.open_gate();

        let mut accepted = Vec::new();
        for (number, caller) in callers.into_iter().enumerate() {
            match caller.await.unwrap() {
                Ok(_) => accepted.push(number.to_string()),
                Err(error) => {
                    let culprits = ["is overloaded: 2 calls in flight, 5 waiting"];
                    let (kind, fate) = (ErrorKind::Overloaded, Fate::NotStarted);
                    assert_error(&error, kind, fate, &culprits);
                    assert!(error.is_retryable(), "{error}");
                }
            }
        }
        // Who was accepted ran once, and nobody else did.
        let mut ran = log.read();
        ran.sort_unstable();
        accepted.sort_unstable();
        assert_eq!(ran, accepted);
        let counts = pool.status().counts;
        assert_eq!((counts.returned, counts.failed), (2 + 5, 93));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_69_a_deadline_passes_in_the_line() {
    scenario(async {
        let log = Log::new();
        let pool = pool("faults.py").workers(1).max_in_flight_per_worker(1);
        let pool = pool.start().await.unwrap();
        let busy = spawn(&pool, log.entry_at_gate("busy"));
        until("the worker is busy", || !log.read().is_empty()).await;

        let deadline = Duration::from_millis(100);
        let begin = Instant::now();
        let late = (0..10).map(|_| async {
            let call = pool.call::<_, ()>("write_down", log.entry("late"));
            call.deadline(deadline).await
        });
        for result in join_all(late).await {
            let (kind, fate) = (ErrorKind::Deadline, Fate::NotStarted);
            let culprits = ["`write_down`", "the deadline passed while the call waited"];
            assert_error(&result.unwrap_err(), kind, fate, &culprits);
        }
        let took = begin.elapsed();
        assert!(took < deadline + GRACE, "it took {took:?}");
        assert_eq!((pool.status().in_flight, pool.status().waiting), (1, 0));

        log.open_gate();
        busy.await.unwrap().unwrap();
        let next = log.entry("next");
        call_with(&pool, "write_down", next).await.unwrap();
        assert_eq!(log.read(), ["busy", "next"], "a call ran that was late");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_70_callers_go_away_while_they_wait_and_while_their_calls_run() {
    scenario(async {
        let log = Log::new();
        let pool = pool("faults.py").workers(1).max_in_flight_per_worker(1);
        // What is interrupted is free at once.
        let pool = pool.interrupt_after(None).start().await.unwrap();
        let running = spawn(&pool, log.entry_at_gate("running"));
        until("it runs", || !log.read().is_empty()).await;
        let waiting = spawn(&pool, log.entry("waiting"));
        until("it waits", || pool.status().waiting == 1).await;

        waiting.abort();
        until("its place is free", || pool.status().waiting == 0).await;
        running.abort();
        until("both are cancelled", || pool.status().counts.cancelled == 2).await;
        // The permit comes back when the worker is free of the call, so the next one waits for it.
        assert_eq!(pool.status().in_flight, 1);
        let next = spawn(&pool, log.entry("next"));
        until("the next one waits", || pool.status().waiting == 1).await;
        log.open_gate();
        next.await.unwrap().unwrap();

        assert_eq!(log.read(), ["running", "next"]);
        let status = pool.status();
        assert_eq!((status.in_flight, status.workers[0].generation), (0, 1));
        let counts = status.counts;
        assert_eq!((counts.returned, counts.failed), (1, 0));
        assert_eq!(counts.cancelled, 2);
        pool.shutdown().await.unwrap();
    });
}
