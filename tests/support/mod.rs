//! What all tests with real workers share.
//!
//! [`scenario`] runs one of them after the other, each on a runtime of its own, and asserts the leak oracle afterwards:
//! no child, no zombie, no descriptor, no socket file is left. A test cannot forget it, because it has no other way to
//! a runtime.

// Each test file uses its own part of this module.
#![allow(dead_code, unreachable_pub, unused_imports)]

mod calls;
mod errors;
mod events;
mod example;
mod held;
mod host;
mod leaks;
mod memory;
mod paths;
mod process;
mod python;
pub mod raw;
mod skip;
mod status;
mod wait;

pub use calls::{begun, call, call_and_drop, call_with};
pub use errors::{assert_error, said};
pub use events::death;
pub use example::example;
pub use held::Held;
pub use host::Host;
pub use leaks::socket_directories;
pub use memory::Peaks;
pub use paths::Paths;
pub use process::{children_of, descendants_of, ended, gone, kill, open_in, pid_of, signal};
pub use python::python_with_packages;
pub use skip::{noted, skipped};
pub use status::{assert_never_replaced, nothing_in_flight};
pub use wait::{until, until_while, within};

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use pyproc::{Pool, PoolBuilder, Target};
use tokio::runtime::Runtime;

/// No scenario takes longer, unless something hangs.
const SCENARIO_TIMEOUT: Duration = Duration::from_secs(60);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static RUNTIMES_BEGIN: Once = Once::new();

/// Runs a test with processes, and then looks for what it left behind.
pub fn scenario<F: Future<Output = ()>>(test: F) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // The first runtime of a process opens a pair of sockets for signals, which stays.
    RUNTIMES_BEGIN.call_once(|| drop(runtime()));
    let before = leaks::Inventory::before();
    let runtime = runtime();
    runtime.block_on(async {
        tokio::time::timeout(SCENARIO_TIMEOUT, test)
            .await
            .expect("the scenario hangs");
    });
    drop(runtime);
    before.assert_nothing_is_left();
}

/// Like [`scenario`], for what has no runtime of its own.
pub fn scenario_without_runtime(test: impl FnOnce()) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    RUNTIMES_BEGIN.call_once(|| drop(runtime()));
    let before = leaks::Inventory::before();
    test();
    before.assert_nothing_is_left();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// The path of a script of these tests.
pub fn app(name: &str) -> Target {
    Target::Script(
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/apps")
            .join(name),
    )
}

/// A pool of workers that run a script of these tests.
pub fn pool(name: &str) -> PoolBuilder {
    Pool::builder(app(name))
}

/// A pool of workers that run this source text.
pub fn pool_of(source: &str) -> PoolBuilder {
    let pool = Pool::from_source("app.py", format!("from pyproc import expose\n{source}"));
    // A source text lies nowhere, so no `.venv` is found beside it.
    if cfg!(feature = "msgpack") {
        pool.python(python_with_packages())
    } else {
        pool
    }
}
