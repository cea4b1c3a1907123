//! The README's Python works as it stands there, with the README's Rust, which is compiled as a doctest.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use serde::{Deserialize, Serialize};
use support::{pool_of, scenario};

#[derive(Serialize)]
struct Flower {
    petal_length: f64,
    petal_width: f64,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    species: String,
    certain: bool,
}

#[pyproc::remote]
trait Iris {
    #[pyproc(idempotent)]
    async fn classify(&self, flower: Flower) -> pyproc::Result<Verdict>;
}

#[test]
fn the_first_program_classifies_flowers() {
    let readme = include_str!("../README.md");
    let (_, after) = readme.split_once("```python\n# iris.py").unwrap();
    let (script, _) = after.split_once("```").unwrap();
    let source = format!("#{script}");
    scenario(async {
        let pool = pool_of(&source).workers(2).start().await.unwrap();
        let iris = IrisClient::new(&pool).unwrap();
        let cases = [
            (1.4, 0.2, "setosa", true),
            (5.1, 1.9, "virginica", false),
            (4.5, 1.5, "versicolor", false),
        ];
        for (petal_length, petal_width, species, certain) in cases {
            let flower = Flower {
                petal_length,
                petal_width,
            };
            let by_name: Verdict = pool.call("classify", &flower).await.unwrap();
            let typed = iris.classify(flower).await.unwrap();
            for verdict in [by_name, typed] {
                assert_eq!((&*verdict.species, verdict.certain), (species, certain));
            }
        }
        pool.shutdown().await.unwrap();
    });
}
