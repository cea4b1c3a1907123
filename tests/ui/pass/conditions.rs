//! Methods can stand under a condition; two with one name can exclude each other.

#[pyproc::remote]
trait Iris {
    #[cfg(not(debug_assertions))]
    #[cfg(target_pointer_width = "64")]
    async fn released(&self, value: Missing) -> pyproc::Result<u32>;
    #[cfg(debug_assertions)]
    async fn classify(&self, flower: u32) -> pyproc::Result<u32>;
    #[cfg(not(debug_assertions))]
    async fn classify(&self, flower: Missing) -> pyproc::Result<u32>;
    #[cfg_attr(all(), doc = "Doubles the value.")]
    async fn double(&self, value: u32) -> pyproc::Result<u32>;
}

#[pyproc::remote(object_safe)]
trait Shared {
    #[cfg(not(debug_assertions))]
    async fn released(&self, value: Missing) -> pyproc::Result<u32>;
    async fn double(&self, value: u32) -> pyproc::Result<u32>;
}

#[pyproc::remote]
#[cfg(not(debug_assertions))]
trait Absent {
    async fn released(&self, value: Missing) -> pyproc::Result<u32>;
}

/// Only compiled: it needs a pool.
async fn _calls(pool: &pyproc::Pool) -> pyproc::Result<u32> {
    let iris = IrisClient::new(pool)?;
    let shared = SharedClient::new(pool)?;
    Ok(iris.classify(1).await? + iris.double(2).await? + shared.double(3).await?)
}

fn main() {}
