use std::fmt;

/// What happened to a call, a start or a configuration.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The pool's configuration is impossible; nothing was started.
    Config,
    /// A worker could not be started: no interpreter, a script that does not load, a start that takes too long.
    Start,
    /// The connection to a worker that somebody else started, or that listens on a path, could not be made.
    Connection,
    /// The worker that had the call broke the protocol: something else writes to its connection. It is replaced.
    Protocol,
    /// No worker is left that could run the call: each slot was given up, for good or until it is tried again (then the
    /// error is retryable), and the call was refused at once.
    Unavailable,
    /// As many calls are in flight and waiting as the pool allows; the call was refused at once.
    Overloaded,
    /// The call's deadline passed. The [fate](crate::Error::fate) says whether a worker had it by then.
    Deadline,
    /// The pool was shut down, or the tokio runtime that it lived on has ended.
    Closed,
    /// A body could not be encoded or decoded: the argument by the host's codec or by the worker's, or the result into
    /// the type asked for.
    Codec,
    /// A request or a reply is longer than `max_frame`.
    TooLarge,
    /// No function of this name is exposed.
    FunctionNotFound,
    /// An argument is missing, unknown, or not of the type that the Python function asks for.
    InvalidArgument,
    /// The function returned something that the codec cannot carry.
    InvalidResult,
    /// The Python function raised an exception.
    Exception,
    /// The worker that had the call died, or was killed because it no longer answered. It is replaced. The function may
    /// have run: a call that certainly had not begun moves to another worker in place of this error, up to three times if
    /// it was the next that the lost worker would have begun, and may have been what it died of.
    WorkerDied,
}

impl ErrorKind {
    /// The family that the kind belongs to; each is recovered from in its own way.
    pub fn family(self) -> Family {
        match self {
            Self::Connection | Self::Unavailable => Family::Connection,
            Self::Protocol | Self::TooLarge | Self::Codec => Family::Protocol,
            Self::FunctionNotFound
            | Self::InvalidArgument
            | Self::InvalidResult
            | Self::Exception => Family::Worker,
            Self::WorkerDied | Self::Start => Family::System,
            Self::Config | Self::Overloaded | Self::Deadline | Self::Closed => Family::Host,
        }
    }

    /// Whether the cause passes by itself, so that the same may succeed a little later. The loss of a worker is not
    /// among them: the pool itself moves the calls that it is safe to send again.
    pub(crate) fn is_transient(self) -> bool {
        matches!(self, Self::Overloaded | Self::Connection)
    }
}

/// The families of [`ErrorKind`], after the way in which one recovers from them.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// No way to a worker. The pool has already tried again; later attempts may succeed.
    Connection,
    /// What was sent cannot be understood. Sending it again does not help.
    Protocol,
    /// The Python side answered with an error. Sending it again is the caller's decision.
    Worker,
    /// A process failed. The pool replaces it.
    System,
    /// The host's own limits and decisions.
    Host,
}

/// What is known of a call that did not return a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The function certainly did not run.
    NotStarted,
    /// The function may have run, wholly or in part, or may still be running.
    MayHaveRun,
    /// The function ran, and its failure (or its unusable result) is the answer.
    Failed,
}

impl fmt::Display for Fate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotStarted => "not started",
            Self::MayHaveRun => "may have run",
            Self::Failed => "failed",
        })
    }
}
