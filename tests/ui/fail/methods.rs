//! Every mistake in the methods is reported at once.

struct Flower;
struct Verdict;

#[pyproc::remote]
trait Iris {
    async fn no_receiver(flower: Flower) -> pyproc::Result<Verdict>;
    async fn by_value(self, flower: Flower) -> pyproc::Result<Verdict>;
    async fn by_mutable_reference(&mut self) -> pyproc::Result<Verdict>;
    async fn by_pointer(self: std::sync::Arc<Self>) -> pyproc::Result<Verdict>;
    async fn with_lifetime<'a>(&'a self, name: &'a str) -> pyproc::Result<Verdict>;
    fn blocking(&self) -> pyproc::Result<Verdict>;
    fn future(&self) -> impl Future<Output = pyproc::Result<Verdict>>;
    async unsafe fn dangerous(&self) -> pyproc::Result<Verdict>;
    async extern "C" fn foreign(&self) -> pyproc::Result<Verdict>;
    async fn nothing(&self, flower: Flower);
    async fn not_a_result(&self) -> Vec<Verdict>;
    async fn optional(&self) -> Option<pyproc::Result<Verdict>>;
    async fn generic<T: Send, const N: usize>(&self, values: [T; N]) -> pyproc::Result<T>;
    async fn bounded(&self) -> pyproc::Result<Verdict>
    where
        Self: Sync;
    async fn with_body(&self) -> pyproc::Result<Verdict> {
        Ok(Verdict)
    }
}

fn main() {}
