//! The facade can be somewhere else than at `::pyproc`.

mod vendored {
    pub use ::pyproc as python;
}

mod pyproc {}

#[vendored::python::remote(crate = vendored::python)]
trait Iris {
    async fn classify(&self, flower: &[f64]) -> vendored::python::Result<String>;
    async fn nearest(&self, flower: &[f64], k: u32) -> vendored::python::Result<Vec<String>>;
}

#[vendored::python::remote(object_safe, crate = crate::vendored::python)]
trait Shared {
    async fn classify(&self, flower: &[f64]) -> vendored::python::Result<String>;
}

/// Only compiled: it needs a pool.
async fn _call(pool: &vendored::python::Pool) -> vendored::python::Result<()> {
    IrisClient::new(pool)?.nearest(&[], 3).await?;
    IrisClient::new(pool)?.classify(&[]).await?;
    SharedClient::new(pool)?.classify(&[]).await?;
    Ok(())
}

fn main() {}
