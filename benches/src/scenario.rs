//! The scenarios: which rows each of them has.

mod concurrent;
mod paced;
mod sequential;

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
        }
    }

    pub(crate) fn run(self, bench: &mut Bench<'_>) -> Result<()> {
        match self {
            Self::Sequential => sequential::run(bench),
            Self::Paced => paced::run(bench),
            Self::Concurrent => concurrent::run(bench),
        }
    }
}
