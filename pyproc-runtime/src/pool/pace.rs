//! How many calls a worker may have in flight.

use std::time::{Duration, Instant};

use pyproc_proto::FunctionInfo;

/// How many calls one worker may have at once.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InFlight {
    /// As many as it lately did in half a millisecond, from 1 to 256, and 1 when it has answered nothing for a millisecond. So
    /// calls of a few microseconds share the cost of waking the worker, and a call that takes longer has the worker to itself:
    /// none waits behind it while another worker is free.
    ///
    /// A worker with a function that takes calls in batches (`@expose(batch=32)`) may have two of them, 64 calls, whatever its
    /// pace: while one batch runs, the next comes together. A worker with async functions may have 1024 calls: they wait
    /// beside each other, and a waiting call costs the worker some kilobytes. One that runs its functions in threads may have a
    /// call for each of them. That holds for all functions of such a worker: calls of a slow plain one are sent to it ahead
    /// as well, and wait there. Put it into a pool of its own, or say [`AtMost`](Self::AtMost).
    #[default]
    Auto,
    /// Always so many.
    AtMost(usize),
}

impl From<usize> for InFlight {
    fn from(calls: usize) -> Self {
        Self::AtMost(calls)
    }
}

impl InFlight {
    /// The most that there can be on a worker that [has room](room_for) for so many.
    pub(super) fn most(self, room: usize) -> usize {
        match self {
            Self::Auto => MAX_AUTO.max(room),
            Self::AtMost(calls) => calls,
        }
    }

    /// The most that there can be on any worker.
    pub(crate) fn most_of_all(self) -> usize {
        self.most(MAX_ROOM)
    }
}

/// How many calls a worker with these functions may have whatever its pace: two batches, so that one comes together while
/// the other one runs, or as many as may wait on its event loop, or one for each of its threads.
pub(crate) fn room_for(functions: &[FunctionInfo], threads: u32) -> usize {
    let wanted = functions.iter().map(|function| match function.batch {
        0 if function.is_async => ASYNC_ROOM,
        0 if threads > 1 => threads as usize,
        calls => 2 * calls as usize,
    });
    MAX_ROOM.min(wanted.max().unwrap_or(0))
}

/// What a worker gets through in 10 ms when its async functions do little but wait.
const ASYNC_ROOM: usize = 1024;

/// What a worker may ask for: it must not be the one to decide how much memory the host fills for it.
const MAX_ROOM: usize = 64 * 1024;

/// Calls that together take less than this may wait behind each other. It is several times what it costs to wake a
/// process, so that this cost is shared by then, and too short for anybody to notice. With less, 200 µs, a worker whose
/// calls take 4 µs and that 256 callers wanted answered a third less: too many waited in the pool's line.
const BATCH: Duration = Duration::from_micros(500);

const MAX_AUTO: usize = 256;

/// A worker that has answered nothing for this long while it had something to do is busy with a long call, whatever it
/// did before.
const STALL: Duration = Duration::from_millis(1);

/// What the worker did this long ago, idle times left out, counts half as much as what it does now. Short enough to
/// follow a load that changes, and long enough to outlast a host that is late to read.
const HALF_LIFE: Duration = Duration::from_millis(2);

/// The pace at which one worker answers. A pure policy: it is told what happens, and when.
#[derive(Debug)]
pub(super) struct Pace {
    /// For how many seconds it was busy, of late.
    busy_s: f64,
    /// How many calls it answered in that time. Both are averages over time and not over answers: where quick calls and
    /// slow ones take turns, it is the slow ones that the next call would wait for.
    answers: f64,
    /// Since when the worker has had something to do, or when it answered last if that is later.
    since: Option<Instant>,
}

impl Pace {
    /// Of a worker about which nothing is known.
    pub(super) fn new() -> Self {
        Self {
            busy_s: BATCH.as_secs_f64(),
            answers: 1.0,
            since: None,
        }
    }

    /// The worker, which had nothing to do, gets a call.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// The worker has answered so many calls, and has others to do or not.
    pub(super) fn answered(&mut self, calls: usize, is_idle: bool, now: Instant) {
        if let Some(since) = self.since {
            let elapsed_s = now.saturating_duration_since(since).as_secs_f64();
            let fading = (-elapsed_s / HALF_LIFE.as_secs_f64()).exp2();
            self.busy_s = self.busy_s * fading + elapsed_s;
            self.answers = self.answers * fading + calls as f64;
        }
        self.since = (!is_idle).then_some(now);
    }

    /// How many calls it may have, unless it has room for more.
    pub(super) fn limit(&self, now: Instant) -> usize {
        let is_stalled = self
            .since
            .is_some_and(|since| now.saturating_duration_since(since) > STALL);
        if is_stalled {
            return 1;
        }
        // A float that is too large for an integer becomes the largest one.
        let calls = BATCH.as_secs_f64() * self.answers / self.busy_s;
        (calls as usize).clamp(1, MAX_AUTO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    /// The limit after so many calls, one after the other, of this length each.
    fn limit_after(pace: &mut Pace, now: &mut Instant, calls: u32, length: Duration) -> usize {
        for _ in 0..calls {
            pace.begin(*now);
            *now += length;
            pace.answered(1, true, *now);
        }
        pace.limit(*now)
    }

    #[test]
    fn a_worker_that_nobody_knows_gets_one_call() {
        assert_eq!(Pace::new().limit(Instant::now()), 1);
    }

    #[test]
    fn a_worker_with_batches_has_room_for_two_of_the_largest() {
        let function = |batch| FunctionInfo {
            batch,
            ..FunctionInfo::default()
        };
        assert_eq!(room_for(&[], 4), 0);
        assert_eq!(room_for(&[function(0)], 1), 0);
        assert_eq!(room_for(&[function(8), function(32), function(0)], 4), 64);
        assert_eq!(room_for(&[function(u32::MAX)], 1), MAX_ROOM);
    }

    #[test]
    fn a_worker_with_async_functions_has_room_for_many_calls() {
        let function = FunctionInfo {
            is_async: true,
            ..FunctionInfo::default()
        };
        let functions = [function, FunctionInfo::default()];
        assert_eq!(room_for(&functions, 1), ASYNC_ROOM);
        assert_eq!(room_for(&functions, 4), ASYNC_ROOM);
        assert_eq!(room_for(&functions[1..], 4), 4);
    }

    #[test]
    fn quick_calls_are_sent_together_and_slow_ones_alone() {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        assert!((49..=50).contains(&limit_after(&mut pace, &mut now, 5_000, 10 * US)));
        assert_eq!(limit_after(&mut pace, &mut now, 100_000, US / 2), 256);
        assert_eq!(limit_after(&mut pace, &mut now, 2, 10_000 * US), 1);
        // Quick again.
        assert!(limit_after(&mut pace, &mut now, 5_000, 10 * US) > 40);
    }

    #[test]
    fn slow_calls_among_quick_ones_decide() {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        for _ in 0..100 {
            limit_after(&mut pace, &mut now, 20, 5 * US);
            limit_after(&mut pace, &mut now, 1, 10_000 * US);
        }
        assert_eq!(pace.limit(now), 1);
    }

    #[test]
    fn a_host_that_is_late_to_read_thinks_no_worse_of_its_worker() {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        let before = limit_after(&mut pace, &mut now, 10_000, 2 * US);
        pace.begin(now);
        now += 300 * US;
        pace.answered(100, true, now);
        assert!(pace.limit(now) * 10 > before * 9);
    }

    #[test]
    fn nothing_is_sent_behind_a_call_that_lasts() {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        assert!(limit_after(&mut pace, &mut now, 5_000, 2 * US) > 50);
        pace.begin(now);
        assert!(pace.limit(now + 100 * US) > 50);
        assert_eq!(pace.limit(now + 2 * STALL), 1);
    }
}
