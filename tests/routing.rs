//! Which worker a call goes to, when, with what beside it, and how often.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use futures::FutureExt;
use pyproc::{ErrorKind, Fate, Pool, PoolBuilder, Priority, Weighted, WorkerState};
use serde_json::json;
use support::{assert_error, kill, scenario, scenario_without_runtime, until};

fn workers(count: usize) -> PoolBuilder {
    support::pool("routing.py").workers(count)
}

/// A file for which functions wait that are held.
struct Gate {
    directory: tempfile::TempDir,
}

impl Gate {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("open")
    }

    fn open(&self) {
        fs::write(self.path(), "").unwrap();
    }
}

/// Where the call of a key goes, when it is the only one.
async fn slot_of(pool: &Pool, key: usize) -> usize {
    pool.call("slot", json!({})).key(key).await.unwrap()
}

/// Polls a call once, so that it has asked for its place.
fn begun<F: Future + Unpin>(mut call: F) -> F {
    assert!((&mut call).now_or_never().is_none());
    call
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
        let gate = Gate::new();
        let call = |_| begun(pool.call::<_, usize>("hold", gate.path()).key(7_usize));
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
        gate.open();
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
        let gate = Gate::new();
        let held = begun(pool.call::<_, usize>("hold", gate.path()));
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
        gate.open();
        held.await.unwrap();
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
