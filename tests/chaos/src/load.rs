//! The callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::fleet::Fleet;
use crate::ledger::Ledger;
use crate::plan::{Plan, mark};
use crate::team::Team;

/// Calls until it is told to stop, or the pools are closed.
pub(crate) struct Load {
    callers: JoinSet<()>,
    signs: Arc<Signs>,
}

/// What callers are told.
#[derive(Debug, Default)]
struct Signs {
    stop: AtomicBool,
    rest: AtomicBool,
}

/// Of each pool: enough for a line to form, and for calls to go on while some wait for a worker that is stopped.
const CALLERS: u32 = 32;

impl Load {
    /// So many calls a second, over all pools together. A caller that was held up does not catch up.
    pub(crate) fn start(fleet: &Fleet, ledger: &Arc<Ledger>, seed: u64, rate: u32) -> Self {
        let signs = Arc::new(Signs::default());
        let mut callers = JoinSet::new();
        let count = CALLERS * u32::try_from(fleet.teams.len()).unwrap_or(1);
        let pace = Duration::from_secs(1) * count / rate;
        for (index, team) in (0..).zip(&fleet.teams) {
            for caller in 0..u64::from(CALLERS) {
                let team = Arc::clone(team);
                let ledger = Arc::clone(ledger);
                let signs = Arc::clone(&signs);
                let random = Rng::with_seed(seed ^ mark(index << 32 | caller));
                callers.spawn(async move { call(&team, &ledger, &signs, random, pace).await });
            }
        }
        Self { callers, signs }
    }

    /// Has the callers make no calls for a while. Those that are being made go on.
    pub(crate) fn rest(&self, whether: bool) {
        self.signs.rest.store(whether, Ordering::Relaxed);
    }

    /// Waits for the calls that are being made, and makes no more.
    pub(crate) async fn stop(self) {
        self.signs.stop.store(true, Ordering::Relaxed);
        self.rest(false);
        self.callers.join_all().await;
    }
}

/// How often callers that rest look whether they may go on.
const REST: Duration = Duration::from_millis(10);

async fn call(team: &Team, ledger: &Ledger, signs: &Signs, mut random: Rng, pace: Duration) {
    let mut due = Instant::now() + pace.mul_f64(random.f64());
    while !signs.stop.load(Ordering::Relaxed) {
        sleep_until(due).await;
        if signs.rest.load(Ordering::Relaxed) {
            due = Instant::now() + REST;
            continue;
        }
        // Most calls come alone, some in a burst, whose calls wait behind each other at their worker, or together.
        let burst = match random.u32(0..50) {
            0 => random.u32(2..40),
            _ => 1,
        };
        let count = burst as usize;
        let outcomes = if burst > 1 && random.bool() {
            let plans = Plan::draw_many(&mut random, count);
            team.carry_out_many(&plans, ledger).await
        } else {
            let mut draw = || Plan::draw(&mut random, team.roster.has_async);
            let plans: Vec<_> = std::iter::repeat_with(&mut draw).take(count).collect();
            let calls = plans.iter().map(|plan| team.carry_out(plan, ledger));
            futures::future::join_all(calls).await
        };
        if outcomes.iter().any(|outcome| outcome.is_closed()) {
            break;
        }
        // From half a pace to one and a half.
        let next = due + (pace * burst).mul_f64(0.5 + random.f64());
        due = next.max(Instant::now());
    }
}
