//! Whether it pays to look for the next frame for a while before sleeping: a policy without a
//! clock, which is told how the last looks ended. `pyproc._spin` decides alike.

use std::time::Duration;

/// As many successes in a row are remembered.
const MAX_CREDIT: u8 = 8;

/// A failure burns more time than a success saves, so it takes two successes to make up for it.
const MISS_COST: u8 = 2;

/// How many waits go by without a look after failures: ever more of them, from the first number to
/// the second. That many waits of a program at rest cost a look in vain together, and one that is
/// busy again is found out after as many calls.
const DISTANCES: (u32, u32) = (8, 256);

/// Decides about looking before each wait.
///
/// Waking a sleeping thread takes longer than most calls. A thread that looks without blocking
/// needs no waking, but takes the time of its core from others. So it goes on as long as most looks
/// find something, and otherwise tries again only now and then.
#[derive(Debug)]
pub(crate) struct Spin {
    longest: Duration,
    credit: u8,
    distance: u32,
    pause: u32,
}

/// How a look ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Something came within its time.
    Found,
    /// Nothing came, or somebody else had the core meanwhile.
    InVain,
}

impl Spin {
    /// `longest` is how long one look may last; zero for never to look.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            longest,
            credit: MAX_CREDIT / 2,
            distance: DISTANCES.0,
            pause: 0,
        }
    }

    /// How long to look before this wait, if at all.
    pub(crate) fn budget(&mut self) -> Option<Duration> {
        if self.longest.is_zero() {
            return None;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        Some(self.longest)
    }

    /// Takes note of how a look ended.
    pub(crate) fn observe(&mut self, look: Look) {
        match look {
            Look::Found => {
                self.credit = MAX_CREDIT.min(self.credit + 1);
                if self.credit > MISS_COST {
                    self.distance = DISTANCES.0;
                }
            }
            Look::InVain => {
                self.credit = self.credit.saturating_sub(MISS_COST);
                if self.credit == 0 {
                    self.pause = self.distance;
                    self.distance = DISTANCES.1.min(2 * self.distance);
                }
            }
        }
    }
}
