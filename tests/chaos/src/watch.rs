//! Who is in which slot, as the pools say it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::StreamExt as _;
use futures::stream::select_all;
use pyproc::{Event, WorkerIdentity};
use tokio::runtime::Builder;

use crate::clock::now_ns;
use crate::deaths::Deaths;
use crate::findings::{Finding, Findings};
use crate::fleet::{Fleet, Place};
use crate::ledger::Ledger;

/// Hears the events of the pools, and tells of deaths and successors.
pub(crate) struct Watch {
    board: Mutex<BTreeMap<Place, Sight>>,
    stop: AtomicBool,
}

/// What was last heard of a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sight {
    generation: u64,
    /// The process of a worker that is ready.
    pid: Option<u32>,
}

/// How often the board is looked at by those who wait for something.
const INTERVAL: Duration = Duration::from_millis(1);

impl Watch {
    pub(crate) fn start(
        fleet: &Fleet,
        deaths: &Arc<Deaths>,
        ledger: &Arc<Ledger>,
    ) -> Result<Arc<Self>> {
        let events = (fleet.teams.iter().enumerate())
            .map(|(team, pool)| pool.events().map(move |event| (team, event)));
        let mut events = select_all(events.collect::<Vec<_>>());
        let watch = Arc::new(Self {
            board: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        // What happened before the first event.
        for (team, pool) in fleet.teams.iter().enumerate() {
            for worker in pool.status().workers {
                let (slot, generation, pid) = (worker.slot, worker.generation, worker.pid);
                let sight = Sight { generation, pid };
                watch.board().insert(Place { team, slot }, sight);
            }
        }
        // A runtime of its own: a moment is worth as much as its time is right.
        let runtime = Builder::new_current_thread().build()?;
        let (this, deaths, ledger) = (Arc::clone(&watch), Arc::clone(deaths), Arc::clone(ledger));
        thread::spawn(move || {
            runtime.block_on(async {
                while let Some((team, event)) = events.next().await {
                    this.hear(team, &event, &deaths, &ledger.findings);
                }
            });
        });
        Ok(watch)
    }

    /// What follows is no death: the pools are being shut down.
    pub(crate) fn stop(&self) {
        let _board = self.board();
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The process of the worker that is ready in this slot, if one is.
    pub(crate) fn pid(&self, place: Place) -> Option<u32> {
        self.board().get(&place)?.pid
    }

    /// The processes of all workers that are ready.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let board = self.board();
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

    fn hear(&self, team: usize, event: &Event, deaths: &Deaths, findings: &Findings) {
        let now_ns = now_ns();
        let mut board = self.board();
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        match event {
            Event::Ready { worker, .. } => {
                let place = place_of(team, worker);
                let (generation, pid) = (worker.generation(), worker.pid());
                let before = board.insert(place, Sight { generation, pid });
                if before.is_some_and(|before| before.generation >= generation) {
                    findings.add(Finding::Contradictory, || {
                        format!("{event} after {before:?}")
                    });
                }
                if let Some(pid) = pid {
                    deaths.ready(place, generation, pid, now_ns);
                }
            }
            Event::Died { report, .. } | Event::Drained { report, .. } => {
                let worker = report.worker();
                let place = place_of(team, worker);
                let (generation, pid) = (worker.generation(), worker.pid());
                let sight = board.entry(place).or_default();
                // A worker that was replaced in good order ends when its successor is ready.
                if *sight == (Sight { generation, pid }) {
                    sight.pid = None;
                } else if sight.generation <= generation {
                    findings.add(Finding::Contradictory, || {
                        format!("{event} after {sight:?}")
                    });
                }
                if let Some(pid) = pid {
                    deaths.died(place, generation, pid, now_ns);
                }
            }
            Event::Missed { .. } | Event::Degraded { .. } | Event::GivenUp { .. } => {
                findings.add(Finding::Contradictory, || event.to_string());
            }
            _ => {}
        }
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<Place, Sight>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place_of(team: usize, worker: &WorkerIdentity) -> Place {
    let slot = worker.slot();
    Place { team, slot }
}
