//! Options that contradict each other, the method, or its arguments.

use pyproc::{Answers, Stream};

#[pyproc::remote]
trait Chat {
    #[pyproc(priority = "urgent")]
    async fn no_priority(&self) -> pyproc::Result<()>;
    #[pyproc(priority = 1)]
    async fn no_text(&self) -> pyproc::Result<()>;
    #[pyproc(retry = 0)]
    async fn never(&self) -> pyproc::Result<()>;
    #[pyproc(retry)]
    async fn how_often(&self) -> pyproc::Result<()>;
    #[pyproc(broadcast, one_way)]
    async fn both(&self) -> pyproc::Result<()>;
    #[pyproc(broadcast, idempotent, priority = "high", retry = 2)]
    async fn everywhere(&self, #[pyproc(key)] session: u64) -> pyproc::Result<Answers<()>>;
    #[pyproc(one_way, retry = 2)]
    async fn unheard(&self) -> pyproc::Result<u64>;
    #[pyproc(one_way)]
    fn unread(&self) -> impl Stream<Item = pyproc::Result<u64>>;
    #[pyproc(broadcast)]
    async fn unfed(&self, items: impl Stream<Item = u64>) -> pyproc::Result<Answers<()>>;
    async fn two(&self, #[pyproc(key)] a: u64, #[pyproc(key)] b: u64) -> pyproc::Result<()>;
    async fn unknown(&self, #[pyproc(keys)] a: u64) -> pyproc::Result<()>;
    async fn valued(&self, #[pyproc(key = 1)] a: u64) -> pyproc::Result<()>;
    async fn foreign(&self, #[inline] a: u64) -> pyproc::Result<()>;
}

fn main() {}
