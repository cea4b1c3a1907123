//! Looking for an answer without sleeping.

use std::time::Duration;

/// Whether the two sides of a connection look for each other's next frame without blocking, for a bounded time, before
/// they sleep.
///
/// Waking a sleeping processor takes 40 to 90 µs on common machines, which is more than everything else in a short call
/// together. Looking costs processor time instead, at most [`Auto`](Self::Auto)'s bound per call on each side.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spin {
    /// Each side looks for up to 100 µs where that lately paid: where answers came within that time. Slow functions, an
    /// idle pool and busy machines are found out, and cost nothing more than a try now and then.
    #[default]
    Auto,
    /// Each side sleeps at once.
    Off,
}

impl Spin {
    /// The longest look.
    pub(crate) fn longest(self) -> Duration {
        match self {
            Self::Auto => Duration::from_micros(100),
            Self::Off => Duration::ZERO,
        }
    }
}

/// Decides whether to look, by what became of the last looks. A pure policy: it is told the time that a look took.
#[derive(Debug)]
pub(crate) struct Spinner {
    longest: Duration,
    /// How many looks in a row were in vain.
    misses: u32,
    /// How often somebody else took the processor during a look, with no row of looks that paid in between.
    losses: u32,
    /// How many looks in a row have paid.
    finds: u32,
    /// How many more waits go by without a look.
    skip: u32,
}

/// After so many waits without one, there is a look again, however often it was in vain: less than half a microsecond
/// for each wait is a price that nobody notices, and functions that have become quick are soon found out.
const MAX_SKIP: u32 = 255;

/// How often the distance to the next look is multiplied by four, from [`MAX_SKIP`] on, while looks lose the processor.
/// Whoever sleeps is woken in time; whoever hands over the processor while it looks gets it back when the other has used
/// its slice of it, which takes milliseconds. Where that is the rule, it must be the price of many thousand waits; where
/// it happens once, because something else ran for a moment, it must not keep anybody from looking for long.
const MAX_LOSSES: u32 = 3;

/// So many looks that paid in a row make up for all losses.
const FINDS_PER_LOSS: u32 = 64;

impl Spinner {
    pub(crate) fn new(spin: Spin) -> Self {
        Self {
            longest: spin.longest(),
            misses: 0,
            losses: 0,
            finds: 0,
            skip: 0,
        }
    }

    /// How long to look this time; `None` for not at all.
    pub(crate) fn next_look(&mut self) -> Option<Duration> {
        if self.longest.is_zero() {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        Some(self.longest)
    }

    /// A look found something.
    pub(crate) fn found(&mut self) {
        self.misses = 0;
        self.finds = self.finds.saturating_add(1);
        if self.finds >= FINDS_PER_LOSS {
            self.losses = 0;
        }
    }

    /// The processor was offered to others within a look, and came back after so long. Says whether the look is over,
    /// because it would have been better to sleep.
    #[must_use]
    pub(crate) fn offered(&mut self, time: Duration) -> bool {
        let is_lost = time > self.longest;
        if is_lost {
            self.skip = MAX_SKIP << (2 * self.losses);
            self.losses = (self.losses + 1).min(MAX_LOSSES);
            self.finds = 0;
        }
        is_lost
    }

    /// A look was in vain. One alone changes nothing; each further one doubles the distance to the next look.
    pub(crate) fn missed(&mut self) {
        self.finds = 0;
        self.misses = (self.misses + 1).min(31);
        // A pause after a loss is not shortened.
        self.skip = self.skip.max(((1 << (self.misses - 1)) - 1).min(MAX_SKIP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `waits` waits begin with a look, if this is what becomes of every look.
    fn looks(spinner: &mut Spinner, waits: u32, mut outcome: impl FnMut(&mut Spinner)) -> u32 {
        let mut looks = 0;
        for _ in 0..waits {
            if spinner.next_look().is_some() {
                looks += 1;
                outcome(spinner);
            }
        }
        looks
    }

    #[test]
    fn looks_that_pay_go_on_and_looks_in_vain_become_rare() {
        let mut spinner = Spinner::new(Spin::Auto);
        assert_eq!(looks(&mut spinner, 1000, Spinner::found), 1000);
        assert!(looks(&mut spinner, 10_000, Spinner::missed) < 60);
        // And as soon as one pays again, they go on.
        let found = looks(&mut spinner, 1000, Spinner::found);
        assert!(found > 700, "{found}");
    }

    #[test]
    fn a_look_that_loses_the_processor_is_not_soon_repeated() {
        let mut spinner = Spinner::new(Spin::Auto);
        let loses = |spinner: &mut Spinner| assert!(spinner.offered(Duration::from_millis(3)));
        assert_eq!(looks(&mut spinner, 255, loses), 1);
        assert!(looks(&mut spinner, 1_000_000, loses) < 70);
        let keeps = |spinner: &mut Spinner| {
            assert!(!spinner.offered(Duration::from_micros(9)));
            spinner.found();
        };
        assert!(looks(&mut spinner, 1_000_000, keeps) > 700_000);
        // A loss now and then costs little.
        let mut number = 0;
        let mostly_keeps = |spinner: &mut Spinner| {
            number += 1;
            if number % 1000 == 0 {
                loses(spinner);
            } else {
                keeps(spinner);
            }
        };
        assert!(looks(&mut spinner, 1_000_000, mostly_keeps) > 700_000);
    }

    #[test]
    fn one_slow_call_among_quick_ones_changes_nothing() {
        let mut spinner = Spinner::new(Spin::Auto);
        for _ in 0..100 {
            assert!(spinner.next_look().is_some());
            spinner.missed();
            assert!(spinner.next_look().is_some());
            spinner.found();
        }
    }

    #[test]
    fn nobody_looks_when_it_is_switched_off() {
        assert_eq!(looks(&mut Spinner::new(Spin::Off), 100, Spinner::found), 0);
    }
}
