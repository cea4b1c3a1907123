//! The handle that the host holds: it owns workers and routes calls to them.

mod admission;
mod breaker;
mod builder;
mod claim;
mod gate;
mod letter;
mod line;
mod pace;
mod parcel;
mod rest;
mod retry;
mod router;
mod service_time;
mod shared;
mod status;

pub use breaker::Breaker;
pub use builder::PoolBuilder;
pub use claim::Priority;
pub use pace::InFlight;
pub use retry::{Retry, RetryBudget};
pub use router::{Candidate, LeastLoaded, RoundRobin, Route, Router, Weighted};
pub use status::{Counts, PoolStatus, RunningCall, WorkerState, WorkerStatus};

pub(crate) use admission::Arrival;
pub(crate) use breaker::{Trial, Tripped};
pub(crate) use claim::Claim;
pub use claim::hash_key;
pub(crate) use gate::{Admittance, Entrance, Gate, Place};
pub(crate) use letter::Letter;
pub(crate) use line::Ticket;
pub(crate) use pace::room_for;
pub(crate) use parcel::{Handover, Parcel};
pub(crate) use rest::Rest;
pub(crate) use shared::Shared;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use pyproc_proto::{Codec, DefaultCodec};
use tokio::sync::{mpsc, oneshot};

use crate::call::{Broadcast, Call, CallMany, CallOptions, ItemStream, OneWay};
use crate::config::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Events;
use crate::script::Target;
use crate::supervisor::{Command, ShutdownReport};

/// A supervised pool of Python workers.
///
/// A pool is a cheap handle: clone it, send it to other threads, share it between traits. Its workers live on the tokio
/// runtime on which it was started. When the last handle is dropped, the workers are told to end and killed if they do
/// not; [`shutdown`](Pool::shutdown) waits for the calls in flight first.
pub struct Pool<C: Codec = DefaultCodec> {
    codec: C,
    handle: Arc<Handle>,
}

/// What all clones of a pool share; its drop is the end of the pool.
struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Pool<DefaultCodec> {
    /// Begins the configuration of a pool whose workers run `target`: a script (`"iris.py"`) or a module
    /// (`"models.iris"`).
    pub fn builder(target: impl Into<Target>) -> PoolBuilder<DefaultCodec> {
        PoolBuilder::new(target.into())
    }

    /// Begins the configuration of a pool whose script is part of the program:
    /// `Pool::from_source("iris.py", include_str!("iris.py"))`. The name is what tracebacks show.
    pub fn from_source(
        name: impl Into<String>,
        source: impl Into<String>,
    ) -> PoolBuilder<DefaultCodec> {
        PoolBuilder::new(Target::Source {
            name: name.into(),
            source: source.into(),
        })
    }

    /// Begins the configuration of a pool of workers that somebody else has started and that listen on these paths, one
    /// worker each: `python -m pyproc iris.py --socket /run/iris/0.sock`. They are connected to again when they are
    /// lost, and are never killed. The settings of how a process is started (interpreter, environment, `listen`) mean
    /// nothing here.
    pub fn attach<P: Into<PathBuf>>(
        paths: impl IntoIterator<Item = P>,
    ) -> PoolBuilder<DefaultCodec> {
        PoolBuilder::attach(paths.into_iter().map(Into::into).collect())
    }
}

impl<C: Codec> Pool<C> {
    pub(crate) fn new(
        codec: C,
        shared: Arc<Shared>,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Self {
        Self {
            codec,
            handle: Arc::new(Handle { shared, commands }),
        }
    }

    /// Calls a Python function by its name.
    ///
    /// `argument` is a value or a reference to one. A function with one parameter receives it whole; one with several
    /// receives the entries of a map or the fields of a struct by name; one without takes `()` or an empty map. The
    /// result is decoded into the type that is asked for:
    ///
    /// ```no_run
    /// # async fn example(pool: pyproc_runtime::Pool) -> pyproc_runtime::Result<()> {
    /// let area: f64 = pool.call("area", &[3.0, 4.0]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`]; the error says what happened and whether the function may have run.
    pub fn call<'a, A, R>(&'a self, function: &'a str, argument: A) -> Call<'a, C, A, R> {
        let options = CallOptions::new(self.shared().deadline());
        Call::new(Cow::Borrowed(self), function.into(), argument, options)
    }

    /// As [`call`](Self::call); the call keeps a handle of the pool and the function's name, so it can be spawned, or
    /// returned from where the pool was borrowed.
    pub fn call_owned<A, R>(
        &self,
        function: impl Into<Cow<'static, str>>,
        argument: A,
    ) -> Call<'static, C, A, R> {
        let options = CallOptions::new(self.shared().deadline());
        let pool = Cow::Owned(self.clone());
        Call::new(pool, function.into(), argument, options)
    }

    /// Calls a Python function once for each of these inputs, and sends the calls together; the results come in the order
    /// of the inputs, each of them a value or an error of its own. It pays for functions that take batches
    /// (`@expose(batch=32)`), and works for all that return one value. See [`CallMany`].
    ///
    /// ```no_run
    /// # async fn example(pool: pyproc_runtime::Pool) -> pyproc_runtime::Result<()> {
    /// let areas: Vec<pyproc_runtime::Result<f64>> = pool.call_many("area", [[3.0, 4.0], [5.0, 6.0]]).await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call_many<'a, I: IntoIterator, R>(
        &'a self,
        function: &'a str,
        inputs: I,
    ) -> CallMany<'a, C, I::IntoIter, R> {
        let options = CallOptions::new(self.shared().deadline());
        CallMany::new(self, function, inputs.into_iter(), options)
    }

    /// Calls a Python function that yields a stream: a generator. See [`ItemStream`]; functions and arguments are named
    /// as for [`call`](Self::call).
    ///
    /// ```no_run
    /// # async fn example(pool: pyproc_runtime::Pool) -> pyproc_runtime::Result<()> {
    /// let mut words = pool.stream::<_, String>("generate", "Once upon a time");
    /// while let Some(word) = words.next().await {
    ///     print!("{} ", word?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<'a, A, T>(&'a self, function: &'a str, argument: A) -> ItemStream<'a, C, A, T> {
        let options = CallOptions::default();
        ItemStream::new(Cow::Borrowed(self), function.into(), argument, options)
    }

    /// As [`stream`](Self::stream); the stream keeps a handle of the pool and the function's name, so it can be the
    /// body of an HTTP response, say.
    pub fn stream_owned<A, T>(
        &self,
        function: impl Into<Cow<'static, str>>,
        argument: A,
    ) -> ItemStream<'static, C, A, T> {
        let options = CallOptions::default();
        let pool = Cow::Owned(self.clone());
        ItemStream::new(pool, function.into(), argument, options)
    }

    /// Calls a Python function in every worker that takes calls, to reload a model, say: see [`Broadcast`], which tells who is
    /// among them. Functions and arguments are named as for [`call`](Self::call).
    ///
    /// ```no_run
    /// # async fn example(pool: pyproc_runtime::Pool) -> pyproc_runtime::Result<()> {
    /// for (worker, result) in pool.broadcast::<_, ()>("reload", "iris-2.onnx").await? {
    ///     if let Err(error) = result {
    ///         eprintln!("{worker} goes on with the old model: {error}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast<'a, A, R>(&'a self, function: &'a str, argument: A) -> Broadcast<'a, C, A, R> {
        let options = CallOptions::new(self.shared().deadline());
        Broadcast::new(self, function, argument, options)
    }

    /// Calls a Python function for whose end nobody waits, to write a log entry, say: see [`OneWay`]. It returns when the
    /// call was accepted. Functions and arguments are named as for [`call`](Self::call).
    ///
    /// ```no_run
    /// # async fn example(pool: pyproc_runtime::Pool) -> pyproc_runtime::Result<()> {
    /// pool.one_way("audit", &("ada", "login")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn one_way<'a, A>(&'a self, function: &'a str, argument: A) -> OneWay<'a, C, A> {
        let options = CallOptions::new(self.shared().deadline());
        OneWay::new(self, function, argument, options)
    }

    /// What the pool and its workers do right now.
    pub fn status(&self) -> PoolStatus {
        self.shared().status()
    }

    /// What happens to the pool's workers from now on: starts, ends, delays, replacements. See [`Event`](crate::Event).
    pub fn events(&self) -> Events {
        self.shared().announcer().subscribe()
    }

    /// Whether a worker is ready to take calls: what a readiness probe asks. It is `false` while no worker is there,
    /// and from the begin of a shutdown on.
    pub fn is_ready(&self) -> bool {
        self.shared().gate().is_ready()
    }

    /// Whether the pool works, or will try to by itself: what a liveness probe asks. It is `false` when the pool has
    /// been shut down, when its tokio runtime has ended, and when every slot was given up for good. Slots that are
    /// [`Degraded`](WorkerState::Degraded) are still tried, so a restart of the whole program would gain nothing.
    pub fn is_live(&self) -> bool {
        self.shared().gate().is_live()
    }

    /// Replaces every worker by a new one, one slot after the other, for a new version of the script say. Each worker
    /// finishes the calls that it has, and its successor is ready before it is told to
    /// ([`Recycle::surge`](crate::Recycle::surge) turns that around); so no call fails, and the pool has its full size
    /// all the time. Returns when the last worker that there was has ended. A call that does not return holds that up
    /// until its worker is killed for it, [`overdue_after`](PoolBuilder::overdue_after) its deadline; one without a
    /// deadline holds it up for ever. The next slots need not wait for it for longer than
    /// [`Restart::max_backoff`](crate::Restart::max_backoff), unless there is no surge.
    ///
    /// Cancel safe: once polled, the restart goes on when the future is dropped. A second call waits until the first
    /// restart has come to all slots, and then replaces those workers that were there when it was made and still are: a
    /// script that had changed by then is what all workers run.
    ///
    /// # Errors
    ///
    /// Why the first successor that could not be started could not: then the restart stops there, and the worker that
    /// was to be replaced stays. [`ErrorKind::Config`] for an attached pool: whoever started its workers is the one to
    /// restart them. [`ErrorKind::Closed`] if the pool is shut down meanwhile.
    pub async fn restart(&self) -> Result<()> {
        if let Source::Attach(_) = self.shared().config().source {
            return Err(self.not_ours("restart"));
        }
        self.command(|reply| Command::Restart { reply }).await
    }

    /// Changes the number of workers. When it grows, it returns when the new ones are ready. When it shrinks, those
    /// with the highest slots finish the calls that they have, and it returns when they have ended; no call fails. A
    /// call that does not return holds that up, and the changes of size that follow, until its worker is killed for it,
    /// [`overdue_after`](PoolBuilder::overdue_after) its deadline; one without a deadline holds it up for ever.
    ///
    /// Limits that were not set for the whole pool, such as [`max_in_flight`](PoolBuilder::max_in_flight), grow and
    /// shrink with it; what was set stays. So does what was decided for the processes when the pool started: the
    /// threads that numerical libraries are told to use (`OMP_NUM_THREADS`), of which workers that run already would
    /// not hear.
    ///
    /// Cancel safe: once polled, the change goes on when the future is dropped. A second call waits for the first.
    ///
    /// # Errors
    ///
    /// Why the first worker that was to be added could not be started, or was lost for good or for a while (its slot
    /// was given up or [`Degraded`](WorkerState::Degraded)) before all were ready: then the pool stays as large as it
    /// was. [`ErrorKind::Config`] for zero workers, and for an attached pool, which has one worker per path.
    /// [`ErrorKind::Closed`] if the pool is shut down meanwhile.
    pub async fn resize(&self, workers: usize) -> Result<()> {
        if let Source::Attach(_) = self.shared().config().source {
            return Err(self.not_ours("resize"));
        }
        if workers == 0 {
            let message = "a pool of 0 workers could never run a call";
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.command(|reply| Command::Resize { workers, reply })
            .await
    }

    async fn command(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command,
    ) -> Result<()> {
        let (reply, result) = oneshot::channel();
        // A supervisor that is gone drops the command, and with it the reply.
        let _ = self.handle.commands.send(command(reply));
        result.await.unwrap_or_else(|_| {
            let message = format!("pool `{}` is closed", self.name());
            Err(Error::new(ErrorKind::Closed, message))
        })
    }

    fn not_ours(&self, what: &str) -> Error {
        let message = format!(
            "the workers of the attached pool `{}` belong to somebody else, so it cannot {what} them",
            self.name()
        );
        Error::new(ErrorKind::Config, message)
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        self.shared().name()
    }

    /// Shuts the pool down in five steps: it refuses new calls; waits for those in flight and in the line, up to
    /// [`shutdown_timeout`](PoolBuilder::shutdown_timeout); tells the workers to end, and kills those that do not;
    /// closes the connections; removes the socket files. Calls that are cut off end with [`ErrorKind::Closed`].
    ///
    /// Cancel safe: once polled, the shutdown goes on when the future is dropped. A second call waits for the same
    /// shutdown.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] if the tokio runtime that the pool lived on has ended; its workers are gone, then, too.
    pub async fn shutdown(&self) -> Result<ShutdownReport> {
        let (reply, report) = oneshot::channel();
        let gone = || {
            Error::new(
                ErrorKind::Closed,
                format!("the runtime of pool `{}` has ended", self.name()),
            )
        };
        match self.handle.commands.send(Command::Shutdown { reply }) {
            Ok(()) => report.await.ok(),
            Err(_) => None,
        }
        // A supervisor that had just finished did not read the command any more, but has left its report.
        .or_else(|| self.shared().shutdown_report())
        .ok_or_else(gone)
    }

    /// The end of the pool, when the last of its workers is gone. It keeps no handle.
    pub(crate) fn end(&self) -> impl Future<Output = ()> + use<C> {
        let commands = self.handle.commands.clone();
        async move { commands.closed().await }
    }

    /// Whether a call of a function can be made at all.
    #[cfg(feature = "tower")]
    pub(crate) fn check_open(&self, function: &str) -> Result<()> {
        let shared = self.shared();
        match shared.gate().refuses_for_good() {
            Some(reason) => Err(crate::call::refusal(reason, function, shared)),
            None => Ok(()),
        }
    }

    pub(crate) fn codec(&self) -> &C {
        &self.codec
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl<C: Codec> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self {
            codec: self.codec.clone(),
            handle: Arc::clone(&self.handle),
        }
    }
}

impl<C: Codec> fmt::Debug for Pool<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pool")
            .field("name", &self.name())
            .field("codec", &self.codec)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The supervisor may be gone already, and the workers with it.
        let _ = self.commands.send(Command::Abandon);
    }
}
