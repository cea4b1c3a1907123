//! What an outcome means to the caller.

use std::sync::Arc;
use std::time::Instant;

use pyproc_proto::{RemoteError, RequestError, Status};

use crate::death::DeathReport;
use crate::error::{Error, ErrorKind, Fate, PythonError, Result, WorkerIdentity};
use crate::ledger::{Begun, Failure, Refusal};
use crate::pool::{Shared, Tripped};

/// What to do with a call that has come back without a value.
#[derive(Debug)]
pub(super) enum Answer {
    Error(Error),
    /// It certainly did not run: another worker gets it, and nobody notices.
    Move,
    /// It may have run, and may run again: another worker gets it.
    SendAgain(Arc<DeathReport>),
}

/// What a call has been through, in all workers that it was sent to.
#[derive(Debug, Default)]
pub(super) struct History {
    /// How many workers have died in it.
    victims: u32,
    /// How many workers have died when it was the next that they would have begun.
    suspicions: u32,
    /// Whether a worker that is gone may have run it.
    may_have_run: bool,
    /// Whether items of its result or of its argument have moved: it begins nowhere else.
    pub(super) has_streamed: bool,
}

/// Whose failure it is that is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) function: &'a str,
    pub(super) is_idempotent: bool,
    pub(super) deadline: Option<Instant>,
    /// The one that the call was sent to, if it was.
    pub(super) worker: Option<&'a WorkerIdentity>,
}

/// A call that was the next one of so many workers when they died, and then of another one, has probably killed them:
/// by its mere size, say, or with a body that the loop cannot bear. Workers that die of something else would have to do
/// so within the microseconds between the arrival of a call and its beginning, each time of this very call.
const MAX_SUSPICIONS: u32 = 3;

impl History {
    /// The result for the caller: whatever ended the call at last, a worker may have run it before.
    pub(super) fn amend<T>(&self, result: Result<T>) -> Result<T> {
        if self.may_have_run || self.has_streamed {
            result.map_err(Error::at_least_may_have_run)
        } else {
            result
        }
    }

    /// Decides what a failure means, and remembers it.
    pub(super) fn judge(&mut self, failure: Failure, case: Case<'_>, shared: &Shared) -> Answer {
        let Case {
            function, worker, ..
        } = case;
        let of_worker = |error: Error| {
            let error = error.with_function(function);
            Answer::Error(match worker {
                Some(worker) => error.with_worker(worker.clone()),
                None => error,
            })
        };
        match failure {
            Failure::Died { death, .. } if self.has_streamed => {
                Answer::Error(death.error(Fate::MayHaveRun).with_function(function))
            }
            Failure::Refused(reason) => Answer::Error(refusal(reason, function, shared)),
            Failure::Unsendable(reason) => Answer::Error(unsendable(reason, function, shared)),
            Failure::Died {
                begun: Begun::Not, ..
            } => Answer::Move,
            Failure::Died {
                begun: Begun::Next,
                death,
            } => {
                self.suspicions += 1;
                if self.suspicions <= MAX_SUSPICIONS {
                    Answer::Move
                } else {
                    let error = death.error_unbegun(self.suspicions);
                    Answer::Error(error.with_function(function))
                }
            }
            Failure::Died { begun, death }
                if case.is_idempotent && self.may_run_after(begun, shared) =>
            {
                self.may_have_run = true;
                Answer::SendAgain(death)
            }
            Failure::Died { death, .. } => {
                Answer::Error(death.error(Fate::MayHaveRun).with_function(function))
            }
            Failure::Remote(error) if error.status == Status::Draining && !self.has_streamed => {
                Answer::Move
            }
            // The worker has ended it because the host has cancelled it, as it does with calls that are late.
            Failure::Remote(error) if error.status == Status::Cancelled && case.is_late() => {
                let message = "the function was cancelled, because its deadline had passed";
                of_worker(Error::new(ErrorKind::Deadline, message).with_fate(Fate::MayHaveRun))
            }
            Failure::Remote(error) => of_worker(remote(*error)),
            Failure::Expired {
                stacks: None,
                blocker,
            } => {
                let blocked = blocker
                    .map(|by| format!(", whose event loop was blocked by `{by}`"))
                    .unwrap_or_default();
                let message = format!("the deadline passed while the worker had the call{blocked}");
                of_worker(Error::new(ErrorKind::Deadline, message).with_fate(Fate::MayHaveRun))
            }
            Failure::Expired {
                stacks: Some(stacks),
                ..
            } => of_worker(
                Error::new(
                    ErrorKind::Deadline,
                    "the deadline passed while the function ran",
                )
                .with_fate(Fate::MayHaveRun)
                .with_stacks(&stacks),
            ),
            Failure::Closed => of_worker(
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

    /// Whether the call may run again, now that one more worker has died in it or beside it.
    fn may_run_after(&mut self, begun: Begun, shared: &Shared) -> bool {
        self.victims += u32::from(begun == Begun::Last);
        begun == Begun::Earlier || self.victims < shared.poison_limit()
    }
}

impl Case<'_> {
    fn is_late(self) -> bool {
        self.deadline
            .is_some_and(|deadline| deadline <= Instant::now())
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
