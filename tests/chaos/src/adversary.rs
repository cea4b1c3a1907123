//! Who does it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pyproc::ErrorKind;
use rustix::process::Signal;

use crate::act::{Act, Step};
use crate::budget::Budget;
use crate::clock::now_ns;
use crate::deaths::{Acts, Deaths};
use crate::findings::Finding;
use crate::fleet::{Fleet, Place};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::process;
use crate::team::Outcome;
use crate::watch::Watch;

/// Does one act after the other in each slot, until the budget is spent.
pub(crate) struct Adversary {
    pub(crate) seed: u64,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) deaths: Arc<Deaths>,
    pub(crate) budget: Budget,
    pub(crate) acts: Acts,
}

/// A worker that is not replaced within this time never is.
const REPLACED_WITHIN: Duration = Duration::from_secs(30);

/// A death that is not noticed within this time never is.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);

/// A worker that is stopped for good is killed when a call is overdue on it; should it have none, it goes on after this
/// time.
const STOPPED_AT_MOST: Duration = Duration::from_secs(8);

impl Adversary {
    /// Is at work in one slot. `number` is that of the next act, and is counted on.
    pub(crate) async fn haunt(&self, place: Place, number: &mut u64) {
        loop {
            let Step { act, pause } = Step::draw(self.seed, place, *number);
            if self.budget.is_spent() || (act.is_fatal() && !self.budget.claim().await) {
                return;
            }
            *number += 1;
            tokio::time::sleep(pause).await;
            let Some(pid) = self.watch.ready(place, REPLACED_WITHIN).await else {
                let name = self.fleet.team(place).name();
                let finding = || format!("slot {} of {name}", place.slot);
                self.ledger.findings.add(Finding::NotReplaced, finding);
                return;
            };
            tracing::info!(?place, pid, ?act, number = *number - 1, "act");
            let hit = self.perform(act, place, pid).await;
            if hit {
                self.acts.count(act.name());
            } else if act.is_fatal() {
                self.budget.give_back();
            }
        }
    }

    /// Says whether it hit anybody.
    async fn perform(&self, act: Act, place: Place, pid: u32) -> bool {
        match act {
            Act::Kill => self.strike(pid, Signal::KILL).await,
            Act::Segfault => self.strike(pid, Signal::SEGV).await,
            Act::Abort => self.strike(pid, Signal::ABORT).await,
            Act::KillAll => {
                let slots = self.fleet.team(place).roster.workers;
                let others = (0..slots).filter(|slot| *slot != place.slot);
                for slot in others {
                    let other = Place { slot, ..place };
                    if let Some(pid) = self.watch.pid(other) {
                        self.send(pid, Signal::KILL);
                    }
                }
                self.strike(pid, Signal::KILL).await
            }
            Act::Fatal {
                function,
                amount,
                idempotent,
            } => {
                let mut plan = Plan::of(function, amount);
                plan.idempotent = idempotent;
                self.poison(place, &plan).await
            }
            Act::Terminate => process::signal(pid, Signal::TERM) && self.wait_for_end(pid).await,
            Act::KillStarting => {
                let ready = self.watch.pids();
                let starting = process::children()
                    .into_iter()
                    .find(|pid| !ready.contains(pid));
                starting.is_some_and(|pid| process::signal(pid, Signal::KILL))
            }
            Act::Stop(milliseconds) => {
                let stopped = process::signal(pid, Signal::STOP);
                tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
                process::signal(pid, Signal::CONT);
                stopped
            }
            Act::StopForGood => {
                let stopped = process::signal(pid, Signal::STOP);
                self.watch.gone(pid, STOPPED_AT_MOST).await;
                process::signal(pid, Signal::CONT);
                stopped
            }
            Act::Starve(milliseconds) => {
                starve(Duration::from_millis(milliseconds.into()));
                true
            }
            Act::Confuse(function, amount) => {
                let plan = Plan::of(function, amount);
                self.fleet.team(place).carry_out(&plan, &self.ledger).await;
                true
            }
        }
    }

    /// Kills a worker, and waits until its pool knows.
    async fn strike(&self, pid: u32, signal: Signal) -> bool {
        self.send(pid, signal) && self.wait_for_end(pid).await
    }

    fn send(&self, pid: u32, signal: Signal) -> bool {
        let at_ns = now_ns();
        let sent = process::signal(pid, signal);
        if sent {
            self.deaths.warrant(pid, at_ns);
        }
        sent
    }

    /// Has a worker of the pool, whichever it is, run a function that it does not survive. When it did, the worker says
    /// in the journal.
    async fn poison(&self, place: Place, plan: &Plan) -> bool {
        match self.fleet.team(place).carry_out(plan, &self.ledger).await {
            Outcome::Ended(Err(error))
                if matches!(error.kind(), ErrorKind::WorkerDied | ErrorKind::Protocol) =>
            {
                match error.worker().and_then(pyproc::WorkerIdentity::pid) {
                    Some(pid) => self.wait_for_end(pid).await,
                    None => false,
                }
            }
            // It was not admitted, or its time passed while it waited.
            _ => false,
        }
    }

    async fn wait_for_end(&self, pid: u32) -> bool {
        let noticed = self.watch.gone(pid, NOTICED_WITHIN).await;
        if !noticed {
            let finding = || format!("the end of process {pid}");
            self.ledger.findings.add(Finding::Unnoticed, finding);
        }
        noticed
    }
}

/// Two busy threads for each processor.
fn starve(time: Duration) {
    let end = Instant::now() + time;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..2 * processors {
        thread::spawn(move || while Instant::now() < end {});
    }
}
