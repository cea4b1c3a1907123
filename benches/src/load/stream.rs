use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use pyproc::{Codec, Pool};
use serde::Serialize;
use serde_bytes::ByteBuf;

use super::Tally;

#[derive(Clone, Copy, Serialize)]
struct Wanted {
    items: u64,
    size: usize,
}

/// One reader, which reads one stream after the other to its end. The latency is that of the first item.
pub(crate) async fn run<C: Codec>(
    pool: &Pool<C>,
    items: u64,
    size: usize,
    length: Duration,
) -> Result<Tally> {
    let pool = pool.clone();
    // Spawned, so that it reads where a service's handlers run.
    tokio::spawn(async move {
        let end = Instant::now() + length;
        let mut tally = Tally::default();
        loop {
            read(&pool, Wanted { items, size }, &mut tally).await?;
            if Instant::now() >= end {
                return Ok(tally);
            }
        }
    })
    .await?
}

async fn read<C: Codec>(pool: &Pool<C>, wanted: Wanted, tally: &mut Tally) -> Result<()> {
    let begin = Instant::now();
    let mut stream = pool.stream::<_, ByteBuf>("items", wanted);
    for number in 0..wanted.items {
        let Some(item) = stream.next().await else {
            bail!("the stream has ended after {number} items");
        };
        if number == 0 {
            tally.record(begin.elapsed());
        }
        check(number, &item?, wanted.size)?;
    }
    ensure!(stream.next().await.is_none(), "there are more items");
    tally.add_items(wanted.items, begin.elapsed());
    Ok(())
}

/// Whether an item is the one with this number: it begins with it.
pub(crate) fn check(number: u64, item: &[u8], size: usize) -> Result<()> {
    ensure!(
        item.len() == size && item.first_chunk() == Some(&number.to_le_bytes()),
        "item {number} is another one"
    );
    Ok(())
}
