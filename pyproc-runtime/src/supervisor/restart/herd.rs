//! Workers that die together are not replaced together.

use std::time::{Duration, Instant};

/// When a worker of the pool was last replaced at once. A pure policy.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Herd {
    last: Option<Instant>,
}

impl Herd {
    /// Whether a worker may be replaced at once now: only if no other was within the `backoff` before. Whatever killed
    /// several workers together, a lack of memory say, would meet all of their successors together.
    pub(in crate::supervisor) fn admits(&mut self, now: Instant, backoff: Duration) -> bool {
        let is_followed = self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < backoff);
        if !is_followed {
            self.last = Some(now);
        }
        !is_followed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_that_die_together_one_is_replaced_at_once() {
        let backoff = Duration::from_millis(100);
        let (mut herd, start) = (Herd::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let admitted = [0, 0, 99, 100, 150, 200].map(|ms| herd.admits(at(ms), backoff));
        assert_eq!(admitted, [true, false, false, true, false, true]);
    }
}
