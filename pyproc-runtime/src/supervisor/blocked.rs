//! The function that keeps the event loop of its worker busy, so that no other call of it gets on.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::sleep;

use super::ladder::LAST_LOOK;
use super::worker::Worker;
use crate::event::Event;
use crate::pool::Shared;
use crate::telemetry;

/// How often in that time it is looked where the worker is.
const LOOKS: u32 = 4;

/// Tells of each step that takes longer than it may, once. Only workers with asynchronous functions have an event loop.
pub(super) async fn watch(worker: &Worker, shared: &Shared) -> Infallible {
    let longest = shared.config().ladder.loop_blocked_after;
    let (Some(body), Some(longest), true) = (&worker.body, longest, worker.is_async()) else {
        return std::future::pending().await;
    };
    let connection = worker.connection();
    let pause = (longest / LOOKS).max(Duration::from_millis(1));
    let mut told = None;
    loop {
        connection.has_calls().await;
        sleep(pause).await;
        let Some(step) = connection.step() else {
            continue;
        };
        let place = Some((step.call, step.since));
        if step.since.elapsed() < longest || told == place {
            continue;
        }
        told = place;
        let stacks = body.stacks(LAST_LOOK).await;
        let blocked_for = step.since.elapsed();
        let worker = connection.worker().clone();
        let origin = worker.origin();
        telemetry::blocked_loop(&origin, &step.function, blocked_for, stacks.as_deref());
        shared.announcer().announce(&Event::LoopBlocked {
            worker,
            function: step.function,
            blocked_for,
            stacks,
        });
    }
}
