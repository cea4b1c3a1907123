//! What can be done to a worker.

use std::time::Duration;

use fastrand::Rng;

use crate::fleet::Place;
use crate::plan::{Function, mark};

/// One thing that is done to a worker, or to those around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// SIGKILL from outside.
    Kill,
    /// SIGKILL for all workers of the pool at once.
    KillAll,
    /// SIGSEGV from outside.
    Segfault,
    /// SIGABRT from outside.
    Abort,
    /// A function that ends the process, or the connection.
    Fatal {
        function: Function,
        amount: u32,
        /// The call is sent again, until it has taken as many workers with it as the pool allows.
        idempotent: bool,
    },
    /// SIGTERM: the worker leaves in good order.
    Terminate,
    /// SIGKILL for a worker that is being started.
    KillStarting,
    /// SIGSTOP, and SIGCONT after so many milliseconds.
    Stop(u32),
    /// SIGSTOP until the pool has had enough.
    StopForGood,
    /// More busy threads than processors, for so many milliseconds.
    Starve(u32),
    /// A function that disturbs its worker and does not end it, unless it takes too long.
    Confuse(Function, u32),
}

/// An act, and the time before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) act: Act,
    pub(crate) pause: Duration,
}

/// The longest time between two acts in a slot, the replacement of its worker not counted. With shorter pauses two
/// cores have more to do with the starts of interpreters than they can.
const LONGEST_PAUSE_MS: u64 = 2000;

impl Step {
    /// The act of this number in this slot: a function of the seed, whatever became of those before it.
    pub(crate) fn draw(seed: u64, place: Place, number: u64) -> Self {
        let place = (place.team as u64) << 8 | place.slot as u64;
        let mut random = Rng::with_seed(seed ^ mark(place << 48 | number));
        let pause = Duration::from_millis(random.u64(0..LONGEST_PAUSE_MS));
        let fatal = |random: &mut Rng, function, amount| Act::Fatal {
            function,
            amount,
            idempotent: random.bool(),
        };
        let act = match random.u32(0..100) {
            0..28 => Act::Kill,
            28..31 => Act::KillAll,
            31..39 => Act::Segfault,
            39..43 => Act::Abort,
            43..49 => {
                let code = random.u32(0..200);
                fatal(&mut random, Function::Leave, code)
            }
            49..54 => fatal(&mut random, Function::Crash, 0),
            54..58 => fatal(&mut random, Function::Garble, 0),
            58..62 => fatal(&mut random, Function::CloseAll, 0),
            62..66 => fatal(&mut random, Function::Orphan, 0),
            66..70 => Act::Terminate,
            70..74 => Act::KillStarting,
            74..82 => Act::Stop(random.u32(1..150)),
            82 => Act::StopForGood,
            83..86 => Act::Starve(random.u32(20..200)),
            86..89 => Act::Confuse(Function::Hold, random.u32(1..300)),
            // Until the pool has had enough.
            89 => Act::Confuse(Function::Hold, 6_000),
            90..92 => Act::Confuse(Function::Flood, random.u32(1..2_000)),
            92..95 => Act::Confuse(Function::Fork, random.u32(1..500)),
            95..98 => Act::Confuse(Function::ForkAndReturn, 0),
            _ => Act::Confuse(Function::Spin, random.u32(1..200)),
        };
        Self { act, pause }
    }
}

impl Act {
    /// Whether it kills the worker by itself.
    pub(crate) fn is_fatal(self) -> bool {
        match self {
            Self::Kill | Self::KillAll | Self::Segfault | Self::Abort | Self::Fatal { .. } => true,
            Self::Terminate
            | Self::KillStarting
            | Self::Stop(_)
            | Self::StopForGood
            | Self::Starve(_)
            | Self::Confuse(..) => false,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillAll => "kill_all",
            Self::Segfault => "segfault",
            Self::Abort => "abort",
            Self::Terminate => "terminate",
            Self::KillStarting => "kill_starting",
            Self::Stop(_) => "stop",
            Self::StopForGood => "stop_for_good",
            Self::Starve(_) => "starve",
            Self::Fatal { function, .. } | Self::Confuse(function, _) => function.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_acts_and_another_gives_others() {
        let place = Place { team: 2, slot: 1 };
        let acts = |seed, place| {
            (0..50)
                .map(|n| Step::draw(seed, place, n))
                .collect::<Vec<_>>()
        };
        assert_eq!(acts(1, place), acts(1, place));
        assert_ne!(acts(1, place), acts(2, place));
        assert_ne!(acts(1, place), acts(1, Place { team: 1, slot: 2 }));
    }

    #[test]
    fn every_act_is_drawn() {
        let place = Place { team: 0, slot: 0 };
        let acts = (0..2000).map(|number| Step::draw(7, place, number).act.name());
        assert_eq!(acts.collect::<std::collections::BTreeSet<_>>().len(), 19);
    }
}
