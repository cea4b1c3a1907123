//! From the start of a worker to the collection of its status, and whoever it leaves behind.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use pyproc::{ErrorKind, Exit, Fate, Restart};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use serde_json::{Value, json};

use crate::support::{
    Host, assert_error, call, call_with, children_of, ended, gone, kill, pid_of, pool, pool_of,
    scenario, scenario_without_runtime, signal, skipped, until, within,
};
use crate::{all_ready, announcement, begun};

/// As often as one likes, and at once.
fn eager() -> Restart {
    Restart::new().intensity(1000).backoff(Duration::ZERO)
}

#[test]
fn fault_10_an_import_error_ends_the_start_with_its_traceback_and_is_not_tried_again() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let source = format!(
            "with open({log:?}, 'a') as log:\n    log.write('imported\\n')\nimport no_such_module\n"
        );
        let start = pool_of(&source).workers(1).restart(eager()).start();
        let error = start.await.expect_err("the pool has started");
        let culprits = ["could not be loaded", "no_such_module", "app.py\", line 4"];
        assert_error(&error, ErrorKind::Start, Fate::NotStarted, &culprits);
        assert_eq!(fs::read_to_string(log).unwrap(), "imported\n");
    });
}

#[test]
fn fault_11_an_interpreter_that_is_missing_or_not_executable_is_named() {
    scenario(async {
        let plain = tempfile::NamedTempFile::new().unwrap();
        let plain = plain.path().to_str().unwrap();
        for (path, why) in [
            ("/nowhere/python3", "does not exist"),
            (plain, "Permission denied"),
        ] {
            let start = pool("faults.py").python(path).start();
            let error = start.await.expect_err("the pool has started");
            assert_error(&error, ErrorKind::Start, Fate::NotStarted, &[path, why]);
        }
    });
}

#[test]
fn fault_18_a_grandchild_in_a_session_of_its_own_survives_and_holds_up_nothing() {
    // Only a control group could reach it, and a host has none of its own to use.
    scenario(async {
        let pool = pool("faults.py").workers(1).restart(eager());
        let pool = pool.start().await.unwrap();
        let survivor: u32 = call(&pool, "have_a_daemon").await.unwrap();
        let died = call::<Value>(&pool, "kill_self");
        let error = within(Duration::from_secs(5), "the death is told", died).await;
        assert_eq!(error.unwrap_err().exit(), Some(Exit::Signal(9)));
        all_ready(&pool, 2).await;
        pool.shutdown().await.unwrap();
        assert!(!ended(survivor), "it has a session of its own");
        kill(survivor);
    });
}

#[test]
fn fault_19_a_thread_that_a_function_leaves_holds_up_neither_replies_nor_the_shutdown() {
    scenario(async {
        let pool = pool("faults.py")
            .workers(1)
            .stop_timeout(Duration::from_secs(1));
        let pool = pool.start().await.unwrap();
        let worker = pid_of(&pool, 0);
        call::<()>(&pool, "leave_a_busy_thread").await.unwrap();
        assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
        assert_eq!(pid_of(&pool, 0), worker);
        let shutdown = within(Duration::from_secs(5), "the shutdown", pool.shutdown());
        shutdown.await.unwrap();
        assert!(gone(worker));
    });
}

/// Not a test of its own: a program that drains at SIGTERM, with more to do than it has time for.
#[test]
#[ignore = "it is the host that another test starts"]
fn service() {
    const CALLS: usize = 100;
    const WORKERS: usize = 4;
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut terminated =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let pool = pool("faults.py")
            .workers(WORKERS)
            .max_in_flight_per_worker(CALLS / WORKERS)
            .shutdown_timeout(Duration::from_secs(3))
            .stop_timeout(Duration::from_millis(500))
            .start()
            .await
            .unwrap();
        let calls = (0..CALLS).map(|number| {
            // The last ones do not end by themselves.
            let is_last = number >= CALLS - WORKERS;
            call_with(&pool, "nap", json!(if is_last { 1000.0 } else { 0.01 }))
        });
        // All are sent, in this order, when this is polled first.
        let mut ends = std::pin::pin!(futures::future::join_all(calls));
        assert!(futures::poll!(ends.as_mut()).is_pending());
        println!("all are sent");
        let shutdown = async {
            terminated.recv().await;
            pool.shutdown().await.unwrap();
        };
        let (ends, ()) = futures::join!(ends, shutdown);
        let (mut returned, mut closed) = (0, 0);
        for end in ends {
            match end {
                Ok(_) => returned += 1,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                    closed += 1;
                }
            }
        }
        println!("ends: {returned} {closed}");
    });
}

#[test]
fn fault_21_sigterm_with_100_calls_in_flight_drains_until_the_time_is_over() {
    scenario(async {
        let mut host = Host::start("lifetimes::service");
        host.says("all are sent").await;
        signal(host.id(), Signal::TERM);
        assert_eq!(host.says("ends:").await, "96 4");
        assert!(host.ended().await.success());
    });
}

#[test]
fn fault_23_a_blocking_thread_that_tokio_prunes_takes_no_worker_with_it() {
    scenario_without_runtime(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .thread_keep_alive(Duration::from_millis(20))
            .build()
            .unwrap();
        runtime.block_on(async {
            let handle = tokio::runtime::Handle::current();
            let start = move || {
                let pool = handle.block_on(pool("faults.py").workers(1).start());
                (pool.unwrap(), rustix::thread::gettid())
            };
            let (pool, thread) = tokio::task::spawn_blocking(start).await.unwrap();
            let thread = format!("/proc/self/task/{}", thread.as_raw_nonzero());
            until("the thread is pruned", || !fs::exists(&thread).unwrap()).await;
            let worker: u32 = call(&pool, "pid").await.unwrap();
            assert_eq!(pool.status().workers[0].generation, 1);
            assert_eq!(worker, pid_of(&pool, 0));
            pool.shutdown().await.unwrap();
        });
    });
}

/// Not a test of its own: a program that loses the statuses of its workers.
#[test]
#[ignore = "it is the host that another test starts"]
fn host_without_statuses() {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        if std::env::var_os("TAKES_ALL").is_some() {
            std::thread::spawn(|| {
                loop {
                    // There may be no child at the moment.
                    let _ = waitpid(None, WaitOptions::empty());
                    std::thread::yield_now();
                }
            });
        }
        let pool = pool("faults.py").workers(1).restart(eager());
        let pool = pool.start().await.unwrap();
        for generation in 2..5 {
            let error = call::<Value>(&pool, "kill_self").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
            // Who is quicker gets it, where the application waits for all.
            let exit = error.exit().unwrap();
            assert!([Exit::Unknown, Exit::Signal(9)].contains(&exit), "{error}");
            all_ready(&pool, generation).await;
            assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
        }
        pool.shutdown().await.unwrap();
        println!("all is well");
    });
}

#[test]
fn fault_24_a_program_that_takes_all_statuses_or_ignores_sigchld_loses_only_those() {
    scenario(async {
        let test = Host::command("lifetimes::host_without_statuses");
        // Done in Python because some shells quietly undo it.
        let ignoring = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); \
                        os.execv(sys.argv[1], sys.argv[1:])";
        let mut ignores = Command::new("python3");
        ignores.args(["-c", ignoring]).arg(test.get_program());
        ignores.args(test.get_args());
        let mut takes = Host::command("lifetimes::host_without_statuses");
        takes.env("TAKES_ALL", "1");
        for mut command in [ignores, takes] {
            let mut host = Host::from(command.stderr(Stdio::null()));
            host.says("all is well").await;
            assert!(host.ended().await.success());
        }
    });
}

/// Not a test of its own: the first process of a namespace, in which it decides who gets which process id.
#[test]
#[ignore = "it is the host that another test starts"]
fn host_with_an_impostor() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let pool = pool("faults.py").workers(1).restart(eager());
        let pool = pool.start().await.unwrap();
        let worker = pid_of(&pool, 0);
        // Nobody else runs on this thread meanwhile: when the host hears of the death, the id is another's.
        kill(worker);
        let raw = Pid::from_raw(worker.try_into().unwrap()).unwrap();
        waitpid(Some(raw), WaitOptions::empty()).unwrap();
        let mut impostor = None;
        for _ in 0..100 {
            fs::write("/proc/sys/kernel/ns_last_pid", (worker - 1).to_string()).unwrap();
            let mut command = Command::new("sleep");
            let mut child = command.arg("1000").process_group(0).spawn().unwrap();
            if child.id() == worker {
                impostor = Some(child);
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let mut impostor = impostor.expect("a process with the id of the worker");
        all_ready(&pool, 2).await;
        assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
        pool.shutdown().await.unwrap();
        assert_eq!(impostor.try_wait().unwrap(), None, "it got the signal");
        impostor.kill().unwrap();
        impostor.wait().unwrap();
        println!("all is well");
    });
}

#[test]
fn fault_25_who_gets_the_process_id_of_a_dead_worker_gets_none_of_its_signals() {
    const NAME: &str = "fault_25_who_gets_the_process_id_of_a_dead_worker_gets_none_of_its_signals";
    if cfg!(pyproc_portable) {
        skipped(
            NAME,
            "without pidfd an id whose status was stolen is not told from another's",
        );
        return;
    }
    scenario(async {
        let host = Host::first_process("lifetimes::host_with_an_impostor");
        let Some(mut host) = host else {
            skipped(NAME, "this user may not make a namespace of processes");
            return;
        };
        host.says("all is well").await;
        assert!(host.ended().await.success());
    });
}

#[test]
fn fault_26_no_worker_is_forked_from_another_and_a_fork_beside_threads_does_not_answer() {
    scenario(async {
        let pool = pool("faults.py").workers(3).start().await.unwrap();
        let children = children_of(std::process::id());
        for slot in 0..3 {
            assert!(children.contains(&pid_of(&pool, slot)), "{children:?}");
        }
        // The one fork that there can be is the user's own.
        for _ in 0..9 {
            let answer: u32 = call(&pool, "fork_beside_a_thread").await.unwrap();
            assert!(children.contains(&answer), "{answer} is a copy");
        }
        assert_eq!(pool.status().workers[0].generation, 1);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_27_a_stop_hook_that_hangs_is_killed_when_its_time_is_over() {
    scenario(async {
        let (_directory, stopping) = announcement();
        let source = format!(
            "import os, time\nfrom pyproc import on_stop\nfrom pathlib import Path\n\
             @on_stop\ndef hang():\n    Path({stopping:?}).write_text(str(os.getpid()))\n    time.sleep(1000)\n"
        );
        let pool = pool_of(&source).workers(1);
        let pool = pool.stop_timeout(Duration::from_millis(300));
        let pool = pool.start().await.unwrap();
        let worker = pid_of(&pool, 0);
        let shutdown = within(Duration::from_secs(5), "the shutdown", pool.shutdown());
        shutdown.await.unwrap();
        assert_eq!(begun(&stopping).await, worker);
        assert!(gone(worker));
    });
}
