//! The numbers by which the two sides name calls and functions.

use std::fmt;
use std::num::NonZeroU64;

/// Names one call on one connection.
///
/// The host assigns ids in the order in which the requests go onto the wire, from 1, and never
/// uses one again on the same connection. On the wire 0 stands for the connection itself, so a
/// call cannot have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(NonZeroU64);

impl CallId {
    /// The id that the wire writes as `id`, or `None` for 0, which is no call.
    pub const fn new(id: u64) -> Option<Self> {
        match NonZeroU64::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The id as the wire writes it; never 0.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The id of the request that follows this one on the wire.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Hands out call ids in order, from 1.
#[derive(Debug)]
pub(crate) struct CallIds {
    last: u64,
}

impl CallIds {
    pub(crate) const fn new() -> Self {
        Self { last: 0 }
    }

    /// The id that [`assign`](Self::assign) would hand out.
    pub(crate) fn peek(&self) -> CallId {
        CallId(NonZeroU64::MIN.saturating_add(self.last))
    }

    /// The id after the last one. At a billion calls a second the numbers last 584 years.
    pub(crate) fn assign(&mut self) -> CallId {
        let id = self.peek();
        self.last = id.get();
        id
    }
}

/// A function's place in the table that the worker sent with its `Welcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionIndex(pub u16);

impl fmt::Display for FunctionIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_names_the_connection_and_never_a_call() {
        assert_eq!(CallId::new(0), None);
        assert_eq!(CallId::new(7).map(CallId::get), Some(7));
    }

    #[test]
    fn ids_count_up_from_one() {
        let mut ids = CallIds::new();
        let assigned: Vec<u64> = (0..3).map(|_| ids.assign().get()).collect();
        assert_eq!(assigned, [1, 2, 3]);
    }
}
