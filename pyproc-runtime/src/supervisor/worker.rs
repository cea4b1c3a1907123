//! A worker that is ready: its process, its connection, and what it says.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyproc_proto::{FunctionInfo, LogRecord, Welcome};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Level;

use crate::connection::Connection;
use crate::worker::{Exit, MemoryWatch, Outlet, OutputKind, Process, Stacks, StderrTail};

/// A killed process is gone at once, unless the kernel itself is stuck in it.
const REAP_TIMEOUT: Duration = Duration::from_secs(5);

/// SIGKILL, which is also how the kernel ends a process for want of memory.
const KILLED: i32 = rustix::process::Signal::KILL.as_raw();

/// A ready worker. Dropping it, which happens when the runtime ends, ends its calls and kills its process.
#[derive(Debug)]
pub(super) struct Worker {
    connection: Arc<Connection>,
    /// `None` for a worker that somebody else started.
    pub(super) body: Option<Body>,
    welcome: Option<Welcome>,
    runs: Option<String>,
    pub(super) ready_since: Instant,
    /// Where its log records go.
    pub(super) log: Arc<Outlet>,
}

/// The process of a worker that the host started, and the readers of its output.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) process: Process,
    pub(super) log: Arc<Outlet>,
    pub(super) stderr: Arc<StderrTail>,
    /// `None` where there is none; it takes a state page, too.
    pub(super) stacks: Option<Stacks>,
    /// Who asks for them; all share the memory that they are written to.
    pub(super) asking: tokio::sync::Mutex<()>,
    pub(super) memory: MemoryWatch,
    /// They end with the process; those that a descendant of it keeps busy are aborted when this is dropped.
    pub(super) readers: JoinSet<()>,
    /// The socket that a listening worker was born with. Its closing tells the worker that the host is gone.
    pub(super) birth: Option<UnixStream>,
}

/// What a process leaves behind.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) exit: Exit,
    /// The end of what it wrote to its standard error.
    pub(super) stderr: String,
    /// The report of its crash.
    pub(super) stacks: Option<String>,
    /// It was killed, and in its control group the kernel has killed for want of memory.
    pub(super) is_out_of_memory: bool,
}

impl Worker {
    pub(super) fn new(
        connection: Arc<Connection>,
        mut body: Option<Body>,
        welcome: Option<Welcome>,
    ) -> Self {
        if let Some(body) = &mut body {
            // The script may have moved its process to another control group.
            body.memory = MemoryWatch::of(body.process.pid());
        }
        let runs = welcome.as_ref().map(|welcome| {
            let package = &welcome.package;
            let core = match package.origin.as_str() {
                _ if package.native => ", native core",
                "embedded" | "installed" => ", pure core",
                _ => "",
            };
            format!(
                "Python {}, pyproc {} ({}){core}",
                welcome.python, package.version, package.origin
            )
        });
        let log = match &body {
            Some(body) => Arc::clone(&body.log),
            None => {
                let origin = Arc::new(connection.worker().origin());
                Arc::new(Outlet::new(origin, OutputKind::Log))
            }
        };
        Self {
            connection,
            body,
            welcome,
            runs,
            ready_since: Instant::now(),
            log,
        }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The interpreter and the package, in words.
    pub(super) fn runs(&self) -> Option<&str> {
        self.runs.as_deref()
    }

    /// The functions that it exposes; `None` under the JSON protocol.
    pub(super) fn functions(&self) -> Option<&[FunctionInfo]> {
        Some(&self.welcome.as_ref()?.functions)
    }

    /// Whether it runs calls beside others.
    pub(super) fn runs_beside(&self) -> bool {
        self.is_async() || self.connection.threads() > 1
    }

    /// Whether it has asynchronous functions.
    pub(super) fn is_async(&self) -> bool {
        let functions = self.functions().unwrap_or_default();
        functions.iter().any(|function| function.is_async)
    }
}

impl Body {
    /// Whether it goes on when its connection ends, so that only a signal tells it to end.
    pub(super) fn outlives_connections(&self) -> bool {
        self.birth.is_some()
    }

    /// Where the threads of the process are, if it tells so within this time.
    pub(super) async fn stacks(&self, patience: Duration) -> Option<String> {
        let stacks = self.stacks.as_ref()?;
        let end = Instant::now() + patience;
        let _turn = timeout(patience, self.asking.lock()).await.ok()?;
        let rest = end.saturating_duration_since(Instant::now());
        stacks.take(&self.process, rest).await
    }

    /// Kills the process, if it still lives, and gives what it leaves behind. So long may the rest of its output take to
    /// be read: a descendant that left the process group may hold the pipes open for ever.
    pub(super) async fn bury(mut self, last_moments: Duration) -> Remains {
        self.process.kill();
        let exit = timeout(REAP_TIMEOUT, self.process.reap()).await;
        let rest = async { while self.readers.join_next().await.is_some() {} };
        // Dropping the readers ends those that are left.
        let _ = timeout(last_moments, rest).await;
        let exit = exit.unwrap_or(Exit::Unknown);
        Remains {
            exit,
            stderr: self.stderr.text(),
            stacks: self.stacks.and_then(|stacks| stacks.crash_report()),
            is_out_of_memory: exit == Exit::Signal(KILLED) && self.memory.has_run_out(),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Passes a record of Python's `logging` on.
pub(super) fn log(outlet: &Outlet, record: &LogRecord) {
    let level = match record.level {
        0..10 => Level::TRACE,
        10..20 => Level::DEBUG,
        20..30 => Level::INFO,
        30..40 => Level::WARN,
        40.. => Level::ERROR,
    };
    outlet.say(level, &record.logger, &record.message);
}
