//! Pools of fake workers, and calls of them.

use std::time::Duration;

use pyproc_runtime::{Json, Pool, PoolBuilder, Restart, Result};
use tokio::task::JoinHandle;

use super::FakeWorker;

/// A pool of these workers, one slot each, that loses no time with a lost one and asks nobody for their health.
pub(crate) fn attach<'a>(workers: impl IntoIterator<Item = &'a FakeWorker>) -> PoolBuilder<Json> {
    let backoff = Duration::from_millis(5);
    Pool::attach(workers.into_iter().map(FakeWorker::path))
        .codec(Json)
        .connect_retries(0)
        .restart(Restart::new().backoff(backoff).max_backoff(4 * backoff))
        .health_interval(None)
}

/// Calls `echo` with this number in a task of its own.
pub(crate) fn echo(pool: &Pool<Json>, number: u64) -> JoinHandle<Result<u64>> {
    let pool = pool.clone();
    tokio::spawn(async move { pool.call("echo", number).await })
}

/// Calls `echo` with each of these numbers, each in a task of its own, in this order.
pub(crate) fn echo_all(
    pool: &Pool<Json>,
    numbers: impl IntoIterator<Item = u64>,
) -> Vec<JoinHandle<Result<u64>>> {
    numbers
        .into_iter()
        .map(|number| echo(pool, number))
        .collect()
}
