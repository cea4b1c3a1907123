//! A host that dies by any death leaves nobody behind.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::{Host, ended, pool, scenario, signal, until, within};

/// Not a test of its own: the program that is killed. It prints the processes of its workers, one of which runs a
/// function that holds the interpreter, and waits for its end.
#[test]
#[ignore = "it is the host that the other tests start and kill"]
fn host() {
    host_of(pool("faults.py").workers(2));
}

#[test]
#[ignore = "it is the host that the other tests start and kill"]
fn listening_host() {
    host_of(pool("listens.py").workers(2).listen());
}

fn host_of(builder: pyproc::PoolBuilder) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let pool = builder.start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let started = directory.path().join("started");
        let busy = pool.call::<_, ()>("busy_loop", started.to_str().unwrap());
        let announce = async {
            until("the function has begun", || started.exists()).await;
            let pids: Vec<_> = pool
                .status()
                .workers
                .iter()
                .map(|worker| worker.pid.unwrap().to_string())
                .collect();
            println!("workers {}", pids.join(" "));
        };
        let _ = futures::join!(busy, announce);
    });
}

#[test]
fn fault_20_the_host_is_killed_with_minus_nine() {
    kill_hosts("host");
}

#[test]
fn fault_20_the_host_of_listening_workers_is_killed_with_minus_nine() {
    kill_hosts("listening_host");
}

fn kill_hosts(name: &'static str) {
    scenario(async move {
        for _ in 0..5 {
            let mut host = Host::start(name);
            let pids = host.says_pids("workers").await;
            signal(host.id(), rustix::process::Signal::KILL);
            host.ended().await;
            let all_gone = until("no worker is left", || pids.iter().all(|pid| ended(*pid)));
            within(Duration::from_secs(1), "all workers are gone", all_gone).await;
            assert_eq!(support::socket_directories(host.id()), BTreeSet::new());
        }
    });
}
