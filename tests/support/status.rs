//! What a pool says of itself.

use pyproc::{Codec, Pool};

use super::until;

/// Waits until no call has a place in a worker.
pub async fn nothing_in_flight<C: Codec>(pool: &Pool<C>) {
    until("nothing is in flight", || pool.status().in_flight == 0).await;
}

/// # Panics
///
/// When a worker is not the first of its slot.
pub fn assert_never_replaced<C: Codec>(pool: &Pool<C>) {
    let workers = pool.status().workers;
    assert!(
        workers.iter().all(|worker| worker.generation == 1),
        "{workers:?}"
    );
}
