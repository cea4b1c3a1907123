//! A pool under load, and the counts that its own must agree with.

mod judgement;
mod pool;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use pyproc::{Core, Error, ErrorKind, Events, PoolStatus};

use crate::findings::Finding;
use crate::ledger::{End, Entry, Ledger};
use crate::plan::Plan;
use judgement::{Judgement, Reply};
use pool::TeamPool;
use reading::Reading;

/// Bodies are encoded in one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    MsgPack,
}

/// What a team is.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(crate) name: String,
    pub(crate) encoding: Encoding,
    pub(crate) core: Core,
    pub(crate) workers: usize,
    /// Whether its workers have async functions too.
    pub(crate) has_async: bool,
    /// In how many threads they run plain functions.
    pub(crate) threads: usize,
    /// Whether the adversary leaves it in peace.
    pub(crate) spared: bool,
}

pub(crate) struct Team {
    pub(crate) roster: Roster,
    pool: TeamPool,
    tally: Tally,
    journal: PathBuf,
}

/// What callers counted.
#[derive(Debug, Default)]
struct Tally {
    returned: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
    latest: Mutex<Latest>,
}

/// The longest time from a deadline to the end of its call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latest {
    pub(crate) after: Duration,
    /// Which call it was, and how it ended.
    pub(crate) what: String,
}

/// What a caller learns.
pub(crate) enum Outcome {
    Ended(Result<(), Error>),
    /// The caller lost interest, or patience.
    Dropped,
}

/// A call that has not ended so long after its deadline is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// A call that ends later than this after its deadline was forgotten for a while: the host is not starved for so long.
const LATE: Duration = Duration::from_secs(5);

impl Team {
    /// Starts the pool; its workers carry the mark in their environment.
    pub(crate) async fn start(roster: Roster, directory: &Path, mark: &str) -> Result<Self> {
        let journal = directory.join(&roster.name);
        std::fs::File::create(&journal)?;
        let pool = TeamPool::start(&roster, &journal, mark).await?;
        Ok(Self {
            roster,
            pool,
            tally: Tally::default(),
            journal,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.roster.name
    }

    pub(crate) fn journal(&self) -> &Path {
        &self.journal
    }

    pub(crate) fn status(&self) -> PoolStatus {
        self.pool.status()
    }

    pub(crate) fn events(&self) -> Events {
        self.pool.events()
    }

    /// Whether the pool has no call, neither in flight nor waiting.
    pub(crate) fn is_idle(&self) -> bool {
        let status = self.status();
        status.in_flight == 0
            && status.waiting == 0
            && status.workers.iter().all(|worker| worker.in_flight == 0)
    }

    pub(crate) async fn shutdown(&self) -> Result<()> {
        let ended = self.pool.shutdown().await;
        ended.with_context(|| format!("{} cannot be shut down", self.name()))?;
        Ok(())
    }

    /// Makes a call, and writes down how it ended.
    pub(crate) async fn carry_out(&self, plan: &Plan, ledger: &Ledger) -> Outcome {
        let entry = ledger.open(plan.function, plan.idempotent);
        let begin = Instant::now();
        let arguments = plan.arguments(entry.id);
        let patience = plan.dropped_after.unwrap_or(plan.deadline + PATIENCE);
        let mut reading = Reading::new(entry.id, plan);
        let ending = async {
            match plan.function.is_stream() {
                true => self.pool.read(plan, &arguments, &mut reading).await,
                false => Some(self.pool.call(plan, &arguments).await.map(Some)),
            }
        };
        let ending = tokio::time::timeout(patience, ending).await;
        let (result, was_dropped) = match ending {
            Ok(Some(result)) => (Some(result), false),
            Ok(None) => (None, true),
            // An entry that is not ended is a call that was lost.
            Err(_) => (None, plan.dropped_after.is_some()),
        };
        if let Some(finding) = reading.finding() {
            ledger.findings.add(finding, || {
                format!("{reading:?} on {}: {plan:?}: {result:?}", self.name())
            });
        }
        let Some(result) = result else {
            self.tally.cancelled.fetch_add(1, Ordering::Relaxed);
            if was_dropped {
                entry.end(reading.end().unwrap_or(End::MayHaveRun), "cancelled");
            }
            return Outcome::Dropped;
        };
        self.conclude(plan, entry, reading.end(), result, begin, ledger)
    }

    /// Makes calls of one function together, and writes down how each of them ended.
    pub(crate) async fn carry_out_many(&self, plans: &[Plan], ledger: &Ledger) -> Vec<Outcome> {
        let Some(first) = plans.first() else {
            return Vec::new();
        };
        let open = |plan: &Plan| ledger.open(plan.function, plan.idempotent);
        let entries: Vec<_> = plans.iter().map(open).collect();
        let begin = Instant::now();
        let arguments = plans.iter().zip(&entries);
        let arguments: Vec<_> = arguments.map(|(plan, it)| plan.arguments(it.id)).collect();
        let ending = self.pool.call_many(first, &arguments);
        let patience = first.deadline + PATIENCE;
        // Entries that are not ended are calls that were lost.
        let results = tokio::time::timeout(patience, ending).await;
        let ended = plans.iter().zip(entries).zip(results.unwrap_or_default());
        ended
            .map(|((plan, entry), result)| {
                self.conclude(plan, entry, None, result.map(Some), begin, ledger)
            })
            .collect()
    }

    /// Writes down how a call ended that was waited for.
    fn conclude(
        &self,
        plan: &Plan,
        entry: Entry<'_>,
        proven: Option<End>,
        result: Result<Option<Reply>, Error>,
        begin: Instant,
        ledger: &Ledger,
    ) -> Outcome {
        let late = begin.elapsed().saturating_sub(plan.deadline);
        let id = entry.id;
        self.tally.note_late(late, || {
            format!(
                "call {id} on {}: {plan:?}: {:?}",
                self.name(),
                result.as_ref().err()
            )
        });
        if late > LATE {
            ledger.findings.add(Finding::EndedLate, || {
                format!("call {id} {late:?} after its deadline")
            });
        }
        let count = match &result {
            Ok(_) => &self.tally.returned,
            Err(_) => &self.tally.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let judgement = Judgement::of(plan, id, proven, &result);
        if let Some(finding) = judgement.finding {
            ledger.findings.add(finding, || {
                format!("call {id} on {}: {plan:?}: {result:?}", self.name())
            });
        }
        entry.end(judgement.end, judgement.word);
        Outcome::Ended(result.map(drop))
    }

    /// Compares what the pool has counted with what its callers did.
    pub(crate) fn compare_counts(&self, ledger: &Ledger) {
        let counts = self.status().counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        for (word, pool, callers) in [
            ("returned", counts.returned, read(&self.tally.returned)),
            ("failed", counts.failed, read(&self.tally.failed)),
            ("cancelled", counts.cancelled, read(&self.tally.cancelled)),
        ] {
            if pool != callers {
                ledger.findings.add(Finding::Miscounted, || {
                    let name = self.name();
                    format!("{name} counts {pool} {word}, and its callers {callers}")
                });
            }
        }
    }

    /// Compares how often the pool has sent calls again that may have run with how often its workers ran calls again. Such
    /// a call need not have run before, so the former may be more; those that moved must not have.
    pub(crate) fn compare_repeats(&self, repeated: u64, ledger: &Ledger) {
        let resent = self.resent();
        if repeated > resent {
            ledger.findings.add(Finding::Miscounted, || {
                let name = self.name();
                format!(
                    "{name} has sent {resent} calls again, and its workers ran {repeated} again"
                )
            });
        }
    }

    /// How often a call was sent again that the worker before may have run.
    pub(crate) fn resent(&self) -> u64 {
        self.status().counts.resent
    }

    /// How often a call was sent again that the worker before had not begun.
    pub(crate) fn moved(&self) -> u64 {
        self.status().counts.moved
    }

    pub(crate) fn latest(&self) -> Latest {
        self.tally.latest().clone()
    }
}

impl Tally {
    fn note_late(&self, after: Duration, what: impl FnOnce() -> String) {
        let mut latest = self.latest();
        if latest.after < after {
            *latest = Latest {
                after,
                what: what(),
            };
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcome {
    /// The pool takes no more calls.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Ended(Err(error)) if error.kind() == ErrorKind::Closed)
    }
}
