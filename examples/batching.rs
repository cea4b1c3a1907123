//! A model that is asked for one row at a time, and for those that wait together: the same answers, many times as fast.
//!
//! The worker runs in the `.venv` above the script, which `cargo xtask setup` makes.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use pyproc::Pool;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Flower {
    sepal_length: f64,
    sepal_width: f64,
    petal_length: f64,
    petal_width: f64,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Prediction {
    species: String,
    probability: f64,
}

/// Nothing here tells that one of them takes batches: each call has its own flower, result and error.
#[pyproc::remote]
trait Model {
    async fn flowers(&self) -> pyproc::Result<Vec<Flower>>;
    async fn predict_one(&self, flower: &Flower) -> pyproc::Result<Prediction>;
    async fn predict(&self, flower: &Flower) -> pyproc::Result<Prediction>;
}

/// As many calls are made at once, by the requests of a web service, say.
const CALLERS: usize = 64;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let pool = Pool::builder(pyproc::script!("examples/batching.py"))
        .workers(1)
        .start()
        .await?;
    let model = ModelClient::new(&pool)?;
    let flowers = model.flowers().await?;

    let (single, alone) = timed(&flowers, |flower| model.predict_one(flower)).await?;
    let (batched, together) = timed(&flowers, |flower| model.predict(flower)).await?;
    println!(
        "{} calls by {CALLERS} callers: {alone:.0?} one by one, {together:.0?} in batches",
        flowers.len()
    );

    // Whoever has many rows sends them together; and one that is wrong is nobody else's loss.
    let mut mixed = flowers.clone();
    mixed[7].petal_length = -1.0;
    let results: Vec<pyproc::Result<Prediction>> = pool.call_many("predict", &mixed).await;
    let failed: Vec<_> = results.iter().filter(|result| result.is_err()).collect();
    if let [Err(error)] = failed.as_slice() {
        println!("one of {} rows failed: {error}", results.len());
    }
    pool.shutdown().await?;

    let alike = single.iter().zip(&batched).filter(|(a, b)| a == b).count();
    let ratio = alone.as_secs_f64() / together.as_secs_f64();
    println!(
        "{alike} of {} answers alike, batches {ratio:.1} times as fast",
        flowers.len()
    );
    let is_right = alike == flowers.len() && failed.len() == 1;
    Ok(if is_right && ratio >= 2.0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Predicts all flowers, many at a time, and says how long that took.
async fn timed<'a, F: Future<Output = pyproc::Result<Prediction>>>(
    flowers: &'a [Flower],
    predict: impl Fn(&'a Flower) -> F,
) -> pyproc::Result<(Vec<Prediction>, Duration)> {
    let began = Instant::now();
    let predictions = stream::iter(flowers)
        .map(predict)
        .buffered(CALLERS)
        .try_collect()
        .await?;
    Ok((predictions, began.elapsed()))
}
