//! A broadcast is not answered by one value.

#[pyproc::remote]
trait Chat {
    #[pyproc(broadcast)]
    async fn one_answer(&self) -> pyproc::Result<u64>;
}

fn main() {}
