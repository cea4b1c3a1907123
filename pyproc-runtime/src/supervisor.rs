//! The supervisor: one loop over one closed set of events decides when a slot's worker is started, replaced and stopped.
//!
//! Everything that takes time is a task whose result is an [`Event`]: the start of a worker, and the attendance on a
//! running one until it is buried. The loop itself only decides. It also keeps the waiting line's deadlines, so that a
//! call needs no timer of its own.

mod attendance;
mod beside;
mod blocked;
mod departure;
mod ejection;
mod health;
mod ladder;
mod recycle;
mod replacement;
mod resize;
mod restart;
mod slot;
mod start;
mod stop;
mod worker;

pub use recycle::Recycle;
pub use restart::Restart;
pub use stop::ShutdownReport;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use crate::connection::Connection;
use crate::deadline;
use crate::error::{Error, Result};
use crate::event::Event as Announced;
use crate::ledger::Seat;
use crate::pool::{Shared, WorkerState};
use crate::telemetry;
use attendance::{Burial, Order, attend};
use ejection::Ejection;
use recycle::Wear;
use replacement::Replacements;
use resize::Resizing;
use restart::Herd;
use slot::{Attended, Occupant, Probation, Slot};
use start::Starter;
use stop::Stop;
use worker::Worker;

/// What a pool's handles ask of its supervisor.
#[derive(Debug)]
pub(crate) enum Command {
    /// Finish what is in flight, and end.
    Shutdown {
        reply: oneshot::Sender<ShutdownReport>,
    },
    /// Replace every worker, one after the other.
    Restart { reply: oneshot::Sender<Result<()>> },
    /// Have so many workers.
    Resize {
        workers: usize,
        reply: oneshot::Sender<Result<()>>,
    },
    /// The last handle is gone: end now.
    Abandon,
}

/// What the supervisor's tasks come back with.
#[derive(Debug)]
enum Event {
    Started {
        seat: Seat,
        result: Result<Box<Worker>>,
    },
    Buried(Burial),
}

/// Supervises a pool until it is shut down or abandoned. `ready` is told when all workers are ready, or which failed.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut inbox: mpsc::UnboundedReceiver<Command>,
    ready: oneshot::Sender<Result<()>>,
) {
    let _closing = CloseOnDrop(Arc::clone(&shared));
    let mut supervisor = Supervisor::new(shared, ready);
    for slot in 0..supervisor.slots.len() {
        supervisor.start(slot);
    }
    while !supervisor.has_ended() {
        let gate = Arc::clone(supervisor.shared.gate());
        let timeout = supervisor.poll_timeout();
        tokio::select! {
            Some(ended) = supervisor.tasks.join_next(), if !supervisor.tasks.is_empty() => match ended {
                Ok(event) => supervisor.handle_event(event),
                // Only the start of a worker is ever aborted, when nobody wants it any more.
                Err(error) => if error.is_panic() { std::panic::resume_unwind(error.into_panic()) },
            },
            // The last handle sends a command when it goes, and none can follow it.
            Some(command) = inbox.recv() => supervisor.handle_command(command),
            () = gate.changed.notified() => {}
            () = crate::deadline::sleep_until(timeout) => {}
        }
        supervisor.handle_timeout(Instant::now());
    }
    telemetry::flush().await;
    supervisor.report();
}

struct Supervisor {
    shared: Arc<Shared>,
    starter: Arc<Starter>,
    slots: Vec<Slot>,
    herd: Herd,
    ejection: Ejection,
    replacements: Replacements,
    resizing: Resizing,
    tasks: JoinSet<Event>,
    /// Whom to tell that all workers are ready; taken when that was told, or when the first one failed.
    ready: Option<oneshot::Sender<Result<()>>>,
    stop: Option<Stop>,
}

impl Supervisor {
    fn new(shared: Arc<Shared>, ready: oneshot::Sender<Result<()>>) -> Self {
        let starter = Arc::new(Starter::new(Arc::clone(&shared)));
        let slots = (0..shared.config().workers).map(|_| Slot::new(0)).collect();
        Self {
            shared,
            starter,
            slots,
            herd: Herd::default(),
            ejection: Ejection::default(),
            replacements: Replacements::default(),
            resizing: Resizing::default(),
            tasks: JoinSet::new(),
            ready: Some(ready),
            stop: None,
        }
    }

    /// Starts a worker in a slot that has none.
    fn start(&mut self, slot: usize) {
        let task = self.launch(slot);
        self.shared
            .board()
            .starting(slot, self.slots[slot].generation);
        self.slots[slot].occupant = Occupant::Starting(task);
    }

    /// Starts the slot's next worker, whether there is one or not.
    fn launch(&mut self, slot: usize) -> AbortHandle {
        self.slots[slot].generation += 1;
        let generation = self.slots[slot].generation;
        self.announce(Announced::Starting { slot, generation });
        let starter = Arc::clone(&self.starter);
        self.tasks.spawn(async move {
            let result = starter.start(slot, generation).await.map(Box::new);
            let seat = Seat { slot, generation };
            Event::Started { seat, result }
        })
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            // The slot may be gone by now, and with it the worker that was to be in it.
            Event::Started { seat, .. } if !self.expects(seat) => {}
            Event::Started {
                seat,
                result: Ok(worker),
            } => self.handle_ready(seat.slot, worker),
            Event::Started {
                seat,
                result: Err(error),
            } => self.handle_failed_start(seat, error),
            Event::Buried(burial) => self.handle_burial(burial),
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Shutdown { reply } => {
                self.begin_stop(self.shared.config().shutdown_timeout);
                if let Some(stop) = &mut self.stop {
                    stop.replies.push(reply);
                }
            }
            Command::Abandon => self.begin_stop(Duration::ZERO),
            // A reply that is dropped says that the pool is closed.
            Command::Restart { .. } | Command::Resize { .. } if self.stop.is_some() => {}
            Command::Restart { reply } => {
                let seats = self.slots.iter().enumerate().map(|(slot, place)| Seat {
                    slot,
                    generation: place.generation,
                });
                self.replacements.roll(seats, reply);
            }
            Command::Resize { workers, reply } => self.resizing.ask_for(workers, reply),
        }
    }

    fn handle_ready(&mut self, slot: usize, worker: Box<Worker>) {
        let connection = Arc::clone(worker.connection());
        tracing::info!(target: "pyproc::pool", worker = %connection.worker(), runs = worker.runs(), "worker ready");
        self.shared
            .board()
            .ready(&connection, worker.runs().map(str::to_owned));
        self.announce(Announced::Ready {
            worker: connection.worker().clone(),
        });
        if let Some(functions) = worker.functions() {
            self.shared.set_functions(functions.to_vec());
        }
        let (orders, inbox) = mpsc::unbounded_channel();
        self.tasks
            .spawn(attend(*worker, Arc::clone(&self.shared), inbox));
        match &self.stop {
            // It was ready a moment too late; its attendant ends it.
            Some(stop) if stop.has_cut() => {
                let _ = orders.send(Order::Stop);
            }
            _ => self.open(slot, Arc::clone(&connection)),
        }
        connection.suspect_after(self.shared.config().eject_after);
        let policy = &self.shared.config().recycle;
        let running = Attended {
            connection,
            orders,
            wear: Wear::new(policy, Instant::now(), fastrand::f64()),
            is_retiring: false,
        };
        self.slots[slot].settle(running);
        if self
            .slots
            .iter()
            .all(|slot| matches!(slot.occupant, Occupant::Running(_)))
        {
            if let Some(ready) = self.ready.take() {
                // Nobody listens when the start was cancelled; then the pool is abandoned, too.
                let _ = ready.send(Ok(()));
            }
        }
    }

    fn open(&mut self, slot: usize, connection: Arc<Connection>) {
        let is_on_probation = self.slots[slot].history.is_degraded();
        self.slots[slot].probation = is_on_probation.then(|| Probation {
            seat: connection.worker().seat(),
            until: deadline::after(self.shared.config().restart.probation()),
        });
        self.shared.gate().open_slot(connection, is_on_probation);
    }

    fn handle_failed_start(&mut self, seat: Seat, error: Error) {
        let Seat { slot, generation } = seat;
        let reason = error.to_string();
        self.announce(Announced::StartFailed {
            slot,
            generation,
            reason: reason.clone(),
        });
        if let Some(ready) = self.ready.take() {
            self.vacate(slot, WorkerState::Failed, reason);
            self.fail_start(ready, error);
            return;
        }
        self.slots[slot].successor = None;
        if let Occupant::Running(_) = self.slots[slot].occupant {
            self.keep(slot, &reason);
        } else {
            self.replace(slot, Duration::ZERO, reason);
        }
        if let Some(error) = self.replacements.fail(seat, error) {
            self.fail_resize(seat, error);
        }
    }

    /// Ends a pool that has not started. The caller hears of it when the other workers have ended.
    fn fail_start(&mut self, ready: oneshot::Sender<Result<()>>, error: Error) {
        self.begin_stop(Duration::ZERO);
        if let Some(stop) = &mut self.stop {
            stop.failed_start = Some((ready, error));
        }
    }

    /// Nobody will be in the slot again.
    fn vacate(&mut self, slot: usize, state: WorkerState, failure: String) {
        let failure = (state == WorkerState::Failed).then_some(failure);
        self.shared.board().gone(slot, state, failure);
        self.slots[slot].occupant = Occupant::Nobody;
        self.shared.gate().fail_slot(slot);
        if state == WorkerState::Failed {
            self.announce(Announced::GivenUp { slot });
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.shared.gate().handle_timeout(now);
        self.advance_stop(now);
        for slot in 0..self.slots.len() {
            if self.slots[slot].due().is_some_and(|due| due <= now) {
                self.start(slot);
            }
            self.end_probation(slot, now);
            self.look_at_wear(slot, now);
        }
        self.look_for_outlier(now);
        self.replace_abandoned();
        self.advance_replacements(now);
        self.advance_resizing();
    }

    fn end_probation(&mut self, slot: usize, now: Instant) {
        let place = &mut self.slots[slot];
        if let Some(probation) = place.probation.take_if(|probation| probation.until <= now) {
            place.history.recover();
            self.shared.gate().end_probation(probation.seat);
            self.announce(Announced::Recovered { slot });
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let slots = self.slots.iter().filter_map(Slot::poll_timeout);
        let stop = self.stop.as_ref().and_then(Stop::poll_timeout);
        slots
            .chain(self.shared.gate().poll_timeout())
            .chain(self.replacements.poll_timeout())
            .chain(stop)
            .min()
    }

    /// Whether the slot is there and waits for this very worker.
    fn expects(&self, seat: Seat) -> bool {
        let place = self.slots.get(seat.slot);
        place.is_some_and(|place| !place.is_removed && place.generation == seat.generation)
    }

    fn announce(&self, event: Announced) {
        self.shared.announcer().announce(&event);
    }
}

/// Ends all calls of the pool, and the stories of it, when its supervisor is gone for whatever reason, the end of the runtime included.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.gate().close();
        self.0.announcer().close();
        self.0.leave_runtime();
    }
}
