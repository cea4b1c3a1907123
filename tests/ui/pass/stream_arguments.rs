//! Methods that take a stream: as `impl Stream`, in a box, through a macro, and of results that may
//! fail.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pyproc::{BoxStream, Stream};

/// A value like any other, whatever its name ends in.
#[derive(serde::Serialize)]
struct SearchResult {
    score: f64,
}

type RowResult<T> = Result<T, io::Error>;

#[pyproc::remote]
trait Search {
    async fn best(&self, found: impl Stream<Item = SearchResult>) -> pyproc::Result<u64>;
    async fn first(&self, found: BoxStream<'static, RowResult<SearchResult>>)
    -> pyproc::Result<u64>;
}

#[pyproc::remote]
trait Table {
    async fn total(&self, rows: impl Stream<Item = u64>) -> pyproc::Result<u64>;
    #[pyproc(name = "other", deadline = "1s", idempotent)]
    async fn scaled(
        &self,
        by: &str,
        rows: impl Stream<Item = io::Result<u64>> + Unpin,
        offset: u32,
    ) -> pyproc::Result<u64>;
    fn clean(&self, rows: impl Stream<Item = String>) -> impl Stream<Item = pyproc::Result<String>>;
    async fn boxed(&self, rows: BoxStream<'static, u64>) -> pyproc::Result<u64>;
}

#[pyproc::remote(object_safe)]
trait Shared {
    async fn total(&self, by: &str, rows: BoxStream<'static, u64>) -> pyproc::Result<u64>;
    fn clean(&self, rows: BoxStream<'static, u64>) -> BoxStream<'static, pyproc::Result<u64>>;
}

/// Its types come to the attribute in groups.
macro_rules! relay {
    ($name:ident, $rows:ty, $results:ty) => {
        #[pyproc::remote]
        trait $name {
            async fn total(&self, rows: $rows) -> pyproc::Result<u64>;
            fn clean(&self, rows: ($rows)) -> $results;
        }
    };
}

relay!(
    Relay,
    impl Stream<Item = u64>,
    impl Stream<Item = pyproc::Result<u64>>
);

struct Once<T>(Option<T>);

impl<T: Unpin> Stream for Once<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
        Poll::Ready(self.0.take())
    }
}

struct Fake;

impl Table for Fake {
    async fn total(&self, _: impl Stream<Item = u64> + Send) -> pyproc::Result<u64> {
        Ok(1)
    }

    async fn scaled(
        &self,
        by: &str,
        _: impl Stream<Item = io::Result<u64>> + Unpin + Send,
        offset: u32,
    ) -> pyproc::Result<u64> {
        Ok(by.len() as u64 + u64::from(offset))
    }

    fn clean(
        &self,
        _: impl Stream<Item = String> + Send,
    ) -> impl Stream<Item = pyproc::Result<String>> {
        Once(Some(Ok(String::new())))
    }

    async fn boxed(&self, _: BoxStream<'static, u64>) -> pyproc::Result<u64> {
        Ok(2)
    }
}

#[pyproc::async_trait]
impl Shared for Fake {
    async fn total(&self, by: &str, _: BoxStream<'static, u64>) -> pyproc::Result<u64> {
        Ok(by.len() as u64)
    }

    fn clean(&self, rows: BoxStream<'static, u64>) -> BoxStream<'static, pyproc::Result<u64>> {
        drop(rows);
        Box::pin(Once(Some(Ok(3))))
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

/// As in `tokio::spawn`, which needs what it is given to be `Send`.
fn spawns(table: &impl Table) {
    drop(is_send(table.total(Once(Some(1)))));
    drop(is_send(table.scaled("by", Once(Some(Ok(1))), 3)));
    drop(is_send(table.clean(Once(Some(String::new())))));
}

fn relays(relay: &impl Relay) {
    drop(is_send(relay.total(Once(Some(1)))));
    drop(is_send(relay.clean(Once(Some(1)))));
}

fn client(pool: &pyproc::Pool) -> pyproc::Result<()> {
    let table = TableClient::new(pool)?;
    spawns(&table);
    relays(&RelayClient::new(pool)?);
    let search = SearchClient::new(pool)?;
    drop(is_send(search.best(Once(Some(SearchResult { score: 0.5 })))));
    drop(is_send(search.first(Box::pin(Once(None)))));
    let shared: Arc<dyn Shared> = Arc::new(SharedClient::new(pool)?);
    drop(is_send(shared.total("by", Box::pin(Once(Some(1))))));
    drop(is_send(shared.clean(Box::pin(Once(Some(1))))));
    Ok(())
}

fn main() {
    spawns(&Fake);
    let _ = client;
    let _: Arc<dyn Shared> = Arc::new(Fake);
}
