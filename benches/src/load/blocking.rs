use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{BlockingCaller, Tally};

/// One caller, the next call when the last one is answered.
pub(crate) fn closed(caller: &mut impl BlockingCaller, length: Duration) -> Result<Tally> {
    numbered(caller, 0, length)
}

/// So many callers, each of which is a thread.
pub(crate) fn many<C: BlockingCaller + Send>(
    callers: usize,
    make: impl Fn(usize) -> C,
    length: Duration,
) -> Result<Tally> {
    if callers == 1 {
        return closed(&mut make(0), length);
    }
    let begin = Instant::now();
    let mut tally = Tally::default();
    thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..callers)
            .map(|number| {
                let mut caller = make(number);
                scope.spawn(move || numbered(&mut caller, number, length))
            })
            .collect();
        for thread in threads {
            let one = thread
                .join()
                .map_err(|_| anyhow!("a caller has panicked"))?;
            tally.absorb(one?);
        }
        Ok(())
    })?;
    tally.elapsed = begin.elapsed();
    tally.checking = Duration::ZERO;
    Ok(tally)
}

fn numbered(caller: &mut impl BlockingCaller, number: usize, length: Duration) -> Result<Tally> {
    let mut tally = Tally::default();
    let begin = Instant::now();
    let mut now = begin;
    for call in 0.. {
        let question = super::question(number, call);
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
