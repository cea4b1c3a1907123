//! Where the messages of one kind leave one worker.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tracing::Level;

use super::OutputKind;
use super::quota::Quota;
use crate::telemetry::{self, Origin};

/// Passes messages on up to their quota, and says how many it did not pass on.
#[derive(Debug)]
pub(crate) struct Outlet {
    origin: Arc<Origin>,
    kind: OutputKind,
    quota: Mutex<Quota>,
    /// Something was dropped that is yet to be reported.
    dropped: Notify,
}

impl Outlet {
    pub(crate) fn new(origin: Arc<Origin>, kind: OutputKind) -> Self {
        Self {
            origin,
            kind,
            quota: Mutex::new(Quota::new(Instant::now())),
            dropped: Notify::new(),
        }
    }

    /// Passes a message on, or counts it.
    pub(crate) fn say(&self, level: Level, logger: &str, message: &str) {
        let bytes = logger.len() + message.len();
        if self.quota().admits(bytes, Instant::now()) {
            telemetry::log(&self.origin, level, logger, message);
        } else {
            self.dropped.notify_one();
        }
    }

    /// Passes a message on that is about the outlet itself and counts for nothing.
    pub(super) fn remark(&self, message: &str) {
        telemetry::log(&self.origin, Level::WARN, self.kind.name(), message);
    }

    /// Says now what was dropped and not reported yet.
    pub(crate) fn report(&self) {
        let dropped = self.quota().take_dropped(Instant::now());
        if let Some(dropped) = dropped {
            self.remark(&dropped.in_words(self.kind.unit()));
        }
    }

    /// Reports what was dropped whenever that is due, also when nothing comes any more.
    ///
    /// Cancel safety: what is not reported is left for the next one that asks.
    pub(crate) async fn keep_reporting(&self) -> Infallible {
        loop {
            let due = self.quota().report_at();
            match due {
                None => self.dropped.notified().await,
                Some(at) => {
                    tokio::time::sleep_until(at.into()).await;
                    self.report();
                }
            }
        }
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
