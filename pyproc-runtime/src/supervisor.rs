//! The supervisor: one loop over one closed set of events decides when a slot's worker is started, replaced and stopped.
//!
//! Everything that takes time is a task whose result is an [`Event`]: the start of a worker, and the attendance on a
//! running one until it is buried. The loop itself only decides. It also keeps the waiting line's deadlines, so that a
//! call needs no timer of its own.

mod attendance;
mod health;
mod ladder;
mod restart;
mod slot;
mod start;
mod stop;
mod worker;

pub use restart::Restart;
pub use stop::ShutdownReport;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::deadline;
use crate::death::DeathReport;
use crate::error::{Error, Result};
use crate::pool::{Shared, WorkerState};
use crate::telemetry::{self, Next, Origin};
use attendance::{Burial, Order, attend};
use restart::{Decision, Herd};
use slot::{Occupant, Probation, Slot};
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
    /// The last handle is gone: end now.
    Abandon,
}

/// What the supervisor's tasks come back with.
#[derive(Debug)]
enum Event {
    Started {
        slot: usize,
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
                // Only the start of a worker is ever aborted, when the pool is being stopped.
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
    tasks: JoinSet<Event>,
    /// Whom to tell that all workers are ready; taken when that was told, or when the first one failed.
    ready: Option<oneshot::Sender<Result<()>>>,
    stop: Option<Stop>,
}

impl Supervisor {
    fn new(shared: Arc<Shared>, ready: oneshot::Sender<Result<()>>) -> Self {
        let starter = Arc::new(Starter::new(Arc::clone(&shared)));
        let slots = (0..shared.config().workers)
            .map(|_| Slot::default())
            .collect();
        Self {
            shared,
            starter,
            slots,
            herd: Herd::default(),
            tasks: JoinSet::new(),
            ready: Some(ready),
            stop: None,
        }
    }

    fn start(&mut self, slot: usize) {
        let generation = self.slots[slot].generation + 1;
        self.slots[slot].generation = generation;
        self.shared.board().starting(slot, generation);
        let starter = Arc::clone(&self.starter);
        let task = self.tasks.spawn(async move {
            let result = starter.start(slot, generation).await.map(Box::new);
            Event::Started { slot, result }
        });
        self.slots[slot].occupant = Occupant::Starting(task);
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Started {
                slot,
                result: Ok(worker),
            } => self.handle_ready(slot, worker),
            Event::Started {
                slot,
                result: Err(error),
            } => self.handle_failed_start(slot, error),
            Event::Buried(burial) => self.handle_burial(burial),
        }
    }

    fn handle_command(&mut self, command: Command) {
        let timeout = match command {
            Command::Shutdown { .. } => self.shared.config().shutdown_timeout,
            Command::Abandon => Duration::ZERO,
        };
        self.begin_stop(timeout);
        if let (Command::Shutdown { reply }, Some(stop)) = (command, &mut self.stop) {
            stop.replies.push(reply);
        }
    }

    fn handle_ready(&mut self, slot: usize, worker: Box<Worker>) {
        let connection = Arc::clone(worker.connection());
        tracing::info!(target: "pyproc::pool", worker = %connection.worker(), runs = worker.runs(), "worker ready");
        self.shared
            .board()
            .ready(connection.worker(), worker.runs().map(str::to_owned));
        if let Some(functions) = worker.functions() {
            self.shared.set_functions(functions);
        }
        let (orders, inbox) = mpsc::unbounded_channel();
        self.tasks
            .spawn(attend(*worker, Arc::clone(&self.shared), inbox));
        match &self.stop {
            // It was ready a moment too late; its attendant ends it.
            Some(stop) if stop.has_cut() => {
                let _ = orders.send(Order::Stop);
            }
            _ => self.open(slot, connection),
        }
        self.slots[slot].occupant = Occupant::Running(orders);
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

    fn handle_failed_start(&mut self, slot: usize, error: Error) {
        let failure = error.to_string();
        match self.ready.take() {
            Some(ready) => {
                self.vacate(slot, WorkerState::Failed, failure);
                self.fail_start(ready, error);
            }
            None => self.replace(slot, Duration::ZERO, failure),
        }
    }

    fn handle_burial(
        &mut self,
        Burial {
            slot,
            death,
            uptime,
        }: Burial,
    ) {
        self.slots[slot].probation = None;
        if !death.is_in_good_order() || !self.replace_departed(slot, uptime, &death) {
            self.replace(slot, uptime, death.to_string());
        }
        let is_given_up = self.stop.is_none() && self.slots[slot].is_given_up();
        // A pool that will not soon have all its workers has not started, even if this one was ready for a while.
        if let Some(ready) = self.ready.take_if(|_| is_given_up) {
            self.fail_start(ready, death.start_error());
        }
    }

    /// Ends a pool that has not started. The caller hears of it when the other workers have ended.
    fn fail_start(&mut self, ready: oneshot::Sender<Result<()>>, error: Error) {
        self.begin_stop(Duration::ZERO);
        if let Some(stop) = &mut self.stop {
            stop.failed_start = Some((ready, error));
        }
    }

    /// Has a worker that left in good order replaced, unless the policy or a stop is against it.
    fn replace_departed(&mut self, slot: usize, uptime: Duration, departure: &DeathReport) -> bool {
        let policy = &self.shared.config().restart;
        let decision = self.slots[slot].history.left(policy, uptime);
        match decision {
            Decision::RestartAfter(delay) if self.stop.is_none() => {
                let pool = self.shared.name();
                tracing::info!(target: "pyproc::pool", pool, slot, %departure, ?delay, "a new worker follows");
                self.shared
                    .board()
                    .gone(slot, WorkerState::Restarting, None);
                self.slots[slot].occupant = Occupant::Awaited(deadline::after(delay));
                true
            }
            _ => false,
        }
    }

    /// Decides about a slot whose worker has died, or could not be started.
    fn replace(&mut self, slot: usize, uptime: Duration, failure: String) {
        if self.stop.is_some() {
            self.vacate(slot, WorkerState::Stopped, failure);
            return;
        }
        let origin = Origin {
            pool: Arc::clone(&self.shared.config().name),
            slot,
            pid: None,
        };
        let policy = &self.shared.config().restart;
        let (now, jitter) = (Instant::now(), fastrand::f64());
        let history = &mut self.slots[slot].history;
        match history.died(policy, uptime, &mut self.herd, now, jitter) {
            Decision::RestartAfter(delay) => {
                telemetry::loss(&origin, &failure, Next::Successor { delay });
                self.shared
                    .board()
                    .gone(slot, WorkerState::Restarting, Some(failure));
                self.slots[slot].occupant = Occupant::Awaited(deadline::after(delay));
            }
            Decision::ProbeAfter(delay) => {
                telemetry::loss(&origin, &failure, Next::Probe { delay });
                self.shared
                    .board()
                    .gone(slot, WorkerState::Degraded, Some(failure));
                self.slots[slot].occupant = Occupant::Degraded(deadline::after(delay));
                self.shared.gate().degrade_slot(slot);
            }
            Decision::GiveUp => {
                telemetry::loss(&origin, &failure, Next::Nobody);
                self.vacate(slot, WorkerState::Failed, failure);
            }
        }
    }

    /// Nobody will be in the slot again.
    fn vacate(&mut self, slot: usize, state: WorkerState, failure: String) {
        let failure = (state == WorkerState::Failed).then_some(failure);
        self.shared.board().gone(slot, state, failure);
        self.slots[slot].occupant = Occupant::Nobody;
        self.shared.gate().fail_slot(slot);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.shared.gate().handle_timeout(now);
        self.advance_stop(now);
        for slot in 0..self.slots.len() {
            if self.slots[slot].due().is_some_and(|due| due <= now) {
                self.start(slot);
            }
            let probation = &mut self.slots[slot].probation;
            if let Some(probation) = probation.take_if(|probation| probation.until <= now) {
                self.slots[slot].history.recover();
                self.shared.gate().end_probation(probation.seat);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let slots = self.slots.iter().filter_map(Slot::poll_timeout);
        let stop = self.stop.as_ref().and_then(Stop::poll_timeout);
        slots
            .chain(self.shared.gate().poll_timeout())
            .chain(stop)
            .min()
    }
}

/// Ends all calls of the pool when its supervisor is gone for whatever reason, the end of the runtime included.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.gate().close();
    }
}
