//! What methods that yield cannot be.

use pyproc::{BoxStream, Stream};

#[pyproc::remote]
trait Model {
    async fn late(&self) -> impl Stream<Item = pyproc::Result<u32>>;
    fn infallible(&self) -> impl Stream<Item = u32>;
    fn untold(&self) -> impl Stream;
    fn borrowed(&self) -> impl Stream<Item = pyproc::Result<&str>>;
    async fn boxed(&self) -> BoxStream<'_, pyproc::Result<u32>>;
}

#[pyproc::remote(object_safe)]
trait Shared {
    fn generate(&self) -> impl Stream<Item = pyproc::Result<u32>>;
}

fn main() {}
