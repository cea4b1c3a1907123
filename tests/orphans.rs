//! A host that dies by any death leaves nobody behind.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{ended, pool, scenario, signal, until, within};

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
            let mut host = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name, "--ignored", "--nocapture"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let lines = BufReader::new(host.stdout.take().unwrap()).lines();
            let announced = lines.map_while(Result::ok).find_map(|line| {
                let pids = line.split_once("workers ")?.1.to_owned();
                Some(
                    pids.split(' ')
                        .map(|pid| pid.parse().unwrap())
                        .collect::<Vec<u32>>(),
                )
            });
            let pids = announced.expect("the host announces its workers");
            signal(host.id(), rustix::process::Signal::KILL);
            host.wait().unwrap();
            let all_gone = until("no worker is left", || pids.iter().all(|pid| ended(*pid)));
            within(Duration::from_secs(1), "all workers are gone", all_gone).await;
            assert_eq!(support::socket_directories(host.id()), BTreeSet::new());
        }
    });
}
