//! Concurrency proofs: the ledger, the gate and the connections under very many schedules.
//!
//! `cargo xtask test --only concurrency` builds the tests with `--cfg pyproc_shuttle`, which gives the product's own code
//! the locks of shuttle (see `sync`), and runs these modules and no others. A proof is a closure that shuttle runs again
//! and again, each time with another order of whatever happens between two uses of a lock. One that ends with somebody
//! still waiting is a deadlock, which is how a lost wake-up shows; the rest is asserted. The small ones are run through
//! every schedule that there is ([`exhaust`]), the larger ones through many ([`explore`]).
//!
//! `PYPROC_SCHEDULES` says through how many; what fails prints its schedule, which `PYPROC_REPLAY` runs again.

mod ledger;
mod line;
mod loss;
mod parker;
mod stage;

use std::env;

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::{Config, MaxSteps, Runner};

/// Schedules per proof, where `PYPROC_SCHEDULES` says nothing.
const SCHEDULES: usize = 10_000;

/// So many preemptions are placed at random by every other schedule. Most bugs need one or two.
const PREEMPTIONS: usize = 3;

/// No proof takes nearly so many steps, unless somebody turns for ever.
const MAX_STEPS: usize = 50_000;

/// More than a small proof has schedules.
const ALL: usize = 2_000_000;

/// The stack of each of a proof's threads.
const STACK_BYTES: usize = 256 * 1024;

/// Runs a proof through every schedule.
fn exhaust(proof: impl Fn() + Clone + Send + Sync + 'static) {
    if is_replayed(proof.clone()) {
        return;
    }
    let scheduler = DfsScheduler::new(Some(ALL), false);
    let schedules = Runner::new(scheduler, config()).run(proof);
    assert!(schedules < ALL, "not every schedule was run");
    eprintln!("all {schedules} schedules");
}

/// Runs a proof through many schedules: half of them random at every step, half of them with a few preemptions.
fn explore(proof: impl Fn() + Clone + Send + Sync + 'static) {
    if is_replayed(proof.clone()) {
        return;
    }
    let schedules = match env::var("PYPROC_SCHEDULES") {
        Ok(number) => number.parse().expect("PYPROC_SCHEDULES is a number"),
        Err(_) => SCHEDULES,
    };
    let half = schedules / 2;
    Runner::new(PctScheduler::new(PREEMPTIONS, half), config()).run(proof.clone());
    Runner::new(RandomScheduler::new(schedules - half), config()).run(proof);
    eprintln!("{schedules} schedules");
}

/// Runs the schedule that `PYPROC_REPLAY` names, if it does.
fn is_replayed(proof: impl Fn() + Send + Sync + 'static) -> bool {
    let Ok(schedule) = env::var("PYPROC_REPLAY") else {
        return false;
    };
    Runner::new(ReplayScheduler::new_from_encoded(&schedule), config()).run(proof);
    true
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    config
}
