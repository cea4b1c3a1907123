//! Every mistake in the trait itself is reported at once.

#[pyproc::remote]
unsafe trait Iris<'a, T> {
    const LIMIT: usize;
    type Flower: Send;
    async fn classify(&self, flower: T) -> pyproc::Result<u32>;
}

#[pyproc::remote]
struct Flower;

#[pyproc::remote]
impl Flower {}

#[pyproc::remote]
async fn classify(_: Flower) -> u32 {
    0
}

fn main() {}
