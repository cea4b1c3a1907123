use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pyproc::{Codec, Pool};
use tokio::task::JoinSet;

use super::Tally;

/// So many naps at once, and when all have ended as many anew; the latency is that of all of them together.
pub(crate) async fn run<C: Codec>(
    pool: &Pool<C>,
    naps: usize,
    calls: usize,
    length: Duration,
) -> Result<Tally> {
    let end = Instant::now() + length;
    let mut tally = Tally::default();
    loop {
        let begin = Instant::now();
        if calls == 1 {
            let sum: usize = pool.call("naps", naps).await?;
            ensure!(sum == naps * (naps - 1), "{naps} naps came to {sum}");
        } else {
            each_by_itself(pool, naps).await?;
        }
        tally.record(begin.elapsed());
        tally.add_items(naps as u64, begin.elapsed());
        if Instant::now() >= end {
            return Ok(tally);
        }
    }
}

/// A task and a call for each nap.
async fn each_by_itself<C: Codec>(pool: &Pool<C>, naps: usize) -> Result<()> {
    let mut callers = JoinSet::new();
    for number in 0..naps {
        let pool = pool.clone();
        callers.spawn(async move {
            let doubled: usize = pool.call("nap", number).await?;
            ensure!(doubled == 2 * number, "{number} was answered by {doubled}");
            Ok(())
        });
    }
    while let Some(result) = callers.join_next().await {
        result??;
    }
    Ok(())
}
