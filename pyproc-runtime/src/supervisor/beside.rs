//! What is done about calls that share their worker with others and run on when nobody wants them any more.
//!
//! The worker was told to cancel them, which an asynchronous function may refuse and one in a thread need not notice. No
//! signal reaches such a call without touching the others. So it is abandoned: its caller gets its error, its place stays
//! taken, the worker gets no more calls, a successor is started, and the worker is killed when its other calls have ended
//! or have had their time.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use pyproc_proto::CallId;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::ladder::GRACE;
use super::slot::Occupant;
use super::worker::Worker;
use super::{Supervisor, attendance};
use crate::config::Ladder;
use crate::connection::Survey;
use crate::deadline;
use crate::event::RecycleReason;
use crate::pool::Shared;

/// Looks after these calls; `news` says when there may be one more. Each that does not end is told once.
pub(super) async fn watch(
    worker: &Worker,
    ladder: &Ladder,
    news: &Notify,
    mut abandon: impl FnMut(CallId),
) -> Infallible {
    let connection = worker.connection();
    if !worker.runs_beside() {
        return std::future::pending().await;
    }
    let mut abandoned = Vec::new();
    loop {
        let now = Instant::now();
        let next = match connection.survey(now, GRACE, ladder.overdue_after, &abandoned) {
            Survey::Overdue(call) => {
                abandoned.push(call);
                connection.expire(call, None);
                abandon(call);
                continue;
            }
            Survey::Next(at) => Some(at),
            Survey::Nothing => None,
        };
        tokio::select! {
            () = deadline::sleep_until(next) => {}
            () = news.notified() => {}
        }
    }
}

/// A worker with a call that does not end.
#[derive(Debug)]
pub(super) struct Abandoned {
    /// Which call it was, and why it should have ended.
    what: String,
    /// The others have so long.
    until: Instant,
}

impl Abandoned {
    /// Sends nothing more to the worker, and has its successor started.
    pub(super) fn new(call: CallId, worker: &Worker, shared: &Shared) -> Self {
        let connection = worker.connection();
        let what = connection.describe_overdue(call);
        let identity = connection.worker();
        tracing::warn!(target: "pyproc::pool", worker = %identity, what, "the worker gets no more calls");
        shared.board().draining(identity);
        shared.abandon(identity);
        Self {
            what,
            until: deadline::after(shared.config().ladder.drain_grace),
        }
    }

    /// Waits until nothing keeps the worker, if it is abandoned at all, and says why it must be killed. Nobody is told when
    /// a call ends, so it is looked at now and then.
    pub(super) async fn is_over(this: &Option<Self>, worker: &Worker, shared: &Shared) -> String {
        let Some(this) = this else {
            return std::future::pending().await;
        };
        let overdue_after = shared.config().ladder.overdue_after;
        loop {
            let now = Instant::now();
            if this.until <= now || !worker.connection().has_wanted(now, overdue_after) {
                return this.what.clone();
            }
            sleep(LOOK).await;
        }
    }
}

const LOOK: Duration = attendance::SILENT_LOOK;

impl Supervisor {
    /// Has the workers replaced that were abandoned.
    pub(super) fn replace_abandoned(&mut self) {
        for seat in self.shared.take_abandoned() {
            let Some(place) = self.slots.get(seat.slot).filter(|_| self.stop.is_none()) else {
                continue;
            };
            let is_there = matches!(&place.occupant, Occupant::Running(running)
                if running.seat() == seat && !running.is_retiring);
            if is_there && place.successor.is_none() {
                self.begin_replacement(seat.slot, RecycleReason::Stuck);
            }
        }
    }
}
