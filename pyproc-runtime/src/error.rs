//! What a call, a start or a configuration can end with instead of a value.

mod beneath;
mod kind;
mod python;
mod worker_identity;

pub use kind::{ErrorKind, Family, Fate};
pub use python::PythonError;
pub use worker_identity::WorkerIdentity;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::death::{DeathReport, LastWords};
use crate::worker::Exit;

use beneath::Beneath;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What each worker has answered to a broadcast, in the order of their slots.
pub type Answers<R> = Vec<(WorkerIdentity, Result<R>)>;

/// Why there is no value.
///
/// An error is opaque and small (one pointer). [`kind`](Error::kind) says what happened,
/// [`fate`](Error::fate) whether the function may have run, and the other accessors who was involved.
/// `Display` says one thing; [`source`](StdError::source) carries the rest.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    fate: Fate,
    /// Whether the cause passes by itself.
    is_transient: bool,
    message: String,
    function: Option<String>,
    worker: Option<WorkerIdentity>,
    exit: Option<Exit>,
    death: Option<Arc<DeathReport>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind that says this, for an implementation of your trait that is written by hand. It belongs to
    /// no function and no worker, and its fate is [`Fate::NotStarted`] unless [`with_fate`](Self::with_fate) says
    /// otherwise.
    ///
    /// A test of what the program does when the pool is overloaded needs no pool:
    ///
    /// ```
    /// # use pyproc_runtime as pyproc;
    /// use pyproc::{Error, ErrorKind};
    /// # // What `#[pyproc::remote]` makes of `async fn classify(&self, petal_length: f64) -> pyproc::Result<String>`.
    /// # trait Iris {
    /// #     fn classify(&self, petal_length: f64) -> impl Future<Output = pyproc::Result<String>> + Send;
    /// # }
    ///
    /// /// A pool that is always full.
    /// struct Busy;
    ///
    /// impl Iris for Busy {
    ///     async fn classify(&self, _petal_length: f64) -> pyproc::Result<String> {
    ///         Err(Error::new(ErrorKind::Overloaded, "no place is free"))
    ///     }
    /// }
    ///
    /// async fn status(iris: &impl Iris) -> u16 {
    ///     match iris.classify(1.4).await {
    ///         Ok(_) => 200,
    ///         Err(error) if error.is_retryable() => 503,
    ///         Err(_) => 500,
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// assert_eq!(status(&Busy).await, 503);
    /// # }
    /// ```
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            fate: Fate::NotStarted,
            is_transient: kind.is_transient(),
            message: message.into(),
            function: None,
            worker: None,
            exit: None,
            death: None,
            source: None,
        }))
    }

    /// An error that says what its cause says, and keeps as its source what lies beneath that, so that nothing is
    /// said twice.
    pub(crate) fn saying(kind: ErrorKind, cause: impl StdError + Send + Sync + 'static) -> Self {
        let error = Self::new(kind, cause.to_string());
        if cause.source().is_some() {
            error.with_source(Beneath(cause))
        } else {
            error
        }
    }

    /// The same error with another [fate](Self::fate).
    #[must_use]
    pub fn with_fate(mut self, fate: Fate) -> Self {
        self.0.fate = fate;
        self
    }

    /// The error of a call that may have run before it came to this.
    pub(crate) fn at_least_may_have_run(self) -> Self {
        match self.0.fate {
            Fate::NotStarted => self.with_fate(Fate::MayHaveRun),
            Fate::MayHaveRun | Fate::Failed => self,
        }
    }

    /// The same error, of a cause that passes by itself though not all of its kind do.
    pub(crate) fn transient(mut self) -> Self {
        self.0.is_transient = true;
        self
    }

    pub(crate) fn with_function(mut self, function: &str) -> Self {
        self.0.function = Some(function.to_owned());
        self
    }

    pub(crate) fn with_worker(mut self, worker: WorkerIdentity) -> Self {
        self.0.worker = Some(worker);
        self
    }

    pub(crate) fn with_exit(mut self, exit: Option<Exit>) -> Self {
        self.0.exit = exit;
        self
    }

    pub(crate) fn with_death(mut self, death: Arc<DeathReport>) -> Self {
        self.0.death = Some(death);
        self
    }

    /// Adds where the threads of the worker were, as its source.
    pub(crate) fn with_stacks(self, stacks: &str) -> Self {
        match LastWords::new(stacks, "") {
            Some(stacks) => self.with_source(stacks),
            None => self,
        }
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is known of the call: whether its function may have run.
    ///
    /// Errors that belong to no call (a failed start, an impossible configuration) are
    /// [`Fate::NotStarted`].
    pub fn fate(&self) -> Fate {
        self.0.fate
    }

    /// Whether the same may be tried again a little later without the risk of running twice, and with a chance of
    /// success: the function certainly did not run, and the cause passes by itself. So it is for calls that were
    /// [`Overloaded`](ErrorKind::Overloaded), for workers on a path that could not be
    /// [reached](ErrorKind::Connection), and while a pool is [`Unavailable`](ErrorKind::Unavailable) that will try to
    /// recover.
    ///
    /// It is not after the loss of a worker: a call that had not begun was moved to another one already, and to no more
    /// than three, for one that kills each worker that reads it would be no better off; and of the rest only the caller
    /// knows whether they may run twice.
    pub fn is_retryable(&self) -> bool {
        self.0.fate == Fate::NotStarted && self.0.is_transient
    }

    /// The function that was called, by its name in Python; `None` for an error that belongs to no call.
    pub fn function(&self) -> Option<&str> {
        self.0.function.as_deref()
    }

    /// How the worker's process ended, if its end is what the error is about. It may have been the pool that ended it:
    /// a worker that is stuck, unhealthy or too slow to start, or that broke the protocol, is killed, and that is the
    /// SIGKILL to be found here; the message tells why.
    pub fn exit(&self) -> Option<Exit> {
        self.0.exit
    }

    /// The report of the worker's end, if the call was lost with a worker that had been ready: its cause, its exit, its
    /// last lines on standard error, how long it had lived and how many calls it had served.
    pub fn death(&self) -> Option<&DeathReport> {
        self.0.death.as_deref()
    }

    /// The worker that was involved: the one that had the call, or the one that could not be started.
    pub fn worker(&self) -> Option<&WorkerIdentity> {
        self.0.worker.as_ref()
    }

    /// The Python stacks of all threads of the worker, innermost call first: where a function was that ran on after its
    /// deadline, where a worker was stuck that was killed for it or did not start in time, or where it crashed.
    pub fn stacks(&self) -> Option<&str> {
        let source = self.0.source.as_deref()?;
        source.downcast_ref::<LastWords>()?.stacks()
    }

    /// The Python exception, if one was raised by the function or at the import of the script: its type, message and
    /// traceback.
    pub fn python(&self) -> Option<&PythonError> {
        self.0.source.as_deref()?.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(function) = &self.0.function {
            write!(formatter, "call of `{function}`: ")?;
        }
        formatter.write_str(&self.0.message)?;
        if let Some(worker) = &self.0.worker {
            write!(formatter, " [worker {worker}]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Error");
        debug
            .field("kind", &self.0.kind)
            .field("fate", &self.0.fate)
            .field("message", &self.0.message);
        if let Some(function) = &self.0.function {
            debug.field("function", function);
        }
        if let Some(worker) = &self.0.worker {
            debug.field("worker", worker);
        }
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_by_itself_and_did_not_run_is_retryable() {
        let retryable = |kind, fate| Error::new(kind, "").with_fate(fate).is_retryable();
        for kind in [ErrorKind::Overloaded, ErrorKind::Connection] {
            assert!(retryable(kind, Fate::NotStarted), "{kind:?}");
            assert!(!retryable(kind, Fate::MayHaveRun), "{kind:?}");
        }
        for kind in [
            ErrorKind::WorkerDied,
            ErrorKind::Protocol,
            ErrorKind::Unavailable,
            ErrorKind::Deadline,
            ErrorKind::Closed,
            ErrorKind::Start,
        ] {
            assert!(!retryable(kind, Fate::NotStarted), "{kind:?}");
        }
    }
}
