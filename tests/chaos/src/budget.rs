//! How many kills are left, and when the next one is due.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Budget {
    begin: Instant,
    end: Option<Instant>,
    granted: AtomicU64,
    taken: AtomicU64,
    /// The time from one kill to the next, if they are spread over a time.
    interval: Option<Duration>,
}

impl Budget {
    pub(crate) fn new(kills: Option<u64>, time: Option<Duration>) -> Self {
        let begin = Instant::now();
        Self {
            begin,
            end: time.filter(|_| kills.is_none()).map(|time| begin + time),
            granted: AtomicU64::new(kills.unwrap_or(u64::MAX)),
            taken: AtomicU64::new(0),
            interval: kills
                .zip(time)
                .map(|(kills, time)| time.div_f64(kills.max(1) as f64)),
        }
    }

    /// Takes one kill and waits until it is due; `false` if none is left.
    pub(crate) async fn claim(&self) -> bool {
        if self.is_spent() {
            return false;
        }
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        if number >= self.granted.load(Ordering::Relaxed) {
            self.give_back();
            return false;
        }
        if let Some(interval) = self.interval {
            tokio::time::sleep_until(self.begin + interval.mul_f64(number as f64)).await;
        }
        true
    }

    /// A kill that was claimed did not hit.
    pub(crate) fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    /// More kills: some of those that were claimed hit somebody who was dead already.
    pub(crate) fn grant(&self, kills: u64) {
        let taken = self.taken.load(Ordering::Relaxed);
        self.granted.store(taken + kills, Ordering::Relaxed);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
            || self.taken.load(Ordering::Relaxed) >= self.granted.load(Ordering::Relaxed)
    }

    /// How much of the run is behind us, from 0 to 1.
    pub(crate) fn progress(&self) -> f64 {
        match self.end {
            Some(end) => {
                let whole = end.duration_since(self.begin).as_secs_f64();
                (self.begin.elapsed().as_secs_f64() / whole).min(1.0)
            }
            None => {
                let granted = self.granted.load(Ordering::Relaxed).max(1);
                (self.taken.load(Ordering::Relaxed) as f64 / granted as f64).min(1.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn as_many_kills_as_were_granted() {
        let budget = Budget::new(Some(2), None);
        assert!(budget.claim().await && budget.claim().await);
        assert!(!budget.claim().await && budget.is_spent());
        budget.give_back();
        assert!(budget.claim().await && !budget.claim().await);
        budget.grant(1);
        assert!(budget.claim().await && !budget.claim().await);
    }

    #[tokio::test(start_paused = true)]
    async fn kills_are_spread_over_the_time() {
        let budget = Budget::new(Some(4), Some(Duration::from_secs(8)));
        for _ in 0..4 {
            assert!(budget.claim().await);
        }
        assert_eq!(budget.begin.elapsed(), Duration::from_secs(6));
    }
}
