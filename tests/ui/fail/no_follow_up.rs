//! What uses the trait gets no errors of its own: each method below has one mistake, and everything
//! else is as if it had none.

use std::sync::Arc;

#[pyproc::remote]
pub trait Iris<T = ()> {
    type Flower: Default;
    const LIMIT: usize;
    fn classify(&self, flower: u32) -> pyproc::Result<u32>;
    #[pyproc(deadline = "soon")]
    async fn nearest(&self, flower: &str, k: u32) -> pyproc::Result<Vec<String>>;
    async fn bind(&self, (a, b): (u32, u32)) -> pyproc::Result<u32>;
}

#[pyproc::remote(object_safe, unknown)]
trait Shared {
    async fn generic<T: Send>(&self, value: T) -> pyproc::Result<T>;
    async fn nothing(&self);
    async fn classify(&self, flower: &str) -> pyproc::Result<u32>;
}

struct Fake;

impl Iris for Fake {
    type Flower = u32;
    const LIMIT: usize = 3;

    async fn classify(&self, flower: u32) -> pyproc::Result<u32> {
        Ok(flower)
    }

    async fn nearest(&self, _: &str, _: u32) -> pyproc::Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn bind(&self, (a, b): (u32, u32)) -> pyproc::Result<u32> {
        Ok(a + b)
    }
}

#[pyproc::async_trait]
impl Shared for Fake {
    async fn classify(&self, _: &str) -> pyproc::Result<u32> {
        Ok(0)
    }
}

async fn generic<I: Iris + Send + Sync + 'static>(iris: I) -> pyproc::Result<u32> {
    iris.nearest("setosa", 3).await?;
    iris.classify(1).await
}

async fn clients(pool: &pyproc::Pool) -> pyproc::Result<u32> {
    let client = IrisClient::new(pool)?;
    tokio::spawn(generic(client.clone()));
    tokio::spawn(generic(Fake));
    let shared: Arc<dyn Shared> = Arc::new(SharedClient::new(pool)?);
    shared.nothing().await;
    let fake: Arc<dyn Shared> = Arc::new(Fake);
    tokio::spawn(async move { fake.classify("setosa").await });
    Iris::<()>::bind(&client, (1, 2)).await
}

fn main() {
    drop(clients);
}
