//! Waiting for a condition, never for a time.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long anything may take before it is taken to have failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

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

/// Waits until the condition holds, while it polls a call that must not end before.
///
/// # Panics
///
/// As [`until`] does, or when the call ends.
pub async fn until_while<F>(what: &str, call: &mut F, holds: impl FnMut() -> bool)
where
    F: Future<Output: Debug> + Unpin,
{
    tokio::select! {
        biased;
        output = call => panic!("it has ended before {what}: {output:?}"),
        () = until(what, holds) => {}
    }
}

/// Waits for the future, and fails when it takes longer than `time`: for bounds that the product promises.
pub async fn within<F: Future>(time: Duration, what: &str, future: F) -> F::Output {
    tokio::time::timeout(time, future)
        .await
        .unwrap_or_else(|_| panic!("not within {time:?}: {what}"))
}
