//! What streams cannot be as arguments.

use pyproc::{BoxStream, Stream};

#[pyproc::remote]
trait Table {
    async fn untold(&self, rows: impl Stream) -> pyproc::Result<u64>;
    async fn two(
        &self,
        left: impl Stream<Item = u64>,
        right: impl Stream<Item = u64>,
    ) -> pyproc::Result<u64>;
    async fn changed(&self, rows: impl Stream<Item = &'static mut u64>) -> pyproc::Result<u64>;
    async fn other(&self, rows: impl Iterator<Item = u64>) -> pyproc::Result<u64>;
}

#[pyproc::remote(object_safe)]
trait Shared {
    async fn total(&self, rows: impl Stream<Item = u64>) -> pyproc::Result<u64>;
    fn clean(&self, rows: impl Stream<Item = u64>) -> BoxStream<'static, pyproc::Result<u64>>;
}

fn shared(_: &dyn Shared) {}

fn main() {}
