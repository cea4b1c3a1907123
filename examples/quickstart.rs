//! Classifies all flowers of the iris table in four Python workers, twice: the second time, one worker is killed with
//! SIGKILL while it has a call, and nothing is lost.
//!
//! `cargo run --release --example quickstart` needs nothing but a `python3`.

use std::error::Error;
use std::process::ExitCode;

use futures::future::{join_all, try_join};
use pyproc::{Pool, WorkerState};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

#[derive(Clone, Copy, Serialize)]
struct Flower {
    row: usize,
    sepal_length: f64,
    sepal_width: f64,
    petal_length: f64,
    petal_width: f64,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Verdict {
    species: String,
    votes: u32,
}

#[derive(Debug, Deserialize)]
struct Neighbour {
    species: String,
    distance: f64,
}

#[pyproc::remote]
trait Iris {
    #[pyproc(idempotent)]
    async fn classify(&self, flower: Flower) -> pyproc::Result<Verdict>;
    async fn nearest(&self, flower: &Flower, k: u32) -> pyproc::Result<Vec<Neighbour>>;
}

#[tokio::main]
async fn main() -> ExitCode {
    run().await.unwrap_or_else(|error| {
        eprintln!("quickstart: {error}");
        ExitCode::FAILURE
    })
}

async fn run() -> Result<ExitCode, Box<dyn Error>> {
    let (flowers, species): (Vec<_>, Vec<_>) = load()?.into_iter().unzip();

    let pool = Pool::builder(pyproc::script!("examples/iris.py"))
        .workers(4)
        .start()
        .await?;
    let iris = IrisClient::new(&pool)?;
    for worker in pool.status().workers {
        println!(
            "worker {} is process {}",
            worker.slot,
            worker.pid.unwrap_or(0)
        );
    }

    let twin = &iris.nearest(&flowers[0], 1).await?[0];
    println!(
        "flower 0 is most like a {} at a distance of {:.2} cm",
        twin.species, twin.distance
    );

    // Undisturbed: this is how the answers should be.
    let expected = classify_all(&iris, &flowers).await;
    let expected: Vec<Verdict> = expected.into_iter().collect::<Result<_, _>>()?;

    // The same, while a worker is killed.
    let (answers, victim) = try_join(
        async { Ok(classify_all(&iris, &flowers).await) },
        kill_one(&pool),
    )
    .await?;
    // Whether the worker had begun its call is known, too: if not, the call counts as moved.
    let counts = pool.status().counts;
    let saved = counts.resent + counts.moved;
    let successor = await_successor(&pool, &victim).await;
    println!(
        "slot {}: process {} was killed by SIGKILL while it had a call, process {successor} took its place, \
         calls sent to another worker: {saved}",
        victim.slot, victim.pid
    );

    let lost = answers.iter().filter(|answer| answer.is_err()).count();
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    let right = answers
        .iter()
        .zip(&species)
        .filter(|(answer, species)| answer.species == **species)
        .count();
    pool.shutdown().await?;

    let accuracy = right as f64 / species.len() as f64;
    println!(
        "classified {} of {}, {lost} lost, accuracy {accuracy:.2}",
        answers.len(),
        flowers.len()
    );
    Ok(if saved > 0 && answers == expected {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn classify_all(iris: &impl Iris, flowers: &[Flower]) -> Vec<pyproc::Result<Verdict>> {
    join_all(flowers.iter().map(|flower| iris.classify(*flower))).await
}

struct Victim {
    slot: usize,
    pid: u32,
    generation: u64,
}

/// Freezes a worker that has a call, makes sure that the call is not answered any more, and kills it.
async fn kill_one(pool: &Pool) -> Result<Victim, Box<dyn Error>> {
    let busy = loop {
        if let Some(worker) = pool
            .status()
            .workers
            .into_iter()
            .find(|worker| worker.in_flight > 0)
        {
            break worker;
        }
        yield_now().await;
    };
    let pid = busy.pid.ok_or("a busy worker has a process")?;
    let process = Pid::from_raw(pid.try_into()?).ok_or("a process has an id")?;
    kill_process(process, Signal::STOP)?;
    // When the other three have answered so often again, an answer of this one would have been read, too.
    let enough = pool.status().counts.returned + 30;
    while pool.status().counts.returned < enough {
        yield_now().await;
    }
    kill_process(process, Signal::KILL)?;
    Ok(Victim {
        slot: busy.slot,
        pid,
        generation: busy.generation,
    })
}

async fn await_successor(pool: &Pool, victim: &Victim) -> u32 {
    loop {
        let worker = &pool.status().workers[victim.slot];
        if let (true, WorkerState::Ready, Some(pid)) = (
            worker.generation > victim.generation,
            worker.state,
            worker.pid,
        ) {
            return pid;
        }
        yield_now().await;
    }
}

/// The table, as (measurements, species).
fn load() -> Result<Vec<(Flower, String)>, Box<dyn Error>> {
    let table = include_str!("iris.csv").lines().skip(1).enumerate();
    table
        .map(|(row, line)| {
            let mut cells = line.split(',');
            let mut number = || {
                cells
                    .next()
                    .ok_or("a row has five cells")?
                    .parse()
                    .map_err(Box::<dyn Error>::from)
            };
            let flower = Flower {
                row,
                sepal_length: number()?,
                sepal_width: number()?,
                petal_length: number()?,
                petal_width: number()?,
            };
            Ok((
                flower,
                cells
                    .next()
                    .ok_or("a row ends with the species")?
                    .to_owned(),
            ))
        })
        .collect()
}
