//! What a pool was asked to be, checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyproc_proto::{DeadlineClock, Limits, Protocol};

use crate::pool::{Breaker, InFlight, Retry, RetryBudget};
use crate::script::ResolvedTarget;
use crate::spin::Spin;
use crate::supervisor::{Recycle, Restart};
use crate::worker::{Core, Environment, EventLoop, Isolation};

/// The configuration of a pool. It exists only checked; the builder makes it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) name: Arc<str>,
    pub(crate) source: Source,
    pub(crate) workers: usize,
    /// In how many threads each of them runs its plain functions.
    pub(crate) threads: u32,
    pub(crate) protocol: Protocol,
    pub(crate) codec: String,
    pub(crate) limits: Limits,
    pub(crate) max_in_flight_per_worker: InFlight,
    pub(crate) stream_window: u32,
    pub(crate) poison_limit: u32,
    pub(crate) retry: Option<Retry>,
    pub(crate) retry_budget: RetryBudget,
    pub(crate) ladder: Ladder,
    pub(crate) deadline: Option<Duration>,
    pub(crate) start_timeout: Duration,
    pub(crate) connect_retries: u32,
    pub(crate) health: HealthPolicy,
    pub(crate) restart: Restart,
    pub(crate) recycle: Recycle,
    pub(crate) breaker: Breaker,
    pub(crate) function_breaker: Breaker,
    /// After how many exceptions in a row a worker is replaced, if others do well.
    pub(crate) eject_after: Option<u32>,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) stop_timeout: Duration,
    pub(crate) log_level: u8,
    pub(crate) spin: Spin,
}

/// Where the workers of a pool come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The host starts them.
    Start(Box<Recipe>),
    /// Somebody else started them; they listen on these paths.
    Attach(Vec<PathBuf>),
}

/// How the host starts a worker.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) target: ResolvedTarget,
    pub(crate) python: Option<PathBuf>,
    pub(crate) python_path: Vec<PathBuf>,
    pub(crate) environment: Environment,
    pub(crate) isolation: Isolation,
    pub(crate) core: Core,
    pub(crate) event_loop: EventLoop,
    /// The script listens on a path by itself, instead of being handed a connected socket.
    pub(crate) listens: bool,
}

/// When what is done about a function that runs on when nobody wants it any more, each counted from its deadline or from
/// when it was cancelled, whichever was first.
#[derive(Debug, Clone)]
pub(crate) struct Ladder {
    /// `None`: it is never interrupted.
    pub(crate) interrupt_after: Option<Duration>,
    pub(crate) stacks_after: Duration,
    pub(crate) overdue_after: Duration,
    /// For so long other calls of a worker are waited for that has one which does not end.
    pub(crate) drain_grace: Duration,
    /// After so long a step of a call that keeps others waiting is told of. `None`: never.
    pub(crate) loop_blocked_after: Option<Duration>,
}

/// How often an idle worker is asked whether it is well, and how long it may take to answer.
#[derive(Debug, Clone)]
pub(crate) struct HealthPolicy {
    /// `None`: never.
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Duration,
    /// The body of a call without arguments, in the pool's codec.
    pub(crate) body: Vec<u8>,
}

impl Config {
    /// The clock in which deadlines travel.
    pub(crate) fn deadline_clock(&self) -> DeadlineClock {
        match self.source {
            Source::Start(_) => crate::deadline::shared_clock(),
            Source::Attach(_) => DeadlineClock::Remaining,
        }
    }
}
