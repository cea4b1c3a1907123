use std::time::{Duration, Instant};

/// How many of a pool's calls may be tried again: a part of all calls, and so many a second besides.
///
/// When most calls fail, each of them would be tried as often as its [`Retry`](super::Retry) says, and a pool in trouble
/// would get several times the load that it could not bear. The budget bounds that for the pool as a whole: the more calls
/// end, however they do, the more may be tried again; what is not used up within ten seconds is lost. (A token bucket, as in
/// Finagle's `RetryBudget`; a tenth is what *Site Reliability Engineering*, O'Reilly 2016, chapter 21, gives to a client.)
///
/// An idempotent call that is sent again because its worker has died takes from the budget, too. If it has no `Retry`
/// policy it is sent all the same when there is nothing left, and the budget has debts: `poison_limit` bounds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudget {
    ratio: f64,
    per_second: u32,
}

impl RetryBudget {
    /// The default budget; its setters change it.
    pub const fn new() -> Self {
        Self {
            ratio: 0.1,
            per_second: 10,
        }
    }

    /// The part of all calls, from 0 to 1, that may be tried again. Default 0.1: load grows by a tenth at most.
    #[must_use]
    pub const fn ratio(mut self, part: f64) -> Self {
        self.ratio = part;
        self
    }

    /// How many calls a second may be tried again besides. Default 10: a pool that has few calls can still try them again.
    #[must_use]
    pub const fn per_second(mut self, calls: u32) -> Self {
        self.per_second = calls;
        self
    }

    /// The checks of [`PoolBuilder::start`](crate::PoolBuilder::start): what is wrong with the budget, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        if (0.0..=1.0).contains(&self.ratio) {
            Ok(())
        } else {
            Err(format!(
                "the ratio of retry_budget is {}, but must be from 0 to 1",
                self.ratio
            ))
        }
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

/// What is left of a [`RetryBudget`]. A pure policy, which is asked only when a call is to be tried again: how many calls
/// have ended meanwhile it is told then, so that they cost nothing for it.
#[derive(Debug)]
pub(crate) struct Budget {
    policy: RetryBudget,
    tokens: f64,
    /// When it was asked last, and how many calls had ended by then.
    asked: (Instant, u64),
    /// Since when, and after how many calls, their rate is measured anew.
    measured: (Instant, u64),
    /// How many calls a second there were of late.
    rate: f64,
}

/// What comes in within this time is what there can be at most.
const WINDOW: Duration = Duration::from_secs(10);

/// How long calls are counted for their rate.
const SAMPLE: Duration = Duration::from_secs(1);

impl Budget {
    /// That of a pool that begins now.
    pub(crate) fn new(policy: RetryBudget, now: Instant) -> Self {
        Self {
            policy,
            tokens: f64::from(policy.per_second) * WINDOW.as_secs_f64(),
            asked: (now, 0),
            measured: (now, 0),
            rate: 0.0,
        }
    }

    /// Lets a call be tried again, if there is anything left. `ended` is how many calls of the pool have ended so far, in
    /// whichever way.
    pub(crate) fn withdraw(&mut self, ended: u64, now: Instant) -> bool {
        self.fill(ended, now);
        let is_left = self.tokens >= 1.0;
        if is_left {
            self.tokens -= 1.0;
        }
        is_left
    }

    /// A call is sent again in any case.
    pub(crate) fn overdraw(&mut self, ended: u64, now: Instant) {
        self.fill(ended, now);
        self.tokens = (self.tokens - 1.0).max(-self.most());
    }

    fn fill(&mut self, ended: u64, now: Instant) {
        let (at, before) = self.asked;
        let calls = ended.saturating_sub(before) as f64;
        let elapsed_s = now.saturating_duration_since(at).as_secs_f64();
        self.asked = (now, ended);
        self.measure(ended, now);
        let income = self.policy.ratio * calls + f64::from(self.policy.per_second) * elapsed_s;
        self.tokens = (self.tokens + income).min(self.most());
    }

    fn measure(&mut self, ended: u64, now: Instant) {
        let (since, before) = self.measured;
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= SAMPLE {
            self.rate = ended.saturating_sub(before) as f64 / elapsed.as_secs_f64();
            self.measured = (now, ended);
        }
    }

    fn most(&self) -> f64 {
        let a_second = self.policy.ratio * self.rate + f64::from(self.policy.per_second);
        (a_second * WINDOW.as_secs_f64()).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn withdrawn(budget: &mut Budget, ended: u64, now: Instant) -> u32 {
        (0..100_000)
            .take_while(|_| budget.withdraw(ended, now))
            .count() as u32
    }

    #[test]
    fn a_tenth_of_the_calls_may_be_tried_again_and_ten_a_second() {
        let now = Instant::now();
        let mut budget = Budget::new(RetryBudget::new(), now);
        assert_eq!(withdrawn(&mut budget, 0, now), 100);
        assert_eq!(withdrawn(&mut budget, 0, now + 2 * S), 20);
        assert_eq!(withdrawn(&mut budget, 500, now + 3 * S), 60);
        assert_eq!(withdrawn(&mut budget, 500, now + 3 * S), 0);
    }

    #[test]
    fn what_is_not_used_up_in_ten_seconds_is_lost() {
        let now = Instant::now();
        let mut budget = Budget::new(RetryBudget::new(), now);
        assert_eq!(withdrawn(&mut budget, 0, now), 100);
        // A day with a thousand calls a second.
        let day = 24 * 60 * 60;
        let left = withdrawn(&mut budget, 1000 * day, now + day as u32 * S);
        assert_eq!(left, 10 * (100 + 10));
    }

    #[test]
    fn the_calls_before_the_first_retry_count() {
        let now = Instant::now();
        let mut budget = Budget::new(RetryBudget::new(), now);
        // An hour with a thousand calls a second, and none of them in vain.
        let hour = 60 * 60;
        let left = withdrawn(&mut budget, 1000 * hour, now + hour as u32 * S);
        assert_eq!(left, 10 * (100 + 10));
    }

    #[test]
    fn a_pool_without_a_budget_tries_nothing_again() {
        let none = RetryBudget::new().ratio(0.0).per_second(0);
        let now = Instant::now();
        let mut budget = Budget::new(none, now);
        assert!(!budget.withdraw(1_000_000, now));
        assert!(!budget.withdraw(2_000_000, now + S));
    }

    #[test]
    fn debts_are_paid_off_first() {
        let now = Instant::now();
        let mut budget = Budget::new(RetryBudget::new(), now);
        for _ in 0..150 {
            budget.overdraw(0, now);
        }
        assert!(!budget.withdraw(0, now + 4 * S));
        assert_eq!(withdrawn(&mut budget, 0, now + 6 * S), 10);
    }

    proptest! {
        /// However calls and retries mix, there are no more than the first hundred, ten a second, and a tenth of the calls.
        #[test]
        fn a_storm_of_retries_is_bounded(steps in prop::collection::vec((0_u64..200, 0_u64..3000, 0_u8..50), 1..200)) {
            let begin = Instant::now();
            let mut budget = Budget::new(RetryBudget::new(), begin);
            let (mut now, mut ended, mut granted) = (begin, 0, 0_u32);
            for (calls, ms, wanted) in steps {
                now += Duration::from_millis(ms);
                ended += calls;
                granted += (0..wanted).filter(|_| budget.withdraw(ended, now)).count() as u32;
                let most = 100.0 + 10.0 * (now - begin).as_secs_f64() + 0.1 * ended as f64;
                prop_assert!(f64::from(granted) <= most + 0.001);
            }
        }
    }
}
