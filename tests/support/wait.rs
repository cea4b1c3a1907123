//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long anything may take before it is taken to have failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the condition holds.
///
/// # Panics
///
/// When it does not hold in time, naming what was waited for.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for the future, and fails when it takes longer than `time`: for bounds that the product promises.
pub async fn within<F: Future>(time: Duration, what: &str, future: F) -> F::Output {
    tokio::time::timeout(time, future)
        .await
        .unwrap_or_else(|_| panic!("not within {time:?}: {what}"))
}
