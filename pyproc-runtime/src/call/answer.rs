//! What an outcome means to the caller.

use std::sync::Arc;
use std::time::Instant;

use pyproc_proto::{RemoteError, RequestError, Status};

use crate::death::DeathReport;
use crate::error::{Error, ErrorKind, Fate, PythonError, WorkerIdentity};
use crate::ledger::{Begun, Failure, Outcome, Refusal, Reply};
use crate::pool::{Shared, Tripped};

/// What to do with a call that has come back.
#[derive(Debug)]
pub(super) enum Answer {
    Body(Reply),
    Error(Error),
    /// It certainly did not run: another worker gets it, and nobody notices.
    Move {
        /// The worker may have died of reading it.
        is_suspect: bool,
    },
    /// It may have run, and may run again: another worker gets it.
    SendAgain {
        /// The worker was in this very call when it died.
        is_victim: bool,
        death: Arc<DeathReport>,
    },
}

/// What a call may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tries {
    pub(super) is_idempotent: bool,
    /// How many workers have died in it.
    pub(super) victims: u32,
    pub(super) poison_limit: u32,
    /// How many workers have died when it was the next that they would have begun.
    pub(super) suspicions: u32,
    /// Whether items of its result or of its argument have moved: it begins nowhere else.
    pub(super) has_streamed: bool,
    pub(super) deadline: Option<Instant>,
}

/// A call that was the next one of so many workers when they died, and then of another one, has probably killed them:
/// by its mere size, say, or with a body that the loop cannot bear. Workers that die of something else would have to do
/// so within the microseconds between the arrival of a call and its beginning, each time of this very call.
const MAX_SUSPICIONS: u32 = 3;

impl Tries {
    /// What may not be sent again, whatever becomes of it.
    pub(super) const ONE: Self = Self {
        is_idempotent: false,
        victims: 0,
        poison_limit: 1,
        suspicions: MAX_SUSPICIONS,
        has_streamed: false,
        deadline: None,
    };

    fn is_late(self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Whether the call may be sent again, now that one more worker has died in it.
    fn has_one_left(self) -> bool {
        self.is_idempotent && self.victims + 1 < self.poison_limit
    }
}

impl Answer {
    /// `worker` is the one that the call was sent to, if it was.
    pub(super) fn judge(
        outcome: Outcome,
        tries: Tries,
        function: &str,
        worker: Option<&WorkerIdentity>,
        shared: &Shared,
    ) -> Self {
        let of_worker = |error: Error| {
            let error = error.with_function(function);
            Self::Error(match worker {
                Some(worker) => error.with_worker(worker.clone()),
                None => error,
            })
        };
        match outcome {
            Ok(body) => Self::Body(body),
            Err(Failure::Died { death, .. }) if tries.has_streamed => {
                Self::Error(death.error(Fate::MayHaveRun).with_function(function))
            }
            Err(Failure::Refused(reason)) => Self::Error(refusal(reason, function, shared)),
            Err(Failure::Unsendable(reason)) => Self::Error(unsendable(reason, function, shared)),
            Err(Failure::Died {
                begun: Begun::Not, ..
            }) => Self::Move { is_suspect: false },
            Err(Failure::Died {
                begun: Begun::Next, ..
            }) if tries.suspicions < MAX_SUSPICIONS => Self::Move { is_suspect: true },
            Err(Failure::Died {
                begun: Begun::Next,
                death,
            }) => Self::Error(
                death
                    .error_unbegun(tries.suspicions + 1)
                    .with_function(function),
            ),
            Err(Failure::Died {
                begun: Begun::Earlier,
                death,
            }) if tries.is_idempotent => Self::SendAgain {
                is_victim: false,
                death,
            },
            Err(Failure::Died {
                begun: Begun::Last,
                death,
            }) if tries.has_one_left() => Self::SendAgain {
                is_victim: true,
                death,
            },
            Err(Failure::Died { death, .. }) => {
                Self::Error(death.error(Fate::MayHaveRun).with_function(function))
            }
            Err(Failure::Remote(error))
                if error.status == Status::Draining && !tries.has_streamed =>
            {
                Self::Move { is_suspect: false }
            }
            // The worker has ended it because the host has cancelled it, as it does with calls that are late.
            Err(Failure::Remote(error))
                if error.status == Status::Cancelled && tries.is_late(Instant::now()) =>
            {
                let message = "the function was cancelled, because its deadline had passed";
                of_worker(Error::new(ErrorKind::Deadline, message).with_fate(Fate::MayHaveRun))
            }
            Err(Failure::Remote(error)) => of_worker(remote(*error)),
            Err(Failure::Expired {
                stacks: None,
                blocker,
            }) => {
                let blocked = blocker
                    .map(|by| format!(", whose event loop was blocked by `{by}`"))
                    .unwrap_or_default();
                let message = format!("the deadline passed while the worker had the call{blocked}");
                of_worker(Error::new(ErrorKind::Deadline, message).with_fate(Fate::MayHaveRun))
            }
            Err(Failure::Expired {
                stacks: Some(stacks),
                ..
            }) => of_worker(
                Error::new(
                    ErrorKind::Deadline,
                    "the deadline passed while the function ran",
                )
                .with_fate(Fate::MayHaveRun)
                .with_stacks(&stacks),
            ),
            Err(Failure::Closed) => of_worker(
                Error::new(
                    ErrorKind::Closed,
                    "the pool was closed before the call had ended",
                )
                .with_fate(match worker {
                    Some(_) => Fate::MayHaveRun,
                    None => Fate::NotStarted,
                }),
            ),
        }
    }
}

/// The error of a call that was not admitted.
pub(crate) fn refusal(reason: Refusal, function: &str, shared: &Shared) -> Error {
    let error = match reason {
        Refusal::Overloaded => {
            let (in_flight, waiting) = shared.gate().load();
            Error::new(
                ErrorKind::Overloaded,
                format!(
                    "pool `{}` is overloaded: {in_flight} calls in flight, {waiting} waiting",
                    shared.name()
                ),
            )
        }
        Refusal::Expired => Error::new(
            ErrorKind::Deadline,
            "the deadline passed while the call waited for its turn",
        ),
        Refusal::Closed => Error::new(
            ErrorKind::Closed,
            format!("pool `{}` is closed", shared.name()),
        ),
        Refusal::Unavailable => Error::new(
            ErrorKind::Unavailable,
            format!(
                "pool `{}` has no worker left, and none will be started again",
                shared.name()
            ),
        ),
        Refusal::Degraded => Error::new(
            ErrorKind::Unavailable,
            format!(
                "pool `{}` has no worker left for now: they kept dying, and one is tried now and then",
                shared.name()
            ),
        )
        .transient(),
    };
    error.with_function(function)
}

/// The error of a call that a breaker refuses.
pub(super) fn tripped(which: Tripped, function: &str, shared: &Shared) -> Error {
    let pool = shared.name();
    let message = match which {
        Tripped::Pool => {
            format!("the breaker of pool `{pool}` is open, because worker after worker has died")
        }
        Tripped::Function => {
            "the function's breaker is open, because its last calls have all failed".to_owned()
        }
    };
    Error::new(ErrorKind::Unavailable, message)
        .transient()
        .with_function(function)
}

/// The error of a request that no worker of the pool can be sent.
pub(super) fn unsendable(reason: RequestError, function: &str, shared: &Shared) -> Error {
    match reason {
        RequestError::FunctionNotFound { .. } => shared.function_not_found(function),
        RequestError::IsStream { .. } => Error::new(
            ErrorKind::InvalidArgument,
            "the function yields a stream, and one value was asked for (see `Pool::stream`)",
        )
        .with_function(function),
        RequestError::IsNoStream { .. } => Error::new(
            ErrorKind::InvalidArgument,
            "the function does not yield a stream; `Pool::call` asks for its value",
        )
        .with_function(function),
        RequestError::NoStreams { .. } => Error::new(
            ErrorKind::InvalidArgument,
            "the JSON protocol has no streams; a pool whose `protocol` is `Protocol::Binary` does",
        )
        .with_function(function),
        RequestError::TakesItems { .. } => Error::new(
            ErrorKind::InvalidArgument,
            "the function takes a stream, and none was given (see `pyproc::with_items`)",
        )
        .with_function(function),
        RequestError::TakesNoItems { .. } => Error::new(
            ErrorKind::InvalidArgument,
            "the function has no parameter that takes a stream: none is annotated `Iterator[…]`",
        )
        .with_function(function),
        RequestError::TooLarge { .. } => too_large(&reason.to_string()).with_function(function),
        RequestError::DeadlinePassed => Error::new(
            ErrorKind::Deadline,
            "the deadline passed before the call was sent",
        )
        .with_function(function),
        reason => Error::new(ErrorKind::Codec, reason.to_string()).with_function(function),
    }
}

/// The error that a worker answered with.
fn remote(error: RemoteError) -> Error {
    let (kind, fate) = match error.status {
        Status::FunctionNotFound => (ErrorKind::FunctionNotFound, Fate::NotStarted),
        Status::InvalidArgument => (ErrorKind::InvalidArgument, Fate::NotStarted),
        Status::InvalidBody => (ErrorKind::Codec, Fate::NotStarted),
        Status::Deadline => (ErrorKind::Deadline, Fate::NotStarted),
        Status::Cancelled => (ErrorKind::Closed, Fate::NotStarted),
        Status::Interrupted => {
            let message = "the function was interrupted, because its deadline had passed";
            return Error::new(ErrorKind::Deadline, message)
                .with_fate(Fate::Failed)
                .with_source(PythonError::from(error));
        }
        Status::InvalidResult => (ErrorKind::InvalidResult, Fate::Failed),
        Status::TooLarge => (ErrorKind::TooLarge, Fate::Failed),
        _ => (ErrorKind::Exception, Fate::Failed),
    };
    match kind {
        ErrorKind::Exception => {
            let python = PythonError::from(error);
            Error::new(kind, python.headline())
                .with_fate(fate)
                .with_source(python)
        }
        ErrorKind::TooLarge => too_large(&error.message).with_fate(fate),
        _ => Error::new(kind, error.message).with_fate(fate),
    }
}

pub(super) fn too_large(message: &str) -> Error {
    Error::new(ErrorKind::TooLarge, format!("{message} (see `max_frame`)"))
}
