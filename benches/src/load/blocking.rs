use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{BlockingCaller, Tally};

/// One caller, the next call when the last one is answered.
pub(crate) fn closed(caller: &mut impl BlockingCaller, length: Duration) -> Result<Tally> {
    let mut tally = Tally::default();
    let begin = Instant::now();
    let mut now = begin;
    for call in 0.. {
        let question = super::question(0, call);
        caller.call(question)?;
        let then = Instant::now();
        tally.record(then - now);
        caller.check(question)?;
        now = Instant::now();
        tally.checking += now - then;
        if now - begin >= length {
            break;
        }
    }
    tally.elapsed = now - begin;
    Ok(tally)
}

/// One caller that makes a call at every tick.
pub(crate) fn paced(
    caller: &mut impl BlockingCaller,
    interval: Duration,
    length: Duration,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let begin = Instant::now();
    for call in 0.. {
        thread::sleep(interval);
        let question = super::question(0, call);
        let now = Instant::now();
        caller.call(question)?;
        tally.record(now.elapsed());
        caller.check(question)?;
        if begin.elapsed() >= length {
            break;
        }
    }
    tally.elapsed = begin.elapsed();
    Ok(tally)
}
