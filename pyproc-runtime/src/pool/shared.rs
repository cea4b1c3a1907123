//! What the handles, the calls and the supervisor of a pool have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pyproc_proto::{DeadlineClock, FunctionInfo};
use tokio::runtime::Handle;

use super::breaker::{Breakers, Trial, Tripped};
use super::gate::Gate;
use super::rest::Rest;
use super::retry::{Budget, Retry};
use super::status::{Counters, PoolStatus, SlotBoard};
use crate::config::Config;
use crate::death::DeathReport;
use crate::error::{Error, ErrorKind, WorkerIdentity};
use crate::event::Announcer;
use crate::ledger::Seat;
use crate::supervisor::ShutdownReport;

/// The common part of a pool.
#[derive(Debug)]
pub(crate) struct Shared {
    config: Config,
    gate: Arc<Gate>,
    counters: Counters,
    board: SlotBoard,
    announcer: Announcer,
    breakers: Breakers,
    /// Whether a worker has become suspect since the supervisor looked last.
    has_suspects: AtomicBool,
    /// The workers that have become useless since, because a call on them does not end.
    abandoned: Mutex<Vec<Seat>>,
    /// The table of the worker that became ready last; `None` under the JSON protocol, which has none.
    functions: Mutex<Option<Vec<FunctionInfo>>>,
    report: OnceLock<ShutdownReport>,
    budget: Mutex<Budget>,
    /// The one that the pool lives on. A handle keeps the descriptors of its runtime, so none is kept when the pool is over:
    /// a program may keep a pool, in a `static` say, for longer than its runtime.
    runtime: Mutex<Option<Handle>>,
}

impl Shared {
    pub(crate) fn new(config: Config, gate: Arc<Gate>) -> Self {
        let board = SlotBoard::new(config.workers);
        let budget = Budget::new(config.retry_budget, Instant::now());
        let breakers = Breakers::new(config.breaker.clone(), config.function_breaker.clone());
        Self {
            config,
            gate,
            counters: Counters::default(),
            board,
            announcer: Announcer::default(),
            breakers,
            has_suspects: AtomicBool::new(false),
            abandoned: Mutex::default(),
            functions: Mutex::new(None),
            report: OnceLock::new(),
            budget: Mutex::new(budget),
            runtime: Mutex::default(),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn board(&self) -> &SlotBoard {
        &self.board
    }

    pub(crate) fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// Lets a call through, unless a breaker is open.
    pub(crate) fn admit(&self, function: &str) -> Result<Trial, Tripped> {
        self.breakers.admit(function)
    }

    /// A call that was let through has ended.
    pub(crate) fn note_end(&self, trial: Trial, function: &str, error: Option<&Error>) {
        let workers = || self.board.slots();
        self.breakers
            .end(trial, function, workers, error, &self.announcer);
    }

    /// Nobody waits any more for a call that was let through.
    pub(crate) fn note_cancelled(&self, trial: Trial, function: &str) {
        self.breakers.abstain(trial, function);
    }

    /// A worker has become suspect: the supervisor is to compare it with the others.
    pub(crate) fn suspect(&self) {
        self.has_suspects.store(true, Ordering::Relaxed);
        self.gate.changed.notify_one();
    }

    /// Whether a worker has become suspect since the last time.
    pub(crate) fn take_suspicion(&self) -> bool {
        self.has_suspects.swap(false, Ordering::Relaxed)
    }

    /// A worker has a call that does not end: it gets no more, and the supervisor is to see to its successor.
    pub(crate) fn abandon(&self, worker: &WorkerIdentity) {
        self.close_slot(worker);
        self.abandoned().push(worker.seat());
        self.gate.changed.notify_one();
    }

    /// The workers that were abandoned since the last time.
    pub(crate) fn take_abandoned(&self) -> Vec<Seat> {
        std::mem::take(&mut *self.abandoned())
    }

    fn abandoned(&self) -> MutexGuard<'_, Vec<Seat>> {
        let abandoned = self.abandoned.lock();
        abandoned.unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker has died, and has taken calls with it.
    pub(crate) fn note_death(&self, death: &DeathReport) {
        let (returned, workers) = (self.counters.returned(), self.board.slots());
        self.breakers
            .note_death(death.has_answered, returned, workers, &self.announcer);
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.config.deadline
    }

    pub(crate) fn deadline_clock(&self) -> DeadlineClock {
        self.config.deadline_clock()
    }

    pub(crate) fn stream_window(&self) -> u32 {
        self.config.stream_window
    }

    pub(crate) fn poison_limit(&self) -> u32 {
        self.config.poison_limit
    }

    /// How calls are tried again that do not say it themselves.
    pub(crate) fn retry(&self) -> Option<Retry> {
        self.config.retry
    }

    /// Lets a call wait before it is tried again, if the budget allows it.
    pub(crate) fn rest(&self, delay: Duration) -> Option<Rest> {
        let runtime = self.runtime().clone()?;
        let is_allowed = self.budget().withdraw(self.counters.over(), Instant::now());
        is_allowed.then(|| Rest::new(&runtime, delay))
    }

    /// A call is sent again whatever the budget.
    pub(crate) fn overdraw_retries(&self) {
        self.budget().overdraw(self.counters.over(), Instant::now());
    }

    pub(crate) fn enter_runtime(&self, runtime: Handle) {
        *self.runtime() = Some(runtime);
    }

    /// The pool is over, and no call of it will be tried again.
    pub(crate) fn leave_runtime(&self) {
        let runtime = self.runtime().take();
        drop(runtime);
    }

    fn runtime(&self) -> MutexGuard<'_, Option<Handle>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends nothing more to this worker.
    pub(crate) fn close_slot(&self, worker: &WorkerIdentity) {
        self.gate.close_slot(worker.seat());
    }

    pub(crate) fn status(&self) -> PoolStatus {
        self.board.status(&self.config, &self.gate, &self.counters)
    }

    pub(crate) fn set_functions(&self, functions: Vec<FunctionInfo>) {
        *self.functions() = Some(functions);
    }

    /// Looks at what the workers know of this function.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FunctionNotFound`], with the nearest name. Under the JSON protocol nobody knows, and the answer is
    /// `None`.
    pub(crate) fn with_function<T>(
        &self,
        name: &str,
        look: impl FnOnce(&FunctionInfo) -> T,
    ) -> Result<Option<T>, Error> {
        match &*self.functions() {
            None => Ok(None),
            Some(functions) => match functions.iter().find(|function| function.name == name) {
                Some(function) => Ok(Some(look(function))),
                None => Err(not_found(name, functions)),
            },
        }
    }

    /// The error of a call of a function that no worker exposes.
    pub(crate) fn function_not_found(&self, name: &str) -> Error {
        not_found(name, self.functions().as_deref().unwrap_or_default())
    }

    pub(crate) fn set_shutdown_report(&self, report: ShutdownReport) {
        // Only one supervisor ever shuts the pool down, once.
        let _ = self.report.set(report);
    }

    pub(crate) fn shutdown_report(&self) -> Option<ShutdownReport> {
        self.report.get().copied()
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn functions(&self) -> MutexGuard<'_, Option<Vec<FunctionInfo>>> {
        self.functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names less alike than this are not suggested. The value is that of `cargo`'s and `clap`'s suggestions.
const SIMILARITY: f64 = 0.7;

fn not_found(name: &str, functions: &[FunctionInfo]) -> Error {
    let similarity = |function: &&FunctionInfo| strsim::jaro(name, &function.name);
    let nearest = functions
        .iter()
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
        .filter(|function| similarity(function) > SIMILARITY);
    let message = match nearest {
        Some(nearest) => format!("no such function; did you mean `{}`?", nearest.name),
        None => {
            let names: Vec<_> = functions
                .iter()
                .map(|function| format!("`{}`", function.name))
                .collect();
            format!("no such function; there are {}", names.join(", "))
        }
    };
    Error::new(ErrorKind::FunctionNotFound, message).with_function(name)
}
