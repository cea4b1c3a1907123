use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::MissedTickBehavior;

use super::{Caller, Tally};

/// One caller that makes a call at every tick: what an application at rest sees, whose caches, cores and spins have
/// gone to sleep since its last call.
pub(crate) async fn run<C: Caller>(
    caller: &C,
    interval: Duration,
    length: Duration,
) -> Result<Tally> {
    let caller = caller.clone();
    tokio::spawn(one(caller, interval, length)).await?
}

async fn one<C: Caller>(caller: C, interval: Duration, length: Duration) -> Result<Tally> {
    let mut tally = Tally::default();
    let begin = Instant::now();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for call in 0.. {
        ticks.tick().await;
        let question = super::question(0, call);
        let now = Instant::now();
        let reply = caller.call(question).await?;
        tally.record(now.elapsed());
        caller.check(question, &reply)?;
        if begin.elapsed() >= length {
            break;
        }
    }
    tally.elapsed = begin.elapsed();
    Ok(tally)
}
