//! What can happen to a worker process: it is killed, stopped, crashes, hangs, exits, or never begins.

use std::time::Duration;

use pyproc::{ErrorKind, Exit, Fate, PoolBuilder, WorkerState};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::oracle::{DEADLINE, costs_its_worker, others_call};
use crate::support::{
    call, call_with, gone, kill, open_in, pid_of, pool, pool_of, scenario, signal, until, within,
};
use crate::{all_ready, announcement, begun};

/// What the oracle for the loss of a worker needs.
fn two_workers() -> PoolBuilder {
    pool("faults.py").workers(2).max_in_flight_per_worker(1)
}

#[test]
fn fault_01_an_idle_worker_is_killed() {
    scenario(async {
        let pool = pool("faults.py").workers(2).start().await.unwrap();
        kill(pid_of(&pool, 0));
        let noticed = until("the death is noticed", || {
            pool.status().workers[0].state != WorkerState::Ready
        });
        within(Duration::from_millis(100), "the death is noticed", noticed).await;
        // No call feels it, not even those that come before the replacement.
        for number in 0..20 {
            assert_eq!(
                call_with(&pool, "echo", json!(number)).await.unwrap(),
                json!(number)
            );
        }
        all_ready(&pool, 3).await;
        assert!(
            pool.status().workers[0]
                .last_failure
                .as_ref()
                .unwrap()
                .contains("SIGKILL")
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_02_a_worker_is_killed_during_a_call() {
    scenario(async {
        let (_directory, started) = announcement();
        let pool = two_workers().start().await.unwrap();
        others_call(&pool).await;
        let workers = pool.status().workers;
        let served: Vec<_> = workers.iter().map(|worker| worker.calls).collect();
        let end = (ErrorKind::WorkerDied, Fate::MayHaveRun);
        let argument = json!(started);
        let hanging = costs_its_worker(&pool, "hang", argument, DEADLINE, end, &["SIGKILL"]);
        let killing = async {
            let worker = begun(&started).await;
            kill(worker);
            worker
        };
        let (error, killed) = futures::join!(hanging, killing);
        let worker = error.worker().unwrap();
        assert_eq!(worker.pid(), Some(killed));
        assert!(!error.is_retryable());
        let death = error.death().expect("a report of the death");
        assert_eq!(
            (Some(death.worker()), death.exit()),
            (error.worker(), error.exit())
        );
        assert_eq!(death.calls_served(), served[worker.slot()]);
        assert_eq!(death.stacks(), None);
        assert!(!death.uptime().is_zero());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_02_an_idempotent_call_survives_the_kill() {
    scenario(async {
        let (_directory, started) = announcement();
        let pool = pool("faults.py").workers(2).start().await.unwrap();
        let surviving = async {
            pool.call::<_, String>("hang_once", json!(started))
                .idempotent()
                .await
        };
        let killing = async { kill(begun(&started).await) };
        let (result, ()) = futures::join!(surviving, killing);
        assert_eq!(result.unwrap(), "survived");
        assert_eq!(pool.status().counts.resent, 1);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_03_a_worker_is_killed_within_a_reply() {
    scenario(async {
        let pool = two_workers().start().await.unwrap();
        let end = (ErrorKind::WorkerDied, Fate::MayHaveRun);
        let function = "die_within_a_reply";
        let error = costs_its_worker(&pool, function, json!({}), DEADLINE, end, &["SIGKILL"]).await;
        assert_eq!(error.exit(), Some(Exit::Signal(Signal::KILL.as_raw())));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_05_a_c_extension_crashes() {
    scenario(async {
        let pool = two_workers().start().await.unwrap();
        let end = (ErrorKind::WorkerDied, Fate::MayHaveRun);
        let culprits = ["SIGSEGV"];
        let error = costs_its_worker(&pool, "segfault", json!({}), DEADLINE, end, &culprits).await;
        let traceback = std::error::Error::source(&error)
            .expect("the interpreter's last words")
            .to_string();
        assert!(traceback.contains("in segfault"), "{traceback}");
        if cfg!(all(target_os = "linux", not(pyproc_portable))) {
            assert!(error.stacks().unwrap().contains("in segfault"));
            assert_eq!(error.death().unwrap().stacks(), error.stacks());
        }
        assert!(
            error.to_string().contains("a crash in native code"),
            "{error}"
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_06_a_function_exits() {
    scenario(async {
        let pool = two_workers().start().await.unwrap();
        let end = (ErrorKind::WorkerDied, Fate::MayHaveRun);
        let culprits = ["`exit_with`", "exit code 7"];
        let error = costs_its_worker(&pool, "exit_with", json!(7), DEADLINE, end, &culprits).await;
        assert_eq!(error.exit(), Some(Exit::Code(7)));

        let culprits = ["`exit_at_once`", "exit code 8"];
        let error =
            costs_its_worker(&pool, "exit_at_once", json!(8), DEADLINE, end, &culprits).await;
        let last_words = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            last_words.contains("these are my last words"),
            "{last_words}"
        );
        assert_eq!(error.death().unwrap().stderr(), "these are my last words");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_07_a_stopped_worker_is_replaced_after_the_deadline() {
    scenario(async {
        let overdue = Duration::from_millis(200);
        let pool = pool("faults.py")
            .workers(1)
            .overdue_after(overdue)
            .start()
            .await
            .unwrap();
        let stopped = pid_of(&pool, 0);
        signal(stopped, Signal::STOP);
        let error = pool
            .call::<_, Value>("echo", 1)
            .deadline(overdue)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Deadline, Fate::MayHaveRun)
        );
        until("the stopped worker is gone", || gone(stopped)).await;
        assert_eq!(call_with(&pool, "echo", json!(2)).await.unwrap(), json!(2));
        pool.shutdown().await.unwrap();
    });
}

#[test]
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn fault_08_an_endless_loop_is_interrupted_and_costs_nobody_anything() {
    scenario(async {
        let (_directory, started) = announcement();
        let pool = pool("faults.py").workers(2).start().await.unwrap();
        let looping = async {
            pool.call::<_, Value>("busy_loop", &started)
                .deadline(Duration::from_millis(200))
                .await
        };
        let others = async {
            let looper = begun(&started).await;
            for number in 0..50 {
                assert_eq!(
                    call_with(&pool, "echo", json!(number)).await.unwrap(),
                    json!(number)
                );
            }
            looper
        };
        let (result, looper) = futures::join!(looping, others);
        let error = result.unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Deadline, Fate::Failed)
        );
        let traceback = error.python().and_then(|python| python.traceback());
        assert!(traceback.unwrap().contains("in busy_loop\n"), "{error}");
        assert!([pid_of(&pool, 0), pid_of(&pool, 1)].contains(&looper));
        all_ready(&pool, 2).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_17_a_dying_worker_leaves_a_sleeper_that_holds_its_descriptors() {
    scenario(async {
        let (_directory, started) = announcement();
        let pool = two_workers().start().await.unwrap();
        // The sleeper holds the pipes open, and nobody waits for their end.
        let soon = Duration::from_secs(2);
        let end = (ErrorKind::WorkerDied, Fate::MayHaveRun);
        let culprits = ["exit code 3"];
        let argument = json!(started);
        costs_its_worker(&pool, "leave_a_sleeper", argument, soon, end, &culprits).await;
        let sleeper = begun(&started).await;
        until("the sleeper is killed with its group", || gone(sleeper)).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_22_the_runtime_ends_without_a_shutdown() {
    let pid = std::sync::Mutex::new(0);
    scenario(async {
        let pool = pool("faults.py").workers(2).start().await.unwrap();
        *pid.lock().unwrap() = pid_of(&pool, 1);
        std::mem::forget(pool);
    });
    // The oracle of the scenario has found no child; this says so again of one that is known by its id.
    assert!(gone(*pid.lock().unwrap()));
}

/// That the host does not read the wall clock either is a rule of `cargo xtask test --only sources`: no test may set the
/// clock of the machine that it runs on.
#[test]
fn fault_62_the_wall_clock_of_a_worker_jumps() {
    scenario(async {
        let pool = pool("faults.py").workers(1).start().await.unwrap();
        let worker = pid_of(&pool, 0);
        for hours in [1.0, -2.0] {
            call_with(&pool, "set_wall_clock", json!(hours * 3600.0))
                .await
                .unwrap();
            let minute = Duration::from_secs(60);
            let left = pool.call::<_, f64>("remaining", ()).deadline(minute).await;
            let left = left.unwrap();
            assert!((1.0..=60.0).contains(&left), "{left} s are left");
            let late = pool.call::<_, Value>("nap", 0.3);
            let late = late.deadline(Duration::from_millis(100)).await;
            assert_eq!(late.unwrap_err().kind(), ErrorKind::Deadline);
            assert_eq!(call::<u32>(&pool, "pid").await.unwrap(), worker);
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_forked_copy_of_a_worker_cannot_answer() {
    scenario(async {
        let pool = pool("faults.py").workers(1).start().await.unwrap();
        let worker = pid_of(&pool, 0);
        for _ in 0..3 {
            assert_eq!(call::<u32>(&pool, "fork_and_return").await.unwrap(), worker);
        }
        assert_eq!(pid_of(&pool, 0), worker);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_worker_that_is_told_to_end_by_somebody_else_ends_in_peace_and_is_not_blamed() {
    scenario(async {
        // Not a single crash is allowed.
        let restart = pyproc::Restart::new().intensity(0);
        let pool = pool("faults.py").workers(1).restart(restart);
        let pool = pool.start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        for generation in 1..=5 {
            let path = directory.path().join(generation.to_string());
            let arguments = json!({ "path": path, "seconds": 0.3 });
            call_with(&pool, "write_at_exit", arguments).await.unwrap();
            signal(pid_of(&pool, 0), Signal::TERM);
            // Calls that come meanwhile wait for the next worker.
            until("it ends", || {
                pool.status().workers[0].generation > generation
            })
            .await;
            assert_eq!(std::fs::read_to_string(path).unwrap(), "done");
            call_with(&pool, "echo", json!(generation)).await.unwrap();
            assert_eq!(pool.status().workers[0].last_failure, None);
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_worker_that_says_goodbye_and_stays_is_killed_in_the_end() {
    scenario(async {
        let pool = pool("faults.py").workers(1);
        let pool = pool.stop_timeout(Duration::from_millis(300));
        let pool = pool.start().await.unwrap();
        let arguments = json!({ "path": "/dev/null", "seconds": 1000 });
        call_with(&pool, "write_at_exit", arguments).await.unwrap();
        signal(pid_of(&pool, 0), Signal::TERM);
        all_ready(&pool, 2).await;
        let failure = pool.status().workers[0].last_failure.clone().unwrap();
        assert!(failure.contains("did not exit"), "{failure}");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_start_that_is_given_up_leaves_nothing_that_reads_what_its_descendants_write() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("started");
        let source = format!(
            "import subprocess, time\nfrom pathlib import Path\n\
             child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n\
             path = Path({path:?})\n\
             path.with_suffix('.draft').write_text(str(child.pid))\n\
             path.with_suffix('.draft').rename(path)\n\
             time.sleep(1000)\n"
        );
        let pipes = || {
            let open = open_in(std::process::id()).into_iter();
            open.filter(|path| path.to_string_lossy().starts_with("pipe:"))
                .count()
        };
        let before = pipes();
        let start = tokio::spawn(pool_of(&source).workers(1).start());
        let sleeper = begun(path.to_str().unwrap()).await;
        start.abort();
        until("nothing is read any more", || pipes() == before).await;
        kill(sleeper);
    });
}

#[test]
fn deaths_in_a_row_are_answered_with_growing_delays_and_then_with_unavailable() {
    scenario(async {
        let restart = pyproc::Restart::new()
            .intensity(2)
            .backoff(Duration::from_millis(20));
        let pool = pool("faults.py")
            .workers(1)
            .restart(restart)
            .start()
            .await
            .unwrap();
        for _ in 0..3 {
            let error = call::<Value>(&pool, "kill_self").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WorkerDied);
        }
        let error = call::<Value>(&pool, "pid").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Unavailable, Fate::NotStarted)
        );
        assert_eq!(pool.status().workers[0].state, WorkerState::Degraded);
        pool.shutdown().await.unwrap();
    });
}
