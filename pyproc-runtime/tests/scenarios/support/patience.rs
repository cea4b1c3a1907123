//! Waiting for what must happen, never for time to pass.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long anything may take that must happen. Far longer than it does take, for slow machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(1);

/// The future's output, or a failed test that says what did not happen.
#[track_caller]
pub(crate) fn within<F: Future>(what: impl Display, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: did not happen within {PATIENCE:?}: {what}"),
        }
    }
}

/// Waits until the condition holds, or fails the test and says what did not happen.
#[track_caller]
pub(crate) fn until(
    what: impl Display,
    mut condition: impl FnMut() -> bool,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + PATIENCE;
        while !condition() {
            assert!(
                Instant::now() < end,
                "{caller}: did not happen within {PATIENCE:?}: {what}"
            );
            sleep(GLANCE).await;
        }
    }
}
