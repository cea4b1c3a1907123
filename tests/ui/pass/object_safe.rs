//! With `object_safe` the trait is called through `Arc<dyn Iris>`, shared between tasks.

use std::sync::Arc;

#[pyproc::remote(object_safe)]
pub trait Iris {
    #[pyproc(idempotent, deadline = "1s")]
    async fn classify(&self, flower: &[f64]) -> pyproc::Result<String>;
    async fn nearest(&self, name: &str, k: Option<&u32>) -> pyproc::Result<Vec<String>>;
    async fn warm_up(&self) -> pyproc::Result<()>;
}

struct Fake;

#[pyproc::async_trait]
impl Iris for Fake {
    async fn classify(&self, flower: &[f64]) -> pyproc::Result<String> {
        tokio::task::yield_now().await;
        Ok(format!("{} numbers", flower.len()))
    }

    async fn nearest(&self, name: &str, k: Option<&u32>) -> pyproc::Result<Vec<String>> {
        Ok(vec![name.to_owned(); k.map_or(1, |k| *k as usize)])
    }

    async fn warm_up(&self) -> pyproc::Result<()> {
        Ok(())
    }
}

/// Only compiled: the client is such an object too, with any codec.
fn _client<C: pyproc::Codec>(pool: &pyproc::Pool<C>) -> pyproc::Result<Arc<dyn Iris>> {
    Ok(Arc::new(IrisClient::new(pool)?))
}

#[tokio::main]
async fn main() {
    let iris: Arc<dyn Iris> = Arc::new(Fake);
    iris.warm_up().await.unwrap();
    let shared = Arc::clone(&iris);
    let task = tokio::spawn(async move { shared.classify(&[5.1, 3.5]).await });
    assert_eq!(task.await.unwrap().unwrap(), "2 numbers");
    assert_eq!(iris.nearest("setosa", Some(&2)).await.unwrap().len(), 2);
}
