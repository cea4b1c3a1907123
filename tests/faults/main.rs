//! Every fault of the catalogue, done to real processes; a test is named after its number.
//!
//! After each nothing is left behind. Where a fault costs one worker its place, the oracle does the rest: every call that
//! was in flight has ended exactly once, with an error that says what happened to which worker; no other call has felt
//! it; the pool is back to its size.

#![allow(clippy::unwrap_used, reason = "these are tests")]

#[path = "../support/mod.rs"]
mod support;

mod data;
mod fate;
// Without a state page there are no rungs but the last.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
mod ladder;
mod lifetimes;
mod load;
mod oracle;
mod paths;
mod process;
mod replacement;
mod scarcity;
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
mod state_page;
mod supervision;
mod system;
mod wire;

use pyproc::{Codec, Pool, WorkerState};
use support::until;

/// A path in a directory of its own, at which a function says that it has begun.
fn announcement() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory
        .path()
        .join("started")
        .to_str()
        .unwrap()
        .to_owned();
    (directory, path)
}

async fn begun(path: &str) -> u32 {
    // The file is there before what is written to it.
    let pid = || -> Option<u32> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    until("the function has begun", || pid().is_some()).await;
    pid().unwrap()
}

async fn all_ready<C: Codec>(pool: &Pool<C>, generations: u64) {
    until("all workers are ready again", || {
        let workers = pool.status().workers;
        workers.iter().map(|worker| worker.generation).sum::<u64>() >= generations
            && workers
                .iter()
                .all(|worker| worker.state == WorkerState::Ready)
    })
    .await;
}
