//! Arguments by value and by reference, from none to sixteen.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;

#[derive(Serialize)]
struct Flower<'a> {
    name: &'a str,
}

#[pyproc::remote]
trait Arguments {
    async fn none(&self) -> pyproc::Result<()>;
    async fn reference(&self, flower: &Flower<'_>) -> pyproc::Result<f64>;
    async fn text(&self, text: &str) -> pyproc::Result<String>;
    async fn text_forever(&self, text: &'static str) -> pyproc::Result<String>;
    async fn slice(&self, values: &[f64], names: &[&str]) -> pyproc::Result<Vec<f64>>;
    async fn cow(&self, text: Cow<'_, str>) -> pyproc::Result<(u8, bool)>;
    async fn nested(&self, by_name: &HashMap<String, Option<&f64>>) -> pyproc::Result<u64>;
    #[pyproc(name = "predict_v2", deadline = "250ms")]
    #[pyproc(idempotent)]
    #[allow(clippy::too_many_arguments)]
    async fn sixteen(
        &self,
        a: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        f: u8,
        g: u8,
        h: u8,
        i: u8,
        j: u8,
        k: u8,
        l: u8,
        m: u8,
        n: u8,
        o: u8,
        p: &str,
    ) -> pyproc::Result<u8>;
}

/// Only compiled: it needs a pool.
async fn _calls(pool: &pyproc::Pool) -> pyproc::Result<()> {
    let client = ArgumentsClient::new(pool)?;
    let name = String::from("setosa");
    client.none().await?;
    client.reference(&Flower { name: &name }).await?;
    client.text(&name).await?;
    client.text_forever("setosa").await?;
    client.slice(&[1.0], &[&name]).await?;
    client.cow(Cow::Borrowed(&name)).await?;
    client.nested(&HashMap::new()).await?;
    client
        .sixteen(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, &name)
        .await?;
    Ok(())
}

fn main() {}
