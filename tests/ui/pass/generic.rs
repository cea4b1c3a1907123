//! Code that is generic over the trait runs with an implementation written by hand, and can be
//! spawned.

use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize)]
struct Flower {
    petal_length: f64,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Verdict(String);

#[pyproc::remote]
trait Iris {
    #[pyproc(idempotent)]
    async fn classify(&self, flower: Flower) -> pyproc::Result<Verdict>;
    async fn nearest(&self, flower: &Flower, k: u32) -> pyproc::Result<Vec<Verdict>>;
}

struct Fake;

impl Iris for Fake {
    async fn classify(&self, flower: Flower) -> pyproc::Result<Verdict> {
        tokio::task::yield_now().await;
        let name = if flower.petal_length < 2.5 {
            "setosa"
        } else {
            "virginica"
        };
        Ok(Verdict(name.to_owned()))
    }

    async fn nearest(&self, _: &Flower, k: u32) -> pyproc::Result<Vec<Verdict>> {
        Ok((0..k).map(|rank| Verdict(rank.to_string())).collect())
    }
}

async fn both<I: Iris>(iris: I) -> pyproc::Result<(Verdict, usize)> {
    let flower = Flower { petal_length: 1.4 };
    let neighbors = iris.nearest(&flower, 3).await?;
    Ok((iris.classify(flower).await?, neighbors.len()))
}

/// Only compiled: the same generic caller takes the client.
async fn _with_client(pool: &pyproc::Pool) -> pyproc::Result<()> {
    let iris = IrisClient::new(pool)?;
    tokio::spawn(both(iris.clone()));
    tokio::spawn(async move { iris.classify(Flower { petal_length: 1.4 }).await });
    Ok(())
}

#[tokio::main]
async fn main() {
    let task = tokio::spawn(both(Fake));
    let (verdict, neighbors) = task.await.unwrap().unwrap();
    assert_eq!(verdict, Verdict("setosa".to_owned()));
    assert_eq!(neighbors, 3);
}
