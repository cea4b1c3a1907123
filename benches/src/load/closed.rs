use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Caller, Tally};

/// So many callers, each with one call at a time: service time with one of them, saturation with many.
pub(crate) async fn run<C: Caller>(caller: &C, callers: usize, length: Duration) -> Result<Tally> {
    let begin = Instant::now();
    let end = begin + length;
    // Spawned, so that one caller too runs where a service's handlers run.
    let tasks: Vec<_> = (0..callers)
        .map(|number| tokio::spawn(one(caller.clone(), number, end)))
        .collect();
    let mut tally = Tally::default();
    for task in tasks {
        tally.absorb(task.await??);
    }
    tally.elapsed = begin.elapsed();
    if callers > 1 {
        // They check while others wait for their replies, so no time is the checking's alone.
        tally.checking = Duration::ZERO;
    }
    Ok(tally)
}

async fn one<C: Caller>(caller: C, number: usize, end: Instant) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut now = Instant::now();
    for call in 0.. {
        let question = super::question(number, call);
        let reply = caller.call(question).await?;
        let then = Instant::now();
        tally.record(then - now);
        now = then;
        if C::CHECKS_LONG {
            caller.check(question, &reply)?;
            drop(reply);
            now = Instant::now();
            tally.checking += now - then;
        } else {
            caller.check(question, &reply)?;
        }
        if now >= end {
            break;
        }
    }
    Ok(tally)
}
