//! How a worker ended.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Fate, WorkerIdentity};
use crate::worker::Exit;

/// The report of a worker's end, shared by all the calls that it took with it.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) worker: WorkerIdentity,
    pub(crate) cause: Cause,
    /// How the process ended; `None` for a worker that somebody else started.
    pub(crate) exit: Option<Exit>,
    pub(crate) uptime: Duration,
    /// The last lines that the worker wrote to its standard error.
    pub(crate) stderr: String,
}

/// Why a worker was buried.
#[derive(Debug, Clone)]
pub(crate) enum Cause {
    /// The process ended by itself, or was killed from outside.
    Exited,
    /// The worker has ended by itself and in good order: it said goodbye, and then exited.
    Left,
    /// The worker said goodbye, and then did not exit in time.
    Lingered,
    /// The process closed its end of the connection and lived on.
    ConnectionClosed,
    /// The connection failed.
    ConnectionFailed(String),
    /// The worker sent what the protocol does not allow.
    Protocol(String),
    /// A call was still running some time after its deadline.
    Overdue,
    /// The health check failed.
    Unhealthy(String),
    /// The pool was shut down, and the worker did not finish in time.
    Shutdown,
}

impl Death {
    /// Whether the worker ended as it should, if not when the pool had expected it.
    pub(crate) fn is_in_good_order(&self) -> bool {
        matches!(self.cause, Cause::Left)
    }

    /// What was done about the worker: one that somebody else started is never killed.
    fn measure(&self) -> &'static str {
        match self.exit {
            Some(_) => "killed",
            None => "given up",
        }
    }

    /// The error of a call that was in flight on the worker.
    pub(crate) fn error(&self, fate: Fate) -> Error {
        let kind = match self.cause {
            Cause::Protocol(_) => ErrorKind::Protocol,
            Cause::Shutdown => ErrorKind::Closed,
            _ => ErrorKind::WorkerDied,
        };
        self.describe(Error::new(kind, self.to_string()).with_fate(fate))
    }

    /// The error of a pool's start that ends because this worker, which was ready, was lost before the others were.
    pub(crate) fn start_error(&self) -> Error {
        let message = format!("a worker was lost before all were ready: {self}");
        self.describe(Error::new(ErrorKind::Start, message))
    }

    /// Adds who it was, how it ended, and what it said last.
    fn describe(&self, error: Error) -> Error {
        let error = error.with_worker(self.worker.clone()).with_exit(self.exit);
        if self.stderr.is_empty() {
            error
        } else {
            error.with_source(LastWords(self.stderr.clone()))
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.cause, self.exit) {
            (Cause::Exited, Some(exit)) => write!(formatter, "the worker died: {exit}")?,
            (Cause::Exited, None) => formatter.write_str("the worker died")?,
            (Cause::Left, Some(exit)) => {
                write!(formatter, "the worker left in good order: {exit}")?;
            }
            (Cause::Left, None) => formatter.write_str("the worker left in good order")?,
            (Cause::Lingered, _) => formatter
                .write_str("the worker said goodbye, and was killed because it did not exit")?,
            (Cause::ConnectionClosed, Some(exit)) => {
                write!(
                    formatter,
                    "the worker closed its connection (does the function close descriptors?): {exit}"
                )?;
            }
            (Cause::ConnectionClosed, None) => {
                formatter.write_str("the worker closed its connection")?;
            }
            (Cause::ConnectionFailed(error), _) => {
                write!(formatter, "the connection to the worker failed: {error}")?;
            }
            (Cause::Protocol(violation), _) => {
                write!(formatter, "the worker broke the protocol: {violation}")?;
            }
            (Cause::Overdue, _) => {
                write!(
                    formatter,
                    "the worker was {}, because a call on it did not end after its deadline",
                    self.measure()
                )?;
            }
            (Cause::Unhealthy(reason), _) => write!(
                formatter,
                "the worker was {} as unhealthy: {reason}",
                self.measure()
            )?,
            (Cause::Shutdown, _) => {
                formatter.write_str("the pool was shut down before the call had ended")?;
            }
        }
        write!(formatter, ", after {:.1} s", self.uptime.as_secs_f64())
    }
}

/// The end of a dead worker's standard error, as the source of an error.
#[derive(Debug)]
pub(crate) struct LastWords(pub(crate) String);

impl fmt::Display for LastWords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the worker's last lines on standard error:\n{}",
            self.0.trim_end()
        )
    }
}

impl std::error::Error for LastWords {}
