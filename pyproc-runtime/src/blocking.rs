//! The pool for programs without an async runtime.
//!
//! ```no_run
//! use pyproc_runtime::Pool;
//!
//! fn main() -> pyproc_runtime::Result<()> {
//!     let pool = Pool::builder("shapes.py").workers(2).start_blocking()?;
//!     let area: f64 = pool.call("area", &[3.0, 4.0])?;
//!     println!("{area}");
//!     pool.shutdown()?;
//!     Ok(())
//! }
//! ```

pub(crate) mod parker;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use pyproc_proto::{Codec, DefaultCodec};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Argument, ItemStream};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Events as AsyncEvents};
use crate::pool::{PoolBuilder, PoolStatus};
use crate::supervisor::ShutdownReport;

/// A pool whose calls block their thread.
///
/// It is an async [`Pool`](crate::Pool) whose workers are looked after by one thread of its own, called `pyproc`. The
/// calls do not pass through that thread: the thread that calls sends its request and reads its reply itself, as a lone
/// async caller does, and takes as long.
///
/// It is a cheap handle: clone it, and call it from as many threads as you like. When the last handle is dropped, the
/// workers are told to end, and nobody waits for that; [`shutdown`](Pool::shutdown) does. Do not block the threads of an
/// async runtime with it.
pub struct Pool<C: Codec = DefaultCodec> {
    inner: Arc<Inner<C>>,
}

struct Inner<C: Codec> {
    pool: crate::Pool<C>,
    /// Taken by the first shutdown, which waits for its end.
    attendant: Mutex<Option<JoinHandle<()>>>,
}

impl<C: Codec> PoolBuilder<C> {
    /// Starts a pool for a program without an async runtime, and returns when all workers are ready.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start), and [`ErrorKind::Start`] where there can be no thread for the pool.
    pub fn start_blocking(self) -> Result<Pool<C>> {
        let (sender, started) = mpsc::channel();
        let attendant = thread::Builder::new()
            .name("pyproc".to_owned())
            .spawn(move || attend(self, &sender))
            .map_err(|error| no_attendant("the pool's thread cannot be started", error))?;
        let pool = started.recv().map_err(|error| {
            no_attendant("the pool's thread ended before the pool had started", error)
        })??;
        let inner = Inner {
            pool,
            attendant: Mutex::new(Some(attendant)),
        };
        Ok(Pool {
            inner: Arc::new(inner),
        })
    }
}

/// Starts the pool, and then looks after its workers until it has ended.
fn attend<C: Codec>(builder: PoolBuilder<C>, started: &mpsc::Sender<Result<crate::Pool<C>>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever started this thread waits for what it says.
            let _ = started.send(Err(no_attendant("there can be no tokio runtime", error)));
            return;
        }
    };
    runtime.block_on(async {
        let pool = builder.start().await;
        let end = pool.as_ref().ok().map(crate::Pool::end);
        // As above.
        let _ = started.send(pool);
        if let Some(end) = end {
            end.await;
        }
    });
}

impl<C: Codec> Pool<C> {
    /// Calls a Python function by its name, and waits for its end; see [`Pool::call`](crate::Pool::call) for how the
    /// argument and the result travel. The pool's deadline holds.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`]; the error says what happened and whether the function may have run.
    pub fn call<A: Argument, R: DeserializeOwned>(&self, function: &str, argument: A) -> Result<R> {
        self.wait(self.inner.pool.call(function, argument))
    }

    /// Calls a Python function once for each of these inputs, and waits for all; see
    /// [`Pool::call_many`](crate::Pool::call_many).
    pub fn call_many<A: Serialize, R: DeserializeOwned>(
        &self,
        function: &str,
        inputs: impl IntoIterator<Item = A>,
    ) -> Vec<Result<R>> {
        self.wait(self.inner.pool.call_many(function, inputs))
    }

    /// Calls a Python function that yields a stream: an iterator that waits for each item; see
    /// [`ItemStream`] for how it begins, pauses and ends.
    pub fn stream<'a, A: Argument, T: DeserializeOwned>(
        &'a self,
        function: &'a str,
        argument: A,
    ) -> Items<'a, C, A, T> {
        Items(self.inner.pool.stream(function, argument))
    }

    /// Waits for whatever is made of this pool's calls: one with a deadline of its own, one of a client that
    /// `#[pyproc::remote]` made, several joined.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(pool: pyproc_runtime::blocking::Pool) -> pyproc_runtime::Result<()> {
    /// let call = pool.handle().call("area", &[3.0, 4.0]);
    /// let area: f64 = pool.wait(call.deadline(Duration::from_secs(1)))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        parker::wait(future)
    }

    /// The async pool behind this one, for clients to be bound to.
    pub fn handle(&self) -> &crate::Pool<C> {
        &self.inner.pool
    }

    /// What the pool and its workers do right now.
    pub fn status(&self) -> PoolStatus {
        self.inner.pool.status()
    }

    /// What happens to the pool's workers from now on, as an iterator that waits for each event and ends with the pool.
    pub fn events(&self) -> Events {
        Events(self.inner.pool.events())
    }

    /// Whether a worker is ready to take calls; see [`Pool::is_ready`](crate::Pool::is_ready).
    pub fn is_ready(&self) -> bool {
        self.inner.pool.is_ready()
    }

    /// Whether the pool works, or will try to by itself; see [`Pool::is_live`](crate::Pool::is_live).
    pub fn is_live(&self) -> bool {
        self.inner.pool.is_live()
    }

    /// Replaces every worker, one slot after the other, and waits until that is done; see
    /// [`Pool::restart`](crate::Pool::restart).
    ///
    /// # Errors
    ///
    /// Those of the async pool.
    pub fn restart(&self) -> Result<()> {
        self.wait(self.inner.pool.restart())
    }

    /// Changes the number of workers, and waits until that is done; see [`Pool::resize`](crate::Pool::resize).
    ///
    /// # Errors
    ///
    /// Those of the async pool.
    pub fn resize(&self, workers: usize) -> Result<()> {
        self.wait(self.inner.pool.resize(workers))
    }

    /// Shuts the pool down, as [`Pool::shutdown`](crate::Pool::shutdown) does, and waits until its thread has ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] if there is nobody left to do it.
    pub fn shutdown(&self) -> Result<ShutdownReport> {
        let report = self.wait(self.inner.pool.shutdown());
        let attendant = self
            .inner
            .attendant
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(attendant) = attendant {
            // A panic of its has been reported by then.
            let _ = attendant.join();
        }
        report
    }
}

/// What a Python generator yields, one item after the other; see [`Pool::stream`].
#[must_use = "an iterator does nothing until it is asked"]
#[derive(Debug)]
pub struct Items<'a, C: Codec, A, T>(ItemStream<'a, C, A, T>);

impl<C: Codec, A: Argument, T: DeserializeOwned> Iterator for Items<'_, C, A, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        parker::wait(self.0.next())
    }
}

/// The events of a pool, one after the other; see [`Pool::events`].
#[derive(Debug)]
pub struct Events(AsyncEvents);

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        parker::wait(self.0.next())
    }
}

impl<C: Codec> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<C: Codec> fmt::Debug for Pool<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("blocking::Pool")
            .field(&self.inner.pool)
            .finish()
    }
}

fn no_attendant(message: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Start, message).with_source(source)
}
