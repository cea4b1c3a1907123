//! A worker that is ready: its process, its connection, and what it says.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use pyproc_proto::{FunctionInfo, LogRecord, Welcome};
use tokio::task::JoinHandle;
use tracing::Level;

use crate::connection::Connection;
use crate::telemetry::{self, Origin};
use crate::worker::{Process, StderrTail};

/// A ready worker. Dropping it, which happens when the runtime ends, ends its calls and kills its process.
#[derive(Debug)]
pub(super) struct Worker {
    connection: Arc<Connection>,
    /// `None` for a worker that somebody else started.
    pub(super) body: Option<Body>,
    welcome: Option<Welcome>,
    runs: Option<String>,
    pub(super) ready_since: Instant,
}

/// The process of a worker that the host started, and the readers of its output.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) process: Process,
    pub(super) origin: Arc<Origin>,
    pub(super) stderr: Arc<StderrTail>,
    pub(super) readers: Vec<JoinHandle<()>>,
    /// The socket that a listening worker was born with. Its closing tells the worker that the host is gone.
    pub(super) _birth: Option<UnixStream>,
}

impl Worker {
    pub(super) fn new(
        connection: Arc<Connection>,
        body: Option<Body>,
        welcome: Option<Welcome>,
    ) -> Self {
        let runs = welcome.as_ref().map(|welcome| {
            let package = &welcome.package;
            format!(
                "Python {}, pyproc {} ({})",
                welcome.python, package.version, package.origin
            )
        });
        Self {
            connection,
            body,
            welcome,
            runs,
            ready_since: Instant::now(),
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
    pub(super) fn functions(&self) -> Option<Vec<FunctionInfo>> {
        self.welcome
            .as_ref()
            .map(|welcome| welcome.functions.clone())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Passes a record of Python's `logging` on.
pub(super) fn log(origin: &Origin, record: &LogRecord) {
    let level = match record.level {
        0..10 => Level::TRACE,
        10..20 => Level::DEBUG,
        20..30 => Level::INFO,
        30..40 => Level::WARN,
        40.. => Level::ERROR,
    };
    telemetry::log(origin, level, &record.logger, &record.message);
}
