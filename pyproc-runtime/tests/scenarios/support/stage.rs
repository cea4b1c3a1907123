//! Playing a scenario, and looking whether anything is left of it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Runtime};

use super::descriptors::open_descriptors;
use super::steps;

/// One scenario at a time: they share the process, and so its descriptors.
static STAGE: Mutex<()> = Mutex::new(());

/// Plays the scenario on a runtime of each flavor, and fails when it leaves a descriptor open.
pub(crate) fn scenario(play: impl AsyncFn()) {
    let flavors = [
        ("current_thread", Builder::new_current_thread()),
        ("multi_thread", Builder::new_multi_thread()),
    ];
    for (flavor, mut builder) in flavors {
        on_stage(flavor, || {
            let runtime: Runtime = builder.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(play());
        });
    }
}

/// Plays a scenario that makes its runtimes itself.
pub(crate) fn scenario_without_runtime(play: impl FnOnce()) {
    on_stage("runtimes of its own", play);
}

fn on_stage(flavor: &str, play: impl FnOnce()) {
    let _stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    steps::listen();
    // tokio keeps the pair of sockets on which it hears of signals from its first runtime on.
    drop(Builder::new_current_thread().enable_all().build().unwrap());
    let before = open_descriptors();
    if let Err(failure) = catch_unwind(AssertUnwindSafe(play)) {
        eprintln!("failed on: {flavor}");
        resume_unwind(failure);
    }
    assert_eq!(
        open_descriptors(),
        before,
        "descriptors are left open ({flavor})"
    );
}
