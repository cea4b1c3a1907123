use std::fmt;
use std::sync::Arc;

/// Which worker: its pool, its slot, which process of that slot, and that process's id.
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

    /// The pool's name.
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// The worker's place in the pool, from 0.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// How many processes the slot has had, this one included.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The process id; `None` for an attached worker that did not tell it.
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
