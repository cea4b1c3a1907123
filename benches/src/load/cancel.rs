use std::future::IntoFuture;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pyproc::{Codec, Pool};
use tokio::time::timeout;

use super::{Tally, answer};
use crate::child::{Question, Reply};

/// So long a function runs before its call is dropped: long enough to have begun.
const RUNS: Duration = Duration::from_millis(2);

/// One caller, whose calls never end by themselves. It drops each while it runs, and makes another one that is answered at
/// once. The latency is the time that this one takes.
pub(crate) async fn run<C: Codec>(
    pool: &Pool<C>,
    function: &'static str,
    length: Duration,
) -> Result<Tally> {
    let pool = pool.clone();
    // Spawned, so that it calls where a service's handlers run.
    tokio::spawn(async move {
        let begin = Instant::now();
        let mut tally = Tally::default();
        for value in 0.. {
            let mut endless = Box::pin(pool.call::<_, ()>(function, ()).into_future());
            ensure!(
                timeout(RUNS, &mut endless).await.is_err(),
                "`{function}` has ended"
            );
            let dropped = Instant::now();
            drop(endless);
            let reply: Reply = pool.call("predict", &Question { value }).await?;
            tally.record(dropped.elapsed());
            ensure!(reply.result == answer(value), "another call was answered");
            if begin.elapsed() >= length {
                break;
            }
        }
        tally.elapsed = begin.elapsed();
        Ok(tally)
    })
    .await?
}
