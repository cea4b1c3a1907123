//! Workers that come and go: those that die together or keep dying, and pools that change under load.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pyproc::{ErrorKind, Event, Pool, PoolBuilder, Recycle, RecycleReason, Restart, WorkerState};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::all_ready;
use crate::support::{
    assert_error, call, call_with, gone, kill, pid_of, pool, pool_of, scenario,
    scenario_without_runtime, until,
};

/// Callers that call without a pause, until they are told to stop.
struct Load {
    is_over: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn of(callers: u64, pool: &Pool) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let calls = Arc::new(AtomicU64::new(0));
        let caller = |caller: u64| {
            let (pool, is_over, calls) = (pool.clone(), is_over.clone(), calls.clone());
            tokio::spawn(async move {
                let mut number = caller << 32;
                while !is_over.load(Ordering::Relaxed) {
                    number += 1;
                    let answer: u64 = pool.call("echo", number).await.unwrap();
                    assert_eq!(answer, number);
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        Self {
            callers: (0..callers).map(caller).collect(),
            is_over,
            calls,
        }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Ends it, and fails if a single call has failed.
    async fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        self.calls.load(Ordering::Relaxed)
    }
}

fn supervised() -> PoolBuilder {
    pool("supervised.py")
}

fn pids(pool: &Pool) -> BTreeSet<u32> {
    let workers = pool.status().workers;
    workers.iter().filter_map(|worker| worker.pid).collect()
}

/// How many calls the long test of a pool that changes makes: `PYPROC_ROLLING_CALLS`, or few.
fn rolling_calls() -> u64 {
    let calls = std::env::var("PYPROC_ROLLING_CALLS").ok();
    calls.map_or(3_000, |calls| calls.parse().unwrap())
}

#[test]
fn fault_72_rolling_restarts_recycling_and_resizing_under_load_fail_no_call() {
    scenario_without_runtime(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let recycle = Recycle::new().after_calls(500);
            let pool = supervised().workers(2).recycle(recycle);
            let pool = pool.start().await.unwrap();
            let load = Load::of(8, &pool);
            let mut rounds = 0;
            // However fast the calls are, the pool changes once in ten thousand of them.
            while load.calls() < rolling_calls() || rounds <= rolling_calls() / 10_000 {
                rounds += 1;
                let before = pids(&pool);
                pool.restart().await.unwrap();
                let after = pids(&pool);
                assert!(before.is_disjoint(&after), "{before:?} {after:?}");
                for workers in [3, 1, 2] {
                    pool.resize(workers).await.unwrap();
                    assert_eq!(pool.status().workers.len(), workers);
                }
                let before = load.calls();
                until("the load goes on", || load.calls() > before + 100).await;
            }
            let calls = load.end().await;
            let counts = pool.status().counts;
            assert_eq!((counts.failed, counts.cancelled), (0, 0), "{counts:?}");
            assert_eq!(counts.returned, calls);
            println!("{calls} calls in {rounds} rounds, 0 failed");
            pool.shutdown().await.unwrap();
        });
    });
}

#[test]
fn fault_72_a_worker_that_is_replaced_finishes_what_it_has() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let gate = directory.path().join("gate");
        let pool = supervised().workers(1).start().await.unwrap();
        let mut events = pool.events();
        let old = pid_of(&pool, 0);
        let long = tokio::spawn({
            let (pool, gate) = (pool.clone(), json!(gate));
            async move { call_with(&pool, "wait_for", gate).await }
        });
        until("it runs", || pool.status().in_flight == 1).await;
        let restart = tokio::spawn({
            let pool = pool.clone();
            async move { pool.restart().await }
        });
        until("its successor is ready", || {
            pool.status().workers[0].generation == 2
        })
        .await;
        // The successor answers while the other is still busy.
        let new: u32 = call(&pool, "pid").await.unwrap();
        assert!(new != old && !gone(old) && !long.is_finished());
        std::fs::write(gate, "").unwrap();
        long.await.unwrap().unwrap();
        restart.await.unwrap().unwrap();
        assert!(gone(old));
        pool.shutdown().await.unwrap();
        let mut told = Vec::new();
        while let Some(event) = events.next().await {
            told.push(match event {
                Event::Starting { generation, .. } => format!("starting {generation}"),
                Event::Recycling { reason, .. } => format!("recycling: {reason}"),
                Event::Ready { worker, .. } => format!("ready {}", worker.generation()),
                Event::Drained { report, .. } => {
                    format!("drained {}", report.worker().generation())
                }
                other => other.to_string(),
            });
        }
        let expected = [
            "starting 2",
            "recycling: the pool is being restarted",
            "ready 2",
            "drained 1",
            "drained 2",
        ];
        assert_eq!(told, expected);
    });
}

#[test]
fn fault_72_a_release_that_cannot_be_started_stops_the_rolling_restart_and_the_old_workers_stay() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let is_broken = directory.path().join("broken");
        let source = format!(
            "from pathlib import Path\nif Path({is_broken:?}).exists():\n    raise RuntimeError('broken release')\n\
             @expose\ndef echo(value):\n    return value\n"
        );
        for surge in [true, false] {
            let pool = pool_of(&source).workers(2);
            let pool = pool.recycle(Recycle::new().surge(surge));
            let pool = pool.start().await.unwrap();
            let before = pids(&pool);
            let load = Load::of(4, &pool);
            std::fs::write(&is_broken, "").unwrap();
            let error = pool.restart().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Start);
            assert!(error.python().is_some(), "{error:?}");
            assert!(error.to_string().contains("broken release"), "{error}");
            let kept = pids(&pool);
            assert!(kept.is_subset(&before));
            // Without surge, the slot that was emptied first has no worker now.
            assert_eq!(kept.len(), if surge { 2 } else { 1 });
            std::fs::remove_file(&is_broken).unwrap();
            pool.restart().await.unwrap();
            assert!(pids(&pool).is_disjoint(&before));
            load.end().await;
            pool.shutdown().await.unwrap();
        }
    });
}

#[test]
fn a_pool_that_cannot_grow_stays_as_it_was() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let is_broken = directory.path().join("broken");
        let source = format!(
            "from pathlib import Path\nif Path({is_broken:?}).exists():\n    raise RuntimeError('no room')\n\
             @expose\ndef echo(value):\n    return value\n"
        );
        let pool = pool_of(&source).workers(2).start().await.unwrap();
        let before = pids(&pool);
        let load = Load::of(4, &pool);
        std::fs::write(&is_broken, "").unwrap();
        let error = pool.resize(4).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Start);
        assert!(error.to_string().contains("no room"), "{error}");
        assert_eq!(pids(&pool), before);
        assert_eq!(pool.status().workers.len(), 2);
        std::fs::remove_file(&is_broken).unwrap();
        pool.resize(3).await.unwrap();
        assert_eq!(pids(&pool).len(), 3);
        let error = pool.resize(0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        load.end().await;
        pool.shutdown().await.unwrap();
        let error = pool.resize(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        let error = pool.restart().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    });
}

#[test]
fn a_shutdown_in_the_midst_of_a_rolling_restart_ends_both() {
    scenario(async {
        let pool = supervised().workers(2).start().await.unwrap();
        // Successors of these slots are not there before the shutdown; it comes when that of the last one is tried, or
        // at once.
        for (held, is_at_once) in [([0, 1].as_slice(), true), (&[0, 1], false), (&[1], false)] {
            let directory = tempfile::tempdir().unwrap();
            let place = directory.path();
            let source = format!(
                "import os, time\nfrom pathlib import Path\n\
                 slot = Path({place:?}, os.environ['SLOT'])\n\
                 while slot.with_suffix('.held').exists():\n    \
                     slot.with_suffix('.tried').touch()\n    time.sleep(0.001)\n\
                 @expose\ndef echo(value):\n    return value\n"
            );
            let pool = pool_of(&source).workers(2).env("SLOT", "{slot}");
            let pool = pool.start().await.unwrap();
            for slot in held {
                std::fs::write(place.join(format!("{slot}.held")), "").unwrap();
            }
            let restart = tokio::spawn({
                let pool = pool.clone();
                async move { pool.restart().await }
            });
            let tried = place.join(format!("{}.tried", held[0]));
            until("a successor is tried", || is_at_once || tried.exists()).await;
            pool.shutdown().await.unwrap();
            let error = restart.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed);
            assert!(!pool.is_live() && !pool.is_ready());
        }
        assert!(pool.is_live() && pool.is_ready());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_16_workers_are_recycled_after_calls_and_no_reply_is_lost() {
    scenario(async {
        for surge in [true, false] {
            let recycle = Recycle::new().after_calls(50).surge(surge);
            let pool = supervised().workers(1).recycle(recycle);
            let pool = pool.start().await.unwrap();
            let mut events = pool.events();
            let load = Load::of(4, &pool);
            let mut recycled = 0;
            while recycled < 2 {
                if let Event::Recycling { reason, .. } = events.next().await.unwrap() {
                    let RecycleReason::Calls { served, .. } = reason else {
                        panic!("{reason}");
                    };
                    assert!(served >= 45, "{served}");
                    recycled += 1;
                }
            }
            load.end().await;
            let counts = pool.status().counts;
            assert_eq!((counts.failed, counts.resent), (0, 0));
            assert_eq!(pool.status().workers[0].restarts, 0);
            pool.shutdown().await.unwrap();
        }
    });
}

// Elsewhere nothing is known of a worker's memory.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
#[test]
fn fault_16_a_worker_that_has_grown_is_recycled_and_one_that_is_merely_large_is_not() {
    scenario(async {
        let recycle = Recycle::new().memory_growth(48 << 20);
        let pool = supervised().workers(1).recycle(recycle);
        let pool = pool.start().await.unwrap();
        let first = pid_of(&pool, 0);
        // A model that is loaded with the first call.
        let large: u32 = call_with(&pool, "leak", json!(64)).await.map(pid).unwrap();
        assert_eq!(large, first);
        for _ in 0..30 {
            call_with(&pool, "echo", json!(1)).await.unwrap();
        }
        let memory = pool.status().workers[0].memory_bytes.unwrap();
        assert!(memory > 64 << 20, "{memory}");
        let mut events = pool.events();
        let recycling = async {
            loop {
                if let Event::Recycling { reason, .. } = events.next().await.unwrap() {
                    break reason;
                }
            }
        };
        // Time for two looks, which would find it larger than its limit if that held from its beginning.
        let mut recycling = std::pin::pin!(recycling);
        let mut pause = Duration::from_millis(600);
        let mut leaks = 0;
        let reason = loop {
            if let Ok(reason) = tokio::time::timeout(pause, &mut recycling).await {
                break reason;
            }
            // On a busy machine the baseline may be taken only now, and it has to grow once more.
            assert!(leaks < 5, "it has grown by {leaks} times its limit");
            call_with(&pool, "leak", json!(64)).await.unwrap();
            leaks += 1;
            pause = Duration::from_secs(2);
        };
        assert!(leaks > 0, "it was large from the beginning: {reason}");
        assert!(matches!(reason, RecycleReason::Memory { .. }), "{reason}");
        until("its successor is there", || {
            pool.status().workers[0].generation == 2
        })
        .await;
        assert!(pool.status().workers[0].memory_bytes.unwrap() < 64 << 20);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_13_workers_that_die_with_every_call_are_degraded_and_calls_fail_fast_until_one_lives() {
    scenario(async {
        let restart = Restart::new()
            .intensity(2)
            .backoff(Duration::from_millis(10))
            // Half of it passes at least until a worker is tried, and in that time calls fail.
            .max_backoff(Duration::from_secs(5))
            .period(Duration::from_millis(1500));
        let pool = supervised().workers(1).restart(restart);
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        for _ in 0..3 {
            let error = call::<Value>(&pool, "kill_self").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WorkerDied);
        }
        until("the slot is degraded", || {
            pool.status().workers[0].state == WorkerState::Degraded
        })
        .await;
        assert!(pool.is_live() && !pool.is_ready());
        let error = call::<Value>(&pool, "pid").await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::Unavailable,
            pyproc::Fate::NotStarted,
            &["kept dying"],
        );
        assert!(error.is_retryable());
        // The probe finds that a worker lives when nobody has it die.
        until("a worker is tried", || pool.is_ready()).await;
        call::<u32>(&pool, "pid").await.unwrap();
        let told = async {
            loop {
                match events.next().await.unwrap() {
                    Event::Recovered { slot, .. } => return slot,
                    Event::Degraded { probe_after, .. } => {
                        assert!(probe_after >= Duration::from_millis(2500));
                    }
                    _ => {}
                }
            }
        };
        assert_eq!(told.await, 0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_71_all_workers_die_at_once_and_do_not_come_back_as_a_herd() {
    scenario(async {
        let workers = 6;
        let restart = Restart::new().backoff(Duration::from_millis(400));
        let pool = supervised().workers(workers).restart(restart);
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        pids(&pool).into_iter().for_each(kill);
        let mut delays = Vec::new();
        while delays.len() < workers {
            if let Event::Restarting { delay, .. } = events.next().await.unwrap() {
                delays.push(delay);
            }
        }
        let at_once = delays.iter().filter(|delay| delay.is_zero()).count();
        assert_eq!(at_once, 1, "{delays:?}");
        let different: BTreeSet<_> = delays.iter().collect();
        assert_eq!(different.len(), workers, "{delays:?}");
        all_ready(&pool, 2 * workers as u64).await;
        call::<u32>(&pool, "pid").await.unwrap();
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_73_calls_that_race_with_a_shutdown_end_or_are_refused_as_closed() {
    scenario(async {
        for round in 0..5 {
            let pool = supervised().workers(2).start().await.unwrap();
            let callers: Vec<_> = (0..16_u64)
                .map(|caller| {
                    let pool = pool.clone();
                    tokio::spawn(async move {
                        let mut answered = 0;
                        loop {
                            match pool.call::<_, u64>("echo", caller).await {
                                Ok(answer) => {
                                    assert_eq!(answer, caller);
                                    answered += 1;
                                }
                                Err(error) => return (answered, error),
                            }
                        }
                    })
                })
                .collect();
            until("calls are made", || {
                pool.status().counts.returned > 50 * round
            })
            .await;
            let report = pool.shutdown().await.unwrap();
            assert_eq!(report.cut, 0, "they are short");
            let mut answered = 0;
            for caller in callers {
                let (calls, error) = caller.await.unwrap();
                assert_error(&error, ErrorKind::Closed, pyproc::Fate::NotStarted, &[]);
                answered += calls;
            }
            let counts = pool.status().counts;
            assert_eq!((counts.returned, counts.failed), (answered, 16));
        }
    });
}

#[test]
fn fault_74_the_one_worker_that_always_errs_is_ejected() {
    scenario(async {
        let pool = supervised().workers(3).eject_after(20).start().await;
        let pool = pool.unwrap();
        let mut events = pool.events();
        let (ill, before) = (pid_of(&pool, 1), pids(&pool));
        let callers = (0..6).map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut errors = 0;
                for _ in 0..300 {
                    match pool.call::<_, u32>("fail_in", ill).await {
                        Ok(pid) => assert_ne!(pid, ill),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Exception);
                            assert_eq!(error.worker().unwrap().pid(), Some(ill));
                            errors += 1;
                        }
                    }
                }
                errors
            })
        });
        let mut errors = 0;
        for caller in callers.collect::<Vec<_>>() {
            errors += caller.await.unwrap();
        }
        assert!((20..1000).contains(&errors), "{errors}");
        let worker = loop {
            if let Event::Recycling { worker, reason, .. } = events.next().await.unwrap() {
                assert!(matches!(reason, RecycleReason::Errors { .. }), "{reason}");
                break worker;
            }
        };
        assert_eq!(worker.pid(), Some(ill));
        all_ready(&pool, 4).await;
        let after = pids(&pool);
        assert!(!after.contains(&ill));
        assert_eq!(after.intersection(&before).count(), 2, "the others stay");
        for _ in 0..20 {
            call_with(&pool, "fail_in", json!(ill)).await.unwrap();
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_74_where_all_workers_err_none_is_ejected() {
    scenario(async {
        let pool = supervised().workers(2).eject_after(10).start().await;
        let pool = pool.unwrap();
        let before = pids(&pool);
        for _ in 0..100 {
            let error = call::<Value>(&pool, "not_there").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FunctionNotFound);
            let error = call_with(&pool, "leak", json!(-(1_i64 << 60))).await;
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Exception);
        }
        assert_eq!(pids(&pool), before);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn the_status_says_what_every_worker_does_and_has_done() {
    scenario(async {
        let pool = supervised().workers(2).start().await.unwrap();
        kill(pid_of(&pool, 0));
        all_ready(&pool, 3).await;
        for _ in 0..10 {
            call::<u32>(&pool, "pid").await.unwrap();
        }
        let sleeper = tokio::spawn({
            let pool = pool.clone();
            async move { call_with(&pool, "sleep", json!(1.0)).await }
        });
        let running = || {
            let workers = pool.status().workers;
            workers
                .into_iter()
                .filter_map(|worker| worker.running)
                .next()
        };
        until("it runs", || running().is_some()).await;
        let run = running().unwrap();
        assert_eq!(run.function.as_deref(), Some("sleep"));
        let status = pool.status();
        let calls: u64 = status.workers.iter().map(|worker| worker.calls).sum();
        assert_eq!(calls, 10);
        let restarts: Vec<_> = status
            .workers
            .iter()
            .map(|worker| worker.restarts)
            .collect();
        assert_eq!(restarts, [1, 0]);
        for worker in &status.workers {
            let is_known = cfg!(all(target_os = "linux", not(pyproc_portable)));
            assert_eq!(
                worker.memory_bytes.is_some_and(|bytes| bytes > 1 << 20),
                is_known
            );
            assert!(worker.uptime.is_some());
        }
        sleeper.await.unwrap().unwrap();
        assert_eq!(running(), None);
        pool.shutdown().await.unwrap();
    });
}

#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn pid(value: Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}
