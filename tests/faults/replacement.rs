//! Workers that are replaced while something else goes wrong: with them, with their successors, or with calls.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pyproc::{ErrorKind, Event, Pool, PoolBuilder, Recycle, RecycleReason, Restart, WorkerState};
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::all_ready;
use crate::support::{call_with, gone, kill, pid_of, pool, pool_of, scenario, signal, until};

/// A place from which the starts of workers are held up, and made to fail.
struct Nursery(tempfile::TempDir);

impl Nursery {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn pool(&self) -> PoolBuilder {
        let place = self.0.path();
        let source = format!(
            "import os, time\nfrom pathlib import Path\nplace = Path({place:?})\n\
             slot = place / os.environ['SLOT']\n\
             while slot.with_suffix('.held').exists():\n    \
                 slot.with_suffix('.tried').touch()\n    time.sleep(0.001)\n\
             if (place / 'broken').exists():\n    raise RuntimeError('broken release')\n\
             @expose\ndef fail_in(process):\n    \
                 if os.getpid() == process:\n        raise RuntimeError('this one is ill')\n"
        );
        pool_of(&source).env("SLOT", "{slot}")
    }

    /// From now on no worker of the slot becomes ready.
    fn hold(&self, slot: usize) {
        std::fs::write(self.path(&format!("{slot}.held")), "").unwrap();
    }

    fn release(&self, slot: usize) {
        std::fs::remove_file(self.path(&format!("{slot}.held"))).unwrap();
    }

    async fn tried(&self, slot: usize) {
        let tried = self.path(&format!("{slot}.tried"));
        until("a start is tried", || tried.exists()).await;
    }

    fn break_release(&self) {
        std::fs::write(self.path("broken"), "").unwrap();
    }

    fn mend_release(&self) {
        std::fs::remove_file(self.path("broken")).unwrap();
    }
}

fn restart(pool: &Pool) -> JoinHandle<pyproc::Result<()>> {
    let pool = pool.clone();
    tokio::spawn(async move { pool.restart().await })
}

/// So many calls that end when there is a file at the path.
fn endless_calls(calls: usize, pool: &Pool, gate: &Path) -> Vec<JoinHandle<()>> {
    let call = || {
        let (pool, gate) = (pool.clone(), json!(gate));
        tokio::spawn(async move { drop(call_with(&pool, "wait_for", gate).await.unwrap()) })
    };
    std::iter::repeat_with(call).take(calls).collect()
}

/// Every worker has a call that does not end.
async fn all_busy(pool: &Pool) {
    until("all are busy", || {
        let workers = pool.status().workers;
        workers.iter().all(|worker| worker.running.is_some())
    })
    .await;
}

fn generations(pool: &Pool) -> Vec<u64> {
    let workers = pool.status().workers;
    workers.iter().map(|worker| worker.generation).collect()
}

#[test]
fn a_pool_whose_added_worker_is_given_up_before_all_are_ready_stays_as_it_was() {
    scenario(async {
        for policy in [Restart::never(), Restart::new().intensity(0)] {
            let nursery = Nursery::new();
            let pool = nursery.pool().workers(1).restart(policy);
            let pool = pool.start().await.unwrap();
            nursery.hold(2);
            let growth = tokio::spawn({
                let pool = pool.clone();
                async move { pool.resize(3).await }
            });
            until("one of the two is ready", || {
                let workers = pool.status().workers;
                workers.len() == 3 && workers[1].state == WorkerState::Ready
            })
            .await;
            kill(pid_of(&pool, 1));
            until("the change is given up", || growth.is_finished()).await;
            let error = growth.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Start);
            assert!(error.death().is_some(), "{error:?}");
            assert_eq!(pool.status().workers.len(), 1);
            nursery.release(2);
            pool.resize(3).await.unwrap();
            pool.shutdown().await.unwrap();
        }
    });
}

#[test]
fn fault_74_a_worker_that_errs_goes_on_until_its_successor_is_there() {
    scenario(async {
        let nursery = Nursery::new();
        let pool = nursery.pool().workers(3).eject_after(20);
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        let ill = pid_of(&pool, 0);
        let errors = async |errors: usize| {
            let mut calls = 0;
            let mut seen = 0;
            while seen < errors {
                calls += 1;
                assert!(calls < 10_000, "the ill worker gets no calls any more");
                seen += usize::from(call_with(&pool, "fail_in", json!(ill)).await.is_err());
            }
        };
        nursery.hold(0);
        nursery.break_release();
        let attempt = restart(&pool);
        nursery.tried(0).await;
        errors(50).await;
        nursery.release(0);
        let error = attempt.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("broken release"), "{error}");
        // There is no successor now. So it is ejected; and as the next one cannot be started either, another follows.
        let load = tokio::spawn({
            let pool = pool.clone();
            async move {
                loop {
                    drop(call_with(&pool, "fail_in", json!(ill)).await);
                }
            }
        });
        let mut ejected = 0;
        loop {
            match events.next().await.unwrap() {
                Event::Recycling { worker, reason, .. } => match reason {
                    RecycleReason::Errors { .. } => {
                        assert_eq!(worker.pid(), Some(ill));
                        ejected += 1;
                    }
                    reason => assert_eq!(reason, RecycleReason::Restart),
                },
                Event::StartFailed { .. } if ejected > 0 => break,
                _ => {}
            }
        }
        load.abort();
        nursery.mend_release();
        all_ready(&pool, 4).await;
        assert_eq!(ejected, 1);
        assert!(gone(ill));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_72_a_call_that_does_not_end_holds_up_the_end_of_a_rolling_restart_but_nothing_else() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let gate = directory.path().join("gate");
        let pool = pool("supervised.py").workers(2);
        let pool = pool.restart(Restart::new().max_backoff(Duration::from_millis(100)));
        let pool = pool.start().await.unwrap();
        let old = [0, 1].map(|slot| pid_of(&pool, slot));
        let calls = endless_calls(2, &pool, &gate);
        all_busy(&pool).await;
        let first = restart(&pool);
        until("both have successors", || generations(&pool) == [2, 2]).await;
        // Another one need not wait for the end of the first.
        let second = restart(&pool);
        until("both have successors again", || {
            generations(&pool) == [3, 3]
        })
        .await;
        assert!(!first.is_finished() && !second.is_finished());
        assert!(!old.iter().any(|old| gone(*old)));
        std::fs::write(&gate, "").unwrap();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        assert!(old.iter().all(|old| gone(*old)));
        for call in calls {
            call.await.unwrap();
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_16_a_call_that_does_not_end_holds_up_the_recycling_of_no_other_worker() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let gate = directory.path().join("gate");
        let pool = pool("supervised.py")
            .workers(2)
            .max_in_flight_per_worker(4)
            .recycle(Recycle::new().after_calls(1))
            .restart(Restart::new().max_backoff(Duration::from_millis(100)));
        let pool = pool.start().await.unwrap();
        let calls = endless_calls(2, &pool, &gate);
        all_busy(&pool).await;
        // Each has one call that does not end, and has answered another.
        let more = endless_calls(2, &pool, &directory.path().join("second gate"));
        until("four calls are in flight", || pool.status().in_flight == 4).await;
        std::fs::write(&gate, "").unwrap();
        for call in calls {
            call.await.unwrap();
        }
        until("both have successors", || {
            generations(&pool).iter().all(|generation| *generation >= 2)
        })
        .await;
        std::fs::write(directory.path().join("second gate"), "").unwrap();
        for call in more {
            call.await.unwrap();
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_16_without_surge_a_call_that_does_not_end_holds_up_no_second_worker_either() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let (gate, second) = (
            directory.path().join("gate"),
            directory.path().join("second"),
        );
        let pool = pool("supervised.py")
            .workers(3)
            .max_in_flight_per_worker(4)
            .recycle(Recycle::new().after_calls(1).surge(false))
            .restart(
                Restart::new()
                    .backoff(Duration::ZERO)
                    .max_backoff(Duration::ZERO),
            );
        let pool = pool.start().await.unwrap();
        let calls = endless_calls(3, &pool, &gate);
        all_busy(&pool).await;
        let more = endless_calls(3, &pool, &second);
        until("six calls are in flight", || pool.status().in_flight == 6).await;
        // Each has a call that does not end, and is worn by the one that does.
        std::fs::write(&gate, "").unwrap();
        for call in calls {
            call.await.unwrap();
        }
        let draining = || {
            let workers = pool.status().workers.into_iter();
            workers
                .filter(|worker| worker.state == WorkerState::Draining)
                .count()
        };
        until("two leave", || draining() == 2).await;
        std::fs::write(&second, "").unwrap();
        for call in more {
            call.await.unwrap();
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_72_a_worker_that_leaves_by_itself_while_its_successor_starts_gets_no_second_one() {
    scenario(async {
        let nursery = Nursery::new();
        let pool = nursery.pool().workers(1);
        let pool = pool.restart(Restart::new().backoff(Duration::ZERO));
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        let old = pid_of(&pool, 0);
        nursery.hold(0);
        let restart = restart(&pool);
        nursery.tried(0).await;
        signal(old, Signal::TERM);
        let mut starts = Vec::new();
        loop {
            match events.next().await.unwrap() {
                Event::Starting { generation, .. } => starts.push(generation),
                Event::Drained { report, .. } => {
                    assert_eq!(report.worker().pid(), Some(old));
                    break;
                }
                _ => {}
            }
        }
        nursery.release(0);
        restart.await.unwrap().unwrap();
        call_with(&pool, "fail_in", json!(old)).await.unwrap();
        pool.shutdown().await.unwrap();
        while let Some(event) = events.next().await {
            if let Event::Starting { generation, .. } = event {
                starts.push(generation);
            }
        }
        assert_eq!(starts, [2]);
    });
}
