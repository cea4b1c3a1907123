//! What a call asks for a place with.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// Which calls have their turn first where calls wait in the pool's line.
///
/// Where none waits there it means nothing: nothing that runs is interrupted for it, and a call that is with a worker
/// already keeps its turn there (see [`InFlight::Auto`](super::InFlight::Auto)). Of eight turns in a row at least one
/// goes to whoever has waited longest, whatever its priority; so a call before which `n` others stand is served after
/// `8 × (n + 1)` turns at the latest, however many with a higher priority keep coming. A call whose deadline is shorter
/// than that wait ends as late, like any other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// After all others: what may as well be done later.
    Low,
    /// What calls have that say nothing.
    #[default]
    Normal,
    /// Before all others: what somebody looks at a screen for.
    High,
}

impl Priority {
    pub(super) const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The place in [`ALL`](Self::ALL).
    pub(super) fn rank(self) -> usize {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        })
    }
}

/// What a call's key comes to. The same key is the same number as long as the program runs.
pub fn hash_key(key: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// What must be known of a call that asks for a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) function: &'a str,
    pub(crate) deadline: Option<Instant>,
    pub(crate) priority: Priority,
    pub(crate) key: Option<u64>,
}

/// What a call leaves behind that waits.
pub(crate) trait Waits {
    /// What it asked with.
    fn claim(&self) -> Claim<'_>;
}
