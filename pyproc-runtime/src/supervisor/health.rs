//! Whether an idle worker is well.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyproc_proto::{Body, Metadata, Request, Status};

use crate::connection::{Connection, Sender, Unsent};
use crate::deadline;
use crate::ledger::{Entry, Failure, Promise};
use crate::pool::{Admittance, Shared};

/// The function that every worker has, unless the user's script replaces it.
const HEALTH: &str = "health";

/// Asks the worker again and again, while it is idle, and ends with the reason when it is not well.
pub(super) async fn watch(shared: &Arc<Shared>, connection: &Arc<Connection>) -> String {
    let Some(interval) = shared.config().health.interval else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(interval).await;
        // A busy worker proves itself by its replies, and a stuck one by a call that is overdue.
        if let Some(Admittance { permit, .. }) =
            shared.gate().enter_idle(connection.worker().seat())
        {
            let (promise, receipt) = Promise::new();
            let entry = promise.with_permit(Some(permit));
            if let Err(reason) = ask(
                shared,
                connection,
                entry,
                receipt,
                shared.config().health.timeout,
            )
            .await
            {
                return reason;
            }
        }
    }
}

/// Asks a worker that takes no other calls yet.
pub(super) async fn check(
    shared: &Shared,
    connection: &Arc<Connection>,
    timeout: Duration,
) -> Result<(), String> {
    let (promise, receipt) = Promise::new();
    ask(
        shared,
        connection,
        promise.with_permit(None),
        receipt,
        timeout,
    )
    .await
}

async fn ask(
    shared: &Shared,
    connection: &Arc<Connection>,
    entry: Entry,
    mut receipt: crate::ledger::Receipt,
    timeout: Duration,
) -> Result<(), String> {
    let at = deadline::after(timeout);
    let metadata = Metadata::default();
    let request = Request {
        function: HEALTH,
        body: Body::Borrowed(&shared.config().health.body),
        deadline: Some(deadline::on_the_wire(at, shared.deadline_clock())),
        metadata: &metadata,
        credit: None,
        has_items: false,
    };
    match connection.submit(request, entry, Sender::Supervisor, Instant::now()) {
        Ok(_) => {}
        // Whoever closed the connection knows better what became of the worker.
        Err((Unsent::Closed, _)) => return Ok(()),
        Err((Unsent::Invalid(reason), _)) => {
            return Err(format!("`{HEALTH}` cannot be called: {reason}"));
        }
    }
    let too_slow = format!("`{HEALTH}` did not answer within {timeout:?}");
    match poll_fn(|context| receipt.poll(context)).await {
        Ok(_) => Ok(()),
        // It is ending in good order, which is well enough.
        Err(Failure::Remote(error)) if error.status == Status::Draining => Ok(()),
        Err(Failure::Remote(error)) if error.status == Status::Interrupted => Err(too_slow),
        Err(Failure::Remote(error)) => Err(format!(
            "`{HEALTH}` failed: {}: {}",
            error.type_name, error.message
        )),
        Err(Failure::Expired { .. }) => Err(too_slow),
        Err(_) => Ok(()),
    }
}
