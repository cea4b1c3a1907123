//! The scenarios: which rows each of them has.

mod async_calls;
mod batch;
pub(crate) mod cancel;
mod concurrent;
mod idle;
mod open_loop;
mod oversubscribed;
mod paced;
mod payload;
mod peers;
mod runtimes;
mod scaling;
mod sequential;
mod startup;
mod stream;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::driver::Bench;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// One caller, the next call when the last one is answered.
    Sequential,
    /// One call a millisecond.
    Paced,
    /// Many callers at once.
    Concurrent,
    /// One, two, four and eight workers.
    Scaling,
    /// Calls at random moments, at given rates.
    OpenLoop,
    /// From no bytes to 64 MiB.
    Payload,
    /// A generator of a million small items.
    Stream,
    /// A thousand calls at once that wait for 10 ms.
    Async,
    /// A function that costs a millisecond per call, and one that costs it per batch.
    Batch,
    /// From a dropped call to a worker that is free.
    Cancel,
    /// From nothing to ready.
    Startup,
    /// From a killed worker to the next one's first answer.
    Replacement,
    /// What a pool costs that nobody calls.
    Idle,
    /// More busy workers than cores.
    Oversubscribed,
    /// tokio's runtimes, and none.
    Runtimes,
}

impl Scenario {
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Sequential => {
                "One caller makes its next call when the last one is answered: the service time."
            }
            Self::Paced => {
                "One caller makes a call a millisecond: what an application at rest sees."
            }
            Self::Concurrent => {
                "So many callers at once, each with one call at a time: saturation. The latencies are those of a full \
                 queue."
            }
            Self::Scaling => {
                "256 callers and more and more workers. Beyond the number of cores there is nothing to gain. `predict` \
                 does next to nothing; `busy` computes for 100 µs."
            }
            Self::OpenLoop => {
                "Calls begin at random moments, at a share of the rate that the same subject reached at saturation in \
                 this run. A latency counts from the moment at which the call was to begin. The host's CPU has that of \
                 making the arrivals in it."
            }
            Self::Payload => {
                "One caller, whose bytes come back. The Rust floor sends the same message whole both ways, with \
                 buffers that it keeps; memcpy copies it once."
            }
            Self::Stream => {
                "One reader of a generator's items, to its end, and then of the next one's. The latencies are those of first \
                 items; the floors send the same bytes over a bare socket, many items at a time. CPU is that of one item."
            }
            Self::Async => {
                "1,000 naps of 10 ms at once in one worker, again and again: by so many calls, or by so many tasks that one \
                 call makes, which is what an event loop takes by itself. The latencies are those of all 1,000 together; \
                 CPU is that of one."
            }
            Self::Batch => {
                "64 callers of a function that computes for 1 ms: once for each call (`single`), or once for up to 32 \
                 (`batched`)."
            }
            Self::Cancel => {
                "A call whose function would never end is dropped when that has run for two milliseconds. The latency \
                 is the time from then until the worker has answered the next call."
            }
            Self::Startup => {
                "From the start of a pool to its readiness, in a new process each time. n counts starts, and CPU is \
                 that of one."
            }
            Self::Replacement => {
                "From `kill -9` to the first answer of the next worker; 50 to 100 ms of it are the delay before a \
                 restart, by default."
            }
            Self::Idle => {
                "A pool of four that was called and is called no more. CPU is that of one second, and n counts \
                 seconds: 1,000 µs are 0.1 % of a core."
            }
            Self::Oversubscribed => {
                "Four workers on two cores: four callers of `busy`, which computes for 100 µs, and 64 callers of \
                 `predict`, which does next to nothing."
            }
            Self::Runtimes => {
                "The host's callers on tokio's runtimes, and on threads that call through the blocking door."
            }
        }
    }

    /// Whether callers that are threads can take part.
    pub(crate) fn can_block(self) -> bool {
        !matches!(
            self,
            Self::Cancel
                | Self::OpenLoop
                | Self::Stream
                | Self::Async
                | Self::Startup
                | Self::Replacement
        )
    }

    pub(crate) fn run(self, bench: &mut Bench<'_>) -> Result<()> {
        match self {
            Self::Sequential => sequential::run(bench),
            Self::Paced => paced::run(bench),
            Self::Concurrent => concurrent::run(bench),
            Self::Scaling => scaling::run(bench),
            Self::OpenLoop => open_loop::run(bench),
            Self::Payload => payload::run(bench),
            Self::Stream => stream::run(bench),
            Self::Async => async_calls::run(bench),
            Self::Batch => batch::run(bench),
            Self::Cancel => cancel::run(bench),
            Self::Startup => startup::start(bench),
            Self::Replacement => startup::replace(bench),
            Self::Idle => idle::run(bench),
            Self::Oversubscribed => oversubscribed::run(bench),
            Self::Runtimes => runtimes::run(bench),
        }
    }
}
