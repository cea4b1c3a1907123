//! Every mistake in the options is reported at once.

#[pyproc::remote]
trait Iris {
    #[pyproc(retry)]
    async fn unknown(&self) -> pyproc::Result<u32>;
    #[pyproc(idempotent, idempotent)]
    #[pyproc(name = "a")]
    #[pyproc(name = "b")]
    async fn repeated(&self) -> pyproc::Result<u32>;
    #[pyproc(idempotent = true, name, deadline)]
    async fn values(&self) -> pyproc::Result<u32>;
    #[pyproc(name = "", deadline = 250)]
    async fn empty(&self) -> pyproc::Result<u32>;
    #[pyproc(deadline = "soon")]
    async fn unreadable(&self) -> pyproc::Result<u32>;
    #[pyproc(deadline = "1.5s")]
    async fn fraction(&self) -> pyproc::Result<u32>;
    #[pyproc(deadline = "0ms")]
    async fn zero(&self) -> pyproc::Result<u32>;
    #[pyproc("idempotent")]
    async fn string(&self) -> pyproc::Result<u32>;
    #[pyproc]
    async fn bare(&self) -> pyproc::Result<u32>;
    #[cfg_attr(all(), pyproc(idempotent))]
    async fn conditional(&self) -> pyproc::Result<u32>;
}

#[pyproc::remote(objectsafe, crate = "pyproc")]
trait Options {
    async fn classify(&self) -> pyproc::Result<u32>;
}

#[pyproc::remote(object_safe = true, object_safe)]
#[pyproc(idempotent)]
trait Repeated {
    async fn classify(&self) -> pyproc::Result<u32>;
}

fn main() {}
