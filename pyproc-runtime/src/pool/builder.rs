//! The configuration of a pool, and its start.

mod check;
mod process;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyproc_proto::{Codec, DEFAULT_MAX_FRAME, DefaultCodec, Protocol};
use tokio::sync::{mpsc, oneshot};
use tracing::Level;

use super::admission::Admission;
use super::{Breaker, Gate, InFlight, LeastLoaded, Pool, Retry, RetryBudget, Router, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::script::Target;
use crate::spin::Spin;
use crate::supervisor::{self, Recycle, Restart};
use crate::worker::{Core, Environment, EventLoop, Inherited, Isolation};

/// The configuration of a [`Pool`] that is yet to be started.
///
/// Every setting has a default that is meant for production; each says why it is what it is.
#[derive(Debug)]
#[must_use = "a builder does nothing until `start`"]
pub struct PoolBuilder<C: Codec = DefaultCodec> {
    codec: C,
    origin: Origin,
    settings: Settings,
}

/// The default of [`PoolBuilder::stream_window`], in bytes.
const DEFAULT_STREAM_WINDOW: u32 = 256 * 1024;

/// What the handles of a pool tell its supervisor.
type Inbox = mpsc::UnboundedReceiver<supervisor::Command>;

/// Where the workers come from.
#[derive(Debug)]
enum Origin {
    Target(Target),
    Paths(Vec<PathBuf>),
}

/// What is asked for, not yet checked.
#[derive(Debug)]
struct Settings {
    name: Option<String>,
    workers: Option<usize>,
    threads: usize,
    protocol: Protocol,
    listens: bool,
    python: Option<PathBuf>,
    python_path: Vec<PathBuf>,
    environment: Environment,
    isolation: Isolation,
    router: Box<dyn Router>,
    max_in_flight: Option<usize>,
    max_in_flight_per_worker: InFlight,
    max_waiting: usize,
    max_frame: usize,
    stream_window: u32,
    poison_limit: u32,
    retry: Option<Retry>,
    retry_budget: RetryBudget,
    deadline: Option<Duration>,
    interrupt_after: Option<Duration>,
    stacks_after: Duration,
    overdue_after: Duration,
    drain_grace: Duration,
    loop_blocked_after: Option<Duration>,
    start_timeout: Duration,
    connect_retries: u32,
    progress_timeout: Duration,
    health_interval: Option<Duration>,
    health_timeout: Duration,
    restart: Restart,
    recycle: Recycle,
    breaker: Breaker,
    function_breaker: Breaker,
    eject_after: Option<u32>,
    shutdown_timeout: Duration,
    stop_timeout: Duration,
    log_level: Level,
    spin: Spin,
    core: Option<Core>,
    event_loop: EventLoop,
}

impl PoolBuilder<DefaultCodec> {
    pub(super) fn new(target: Target) -> Self {
        Self::with_origin(Origin::Target(target))
    }

    pub(super) fn attach(paths: Vec<PathBuf>) -> Self {
        Self::with_origin(Origin::Paths(paths))
    }

    fn with_origin(origin: Origin) -> Self {
        let settings = Settings {
            name: None,
            workers: None,
            threads: 1,
            protocol: Protocol::Binary,
            listens: false,
            python: None,
            python_path: Vec::new(),
            environment: Environment::default(),
            isolation: Isolation::default(),
            router: Box::new(LeastLoaded::default()),
            max_in_flight: None,
            max_in_flight_per_worker: InFlight::default(),
            max_waiting: 1024,
            max_frame: DEFAULT_MAX_FRAME,
            stream_window: DEFAULT_STREAM_WINDOW,
            poison_limit: 2,
            retry: None,
            retry_budget: RetryBudget::new(),
            deadline: Some(Duration::from_secs(60)),
            interrupt_after: Some(Duration::ZERO),
            stacks_after: Duration::from_millis(100),
            overdue_after: Duration::from_secs(5),
            drain_grace: Duration::from_secs(30),
            loop_blocked_after: Some(Duration::from_secs(1)),
            start_timeout: Duration::from_secs(60),
            connect_retries: 3,
            progress_timeout: Duration::from_secs(30),
            health_interval: Some(Duration::from_secs(30)),
            health_timeout: Duration::from_secs(5),
            restart: Restart::new(),
            recycle: Recycle::new(),
            breaker: Breaker::new(),
            function_breaker: Breaker::never(),
            eject_after: Some(50),
            shutdown_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(5),
            log_level: Level::INFO,
            spin: Spin::default(),
            core: None,
            event_loop: EventLoop::default(),
        };
        Self {
            codec: DefaultCodec::default(),
            origin,
            settings,
        }
    }
}

/// What the workers are.
impl<C: Codec> PoolBuilder<C> {
    /// The pool's name in logs, in the status and in `ps`, where a worker is called `pyproc iris/2`. Default: the
    /// script's name without its ending, which is what one looks for there.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// How many worker processes. Default: the available parallelism, which heeds the limits of a container, because
    /// Python runs one thread of Python code per process.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = Some(workers);
        self
    }

    /// In how many threads each worker runs its functions. Default 1: they run one after the other, in the worker's main
    /// thread, where they can be interrupted. More is for functions that wait, for a database or a device, or that release
    /// the interpreter lock; and for interpreters without one.
    ///
    /// Functions in threads are only told that nobody waits for them any more (`Context.cancelled()`): nothing ends one that
    /// does not ask, short of the end of its worker. Async functions stay on the event loop, and generators and batches in
    /// the main thread. A call that finds all threads busy waits in the worker.
    pub fn threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads;
        self
    }

    /// The codec of bodies, whatever codec features other crates switch on: [`Json`](crate::Json), `MsgPack`, or one of
    /// your own. Default: [`DefaultCodec`], which follows the features.
    pub fn codec<D: Codec>(self, codec: D) -> PoolBuilder<D> {
        PoolBuilder {
            codec,
            origin: self.origin,
            settings: self.settings,
        }
    }

    /// The protocol. Default [`Protocol::Binary`], because it has deadlines, cancelling, streams and a table of functions.
    /// [`Protocol::Json`] drives workers that know only the JSON protocol; it asks for the codec [`Json`](crate::Json), and
    /// for workers that [listen](Self::listen).
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.settings.protocol = protocol;
        self
    }

    /// The script listens by itself: it is run as `__main__`, with the path to listen on in `PYPROC_SOCKET_PATH`.
    /// Default: it is imported, and handed a connected socket, which needs no path.
    pub fn listen(mut self) -> Self {
        self.settings.listens = true;
        self
    }

    /// The Python interpreter. Default: the first of `PYPROC_PYTHON`, `$VIRTUAL_ENV`, `$CONDA_PREFIX`, a `.venv` beside
    /// the script or above it, `python3` and `python` that is at least Python 3.10; so what was asked for comes before
    /// what is at hand, and the script's own packages before the system's.
    pub fn python(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.python = Some(path.into());
        self
    }

    /// Directories that come after the script's own on the workers' `sys.path`. Default: none, because
    /// what lies beside the script is found without.
    pub fn python_path<P: Into<PathBuf>>(
        mut self,
        directories: impl IntoIterator<Item = P>,
    ) -> Self {
        self.settings
            .python_path
            .extend(directories.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable of the workers, whatever is inherited. `{slot}` in the value stands for the worker's
    /// slot, from 0: `.env("CUDA_VISIBLE_DEVICES", "{slot}")` gives each worker a GPU of its own.
    ///
    /// Where neither this nor the environment sets `OMP_NUM_THREADS`, it is set, as are `OPENBLAS_NUM_THREADS` and
    /// `MKL_NUM_THREADS`, to the available parallelism divided by the number of workers: each of these libraries would
    /// start as many threads as there are processors in every worker.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.settings
            .environment
            .set
            .insert(name.into(), value.into());
        self
    }

    /// Inherits nothing of the host's environment. Default: all of it, because model caches, CUDA and proxies are
    /// configured there.
    pub fn env_clear(mut self) -> Self {
        self.settings.environment.inherited = Inherited::Nothing;
        self
    }

    /// Inherits only these variables of the host's environment.
    pub fn env_allow<N: Into<OsString>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.settings.environment.inherited =
            Inherited::Only(names.into_iter().map(Into::into).collect());
        self
    }

    /// Which loop runs in the workers that the host starts. Default: what the host's environment variable `PYPROC_CORE`
    /// says (`auto`, `native` or `pure`), else [`Core::Auto`], which takes the faster one that is there. Scripts that
    /// listen by themselves always have the pure one.
    pub fn core(mut self, core: Core) -> Self {
        self.settings.core = Some(core);
        self
    }

    /// What the async functions of the workers run on: `.event_loop(EventLoop::Uvloop)` for that of the package `uvloop`.
    /// Default [`EventLoop::Asyncio`], which every interpreter has. Workers without async functions have none.
    pub fn event_loop(mut self, event_loop: EventLoop) -> Self {
        self.settings.event_loop = event_loop;
        self
    }

    /// The level from which on the records of Python's `logging` are passed on. Default `INFO`, because every record is
    /// written to the connection, and libraries say much at `DEBUG`. A worker that listens does with its `logging` what
    /// the script says.
    pub fn log_level(mut self, level: Level) -> Self {
        self.settings.log_level = level;
        self
    }
}

/// How much may go on at once, and for how long.
impl<C: Codec> PoolBuilder<C> {
    /// How many calls workers may have at once in the whole pool. Default: as many as the workers can take together,
    /// so that none is idle while a call waits. Less spares what they share: a GPU, the memory, a service behind them.
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.settings.max_in_flight = Some(calls);
        self
    }

    /// How many calls one worker may have at once: a number, or [`InFlight::Auto`], which is the default and says how many
    /// that are. With 1 a call that waits in the pool's line can still go to whichever worker is free first, and a worker
    /// that dies takes only the call with it that it ran. More saves the wait between two short calls, and is what async
    /// functions, threads and batches need. It is one number for all functions; only a [broadcast](Pool::broadcast), and a
    /// stream that has yielded, does not keep to it.
    pub fn max_in_flight_per_worker(mut self, calls: impl Into<InFlight>) -> Self {
        self.settings.max_in_flight_per_worker = calls.into();
        self
    }

    /// How many calls may wait for a worker before more are refused as [`ErrorKind::Overloaded`]. Default 1024: enough
    /// for a burst, and few enough that those at its end are not served long after everybody has given up.
    pub fn max_waiting(mut self, calls: usize) -> Self {
        self.settings.max_waiting = calls;
        self
    }

    /// Whether both sides look for each other's next frame without blocking for a while before they sleep. Default
    /// [`Spin::Auto`], which does so only where it pays: it takes a short call from the time that it takes to wake two
    /// processors to a few microseconds.
    pub fn spin(mut self, spin: Spin) -> Self {
        self.settings.spin = spin;
        self
    }

    /// Which worker a call goes to. Default [`LeastLoaded`], which keeps a call from waiting behind another
    /// while a worker is idle.
    pub fn router(mut self, router: impl Router) -> Self {
        self.settings.router = Box::new(router);
        self
    }

    /// The longest request and reply, in bytes, from 64 KiB to 4 GiB. Default 16 MiB: room for a batch of images, and no
    /// way to exhaust the memory by a mistake. A request over it fails before a byte is written.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.settings.max_frame = bytes;
        self
    }

    /// How many bytes of a stream's items may wait for their reader, on their way and here, before its generator pauses;
    /// one item more may come, however long it is. Default 256 KiB: more than a worker yields while the host looks the
    /// other way, and little enough for thousands of streams.
    pub fn stream_window(mut self, bytes: u32) -> Self {
        self.settings.stream_window = bytes;
        self
    }

    /// How long a call may take, waiting and running together, if it does not say itself. Default 60 s: longer than
    /// what a user waits for, and short enough that a stuck function is noticed.
    pub fn deadline(mut self, time: Duration) -> Self {
        self.settings.deadline = Some(time);
        self
    }

    /// Calls without a deadline of their own have none. A function that never returns then keeps its worker for good.
    pub fn no_deadline(mut self) -> Self {
        self.settings.deadline = None;
        self
    }

    /// How long after a call's deadline, or after it was cancelled, the function is interrupted, if it still runs: the
    /// exception `pyproc.Interrupted` is raised in it, which it may catch to clean up. `None`: never, and a function whose
    /// call was cancelled goes on to its end or its deadline. Default zero: nobody waits for it any more, and a function
    /// that is interrupted costs nothing, while a worker that is killed costs a start.
    ///
    /// Python raises exceptions between two steps of Python code, so a function that is busy in C is interrupted when it
    /// comes back from there, and threads of its own are not interrupted at all. Workers that listen by themselves or were
    /// started by somebody else can't be interrupted; nor can any on other systems than Linux.
    ///
    /// It is done by the signal SIGURG. A script that sets a handler of its own for that has it called in place of the
    /// interrupt, every 5 ms until the function ends, and its functions run until their worker is killed.
    pub fn interrupt_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.settings.interrupt_after = time.into();
        self
    }

    /// How long after a call's deadline the Python stacks of all threads of its worker are taken, if it still runs, to be
    /// found in the error. Default 100 ms: time for an interrupted function to clean up, and soon enough to show where it
    /// was stuck. The worker goes on meanwhile. Callers wait for it until 500 ms after the deadline, so a longer time means
    /// never.
    ///
    /// It is done by the signal SIGWINCH, and by `faulthandler`. A script that sets a handler of its own for that has it
    /// called in place of the dump, and there are no stacks of functions that are late.
    pub fn stacks_after(mut self, time: Duration) -> Self {
        self.settings.stacks_after = time;
        self
    }

    /// How long after a call's deadline, or after it was cancelled and could be interrupted, its worker may still run it,
    /// before it is taken to be stuck and is replaced. Default 5 s: cheaper than a replacement for a function that is
    /// merely late.
    ///
    /// A call that waits behind another at the same worker (see
    /// [`max_in_flight_per_worker`](Self::max_in_flight_per_worker)) has this time from when its turn came, if that is
    /// later than its deadline.
    pub fn overdue_after(mut self, time: Duration) -> Self {
        self.settings.overdue_after = time;
        self
    }

    /// How long the other calls of a worker are waited for that has a call which should have ended, by its deadline or by
    /// being cancelled, and has not [`overdue_after`](Self::overdue_after) later. It is for functions that share a worker,
    /// asynchronous ones and those in threads; a worker that runs one call after the other is replaced without it.
    ///
    /// Such a worker gets no more calls, and its successor is started at once. It is killed when all others of its calls
    /// have ended, or after this time; those that it has then end as [`WorkerDied`](crate::ErrorKind::WorkerDied), and the
    /// error names the function that did not end. Default 30 s: most calls are shorter.
    pub fn drain_grace(mut self, time: Duration) -> Self {
        self.settings.drain_grace = time;
        self
    }

    /// How long a function may keep the event loop of its worker busy, without an `await` that lets others run, before that
    /// is told as [`Event::LoopBlocked`](crate::Event::LoopBlocked) and in the log. `None`: never. Default one second.
    pub fn loop_blocked_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.settings.loop_blocked_after = time.into();
        self
    }

    /// How many workers an idempotent call may take with it before it is refused any further. Default 2: one worker may
    /// die of anything, and a call that two did not survive is probably the cause. Only the deaths count in which the
    /// worker was running this very call; where that cannot be known, which is so for workers that listen by themselves or
    /// were started by somebody else, all those count in which it may have been.
    ///
    /// Calls that are not idempotent are never sent again when they may have run, so for them it is always 1.
    pub fn poison_limit(mut self, workers: u32) -> Self {
        self.settings.poison_limit = workers;
        self
    }

    /// How calls are tried again that were refused, or lost with their worker, if they do not say it themselves: a [`Retry`]
    /// policy, or a number of tries. Default [`Retry::never`]: whoever calls knows best what may wait, and a pool that
    /// refuses calls has a reason. One-way calls and broadcasts have no policy: the first say at once when they are refused.
    pub fn retry(mut self, retry: impl Into<Retry>) -> Self {
        self.settings.retry = Some(retry.into());
        self
    }

    /// How many of all calls may be tried again. Default [`RetryBudget::new`]: a tenth of them, and ten a second besides.
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.settings.retry_budget = budget;
        self
    }
}

/// How the workers are supervised.
impl<C: Codec> PoolBuilder<C> {
    /// How long a worker may take from its start to its readiness, the import of the script included; for an attached
    /// one, how long each try may take. Default 60 s: large models take their time.
    pub fn start_timeout(mut self, time: Duration) -> Self {
        self.settings.start_timeout = time;
        self
    }

    /// How often a connection to a listening worker is tried again, with growing delays, before its start has failed.
    /// Default 3, which takes 0.7 s in all: the moment in which whoever runs the worker restarts it; what is down for
    /// longer is for the [`restart`](Self::restart) policy.
    pub fn connect_retries(mut self, retries: u32) -> Self {
        self.settings.connect_retries = retries;
        self
    }

    /// How long one frame of a worker may take from its first byte to its last. Default 30 s: even the largest frame
    /// takes milliseconds, so whoever takes longer has stopped in the middle.
    pub fn progress_timeout(mut self, time: Duration) -> Self {
        self.settings.progress_timeout = time;
        self
    }

    /// How often an idle worker's function `health` is called; `None` switches it off. Default 30 s: the death of a
    /// process and the loss of a connection are noticed at once without it, so it only looks for what goes bad in
    /// silence.
    pub fn health_interval(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.settings.health_interval = time.into();
        self
    }

    /// How long `health` may take before the worker is replaced. Default 5 s: an idle worker answers at once, and a
    /// `health` of your own has time to ask its model for something.
    pub fn health_timeout(mut self, time: Duration) -> Self {
        self.settings.health_timeout = time;
        self
    }

    /// How dead workers are replaced: a [`Restart`] policy, or `false` for not at all. Default [`Restart::new`], whose
    /// setters give the reasons of its numbers.
    pub fn restart(mut self, restart: impl Into<Restart>) -> Self {
        self.settings.restart = restart.into();
        self
    }

    /// When workers that live are replaced: after so many calls, after a time, or when they have grown; and how, in
    /// [`Pool::restart`] too. Default [`Recycle::new`]: never, because a sound worker gets no better by being replaced. An
    /// attached pool refuses it.
    pub fn recycle(mut self, recycle: Recycle) -> Self {
        self.settings.recycle = recycle;
        self
    }

    /// When the pool refuses all calls for a while, because every worker dies that gets one. A failure is the death of a
    /// worker that had calls and had not answered a single one, however many it took with it; they are in a row when no
    /// call of the pool has returned between them. Default [`Breaker::new`]: whoever calls hears of it at once, and the
    /// machine is not kept busy with starts that end in the next crash.
    pub fn breaker(mut self, breaker: impl Into<Breaker>) -> Self {
        self.settings.breaker = breaker.into();
        self
    }

    /// When a function is refused for a while, because its calls keep failing: it raised, returned what cannot be
    /// encoded, did not end in time, or took its worker with it. Each function is counted by itself. Default
    /// [`Breaker::never`], because an exception may well be the answer that a caller expects.
    pub fn function_breaker(mut self, breaker: impl Into<Breaker>) -> Self {
        self.settings.function_breaker = breaker.into();
        self
    }

    /// After how many exceptions in a row a worker is replaced, if most of the others answer well: something is wrong
    /// with it that does not kill it. At most one is replaced so in half a minute. Default 50: few enough for a worker
    /// that fails fast and so attracts calls, and more than a function that raises now and then comes to. `None` switches
    /// it off. The workers of an attached pool belong to somebody else, so none of them is ever replaced.
    pub fn eject_after(mut self, exceptions: impl Into<Option<u32>>) -> Self {
        self.settings.eject_after = exceptions.into();
        self
    }

    /// How long [`shutdown`](Pool::shutdown) waits for the calls in flight and in the line. Default 10 s: well within
    /// the 30 s that Kubernetes gives a program to end.
    pub fn shutdown_timeout(mut self, time: Duration) -> Self {
        self.settings.shutdown_timeout = time;
        self
    }

    /// How long a worker that was told to end may take for it, its `@on_stop` hooks included, before it is killed.
    /// Default 5 s: time for a hook to write a file or to close a connection, and together with the `shutdown_timeout`
    /// still within the 30 s of Kubernetes.
    pub fn stop_timeout(mut self, time: Duration) -> Self {
        self.settings.stop_timeout = time;
        self
    }

    /// Starts the workers, and returns when all of them are ready.
    ///
    /// Must be called within a tokio runtime with I/O and time enabled; the pool lives on it.
    ///
    /// Cancel safety: when the future is dropped, the workers that were started are ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for an impossible configuration, [`ErrorKind::Start`] and [`ErrorKind::Connection`] for
    /// the first worker that cannot be started or reached; the others are ended then.
    pub async fn start(self) -> Result<Pool<C>> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
            Error::new(ErrorKind::Config, "a pool needs a tokio runtime").with_source(error)
        })?;
        let (pool, shared, inbox) = self.assemble()?;
        let (ready, started) = oneshot::channel();
        shared.enter_runtime(runtime.clone());
        runtime.spawn(supervisor::run(shared, inbox, ready));
        match started.await {
            Ok(Ok(())) => Ok(pool),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::new(
                ErrorKind::Closed,
                "the runtime ended while the pool was being started",
            )),
        }
    }

    /// The pool, which nobody supervises yet, and what it tells its supervisor.
    pub(crate) fn assemble(self) -> Result<(Pool<C>, Arc<Shared>, Inbox)> {
        let (codec, config, limits, router) = self.check()?;
        let gate = Gate::new(Admission::new(limits, config.workers, router));
        let shared = Arc::new(Shared::new(config, gate));
        let (commands, inbox) = mpsc::unbounded_channel();
        let pool = Pool::new(codec, Arc::clone(&shared), commands);
        Ok((pool, shared, inbox))
    }
}
