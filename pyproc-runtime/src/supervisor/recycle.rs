//! When a worker that lives is replaced.

use std::time::{Duration, Instant};

use crate::deadline::part_of;
use crate::event::RecycleReason;

/// When workers that live are replaced between calls: after so many calls, after a time, or when they have grown.
///
/// By default none of it. It is for functions that leak what nobody finds, and for libraries that grow slower with age.
/// Several conditions may be set; the first that holds counts. No call feels it: the worker finishes what it has, and
/// its successor is ready before that, unless [`surge`](Self::surge) says otherwise. Workers are replaced one after the
/// other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recycle {
    calls: Option<u64>,
    age: Option<Duration>,
    memory_growth_bytes: Option<u64>,
    jitter: Option<f64>,
    is_without_surge: bool,
}

/// What is left out at random of a limit, at most, if the policy does not say.
const JITTER: f64 = 0.1;

/// The calls after which a worker's baseline is taken: what it loads lazily is there by then.
const WARM_UP_CALLS: u64 = 20;

/// How often a worker's calls and its memory are looked at. A worker may answer some more calls than its limit until
/// then; in return, no call has to be counted against a limit.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

impl Recycle {
    /// Workers live for as long as they can; its setters change that.
    pub fn new() -> Self {
        Self::default()
    }

    /// After about so many calls. It is looked at four times a second.
    pub fn after_calls(mut self, calls: u64) -> Self {
        self.calls = Some(calls);
        self
    }

    /// When it has been ready for this time.
    pub fn after(mut self, time: Duration) -> Self {
        self.age = Some(time);
        self
    }

    /// When it holds so many bytes of memory more than at its baseline, which is taken when it has answered its first
    /// 20 calls: models differ in size, and leaks do not care. Linux only; elsewhere nothing is known of a worker's
    /// memory, and nothing happens.
    pub fn memory_growth(mut self, bytes: u64) -> Self {
        self.memory_growth_bytes = Some(bytes);
        self
    }

    /// Up to which part of the number of calls and of the time is left out at random, from 0 to 1. Default 0.1: so
    /// workers that were started together do not all come to their end together.
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = Some(part);
        self
    }

    /// Whether a worker's successor is started before it is told to end. Default `true`: it costs the memory of one
    /// more worker for a while, and nobody waits. With `false` the slot has no worker in between; it is for workers
    /// that hold something of which there is only one, such as a graphics card without room for two. It holds for
    /// [`Pool::restart`](crate::Pool::restart), too.
    pub fn surge(mut self, surge: bool) -> Self {
        self.is_without_surge = !surge;
        self
    }

    pub(super) fn has_surge(&self) -> bool {
        !self.is_without_surge
    }

    /// The checks of [`PoolBuilder::start`](crate::PoolBuilder::start): what is wrong with the policy, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let is_zero = self.calls == Some(0)
            || self.age == Some(Duration::ZERO)
            || self.memory_growth_bytes == Some(0);
        if is_zero {
            return Err("a worker would be recycled before it could do anything".to_owned());
        }
        match self.jitter {
            Some(jitter) if !(0.0..=1.0).contains(&jitter) => Err(format!(
                "the jitter of recycling is {jitter}, but must be from 0 to 1"
            )),
            _ => Ok(()),
        }
    }
}

/// How worn one worker is, under a [`Recycle`] policy. It is pure: it is told what there is to know.
#[derive(Debug)]
pub(super) struct Wear {
    calls: Option<u64>,
    ready_since: Instant,
    old_at: Option<Instant>,
    memory_growth_bytes: Option<u64>,
    baseline_bytes: Option<u64>,
    next_look: Option<Instant>,
    /// What it says was heard.
    is_resting: bool,
}

impl Wear {
    /// Of a worker that is ready since `now`. `jitter` is a random number from 0 to 1.
    pub(super) fn new(policy: &Recycle, now: Instant, jitter: f64) -> Self {
        let part = 1.0 - policy.jitter.unwrap_or(JITTER) * jitter;
        let scaled = |calls: u64| ((calls as f64 * part) as u64).max(1);
        let needs_looks = policy.calls.is_some() || policy.memory_growth_bytes.is_some();
        Self {
            calls: policy.calls.map(scaled),
            ready_since: now,
            old_at: policy
                .age
                .and_then(|age| now.checked_add(part_of(age, part))),
            memory_growth_bytes: policy.memory_growth_bytes,
            baseline_bytes: None,
            next_look: needs_looks.then_some(now + LOOK_INTERVAL),
            is_resting: false,
        }
    }

    /// When [`judge`](Self::judge) may have something to say.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_resting {
            return None;
        }
        self.next_look.into_iter().chain(self.old_at).min()
    }

    /// Says nothing more: the worker is about to be replaced.
    pub(super) fn rest(&mut self) {
        self.is_resting = true;
    }

    /// Says nothing for a while, because the worker could not be replaced.
    pub(super) fn put_off(&mut self, until: Instant) {
        self.is_resting = false;
        self.old_at = self.old_at.map(|old_at| old_at.max(until));
        self.next_look = self.next_look.map(|_| until);
    }

    /// Says why the worker should be replaced now, if it should: it has answered so many calls, and holds so much
    /// memory.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        served: impl FnOnce() -> u64,
        memory_bytes: impl FnOnce() -> Option<u64>,
    ) -> Option<RecycleReason> {
        if self.is_resting {
            return None;
        }
        if self.old_at.is_some_and(|old_at| old_at <= now) {
            let uptime = now.saturating_duration_since(self.ready_since);
            return Some(RecycleReason::Age { uptime });
        }
        if self.next_look.is_none_or(|next_look| now < next_look) {
            return None;
        }
        self.next_look = Some(now + LOOK_INTERVAL);
        let served = served();
        if self.calls.is_some_and(|calls| calls <= served) {
            return Some(RecycleReason::Calls { served });
        }
        let growth_bytes = self.memory_growth_bytes?;
        if served < WARM_UP_CALLS {
            return None;
        }
        let bytes = memory_bytes()?;
        let baseline_bytes = *self.baseline_bytes.get_or_insert(bytes);
        let has_grown = bytes.saturating_sub(baseline_bytes) > growth_bytes;
        has_grown.then_some(RecycleReason::Memory {
            baseline_bytes,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn judge(wear: &mut Wear, now: Instant, served: u64, bytes: u64) -> Option<RecycleReason> {
        wear.judge(now, || served, || Some(bytes))
    }

    #[test]
    fn a_worker_without_a_policy_lives_for_ever_and_is_never_looked_at() {
        let now = Instant::now();
        let mut wear = Wear::new(&Recycle::new(), now, 0.0);
        assert_eq!(wear.poll_timeout(), None);
        assert_eq!(
            judge(&mut wear, now + 1_000_000 * S, u64::MAX, u64::MAX),
            None
        );
    }

    #[test]
    fn calls_are_counted_at_each_look() {
        let now = Instant::now();
        let mut wear = Wear::new(&Recycle::new().after_calls(100), now, 0.0);
        assert_eq!(wear.poll_timeout(), Some(now + LOOK_INTERVAL));
        assert_eq!(judge(&mut wear, now, 200, 0), None, "it is no time to look");
        assert_eq!(judge(&mut wear, now + S, 99, 0), None);
        assert_eq!(
            judge(&mut wear, now + 2 * S, 101, 0),
            Some(RecycleReason::Calls { served: 101 })
        );
    }

    #[test]
    fn age_is_known_to_the_moment() {
        let now = Instant::now();
        let mut wear = Wear::new(&Recycle::new().after(60 * S), now, 0.0);
        assert_eq!(wear.poll_timeout(), Some(now + 60 * S));
        assert_eq!(judge(&mut wear, now + 59 * S, 0, 0), None);
        assert_eq!(
            judge(&mut wear, now + 60 * S, 0, 0),
            Some(RecycleReason::Age { uptime: 60 * S })
        );
    }

    #[test]
    fn jitter_leaves_out_a_part() {
        let now = Instant::now();
        let policy = Recycle::new().after_calls(100).after(100 * S).jitter(0.5);
        let limits = [0.0, 0.5, 1.0].map(|jitter| {
            let wear = Wear::new(&policy, now, jitter);
            (wear.calls.unwrap(), wear.old_at.unwrap() - now)
        });
        assert_eq!(limits, [(100, 100 * S), (75, 75 * S), (50, 50 * S)]);
    }

    #[test]
    fn memory_is_measured_against_the_workers_own_baseline() {
        let now = Instant::now();
        let mut wear = Wear::new(&Recycle::new().memory_growth(50), now, 0.0);
        // What is loaded with the first calls is no growth.
        assert_eq!(judge(&mut wear, now + S, WARM_UP_CALLS - 1, 10), None);
        assert_eq!(judge(&mut wear, now + 2 * S, WARM_UP_CALLS, 1000), None);
        assert_eq!(judge(&mut wear, now + 3 * S, 100, 1050), None);
        assert_eq!(
            judge(&mut wear, now + 4 * S, 100, 1051),
            Some(RecycleReason::Memory {
                baseline_bytes: 1000,
                bytes: 1051
            })
        );
    }

    #[test]
    fn a_worker_that_could_not_be_replaced_is_left_alone_for_a_while() {
        let now = Instant::now();
        let mut wear = Wear::new(&Recycle::new().after_calls(1).after(S), now, 0.0);
        wear.rest();
        assert_eq!(wear.poll_timeout(), None);
        assert_eq!(judge(&mut wear, now + 5 * S, 5, 0), None);
        wear.put_off(now + 10 * S);
        assert_eq!(wear.poll_timeout(), Some(now + 10 * S));
        assert_eq!(judge(&mut wear, now + 9 * S, 5, 0), None);
        assert!(judge(&mut wear, now + 10 * S, 5, 0).is_some());
    }

    #[test]
    fn the_extremes_of_each_setting_are_possible() {
        let now = Instant::now();
        let extremes = [0.0, 0.5, 1.0];
        for (calls, time, bytes) in [
            (1, Duration::from_nanos(1), 1),
            (u64::MAX, Duration::MAX, u64::MAX),
        ] {
            for (part, jitter) in extremes
                .iter()
                .flat_map(|part| extremes.map(|jitter| (*part, jitter)))
            {
                let policy = Recycle::new()
                    .after_calls(calls)
                    .after(time)
                    .memory_growth(bytes)
                    .jitter(part);
                assert!(policy.check().is_ok());
                let mut wear = Wear::new(&policy, now, jitter);
                judge(&mut wear, now + S, u64::MAX, u64::MAX);
                wear.put_off(now + S);
                assert!(wear.poll_timeout().is_some());
            }
        }
    }

    #[test]
    fn impossible_policies_are_refused() {
        assert!(Recycle::new().check().is_ok());
        assert!(Recycle::new().after_calls(0).check().is_err());
        assert!(Recycle::new().after(Duration::ZERO).check().is_err());
        assert!(Recycle::new().memory_growth(0).check().is_err());
        assert!(Recycle::new().jitter(1.5).check().is_err());
        assert!(Recycle::new().jitter(f64::NAN).check().is_err());
    }
}
