//! Who is in which slot, as the pools say it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pyproc::WorkerState;

use crate::clock::now_ns;
use crate::deaths::Deaths;
use crate::fleet::{Fleet, Place};

/// Looks at the status of the pools, and tells of deaths and successors.
pub(crate) struct Watch {
    board: Mutex<BTreeMap<Place, Sight>>,
    stop: AtomicBool,
}

/// What was last seen in a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sight {
    generation: u64,
    /// The process of a worker that is ready.
    pid: Option<u32>,
}

/// What is measured has this resolution.
const INTERVAL: Duration = Duration::from_millis(1);

impl Watch {
    pub(crate) fn start(fleet: &Arc<Fleet>, deaths: &Arc<Deaths>) -> Arc<Self> {
        let watch = Arc::new(Self {
            board: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let (this, fleet, deaths) = (Arc::clone(&watch), Arc::clone(fleet), Arc::clone(deaths));
        thread::spawn(move || {
            while !this.stop.load(Ordering::Relaxed) {
                this.look(&fleet, &deaths);
                thread::sleep(INTERVAL);
            }
        });
        watch
    }

    /// What follows is no death: the pools are being shut down.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        // Whoever holds the lock is looking still.
        drop(self.board.lock());
    }

    /// The process of the worker that is ready in this slot, if one is.
    pub(crate) fn pid(&self, place: Place) -> Option<u32> {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.get(&place)?.pid
    }

    /// The processes of all workers that are ready.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.values().filter_map(|sight| sight.pid).collect()
    }

    /// Waits until a worker is ready in this slot; `None` if none is in time.
    pub(crate) async fn ready(&self, place: Place, time: Duration) -> Option<u32> {
        let start = Instant::now();
        while start.elapsed() < time {
            if let Some(pid) = self.pid(place) {
                return Some(pid);
            }
            tokio::time::sleep(INTERVAL).await;
        }
        None
    }

    /// Waits until the pools have noticed that this process is gone, and says whether they have in time.
    pub(crate) async fn gone(&self, pid: u32, time: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < time {
            if !self.pids().contains(&pid) {
                return true;
            }
            tokio::time::sleep(INTERVAL).await;
        }
        false
    }

    fn look(&self, fleet: &Fleet, deaths: &Deaths) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        for (team, pool) in fleet.teams.iter().enumerate() {
            for worker in pool.status().workers {
                let slot = worker.slot;
                let before = board.entry(Place { team, slot }).or_default();
                let pid = worker.pid.filter(|_| worker.state == WorkerState::Ready);
                let generation = worker.generation;
                let now = Sight { generation, pid };
                if now.pid == before.pid {
                    continue;
                }
                let place = Place { team, slot };
                if let Some(pid) = before.pid {
                    deaths.died(place, before.generation, pid, now_ns());
                }
                if let Some(pid) = now.pid {
                    deaths.ready(place, generation, pid, now_ns());
                }
                *before = now;
            }
        }
    }
}
