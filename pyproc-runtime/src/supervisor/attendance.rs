//! The attendance on one ready worker, until it is buried.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use pyproc_proto::ProtocolError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::beside::Abandoned;
use super::worker::{Worker, log};
use super::{Event, beside, blocked, health, ladder};
use crate::connection::{ConnectionEvent, Lost, Notice};
use crate::deadline;
use crate::death::{Cause, DeathReport};
use crate::pool::Shared;
use crate::worker::Exit;

/// A worker that closes its connection usually exits right after it. For so long its own exit status is waited for: less
/// than the 100 ms within which the loss of a worker is noticed.
const OWN_EXIT: Duration = Duration::from_millis(50);

/// For so long the last words of a dead worker are waited for: somebody else may hold the other end.
const LAST_MOMENTS: Duration = Duration::from_millis(100);

/// How often it is looked whether a worker that cannot say goodbye has finished what it has.
pub(super) const SILENT_LOOK: Duration = Duration::from_millis(20);

/// What a supervisor tells an attendant.
#[derive(Debug)]
pub(super) enum Order {
    /// Have the worker finish what it has, and end.
    Retire,
    /// End the worker: what is in flight on it is cut off.
    Stop,
}

/// The end of an attendance.
#[derive(Debug)]
pub(super) struct Burial {
    pub(super) death: Arc<DeathReport>,
    /// How long the worker was ready.
    pub(super) uptime: Duration,
    /// How many calls it took with it; a check of its health is none.
    pub(super) calls: usize,
}

/// Drives the worker's connection and watches its process and its health, until one of them, or the supervisor, ends
/// it; then sees to it that it is dead, and judges its calls.
pub(super) async fn attend(
    worker: Worker,
    shared: Arc<Shared>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) -> Event {
    let cause = watch(&worker, &shared, &mut orders).await;
    shared.close_slot(worker.connection().worker());
    worker.connection().close();
    Event::Buried(bury(worker, cause).await)
}

async fn watch(
    worker: &Worker,
    shared: &Arc<Shared>,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Cause {
    let connection = worker.connection();
    let (notices, mut inbox) = mpsc::unbounded_channel();
    let abandoned = notices.clone();
    let drive = connection.drive(|event| match event {
        // The receiver lives as long as this loop.
        ConnectionEvent::Notice(notice) => drop(notices.send(notice)),
        ConnectionEvent::Log(record) => log(&worker.log, &record),
    });
    let health = health::watch(shared, connection);
    let lingering = linger(worker, shared);
    let silent_end = finish_silently(worker, shared);
    let reports = worker.log.keep_reporting();
    let unwanted = Notify::new();
    let ladder = ladder::climb(worker, &shared.config().ladder, &unwanted);
    let unwanted_beside = Notify::new();
    let beside = beside::watch(worker, &shared.config().ladder, &unwanted_beside, |call| {
        drop(abandoned.send(Notice::Abandoned(call)));
    });
    let blocked = blocked::watch(worker, shared);
    tokio::pin!(
        drive, health, lingering, silent_end, reports, ladder, beside, blocked
    );
    let mut abandoned: Option<Abandoned> = None;
    let mut is_draining = false;
    let mut is_retiring = false;
    let mut stop_by: Option<Instant> = None;
    loop {
        tokio::select! {
            lost = &mut drive => return match stop_by {
                Some(stop_by) => last_exit(worker, stop_by, Cause::Shutdown).await,
                None => match lost {
                    Lost::Goodbye => leave(worker, is_retiring, shared).await,
                    lost => cause_of(lost, worker).await,
                },
            },
            () = exited(worker) => return Cause::Exited,
            never = &mut reports => match never {},
            reason = &mut health, if stop_by.is_none() => return Cause::Unhealthy(reason),
            Some(notice) = inbox.recv() => match notice {
                Notice::Unwanted => {
                    unwanted.notify_one();
                    unwanted_beside.notify_one();
                }
                Notice::Abandoned(call) => {
                    abandoned.get_or_insert_with(|| Abandoned::new(call, worker, shared));
                }
                Notice::Overdue(call) if may_be_abandoned(worker, shared) => {
                    abandoned.get_or_insert_with(|| Abandoned::new(call, worker, shared));
                }
                Notice::Overdue(call) => return Cause::Overdue(connection.describe_overdue(call)),
                Notice::Suspect => shared.suspect(),
                Notice::Draining => {
                    shared.close_slot(connection.worker());
                    shared.board().draining(connection.worker());
                    is_draining = true;
                }
            },
            Some(order) = orders.recv(), if stop_by.is_none() => {
                if let Order::Retire = order {
                    shared.close_slot(connection.worker());
                    shared.board().draining(connection.worker());
                    connection.drain();
                    (is_draining, is_retiring) = (true, true);
                    continue;
                }
                connection.cut();
                connection.drain();
                if is_silent(worker) && has_finished(worker, shared) {
                    connection.take_goodbye();
                }
                match &worker.body {
                    Some(body) => body.process.terminate(),
                    // Somebody else's worker goes on without us.
                    None => return Cause::Shutdown,
                }
                stop_by = Some(deadline::after(shared.config().stop_timeout).into());
            }
            () = &mut silent_end, if is_retiring && stop_by.is_none() => {
                connection.take_goodbye();
                return leave(worker, is_retiring, shared).await;
            }
            () = &mut lingering, if is_draining && stop_by.is_none() => return Cause::Lingered,
            never = &mut beside => match never {},
            never = &mut blocked => match never {},
            what = Abandoned::is_over(&abandoned, worker, shared) => return Cause::Abandoned(what),
            call = &mut ladder => return Cause::Overdue(connection.describe_overdue(call)),
            () = until(stop_by) => return Cause::Shutdown,
        }
    }
}

/// Whether a worker in which a call is overdue is to be left to its other calls for a while. The frames do not tell that a
/// stream is wanted which rests because its reader is slow.
fn may_be_abandoned(worker: &Worker, shared: &Shared) -> bool {
    let connection = worker.connection();
    let overdue_after = shared.config().ladder.overdue_after;
    connection.is_unwanted_beside() && connection.has_wanted(Instant::now().into(), overdue_after)
}

/// Ends when a worker that is to end has had nothing to do for as long as a worker may take to end. Nobody is told when a
/// worker's last call ends, so it is looked at now and then.
async fn linger(worker: &Worker, shared: &Shared) {
    let time = shared.config().stop_timeout;
    let mut idle_since = None;
    loop {
        if !has_finished(worker, shared) {
            idle_since = None;
        } else if idle_since.get_or_insert_with(Instant::now).elapsed() >= time {
            return;
        }
        sleep(time / 8).await;
    }
}

/// Ends when a worker that is to end has finished what it has, if it has no way to say so itself.
async fn finish_silently(worker: &Worker, shared: &Shared) {
    if !is_silent(worker) {
        return std::future::pending().await;
    }
    // Nobody is told of the last call's end, as above.
    while !has_finished(worker, shared) {
        sleep(SILENT_LOOK).await;
    }
}

/// Whether the worker's protocol has no word for a goodbye. The JSON protocol, which has none, has no greeting either.
fn is_silent(worker: &Worker) -> bool {
    worker.functions().is_none()
}

fn has_finished(worker: &Worker, shared: &Shared) -> bool {
    let seat = worker.connection().worker().seat();
    shared.gate().seat_in_flight(seat) == 0
}

/// Makes sure that the worker is dead, and only then judges the calls that it had.
async fn bury(mut worker: Worker, cause: Cause) -> Burial {
    let connection = Arc::clone(worker.connection());
    let stacks = ladder::last_look(&worker, &cause).await;
    let remains = match worker.body.take() {
        Some(body) => Some(body.bury(LAST_MOMENTS).await),
        None => None,
    };
    let exit = remains.as_ref().map(|remains| remains.exit);
    let uptime = worker.ready_since.elapsed();
    let has_left = connection.read_rest(|event| match event {
        // There is nothing left to be done about it.
        ConnectionEvent::Notice(_) => {}
        ConnectionEvent::Log(record) => log(&worker.log, &record),
    });
    worker.log.report();
    let (stderr, crash_report, is_out_of_memory) = match remains {
        Some(remains) => (remains.stderr, remains.stacks, remains.is_out_of_memory),
        None => (String::new(), None, false),
    };
    let death = Arc::new(DeathReport {
        worker: connection.worker().clone(),
        cause: match cause {
            Cause::Exited if has_left && is_good(exit) => Cause::Left,
            Cause::Exited if is_out_of_memory => Cause::OutOfMemory,
            cause => cause,
        },
        exit,
        uptime,
        calls_served: connection.calls_served(),
        has_answered: connection.has_answered(),
        stacks: stacks.or(crash_report).unwrap_or_default(),
        stderr,
    });
    let calls = connection.bury(&death);
    Burial {
        death,
        uptime,
        calls,
    }
}

/// The worker has said goodbye, so what it has not answered goes to another at once; it itself gets the time to exit
/// that it would get from a shutdown. One that was told to leave, and that outlives its connection, ends by a signal.
async fn leave(worker: &Worker, is_retiring: bool, shared: &Shared) -> Cause {
    let connection = worker.connection();
    let uptime = worker.ready_since.elapsed();
    shared.close_slot(connection.worker());
    connection.bury(&Arc::new(DeathReport {
        worker: connection.worker().clone(),
        cause: Cause::Left,
        exit: None,
        uptime,
        calls_served: connection.calls_served(),
        has_answered: connection.has_answered(),
        stacks: String::new(),
        stderr: String::new(),
    }));
    let Some(body) = &worker.body else {
        return Cause::Left;
    };
    if is_retiring && body.outlives_connections() {
        body.process.terminate();
    }
    let exit_by = deadline::after(shared.config().stop_timeout).into();
    last_exit(worker, exit_by, Cause::Lingered).await
}

/// Whether a process that had said goodbye also ended well. Nothing is known against a status that somebody else took.
fn is_good(exit: Option<Exit>) -> bool {
    matches!(exit, None | Some(Exit::Code(0) | Exit::Unknown))
}

async fn cause_of(lost: Lost, worker: &Worker) -> Cause {
    let cause = match lost {
        Lost::Goodbye => Cause::Left,
        Lost::Eof => Cause::ConnectionClosed,
        // So the host hears of it when a request was not read, or could not even be written.
        Lost::Io(error) if is_closed(error.kind()) => Cause::ConnectionClosed,
        Lost::Io(error) => Cause::ConnectionFailed(error.to_string()),
        // A worker that is killed while it writes breaks off in the middle of a frame: that is no fault of its own.
        Lost::Protocol(violation @ ProtocolError::UnexpectedEof { .. }) => {
            Cause::Protocol(violation.to_string())
        }
        Lost::Protocol(violation) => return Cause::Protocol(violation.to_string()),
    };
    if worker.body.is_none() {
        return cause;
    }
    match timeout(OWN_EXIT, exited(worker)).await {
        Ok(()) => Cause::Exited,
        Err(_) => cause,
    }
}

fn is_closed(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// The worker has closed its connection because it is about to end; it has until `exit_by` to exit.
async fn last_exit(worker: &Worker, exit_by: Instant, or_else: Cause) -> Cause {
    tokio::select! {
        () = exited(worker) => Cause::Exited,
        () = sleep_until(exit_by) => or_else,
    }
}

async fn exited(worker: &Worker) {
    match &worker.body {
        Some(body) => body.process.exited().await,
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
