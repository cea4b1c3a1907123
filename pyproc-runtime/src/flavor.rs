//! What the runtime does with a task that wakes itself.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task;

/// Whether a task that is polled here can have itself polled again at once, after the others, at no one's expense.
///
/// It cannot on a runtime of several threads: whenever a thread puts a task into its queue, its own task included, tokio
/// wakes another one to steal it, which costs as much as a whole call. A future in `block_on` has a thread to itself.
pub(crate) fn yields_cheaply() -> bool {
    if task::try_id().is_none() {
        return true;
    }
    Handle::try_current().is_ok_and(|runtime| has_one_thread(&runtime))
}

/// Whether all tasks of this runtime share a thread.
pub(crate) fn has_one_thread(runtime: &Handle) -> bool {
    match runtime.runtime_flavor() {
        RuntimeFlavor::CurrentThread => true,
        _ => runtime.metrics().num_workers() == 1,
    }
}
