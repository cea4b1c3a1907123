//! A host that dies by any death leaves nobody behind.
//!
//! `cargo xtask orphans --repeat 200` does it as often as that, and tells how long it took.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Host, call_with, descendants_of, ended, pool, scenario, signal, until, within};

/// How often each kind of host is killed, unless the environment says otherwise.
const REPEAT: usize = 5;

/// So long after its host's death nobody of it is left.
const PROMISE: Duration = Duration::from_secs(1);

/// A scenario has a minute; so many kills are well within it.
const KILLS_PER_SCENARIO: usize = 20;

/// Not a test of its own: the program that is killed. Of its workers one runs a loop, one holds the interpreter lock
/// within a call into C, and one has children with children of their own.
#[test]
#[ignore = "it is the host that the other tests start and kill"]
fn host() {
    host_of(pool("faults.py").workers(3));
}

#[test]
#[ignore = "it is the host that the other tests start and kill"]
fn listening_host() {
    host_of(pool("listens.py").workers(3).listen());
}

fn host_of(builder: pyproc::PoolBuilder) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        // One call per worker, so that each goes to another.
        let pool = builder.max_in_flight_per_worker(1).start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let started = ["loop", "lock", "children"].map(|name| directory.path().join(name));
        let looping = call_with(&pool, "busy_loop", json!(started[0]));
        let holding = call_with(&pool, "hold_lock", json!(started[1]));
        let leading = call_with(&pool, "lead_children", json!(started[2]));
        let announce = async {
            until("all functions have begun", || {
                started.iter().all(|path| path.exists())
            })
            .await;
            println!("all are busy");
        };
        let _ = futures::join!(looping, holding, leading, announce);
    });
}

/// Not a test of its own: the program that panics when its standard input ends, with all calls in flight.
#[test]
#[ignore = "it is the host that the other tests start"]
fn panicking_host() {
    host_until_end_of_input(|| panic!("as it is meant to"));
}

#[test]
#[ignore = "it is the host that the other tests start"]
fn exiting_host() {
    host_until_end_of_input(|| std::process::exit(3));
}

fn host_until_end_of_input(end: fn()) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let pool = pool("faults.py").workers(3).start().await.unwrap();
        let started = tempfile::tempdir().unwrap().keep().join("lock");
        call_with(&pool, "have_children", json!(2)).await.unwrap();
        let holding = pool.call::<_, ()>("hold_lock", started.to_str().unwrap());
        let ending = async {
            until("the function has begun", || started.exists()).await;
            std::fs::remove_dir_all(started.parent().unwrap()).unwrap();
            println!("all are busy");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            end();
        };
        let _ = futures::join!(holding, ending);
    });
}

#[test]
fn fault_22_a_host_that_panics_or_exits_leaves_nobody() {
    scenario(async {
        for (name, code) in [("panicking_host", 101), ("exiting_host", 3)] {
            let mut host = Host::start(name);
            host.says("all are busy").await;
            until("all are there", || descendants_of(host.id()).len() == 7).await;
            let all = descendants_of(host.id());
            drop(host.take_stdin());
            assert_eq!(host.ended().await.code(), Some(code), "{name}");
            let all_gone = until("nobody is left", || all.iter().all(|pid| ended(*pid)));
            within(PROMISE, "all are gone", all_gone).await;
        }
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

/// What came of the kills.
#[derive(Debug, Default)]
struct Figures {
    kills: usize,
    processes: usize,
    left: usize,
    longest: Duration,
}

fn kill_hosts(name: &'static str) {
    let repeat = std::env::var("PYPROC_ORPHANS_REPEAT");
    let repeat = repeat.map_or(REPEAT, |number| number.parse().unwrap());
    let figures: &'static Mutex<Figures> = Box::leak(Box::default());
    for first in (0..repeat).step_by(KILLS_PER_SCENARIO) {
        let kills = KILLS_PER_SCENARIO.min(repeat - first);
        scenario(async move {
            for _ in 0..kills {
                kill_host(name, figures).await;
            }
        });
    }
    let figures = figures.lock().unwrap();
    println!(
        "{name}: {} kills, {} processes, {} of them left after {PROMISE:?}, all gone after {:.1} ms at most",
        figures.kills,
        figures.processes,
        figures.left,
        figures.longest.as_secs_f64() * 1e3,
    );
    assert_eq!(figures.left, 0);
}

async fn kill_host(name: &str, figures: &Mutex<Figures>) {
    let mut host = Host::start(name);
    host.says("all are busy").await;
    // Three workers, and two children of one of them that have one each.
    until("all are there", || descendants_of(host.id()).len() == 7).await;
    let all = descendants_of(host.id());
    signal(host.id(), rustix::process::Signal::KILL);
    let killed = Instant::now();
    let left = || all.iter().filter(|pid| !ended(**pid)).count();
    while left() > 0 && killed.elapsed() < PROMISE {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = killed.elapsed();
    {
        let mut figures = figures.lock().unwrap();
        figures.kills += 1;
        figures.processes += all.len();
        figures.left += left();
        figures.longest = figures.longest.max(took);
    }
    host.ended().await;
    assert_eq!(support::socket_directories(host.id()), BTreeSet::new());
}
