//! The function that keeps the event loop of its worker busy, so that no other call of it gets on.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::sleep;

use super::ladder::LAST_LOOK;
use super::worker::Worker;
use crate::event::Event;
use crate::pool::Shared;
use crate::telemetry::{self, Origin};

/// How often in that time it is looked where the worker is.
const LOOKS: u32 = 4;

/// Tells of each step that takes longer than it may, once. Only workers with asynchronous functions have an event loop.
pub(super) async fn watch(worker: &Worker, shared: &Shared) -> Infallible {
    let has_loop = worker.functions().is_some_and(|functions| {
        let mut functions = functions.iter();
        functions.any(|function| function.is_async)
    });
    let longest = shared.config().ladder.loop_blocked_after;
    let (Some(body), Some(longest), true) = (&worker.body, longest, has_loop) else {
        return std::future::pending().await;
    };
    let connection = worker.connection();
    let pause = (longest / LOOKS).max(Duration::from_millis(1));
    let mut told = None;
    loop {
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
        let identity = connection.worker();
        let origin = Origin {
            pool: identity.pool().into(),
            slot: identity.slot(),
            pid: identity.pid(),
        };
        telemetry::blocked_loop(&origin, &step.function, blocked_for, stacks.as_deref());
        shared.announcer().announce(&Event::LoopBlocked {
            worker: identity.clone(),
            function: step.function,
            blocked_for,
            stacks,
        });
    }
}
