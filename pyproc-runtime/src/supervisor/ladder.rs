//! What is done about a function that runs on when nobody wants it any more, from its deadline on or because it was
//! cancelled, step by step: it is interrupted, softly; then its stacks are taken, so that the caller learns where it was;
//! and a worker that is stuck is killed, which is the attendant's doing, with the stacks in the report of its death.
//!
//! The caller does not wait for the whole ladder. It gets the answer of the interrupted function, or the stacks as soon
//! as they are there, and neither for longer than [`GRACE`]. Where none waits, because the call was cancelled, no stacks
//! are taken but those of the end.

use std::time::{Duration, Instant};

use pyproc_proto::CallId;
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use super::worker::{Body, Worker};
use crate::config::Ladder;
use crate::connection::{Connection, LOOK_AGAIN, Unwanted};
use crate::death::Cause;

/// For so long after its deadline a caller waits for what its function comes to: an interrupted function ends within
/// milliseconds, unless it cleans up, and a dump takes ten or so.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// An interrupt may be swallowed, by a finalizer or by a callback of a weak reference, and is then sent again.
const REPEAT: Duration = Duration::from_millis(5);

/// A generator is closed as soon as it yields, which its function expects more than it does an interrupt, and most yield
/// soon. For so long they are left alone.
const NEXT_ITEM: Duration = Duration::from_millis(20);

/// How long the stacks of a worker are waited for that is about to be killed.
pub(super) const LAST_LOOK: Duration = Duration::from_millis(100);

/// Climbs for one unwanted call after the other; `news` says when there may be one. Returns the call in which the worker
/// turns out to be stuck.
///
/// Cancel safe: whoever climbs next begins anew with the call that is unwanted then. A dump that was asked for may still
/// come, and be found by the next one who asks.
pub(super) async fn climb(worker: &Worker, ladder: &Ladder, news: &Notify) -> CallId {
    let (Some(body), connection) = (&worker.body, worker.connection()) else {
        return std::future::pending().await;
    };
    if ladder.interrupt_after.is_some() {
        connection.interrupt_cancelled();
    }
    loop {
        news.notified().await;
        let mut pause = REPEAT;
        loop {
            while let Some(unwanted) = connection.unwanted() {
                let climb = Climb::new(connection, body, ladder, unwanted);
                if climb.fails(news).await {
                    return unwanted.call;
                }
            }
            if !connection.has_unwanted() {
                break;
            }
            if timeout(pause, news.notified()).await.is_ok() {
                pause = REPEAT;
            } else {
                pause = LOOK_AGAIN.min(2 * pause);
            }
        }
    }
}

/// What a worker that is going to be killed, because it does not answer, can still say: where it is. The callers that
/// have waited for just that are told.
pub(super) async fn last_look(worker: &Worker, cause: &Cause) -> Option<String> {
    let body = worker.body.as_ref()?;
    if !matches!(
        cause,
        Cause::Overdue(_) | Cause::Abandoned(_) | Cause::Unhealthy(_)
    ) {
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
    /// The step of it that this is about, where it has steps.
    step_began: Option<Instant>,
    interrupt_at: Option<Instant>,
    stacks_at: Option<Instant>,
    /// When the caller, if there is one, waits no longer.
    end_at: Option<Instant>,
    /// When the worker is taken to be stuck: the function was interrupted, and given the time to clean up.
    overdue_at: Option<Instant>,
}

impl<'a> Climb<'a> {
    fn new(
        connection: &'a Connection,
        body: &'a Body,
        ladder: &Ladder,
        unwanted: Unwanted,
    ) -> Self {
        let after = |time: Duration| unwanted.since?.checked_add(time);
        let for_caller = |time: Duration| after(time).filter(|_| unwanted.is_awaited);
        let patience = |time: Duration| match unwanted.is_stream {
            true => time.max(NEXT_ITEM),
            false => time,
        };
        Self {
            connection,
            body,
            call: unwanted.call,
            step_began: unwanted.step,
            interrupt_at: ladder.interrupt_after.map(patience).and_then(after),
            stacks_at: for_caller(ladder.stacks_after),
            end_at: for_caller(GRACE),
            overdue_at: after(ladder.overdue_after),
        }
    }

    /// Takes each rung in its time, until the worker is no longer in the call, or in another step of it, which is `false`, or
    /// has to be taken to be stuck in it.
    async fn fails(mut self, news: &Notify) -> bool {
        // A function that asks is told at once.
        self.connection.want_interrupted(self.call);
        loop {
            let next = self.next();
            let look_at = next.unwrap_or_else(|| Instant::now() + LOOK_AGAIN);
            tokio::select! {
                () = sleep_until(look_at.into()) => {}
                () = news.notified() => {}
            }
            if !self.is_running() {
                // The news may have been of the call that came after it.
                news.notify_one();
                return false;
            }
            if next.is_none() {
                // It may be late by now, so that there is something to be done.
                return false;
            }
            let now = Instant::now();
            if self.overdue_at.is_some_and(|at| at <= now) {
                return true;
            }
            self.step(now).await;
        }
    }

    fn is_running(&self) -> bool {
        self.connection.is_running(self.call, self.step_began)
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
            self.body.process.interrupt();
            let again = now + REPEAT;
            self.interrupt_at =
                Some(again).filter(|at| self.overdue_at.is_none_or(|end| *at < end));
        }
        // Without a caller that waits, the stacks would be nobody's.
        let caller = self
            .end_at
            .filter(|_| self.connection.is_awaited(self.call));
        if let (Some(_), Some(end_at)) = (self.stacks_at.take_if(is_due), caller) {
            let stacks = self
                .body
                .stacks(end_at.saturating_duration_since(now))
                .await;
            if stacks.is_some() && self.is_running() {
                self.end_at = None;
                self.connection.expire(self.call, stacks.as_deref());
            }
        }
        if self.end_at.take_if(is_due).is_some() {
            self.connection.expire(self.call, None);
        }
    }
}
