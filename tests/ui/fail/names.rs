//! Two methods must not call one Python function.

#[pyproc::remote]
trait Iris {
    async fn classify(&self, flower: u32) -> pyproc::Result<u32>;
    #[pyproc(name = "classify")]
    async fn classify_again(&self, flower: u32) -> pyproc::Result<u32>;
    async fn r#type(&self) -> pyproc::Result<u32>;
    #[pyproc(name = "type")]
    async fn kind(&self) -> pyproc::Result<u32>;
    async fn classify(&self, flower: &str) -> pyproc::Result<u32>;
}

fn main() {}
