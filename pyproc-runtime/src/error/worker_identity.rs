use std::fmt;
use std::sync::Arc;

use crate::ledger::Seat;
use crate::telemetry::Origin;

/// Which worker: its pool, its slot, which of that slot's workers it is, and its process id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkerIdentity {
    pool: Arc<str>,
    slot: usize,
    generation: u64,
    pid: Option<u32>,
}

impl WorkerIdentity {
    pub(crate) fn new(pool: Arc<str>, slot: usize, generation: u64, pid: Option<u32>) -> Self {
        Self {
            pool,
            slot,
            generation,
            pid,
        }
    }

    /// Where it sits in the pool.
    pub(crate) fn seat(&self) -> Seat {
        Seat {
            slot: self.slot,
            generation: self.generation,
        }
    }

    /// Who said it, of what it says.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            pool: Arc::clone(&self.pool),
            slot: self.slot,
            pid: self.pid,
        }
    }

    /// The pool's name.
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// The worker's place in the pool, from 0.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// How many workers the slot has had, this one included.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The process id; `None` where there was no process yet, and for an attached worker under the JSON protocol, which
    /// has no place to tell it.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }
}

impl fmt::Display for WorkerIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.pool, self.slot)?;
        match self.pid {
            Some(pid) => write!(formatter, " pid {pid}"),
            None => Ok(()),
        }
    }
}
