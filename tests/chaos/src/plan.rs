//! What is called, and what may come of it.

use std::borrow::Cow;
use std::time::Duration;

use fastrand::Rng;
use futures::{Stream, StreamExt as _, stream};
use pyproc::{ErrorKind, Priority};
use serde::{Serialize, Serializer};

/// What the workers expose, and two mistakes.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Echo,
    Rest,
    Compute,
    Fail,
    Unsendable,
    /// A function that takes batches.
    Together,
    /// The same, and this one of its calls fails.
    TogetherAndFail,
    /// A stream of items.
    Count,
    /// The same, and then an exception.
    CountAndFail,
    /// A stream of numbers is its argument.
    AddUp,
    /// The same, and it yields an item for each.
    CountAlong,
    Nap,
    NapInTasks,
    /// Holds up all async functions of its worker.
    Block,
    CountAsync,
    CountAlongAsync,
    /// There is an argument too many.
    Unfit,
    Unknown,
    /// The request is longer than a frame may be.
    TooLong,
    Leave,
    Crash,
    Garble,
    CloseAll,
    Orphan,
    Hold,
    Flood,
    Fork,
    ForkAndReturn,
    Spin,
}

/// One call that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) function: Function,
    /// How much the function has to do, in its own unit.
    pub(crate) amount: u32,
    pub(crate) deadline: Duration,
    pub(crate) idempotent: bool,
    pub(crate) priority: Priority,
    /// Calls with the same one go to the same worker while it lives.
    pub(crate) key: Option<u32>,
    /// The caller loses interest after so long, and drops the future.
    pub(crate) dropped_after: Option<Duration>,
    /// The reader of a stream has had enough after so many items, and drops it.
    pub(crate) items_wanted: Option<u32>,
    /// The reader of a stream takes a rest after each so many items, in which its credit may run out.
    pub(crate) rest_every: Option<u32>,
}

/// The arguments of a call by their names.
#[derive(Debug)]
pub(crate) struct Arguments(Vec<(Cow<'static, str>, Argument)>);

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Argument {
    Whole(u64),
    Seconds(f64),
    Flag(bool),
    Text(String),
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Of a call that says nothing else: longer than anything that is done to a worker without killing it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(3);

/// How many workers an idempotent call may take with it.
pub(crate) const POISON_LIMIT: u8 = 2;

/// The longest frame of the pools.
pub(crate) const MAX_FRAME: usize = 1 << 20;

impl Plan {
    /// A call as the callers of a service make it; half of them are of async functions where there are any.
    pub(crate) fn draw(random: &mut Rng, has_async: bool) -> Self {
        let (function, amount) = if has_async && random.bool() {
            Self::draw_async(random)
        } else {
            Self::draw_plain(random)
        };
        let mut plan = Self::of(function, amount);
        plan.idempotent = random.bool();
        match random.u32(0..20) {
            0 => plan.priority = Priority::High,
            1 => plan.priority = Priority::Low,
            2 | 3 => plan.key = Some(random.u32(0..8)),
            _ => {}
        }
        if function.is_stream() {
            match random.u32(0..4) {
                0 => plan.items_wanted = Some(random.u32(1..300)),
                1 => plan.rest_every = Some(random.u32(1..2_000)),
                _ => {}
            }
        }
        match random.u32(0..1000) {
            // Some of these pass while the call waits, some while it runs.
            0..30 => plan.deadline = Duration::from_millis(random.u64(1..50)),
            30..80 => plan.dropped_after = Some(Duration::from_micros(random.u64(0..10_000))),
            80..82 => {
                (plan.function, plan.amount) = (Function::Rest, 200);
                plan.deadline = Duration::from_millis(50);
            }
            // For longer than anybody would wait, and dropped while it runs.
            82..86 => {
                (plan.function, plan.amount) = match random.bool() {
                    true => (Function::Rest, 20_000),
                    false => (Function::Compute, 1_000_000_000),
                };
                plan.dropped_after = Some(Duration::from_micros(random.u64(1..20_000)));
            }
            _ => {}
        }
        plan
    }

    /// Calls of one function, which are made together. Of those that are batched, some fail alone.
    pub(crate) fn draw_many(random: &mut Rng, count: usize) -> Vec<Self> {
        let mut plan = match random.bool() {
            true => Self::of(Function::Together, 0),
            false => Self::of(Function::Echo, random.u32(0..2_000)),
        };
        plan.idempotent = random.bool();
        let mut plans = vec![plan; count];
        for plan in &mut plans {
            if plan.function == Function::Together && random.u32(0..8) == 0 {
                plan.function = Function::TogetherAndFail;
            }
        }
        plans
    }

    fn draw_async(random: &mut Rng) -> (Function, u32) {
        match random.u32(0..1000) {
            0..700 => (Function::Nap, random.u32(0..30)),
            700..900 => (Function::NapInTasks, random.u32(0..30)),
            900..960 => (Function::CountAsync, random.u32(0..300)),
            960..990 => (Function::CountAlongAsync, random.u32(0..300)),
            _ => (Function::Block, random.u32(1..20)),
        }
    }

    fn draw_plain(random: &mut Rng) -> (Function, u32) {
        match random.u32(0..1000) {
            0..600 => (Function::Echo, random.u32(0..200)),
            600..650 => (Function::Together, 0),
            650..660 => (Function::TogetherAndFail, 0),
            660..690 => (Function::Count, random.u32(0..300)),
            690..692 => (Function::Count, random.u32(5_000..20_000)),
            692..696 => (Function::CountAndFail, random.u32(0..300)),
            696..698 => (Function::AddUp, random.u32(0..1_000)),
            698..700 => (Function::CountAlong, random.u32(0..300)),
            700..776 => (Function::Echo, random.u32(1000..100_000)),
            776..780 => (Function::Echo, random.u32(100_000..900_000)),
            780..810 => (Function::Rest, random.u32(1..15)),
            810..880 => (Function::Compute, random.u32(1..10_000)),
            880..960 => (Function::Fail, 0),
            960..975 => (Function::Unsendable, 0),
            975..989 => (Function::Unfit, 0),
            989..999 => (Function::Unknown, 0),
            _ => (Function::TooLong, 0),
        }
    }

    pub(crate) fn of(function: Function, amount: u32) -> Self {
        Self {
            function,
            amount,
            deadline: DEADLINE,
            idempotent: false,
            priority: Priority::Normal,
            key: None,
            dropped_after: None,
            items_wanted: None,
            rest_every: None,
        }
    }

    pub(crate) fn arguments(&self, id: u64) -> Arguments {
        use Function::*;
        let whole = || Argument::Whole(self.amount.into());
        let mut arguments = vec![("id".into(), Argument::Whole(id))];
        let mut add = |name, value| arguments.push((name, value));
        if !self.function.ends_its_worker() {
            add("mark".into(), Argument::Whole(mark(id)));
        }
        match self.function {
            Echo | TooLong => add("pad".into(), Argument::Text(self.pad(id))),
            Unfit => {
                add("pad".into(), Argument::Text(self.pad(id)));
                add(badge(id).into(), whole());
            }
            Rest | Nap | NapInTasks | Block => {
                let seconds = f64::from(self.amount) / 1000.0;
                add("seconds".into(), Argument::Seconds(seconds));
            }
            Together | TogetherAndFail => {
                let fails = self.function == TogetherAndFail;
                add("fails".into(), Argument::Flag(fails));
            }
            Compute => add("rounds".into(), whole()),
            Count | CountAndFail | CountAsync => add("items".into(), whole()),
            Leave => add("code".into(), whole()),
            Hold | Fork | Spin => add("milliseconds".into(), whole()),
            Flood => add("kilobytes".into(), whole()),
            AddUp | CountAlong | CountAlongAsync | Fail | Unsendable | Unknown | Crash | Garble
            | CloseAll | Orphan | ForkAndReturn => {}
        }
        Arguments(arguments)
    }

    /// What a function that takes a stream is given; now and then others have a turn in between.
    pub(crate) fn numbers(&self) -> impl Stream<Item = u32> + use<> {
        stream::iter(0..self.amount).then(async |number| {
            if number % 64 == 63 {
                tokio::task::yield_now().await;
            }
            number
        })
    }

    /// The text of the reply, which belongs to this call.
    pub(crate) fn pad(&self, id: u64) -> String {
        if self.function == Function::AddUp {
            return (0..self.amount).sum::<u32>().to_string();
        }
        let length = match self.function {
            Function::Echo => self.amount as usize,
            Function::TooLong => MAX_FRAME,
            _ => 0,
        };
        let mut pad = format!("{:016x}", mark(id)).repeat(length.div_ceil(16));
        pad.truncate(length);
        pad
    }
}

impl Function {
    const ALL: [Self; 29] = [
        Self::Echo,
        Self::Rest,
        Self::Compute,
        Self::Fail,
        Self::Unsendable,
        Self::Together,
        Self::TogetherAndFail,
        Self::Count,
        Self::CountAndFail,
        Self::AddUp,
        Self::CountAlong,
        Self::Nap,
        Self::NapInTasks,
        Self::Block,
        Self::CountAsync,
        Self::CountAlongAsync,
        Self::Unfit,
        Self::Unknown,
        Self::TooLong,
        Self::Leave,
        Self::Crash,
        Self::Garble,
        Self::CloseAll,
        Self::Orphan,
        Self::Hold,
        Self::Flood,
        Self::Fork,
        Self::ForkAndReturn,
        Self::Spin,
    ];

    /// Its name in Python.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo | Self::Unfit | Self::TooLong => "echo",
            Self::Rest => "rest",
            Self::Compute => "compute",
            Self::Fail => "fail",
            Self::Unsendable => "unsendable",
            Self::Together | Self::TogetherAndFail => "together",
            Self::Count => "count",
            Self::CountAndFail => "count_and_fail",
            Self::AddUp => "add_up",
            Self::CountAlong => "count_along",
            Self::Nap => "nap",
            Self::NapInTasks => "nap_in_tasks",
            Self::Block => "block",
            Self::CountAsync => "count_async",
            Self::CountAlongAsync => "count_along_async",
            Self::Unknown => "unknown",
            Self::Leave => "leave",
            Self::Crash => "crash",
            Self::Garble => "garble",
            Self::CloseAll => "close_all",
            Self::Orphan => "orphan",
            Self::Hold => "hold",
            Self::Flood => "flood",
            Self::Fork => "fork",
            Self::ForkAndReturn => "fork_and_return",
            Self::Spin => "spin",
        }
    }

    pub(crate) fn name_of(number: u8) -> &'static str {
        let function = Self::ALL.get(usize::from(number));
        function.map_or("?", |function| function.name())
    }

    /// Whether it returns, and then with a reply that names its call.
    pub(crate) fn replies(self) -> bool {
        use Function::*;
        matches!(
            self,
            Echo | Rest
                | Compute
                | Together
                | AddUp
                | Nap
                | NapInTasks
                | Block
                | Hold
                | Flood
                | Fork
                | ForkAndReturn
                | Spin
        )
    }

    /// Whether it is a generator.
    pub(crate) fn is_stream(self) -> bool {
        use Function::*;
        matches!(
            self,
            Count | CountAndFail | CountAlong | CountAsync | CountAlongAsync
        )
    }

    /// Whether one of its arguments is a stream.
    pub(crate) fn takes_items(self) -> bool {
        matches!(self, Self::AddUp | Self::CountAlong | Self::CountAlongAsync)
    }

    fn ends_its_worker(self) -> bool {
        use Function::*;
        matches!(self, Leave | Crash | Garble | CloseAll | Orphan)
    }

    /// Whether a call of it may end with this error. Any call may be refused, be late, or lose its worker.
    pub(crate) fn may_end_with(self, kind: ErrorKind) -> bool {
        match kind {
            ErrorKind::Exception => {
                matches!(
                    self,
                    Self::Fail | Self::CountAndFail | Self::TogetherAndFail
                )
            }
            ErrorKind::InvalidResult => self == Self::Unsendable,
            ErrorKind::InvalidArgument => self == Self::Unfit,
            ErrorKind::FunctionNotFound => self == Self::Unknown,
            ErrorKind::TooLarge => self == Self::TooLong,
            ErrorKind::WorkerDied
            | ErrorKind::Protocol
            | ErrorKind::Deadline
            | ErrorKind::Overloaded
            | ErrorKind::Unavailable
            | ErrorKind::Closed => true,
            _ => false,
        }
    }
}

/// What a call carries beside its id, and no other call does (the finalizer of splitmix64, which is a bijection).
pub(crate) fn mark(id: u64) -> u64 {
    let mut word = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// What the worker makes of it for an item of a stream.
pub(crate) fn turned_for(id: u64, number: u64) -> u64 {
    turned(id).wrapping_add(number)
}

/// What the worker makes of it.
pub(crate) fn turned(id: u64) -> u64 {
    mark(id)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(id)
}

/// A name that is this call's only: of the argument too many, and of the type that cannot be sent.
pub(crate) fn badge(id: u64) -> String {
    format!("call_{id}_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_their_numbers() {
        for (number, function) in (0..).zip(Function::ALL) {
            assert_eq!(function as u8, number);
        }
    }

    #[test]
    fn calls_that_are_made_together_are_of_one_function_and_some_of_a_batch_fail() {
        let mut random = Rng::with_seed(7);
        let mut fail = 0;
        for _ in 0..100 {
            let plans = Plan::draw_many(&mut random, 20);
            let name = plans[0].function.name();
            assert!(plans.iter().all(|plan| plan.function.name() == name));
            let is_failing = |plan: &&Plan| plan.function == Function::TogetherAndFail;
            fail += plans.iter().filter(is_failing).count();
        }
        assert!((50..300).contains(&fail), "{fail}");
    }

    #[test]
    fn a_pad_is_as_long_as_asked_for_and_belongs_to_its_call() {
        let plan = Plan::of(Function::Echo, 50);
        assert_eq!(plan.pad(1).len(), 50);
        assert_ne!(plan.pad(1), plan.pad(2));
    }
}
