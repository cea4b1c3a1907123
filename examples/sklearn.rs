//! A scikit-learn model behind a Rust trait.
//!
//! The workers run in the `.venv` above the script, which `cargo xtask setup` makes.

use std::error::Error;

use futures::future::try_join_all;
use pyproc::Pool;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Sample {
    features: Vec<f64>,
    species: String,
}

#[derive(Debug, Deserialize)]
struct Prediction {
    species: String,
    probability: f64,
}

#[pyproc::remote]
trait Forest {
    async fn held_out(&self) -> pyproc::Result<Vec<Sample>>;

    #[pyproc(idempotent, deadline = "10s")]
    async fn predict(&self, features: &[f64]) -> pyproc::Result<Prediction>;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(pyproc::script!("examples/forest.py"))
        .workers(2)
        .start()
        .await?;
    let forest = ForestClient::new(&pool)?;

    let samples = forest.held_out().await?;
    let predictions = try_join_all(
        samples
            .iter()
            .map(|sample| forest.predict(&sample.features)),
    )
    .await?;
    for (sample, prediction) in samples.iter().zip(&predictions).take(3) {
        println!(
            "{}: {:.0} % {}",
            sample.species,
            100.0 * prediction.probability,
            prediction.species
        );
    }
    pool.shutdown().await?;

    let right = samples
        .iter()
        .zip(&predictions)
        .filter(|(sample, found)| sample.species == found.species)
        .count();
    println!("predicted {right} of {} correctly", samples.len());
    Ok(())
}
