//! What is measured: a subject, and where each axis stands for it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Everything that a child must know to become a subject. Two rows with equal specs share a child.
///
/// With [`Load`](crate::protocol::Load) it is what the driver of one commit says to a child of another (`--compare`):
/// fields are added with a default and never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) subject: Subject,
    pub(crate) codec: Option<Codec>,
    pub(crate) worker: Option<Worker>,
    pub(crate) spin: Option<Spin>,
    pub(crate) placement: Option<Placement>,
    pub(crate) workers: usize,
    #[serde(default)]
    pub(crate) runtime: Runtime,
    /// How many calls one worker may have in flight; by default the pool decides.
    #[serde(default)]
    pub(crate) in_flight: Option<usize>,
    /// The longest frame, where it must be longer than the pool's default.
    #[serde(default)]
    pub(crate) max_frame: Option<usize>,
    /// How many cores both sides may use together, where it is not all of them.
    #[serde(default)]
    pub(crate) cores: Option<usize>,
    /// The subject is started by an order, and not before.
    #[serde(default)]
    pub(crate) started_by_order: bool,
    /// The interpreter has none of the optional packages.
    #[serde(default)]
    pub(crate) bare: bool,
    /// The script is the one with async functions, which have a loop of their own in the worker.
    #[serde(default)]
    pub(crate) has_async: bool,
    /// The script is the one with a function that takes batches, for which a worker has room whatever its pace.
    #[serde(default)]
    pub(crate) has_batches: bool,
    /// How a peer is used.
    #[serde(default)]
    pub(crate) mode: Option<Mode>,
}

impl Spec {
    /// A subject that has no axis but its placement.
    pub(crate) fn plain(subject: Subject, placement: Option<Placement>) -> Self {
        Self {
            subject,
            codec: None,
            worker: None,
            spin: None,
            placement,
            workers: 1,
            runtime: Runtime::default(),
            in_flight: None,
            max_frame: None,
            cores: None,
            started_by_order: false,
            bare: false,
            has_async: false,
            has_batches: false,
            mode: None,
        }
    }

    /// A pool of one worker.
    pub(crate) fn pool(codec: Codec, worker: Worker, spin: Spin, placement: Placement) -> Self {
        Self {
            codec: Some(codec),
            worker: Some(worker),
            spin: Some(spin),
            ..Self::plain(Subject::Pyproc, Some(placement))
        }
    }

    pub(crate) fn with_workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    Pyproc,
    /// A Rust process that sends back what it gets over a Unix socket.
    FloorRustEcho,
    /// A bare Python loop that does the same.
    FloorPythonEcho,
    /// Two threads that wake each other: what any answer of a sleeping process costs at least.
    FloorFutex,
    /// The bytes copied once within a process.
    FloorMemcpy,
    /// A Rust process that sends items over a Unix socket when it is asked to.
    FloorRustItems,
    /// A bare Python loop that does the same.
    FloorPythonItems,
    /// `python3 -c pass`, from its start to its end.
    FloorPythonStart,
    /// A grpcio server, called by tonic over a Unix socket.
    Grpcio,
    /// A mosec server, called by hyper over loopback HTTP.
    Mosec,
    /// `multiprocessing.Pipe` between two Python processes.
    Pipe,
}

/// How a peer is used, where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// The one way that there is.
    Plain,
    /// grpcio on asyncio.
    Aio,
    /// grpcio on a pool of threads.
    Threads,
    /// mosec, one request after the other.
    Single,
    /// mosec with dynamic batching.
    Batches,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Aio => "aio",
            Self::Threads => "threads",
            Self::Single => "single",
            Self::Batches => "batches",
        }
    }
}

/// How bodies are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Codec {
    Json,
    MsgPack,
}

/// Which loop a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Worker {
    Pure,
    Native,
}

/// Whether the two sides look for a message for a while before they sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Spin {
    Off,
    Auto,
}

/// Where all threads of the two sides may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Placement {
    /// The host on one core, the workers on another.
    Across,
    /// Both on one core.
    Same,
    /// Wherever the system puts them.
    Free,
}

/// What the host's callers run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Runtime {
    /// As many threads as the host side has cores, as `#[tokio::main]` makes it.
    #[default]
    MultiThread,
    CurrentThread,
    /// None: the pool's blocking door, and callers that are threads.
    Blocking,
}
