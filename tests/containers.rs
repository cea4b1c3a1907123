//! The host as the first process of a container, and under a service manager that signals all processes at once.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use pyproc::{ErrorKind, Pool, Restart, WorkerState};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{
    Host, call, call_with, children_of, descendants_of, ended, kill, pid_of, pool, scenario,
    signal, skipped, until, within,
};

/// Starts the ignored test of this name as the first process of a namespace of its own, or says why it cannot.
fn first_process(name: &str) -> Option<Host> {
    let host = Host::first_process(name);
    if host.is_none() {
        skipped(name, "this user may not make a namespace of processes");
    }
    host
}

async fn all_ready(pool: &Pool, generations: u64) {
    until("all workers are ready again", || {
        let workers = pool.status().workers;
        workers.iter().map(|worker| worker.generation).sum::<u64>() == generations
            && workers
                .iter()
                .all(|worker| worker.state == WorkerState::Ready)
    })
    .await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// Not a test of its own: the program that is the first process.
#[test]
#[ignore = "it is the host that another test starts"]
fn host_that_adopts() {
    assert_eq!(std::process::id(), 1);
    runtime().block_on(async {
        let restart = Restart::new().intensity(100).backoff(Duration::ZERO);
        let pool = pool("faults.py").workers(2).restart(restart);
        let pool = pool.start().await.unwrap();
        // A child of the application's, whose status nobody but the application may take.
        let mut own = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        for death in 1..=5 {
            let grandchildren: Vec<u32> = call_with(&pool, "have_children", json!(5))
                .await
                .map(|pids| serde_json::from_value(pids).unwrap())
                .unwrap();
            assert_eq!(grandchildren.len(), 5);
            let error = call::<Value>(&pool, "kill_self").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
            all_ready(&pool, 2 + death).await;
        }
        for slot in 0..2 {
            kill(pid_of(&pool, slot));
        }
        all_ready(&pool, 9).await;
        pool.shutdown().await.unwrap();
        // The application's own child, and none that was adopted, not even a zombie.
        until("all orphans are reaped", || children_of(1) == [own.id()]).await;
        assert_eq!(own.wait().unwrap().code(), Some(7));
        println!("all is well");
    });
}

#[test]
fn a_host_that_is_the_first_process_reaps_what_its_workers_leave_and_nothing_else() {
    scenario(async {
        if let Some(mut host) = first_process("host_that_adopts") {
            host.says("all is well").await;
            assert!(host.ended().await.success());
        }
    });
}

/// Not a test of its own: the program that is the first process, and killed.
#[test]
#[ignore = "it is the host that another test starts"]
fn host_that_is_killed() {
    runtime().block_on(async {
        let pool = pool("faults.py").workers(2).start().await.unwrap();
        call_with(&pool, "have_children", json!(2)).await.unwrap();
        println!("all is started");
        std::future::pending::<()>().await;
    });
}

#[test]
fn the_end_of_a_host_that_is_the_first_process_ends_everybody() {
    scenario(async {
        let Some(mut host) = first_process("host_that_is_killed") else {
            return;
        };
        host.says("all is started").await;
        let first = children_of(host.id())[0];
        // Two workers, and two children of one of them that have one each.
        until("all are there", || descendants_of(first).len() == 6).await;
        let all = descendants_of(first);
        kill(first);
        let all_gone = until("nobody is left", || all.iter().all(|pid| ended(*pid)));
        within(Duration::from_secs(1), "all are gone", all_gone).await;
        host.ended().await;
    });
}

/// Not a test of its own: a program that a service manager would run. At SIGTERM it shuts its pool down.
#[test]
#[ignore = "it is the host that another test starts"]
fn service() {
    runtime().block_on(async {
        let mut terminated =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let pool = pool("faults.py")
            .workers(3)
            .max_in_flight_per_worker(4)
            .restart(Restart::never())
            .start()
            .await
            .unwrap();
        let calls: Vec<_> = (0..12)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { call_with(&pool, "nap", json!(0.2)).await })
            })
            .collect();
        until("all calls are with the workers", || {
            pool.status().in_flight == 12
        })
        .await;
        let pids: Vec<_> = (0..3).map(|slot| pid_of(&pool, slot).to_string()).collect();
        println!("workers {}", pids.join(" "));
        terminated.recv().await;
        let report = pool.shutdown().await.unwrap();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        for worker in pool.status().workers {
            assert_eq!((worker.generation, worker.last_failure), (1, None));
        }
        println!("drained {report:?}");
    });
}

#[test]
fn sigterm_to_host_and_workers_at_once_drains_without_a_crash_or_a_restart() {
    scenario(async {
        let mut command = Host::command("service");
        let mut host = Host::from(command.stderr(Stdio::piped()));
        let workers = host.says_pids("workers").await;
        // In the order that is the harder one: workers that end while their host does not know yet.
        for pid in workers.into_iter().chain([host.id()]) {
            signal(pid, Signal::TERM);
        }
        host.says("drained").await;
        assert!(host.ended().await.success());
        let mut said = String::new();
        let mut stderr = host.take_stderr().unwrap();
        std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
        assert!(
            !said.contains("died") && !said.contains("new one"),
            "{said}"
        );
    });
}
