//! What driver and child say to each other: one JSON document a line, over the child's standard input and output.

use serde::{Deserialize, Serialize};

/// What the child says first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Greeting {
    /// The subject is there and waits for its first round.
    Ready {
        /// What runs, in words.
        about: Option<String>,
    },
    /// This machine cannot have the subject.
    Unfit { reason: String },
}

/// One round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) load: Load,
    /// How long the round takes; a call that is under way at its end is waited for.
    pub(crate) seconds: f64,
}

/// How calls are made in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Load {
    /// Each caller makes its next call when its last one is answered.
    Closed {
        callers: usize,
        #[serde(default)]
        function: Function,
    },
    /// One caller makes a call whenever so much time has passed since it made the last one.
    Paced { interval_us: u64 },
    /// So many calls are under way at any time, each of them a task of its own, as in [`Open`](Self::Open).
    Saturate { calls: usize },
    /// Calls begin at random moments, so many a second in the long run, whatever became of those before.
    Open { per_second: f64 },
    /// One caller, whose argument and whose result are so many bytes.
    Echo { bytes: usize },
    /// One reader, which reads so many items of so many bytes, again and again.
    Stream { items: u64, bytes: usize },
    /// So many naps of an async function at once, and when all have ended as many anew: a call for each, or one call that
    /// takes them all.
    Naps { naps: usize, calls: usize },
    /// One caller, which drops its calls while they run. What is measured is the time until the worker has answered the
    /// next one.
    Cancel { function: Function },
    /// The subject is started, and that is what is measured.
    Start,
    /// A worker is killed, and its replacement is what is measured.
    Replace,
    /// Nothing is called.
    Idle,
}

/// What is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Function {
    /// `predict({"value": 42}) → {"result": 84}`: next to nothing.
    #[default]
    Predict,
    /// The same after 100 µs of computing.
    Busy,
    /// The same after 1 ms of computing, call by call.
    Single,
    /// The same after 1 ms of computing for a whole batch.
    Batched,
    /// `time.sleep`, for as good as ever.
    Doze,
    /// An endless loop.
    Spin,
}

impl Function {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Busy => "busy",
            Self::Single => "single",
            Self::Batched => "batched",
            Self::Doze => "doze",
            Self::Spin => "spin",
        }
    }
}

/// What became of a round.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Done(Round),
    Failed { reason: String },
}

/// The numbers of one round.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Round {
    /// How many, or how many items of a stream.
    pub(crate) calls: u64,
    pub(crate) elapsed_ns: u64,
    /// The processor time of the side that calls, if it can be known.
    pub(crate) host_cpu_ns: Option<u64>,
    /// The processor time of the side that answers.
    pub(crate) worker_cpu_ns: Option<u64>,
    /// Latencies in nanoseconds, each with how often it was met.
    pub(crate) latencies: Vec<(u64, u64)>,
}
