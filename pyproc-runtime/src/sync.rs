//! What the ledger, the gate, the connections and whoever waits in a thread lock and wait with: the standard library's;
//! or shuttle's, under which `proofs` runs the same code through very many schedules.

#[cfg(not(all(test, pyproc_shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock, atomic};
#[cfg(not(all(test, pyproc_shuttle)))]
pub(crate) use std::{thread, thread_local};

#[cfg(all(test, pyproc_shuttle))]
mod once_lock;

#[cfg(all(test, pyproc_shuttle))]
pub(crate) use once_lock::OnceLock;
#[cfg(all(test, pyproc_shuttle))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
#[cfg(all(test, pyproc_shuttle))]
pub(crate) use shuttle::{thread, thread_local};
