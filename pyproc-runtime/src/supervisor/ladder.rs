//! What is done about a function that runs on after its deadline, step by step: it is interrupted, softly; then its
//! stacks are taken, so that the caller learns where it was; and a worker that is stuck is killed, which is the
//! attendant's doing, with the stacks in the report of its death.
//!
//! The caller does not wait for the whole ladder. It gets the answer of the interrupted function, or the stacks as soon
//! as they are there, and neither for longer than [`GRACE`].

use std::time::{Duration, Instant};

use pyproc_proto::CallId;
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use super::worker::{Body, Worker};
use crate::config::Ladder;
use crate::connection::{Connection, Late};
use crate::death::Cause;

/// For so long after its deadline a caller waits for what its function comes to: an interrupted function ends within
/// milliseconds, unless it cleans up, and a dump takes ten or so.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// An interrupt may be swallowed, by a finalizer or by a callback of a weak reference, and is then sent again.
const REPEAT: Duration = Duration::from_millis(5);

/// The longest time between two looks for a call that has begun although its deadline had passed. Workers refuse such
/// calls, so it is one that began at that very moment, and is found by the first looks, which follow each other sooner.
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// How long the stacks of a worker are waited for that is about to be killed.
pub(super) const LAST_LOOK: Duration = Duration::from_millis(100);

/// Climbs for one late call after the other; `news` says when there may be one. Returns when the worker turns out to be
/// stuck in one.
///
/// Cancel safe: whoever climbs next begins anew with the call that is late then. A dump that was asked for may still come,
/// and be found by the next one who asks.
pub(super) async fn climb(worker: &Worker, ladder: &Ladder, news: &Notify) {
    let (Some(body), connection) = (&worker.body, worker.connection()) else {
        return std::future::pending().await;
    };
    loop {
        news.notified().await;
        let mut pause = REPEAT;
        loop {
            while let Some(late) = connection.late() {
                let climb = Climb::new(connection, body, ladder, late);
                if climb.fails(news).await {
                    return;
                }
            }
            if !connection.has_late() {
                break;
            }
            if timeout(pause, news.notified()).await.is_ok() {
                pause = REPEAT;
            } else {
                pause = LONGEST_PAUSE.min(2 * pause);
            }
        }
    }
}

/// What a worker that is going to be killed, because it does not answer, can still say: where it is. The callers that
/// have waited for just that are told.
pub(super) async fn last_look(worker: &Worker, cause: &Cause) -> Option<String> {
    let body = worker.body.as_ref()?;
    if !matches!(cause, Cause::Overdue | Cause::Unhealthy(_)) {
        return None;
    }
    let stacks = body.stacks(LAST_LOOK).await;
    worker.connection().expire_stuck(stacks.as_deref());
    stacks
}

/// The steps that are left to be done about one call.
struct Climb<'a> {
    connection: &'a Connection,
    body: &'a Body,
    call: CallId,
    interrupt_at: Option<Instant>,
    stacks_at: Option<Instant>,
    /// When the caller waits no longer.
    end_at: Option<Instant>,
    /// When the worker is taken to be stuck: the function was interrupted, and given the time to clean up.
    overdue_at: Option<Instant>,
}

impl<'a> Climb<'a> {
    fn new(connection: &'a Connection, body: &'a Body, ladder: &Ladder, late: Late) -> Self {
        let after = |time: Duration| late.deadline.checked_add(time);
        Self {
            connection,
            body,
            call: late.call,
            interrupt_at: ladder.interrupt_after.and_then(after),
            stacks_at: after(ladder.stacks_after),
            end_at: after(GRACE),
            overdue_at: after(ladder.overdue_after),
        }
    }

    /// Takes each step in its time, until the worker is no longer in the call, which is `false`, or has to be taken to be
    /// stuck in it.
    async fn fails(mut self, news: &Notify) -> bool {
        while let Some(next) = self.next() {
            tokio::select! {
                () = sleep_until(next.into()) => {}
                () = news.notified() => {}
            }
            if !self.connection.is_running(self.call) {
                // The news may have been of the call that came after it.
                news.notify_one();
                return false;
            }
            let now = Instant::now();
            if self.overdue_at.is_some_and(|at| at <= now) {
                return true;
            }
            self.step(now).await;
        }
        // Nothing is ever due that is so far away.
        std::future::pending().await
    }

    fn next(&self) -> Option<Instant> {
        let steps = [
            self.interrupt_at,
            self.stacks_at,
            self.end_at,
            self.overdue_at,
        ];
        steps.into_iter().flatten().min()
    }

    async fn step(&mut self, now: Instant) {
        let is_due = |at: &mut Instant| *at <= now;
        if self.interrupt_at.take_if(is_due).is_some() {
            self.connection.want_interrupted(self.call);
            self.body.process.interrupt();
            let again = now + REPEAT;
            self.interrupt_at =
                Some(again).filter(|at| self.overdue_at.is_none_or(|end| *at < end));
        }
        // Without a caller that waits, the stacks would be nobody's.
        let caller = self.end_at;
        if let (Some(_), Some(end_at)) = (self.stacks_at.take_if(is_due), caller) {
            let stacks = self
                .body
                .stacks(end_at.saturating_duration_since(now))
                .await;
            if stacks.is_some() && self.connection.is_running(self.call) {
                self.end_at = None;
                self.connection.expire(self.call, stacks.as_deref());
            }
        }
        if self.end_at.take_if(is_due).is_some() {
            self.connection.expire(self.call, None);
        }
    }
}
