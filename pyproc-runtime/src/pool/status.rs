//! What a pool says about itself.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::gate::Gate;
use crate::config::{Config, Source};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, WorkerIdentity};
use crate::worker::resident_bytes;

/// A moment of a pool's life.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct PoolStatus {
    /// The pool's name.
    pub name: String,
    /// Calls that workers have right now, those included whose callers have gone.
    pub in_flight: usize,
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// What became of the calls so far.
    pub counts: Counts,
    /// The workers, by slot.
    pub workers: Vec<WorkerStatus>,
}

/// How many calls ended in which way since the pool was started.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that returned a value.
    pub returned: u64,
    /// Calls that ended with an error, those refused by overload included.
    pub failed: u64,
    /// Calls whose future was dropped before they had ended.
    pub cancelled: u64,
    /// Calls that were refused because the waiting line was full.
    pub overloaded: u64,
    /// How often an idempotent call was sent again to another worker because the first one, which may have run it, had
    /// died.
    pub resent: u64,
    /// How often a call moved to another worker because the first one was lost before it had begun it.
    pub moved: u64,
    /// How often a call was tried again because it was refused; see [`Retry`](crate::Retry).
    pub retried: u64,
}

/// A moment of a slot's life.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct WorkerStatus {
    /// The worker's place in the pool, from 0.
    pub slot: usize,
    /// How many workers the slot has had, the one that is being started included.
    pub generation: u64,
    /// The id of the process that is in the slot, if there is one and it is known.
    pub pid: Option<u32>,
    /// What the slot is doing.
    pub state: WorkerState,
    /// Calls that the slot's workers have right now: one that is to end may still have some while its successor takes
    /// others.
    pub in_flight: usize,
    /// Calls that the worker has answered, those included that asked for its health.
    pub calls: u64,
    /// How many of the slot's workers have died or could not be started, and were to be followed by another. Those that
    /// were replaced in good order are not among them.
    pub restarts: u64,
    /// What the worker runs right now.
    pub running: Option<RunningCall>,
    /// The memory that the worker's process holds (its resident set), in bytes. `None` where it is not known: elsewhere
    /// than on Linux, and of workers that somebody else started.
    pub memory_bytes: Option<u64>,
    /// How long the worker has been ready.
    pub uptime: Option<Duration>,
    /// The interpreter's version, the package that runs in it, and its loop (see [`Core`](crate::Core)): `Python 3.11.7,
    /// pyproc 0.1.0 (embedded), pure core`.
    pub runs: Option<String>,
    /// How the slot's last worker ended, or why it could not be started.
    pub last_failure: Option<String>,
}

/// A call that a worker runs.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningCall {
    /// The function; `None` under the JSON protocol, whose calls are not looked up in a table.
    pub function: Option<String>,
    /// For how long it has been running; `None` where the worker has no state page to tell it. The pure loop
    /// ([`Core`](crate::Core)) does not tell it of a function whose last call took less than 0.2 ms, because the note
    /// would be felt by calls that are so short; it tells it from the next call on.
    pub running_for: Option<Duration>,
}

impl RunningCall {
    fn of(connection: &Connection) -> Option<Self> {
        let running = connection.running()?;
        Some(Self {
            function: running.function,
            running_for: running.since.map(|since| since.elapsed()),
        })
    }
}

/// What a slot is doing.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkerState {
    /// Its worker is being started, or connected to.
    Starting,
    /// Its worker takes calls.
    Ready,
    /// Its worker finishes the calls that it has, and then ends.
    Draining,
    /// Its worker is dead, or could not be started, and the next one follows after a delay.
    Restarting,
    /// Its workers kept dying. It is left in peace for a while, and then tried with one more; see
    /// [`Restart::intensity`](crate::Restart::intensity).
    Degraded,
    /// It was given up; see [`Restart::never`](crate::Restart::never).
    Failed,
    /// The pool was shut down.
    Stopped,
}

impl fmt::Display for WorkerState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Restarting => "restarting",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        })
    }
}

/// The running totals behind [`Counts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    returned: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
    overloaded: AtomicU64,
    resent: AtomicU64,
    moved: AtomicU64,
    retried: AtomicU64,
}

impl Counters {
    /// A call has ended, with or without an error.
    pub(crate) fn count_end(&self, error: Option<&Error>) {
        match error {
            None => self.returned.fetch_add(1, Ordering::Relaxed),
            Some(error) => {
                if error.kind() == ErrorKind::Overloaded {
                    self.overloaded.fetch_add(1, Ordering::Relaxed);
                }
                self.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }

    /// How many calls have ended so far.
    pub(crate) fn ended(&self) -> u64 {
        self.returned.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }

    /// How many calls have ended or were cancelled so far.
    pub(crate) fn over(&self) -> u64 {
        self.ended() + self.cancelled.load(Ordering::Relaxed)
    }

    /// How many calls have returned a value so far.
    pub(crate) fn returned(&self) -> u64 {
        self.returned.load(Ordering::Relaxed)
    }

    /// A call's future was dropped before its end.
    pub(crate) fn count_cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    /// A call is sent to another worker than the one that may have run it.
    pub(crate) fn count_resent(&self) {
        self.resent.fetch_add(1, Ordering::Relaxed);
    }

    /// A call is sent to another worker than the one that had not begun it.
    pub(crate) fn count_moved(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// A call that was refused is to be tried again.
    pub(crate) fn count_retried(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Counts {
        Counts {
            returned: self.returned.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
            overloaded: self.overloaded.load(Ordering::Relaxed),
            resent: self.resent.load(Ordering::Relaxed),
            moved: self.moved.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
        }
    }
}

/// Where the supervisor writes down what the slots are doing.
#[derive(Debug)]
pub(crate) struct SlotBoard {
    slots: Mutex<Vec<SlotNote>>,
}

#[derive(Debug, Clone)]
struct SlotNote {
    state: WorkerState,
    generation: u64,
    pid: Option<u32>,
    ready_since: Option<Instant>,
    runs: Option<String>,
    restarts: u64,
    last_failure: Option<String>,
    /// Weak, so that a board that outlives the runtime keeps no descriptor open.
    connection: Weak<Connection>,
}

impl SlotBoard {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots: Mutex::new(vec![SlotNote::new(); slots]),
        }
    }

    /// How many slots the pool has now.
    pub(crate) fn slots(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn add_slot(&self) {
        self.lock().push(SlotNote::new());
    }

    pub(crate) fn remove_last_slot(&self) {
        self.lock().pop();
    }

    pub(crate) fn starting(&self, slot: usize, generation: u64) {
        let mut slots = self.lock();
        let note = &mut slots[slot];
        // A degraded slot is so until a worker of it is ready.
        if note.state != WorkerState::Degraded {
            note.state = WorkerState::Starting;
        }
        note.generation = generation;
    }

    pub(crate) fn ready(&self, connection: &Arc<Connection>, runs: Option<String>) {
        let worker = connection.worker();
        let mut slots = self.lock();
        let note = &mut slots[worker.slot()];
        note.state = WorkerState::Ready;
        note.generation = worker.generation();
        note.connection = Arc::downgrade(connection);
        note.pid = worker.pid();
        note.ready_since = Some(Instant::now());
        note.runs = runs;
    }

    /// The worker takes no more calls. A later one of the slot is left alone.
    pub(crate) fn draining(&self, worker: &WorkerIdentity) {
        let mut slots = self.lock();
        // The slot may be gone: the pool has become smaller, and the worker was its last.
        if let Some(note) = slots.get_mut(worker.slot()) {
            if note.generation == worker.generation() && note.state == WorkerState::Ready {
                note.state = WorkerState::Draining;
            }
        }
    }

    /// The slot's worker is gone, or could not be started; `state` says what comes next.
    pub(crate) fn gone(&self, slot: usize, state: WorkerState, failure: Option<String>) {
        let mut slots = self.lock();
        let note = &mut slots[slot];
        note.state = state;
        note.pid = None;
        note.ready_since = None;
        note.runs = None;
        note.connection = Weak::new();
        if failure.is_some() {
            note.restarts += u64::from(!matches!(state, WorkerState::Failed));
            note.last_failure = failure;
        }
    }

    /// The slot's next worker could not be started, and the one that is there stays.
    pub(crate) fn note_failure(&self, slot: usize, failure: &str) {
        self.lock()[slot].last_failure = Some(failure.to_owned());
    }

    pub(crate) fn status(&self, config: &Config, gate: &Gate, counters: &Counters) -> PoolStatus {
        let (in_flight, waiting) = gate.load();
        let slots = self.lock().clone();
        let workers = slots.into_iter().enumerate().map(|(slot, note)| {
            let connection = note.connection.upgrade();
            WorkerStatus {
                slot,
                generation: note.generation,
                pid: note.pid,
                state: note.state,
                in_flight: gate.slot_in_flight(slot),
                calls: connection
                    .as_ref()
                    .map_or(0, |connection| connection.calls_served()),
                restarts: note.restarts,
                running: connection.and_then(|connection| RunningCall::of(&connection)),
                memory_bytes: match config.source {
                    Source::Start(_) => note.pid.and_then(resident_bytes),
                    Source::Attach(_) => None,
                },
                uptime: note.ready_since.map(|since| since.elapsed()),
                runs: note.runs,
                last_failure: note.last_failure,
            }
        });
        PoolStatus {
            name: config.name.to_string(),
            in_flight,
            waiting,
            counts: counters.read(),
            workers: workers.collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SlotNote>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlotNote {
    fn new() -> Self {
        Self {
            state: WorkerState::Starting,
            generation: 0,
            pid: None,
            ready_since: None,
            runs: None,
            restarts: 0,
            last_failure: None,
            connection: Weak::new(),
        }
    }
}
