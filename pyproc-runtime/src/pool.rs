//! The handle that the host holds: it owns workers and routes calls to them.

mod admission;
mod builder;
mod gate;
mod line;
mod pace;
mod parcel;
mod router;
mod shared;
mod status;

pub use builder::PoolBuilder;
pub use pace::InFlight;
pub use router::{Candidate, LeastLoaded, RoundRobin, Router};
pub use status::{Counts, PoolStatus, WorkerState, WorkerStatus};

pub(crate) use admission::Arrival;
pub(crate) use gate::{Admittance, Entrance, Gate, Place};
pub(crate) use line::Ticket;
pub(crate) use parcel::Parcel;
pub(crate) use shared::Shared;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use pyproc_proto::{Codec, DefaultCodec};
use tokio::sync::{mpsc, oneshot};

use crate::call::{Call, CallOptions};
use crate::error::{Error, ErrorKind, Result};
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
        let options = CallOptions {
            deadline: self.shared().deadline(),
            idempotent: false,
        };
        Call::new(self, function, argument, options)
    }

    /// What the pool and its workers do right now.
    pub fn status(&self) -> PoolStatus {
        self.shared().status()
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

    pub(crate) fn codec(&self) -> &C {
        &self.codec
    }

    pub(crate) fn shared(&self) -> &Shared {
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
