//! What happens to a pool's workers, told to whoever wants to hear it.

mod announcer;
mod events;

pub(crate) use announcer::Announcer;
pub use events::Events;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::death::DeathReport;
use crate::error::WorkerIdentity;

/// Something that happened to a pool or to one of its workers. `Display` says it in words.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub enum Event {
    /// A worker is being started.
    #[non_exhaustive]
    Starting {
        /// Its place in the pool.
        slot: usize,
        /// How many workers the slot has had, this one included.
        generation: u64,
    },
    /// A worker could not be started. Where it was to take over from another, that one stays.
    #[non_exhaustive]
    StartFailed {
        /// Its place in the pool.
        slot: usize,
        /// How many workers the slot has had, this one included.
        generation: u64,
        /// Why, in words.
        reason: String,
    },
    /// A worker takes calls.
    #[non_exhaustive]
    Ready {
        /// Which.
        worker: WorkerIdentity,
    },
    /// A worker is to be replaced in good order: it finishes what it has.
    #[non_exhaustive]
    Recycling {
        /// Which.
        worker: WorkerIdentity,
        /// Why.
        reason: RecycleReason,
    },
    /// A function keeps the event loop of its worker busy, and every other call of that worker waiting.
    #[non_exhaustive]
    LoopBlocked {
        /// Which worker.
        worker: WorkerIdentity,
        /// The function.
        function: String,
        /// For how long by now.
        blocked_for: Duration,
        /// Where it is: the Python stacks of all threads of the worker, if they could be taken.
        stacks: Option<String>,
    },
    /// A worker has finished what it had, and has ended in good order.
    #[non_exhaustive]
    Drained {
        /// How it ended.
        report: Arc<DeathReport>,
    },
    /// A worker died, or was killed.
    #[non_exhaustive]
    Died {
        /// How, and what it left behind.
        report: Arc<DeathReport>,
    },
    /// The slot gets a new worker after this time.
    #[non_exhaustive]
    Restarting {
        /// The slot.
        slot: usize,
        /// When, counted from now.
        delay: Duration,
    },
    /// The slot's workers kept dying, so it is left in peace and tried again after this time.
    #[non_exhaustive]
    Degraded {
        /// The slot.
        slot: usize,
        /// When it is tried again, counted from now.
        probe_after: Duration,
    },
    /// The worker of a degraded slot has lived for long enough.
    #[non_exhaustive]
    Recovered {
        /// The slot.
        slot: usize,
    },
    /// The slot gets no worker any more.
    #[non_exhaustive]
    GivenUp {
        /// The slot.
        slot: usize,
    },
    /// The number of slots was changed.
    #[non_exhaustive]
    Resized {
        /// How many there were.
        from: usize,
        /// How many there are.
        to: usize,
    },
    /// Calls kept failing, so for this time they are refused.
    #[non_exhaustive]
    BreakerOpened {
        /// The function whose breaker it is; `None` for the pool's.
        function: Option<String>,
        /// How long, before one is tried.
        open_for: Duration,
    },
    /// A call has shown that all is well again.
    #[non_exhaustive]
    BreakerClosed {
        /// The function whose breaker it is; `None` for the pool's.
        function: Option<String>,
    },
    /// The reader was too slow: so many events before the next one are lost to it.
    #[non_exhaustive]
    Missed {
        /// How many.
        events: u64,
    },
}

/// Why a worker that lives is replaced.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecycleReason {
    /// [`Pool::restart`](crate::Pool::restart) was called.
    Restart,
    /// The pool was made smaller.
    Resize,
    /// It has answered every call with an exception, while others did not.
    #[non_exhaustive]
    Errors {
        /// How many, one after the other.
        in_a_row: u32,
    },
    /// A call on it does not end, though nobody wants it any more, and it shares the worker with others.
    Stuck,
    /// It has answered so many calls.
    #[non_exhaustive]
    Calls {
        /// How many.
        served: u64,
    },
    /// It has been ready for so long.
    #[non_exhaustive]
    Age {
        /// How long.
        uptime: Duration,
    },
    /// It has grown.
    #[non_exhaustive]
    Memory {
        /// What it held in memory when it had answered its first calls.
        baseline_bytes: u64,
        /// What it holds now.
        bytes: u64,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting { slot, generation } => {
                write!(
                    formatter,
                    "slot {slot}: worker {generation} is being started"
                )
            }
            Self::StartFailed {
                slot,
                generation,
                reason,
            } => write!(
                formatter,
                "slot {slot}: worker {generation} could not be started: {reason}"
            ),
            Self::Ready { worker } => write!(formatter, "{worker} is ready"),
            Self::Recycling { worker, reason } => {
                write!(formatter, "{worker} is replaced: {reason}")
            }
            Self::LoopBlocked {
                worker,
                function,
                blocked_for,
                ..
            } => write!(
                formatter,
                "{worker}: `{function}` has kept the event loop busy for {blocked_for:?}"
            ),
            Self::Drained { report } | Self::Died { report } => {
                write!(formatter, "{}: {report}", report.worker())
            }
            Self::Restarting { slot, delay } => {
                write!(formatter, "slot {slot}: a new worker follows in {delay:?}")
            }
            Self::Degraded { slot, probe_after } => write!(
                formatter,
                "slot {slot} is degraded, and is tried again in {probe_after:?}"
            ),
            Self::Recovered { slot } => write!(formatter, "slot {slot} has recovered"),
            Self::GivenUp { slot } => write!(formatter, "slot {slot} is given up"),
            Self::Resized { from, to } => write!(formatter, "{from} slots became {to}"),
            Self::BreakerOpened { function, open_for } => {
                let whose = function.as_deref().unwrap_or("the pool");
                write!(formatter, "the breaker of {whose} is open for {open_for:?}")
            }
            Self::BreakerClosed { function } => {
                let whose = function.as_deref().unwrap_or("the pool");
                write!(formatter, "the breaker of {whose} is closed again")
            }
            Self::Missed { events } => write!(formatter, "{events} events were missed"),
        }
    }
}

impl fmt::Display for RecycleReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restart => formatter.write_str("the pool is being restarted"),
            Self::Resize => formatter.write_str("the pool is made smaller"),
            Self::Stuck => formatter.write_str("a call on it does not end"),
            Self::Errors { in_a_row } => write!(
                formatter,
                "it has raised {in_a_row} exceptions in a row, and others have not"
            ),
            Self::Calls { served } => write!(formatter, "it has answered {served} calls"),
            Self::Age { uptime } => write!(formatter, "it has been ready for {uptime:?}"),
            Self::Memory {
                baseline_bytes,
                bytes,
            } => write!(
                formatter,
                "it has grown from {baseline_bytes} to {bytes} bytes"
            ),
        }
    }
}
