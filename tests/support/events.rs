//! What a pool tells of its workers.

use std::sync::Arc;

use pyproc::{DeathReport, Event, Events};

use super::wait::PATIENCE;
use super::within;

/// Waits for the death of a worker.
pub async fn death(events: &mut Events) -> Arc<DeathReport> {
    let dying = async {
        loop {
            if let Some(Event::Died { report, .. }) = events.next().await {
                return report;
            }
        }
    };
    within(PATIENCE, "the death of a worker", dying).await
}
