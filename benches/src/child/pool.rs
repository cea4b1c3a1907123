//! The subject that all of this is about.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use pyproc::{Core, ErrorKind, Pool, PoolBuilder};
use serde::{Deserialize, Serialize};

use super::server::Server;
use crate::cores::{self, Cores};
use crate::load::{Caller, Tally, answer, closed, paced};
use crate::protocol::{Load, Order};
use crate::spec::{Codec, Placement, Runtime, Spec, Spin, Worker};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/predict.py");

pub(crate) fn run(spec: &Spec, cores: Option<&Cores>, server: &mut Server) -> Result<()> {
    match spec.codec {
        Some(Codec::Json) => serve(spec, pyproc::Json, cores, server),
        Some(Codec::MsgPack) => serve(spec, pyproc::MsgPack, cores, server),
        None => bail!("a pool needs a codec"),
    }
}

fn serve<C: pyproc::Codec>(
    spec: &Spec,
    codec: C,
    cores: Option<&Cores>,
    server: &mut Server,
) -> Result<()> {
    let runtime = runtime(spec)?;
    let pool = match runtime.block_on(builder(spec, codec).start()) {
        Ok(pool) => pool,
        // Where the pure loop runs too, an interpreter that cannot start shows in its rows.
        Err(error) if error.kind() == ErrorKind::Start && spec.worker == Some(Worker::Native) => {
            return server.unfit(format!("no native core: {error}"));
        }
        Err(error) => return Err(error.into()),
    };
    if let (Some(cores), Some(placement)) = (cores, spec.placement) {
        cores.separate(placement, &pids(&pool))?;
    }
    let about = pool.status().workers.first().and_then(|w| w.runs.clone());
    let native = about
        .as_ref()
        .is_some_and(|text| text.contains("native core"));
    if native != (spec.worker == Some(Worker::Native)) {
        return server.unfit(format!("no native core: {}", about.unwrap_or_default()));
    }
    server.ready(about)?;
    let caller = Predict { pool: pool.clone() };
    server.serve(
        || pids(&pool),
        |order| runtime.block_on(carry_out(&caller, order)),
    )?;
    runtime.block_on(pool.shutdown())?;
    Ok(())
}

async fn carry_out(caller: &impl Caller, order: &Order) -> Result<Tally> {
    let length = order.length();
    match order.load {
        Load::Closed { callers } => closed::run(caller, callers, length).await,
        Load::Paced { interval_us } => {
            paced::run(caller, Duration::from_micros(interval_us), length).await
        }
    }
}

/// The runtime, with as many threads as its side has cores.
fn runtime(spec: &Spec) -> Result<tokio::runtime::Runtime> {
    let mut builder = match spec.runtime {
        Runtime::MultiThread => tokio::runtime::Builder::new_multi_thread(),
        Runtime::CurrentThread => tokio::runtime::Builder::new_current_thread(),
    };
    let threads = match spec.placement {
        Some(Placement::Across | Placement::Same) => 1,
        _ => cores::count(),
    };
    Ok(builder.worker_threads(threads).enable_all().build()?)
}

/// The pool as its defaults make it, but for what the axes say.
fn builder<C: pyproc::Codec>(spec: &Spec, codec: C) -> PoolBuilder<C> {
    let mut builder = Pool::builder(SCRIPT)
        .codec(codec)
        .workers(spec.workers)
        .max_in_flight_per_worker(spec.in_flight.unwrap_or(256));
    if let Some(spin) = spec.spin {
        builder = builder.spin(match spin {
            Spin::Off => pyproc::Spin::Off,
            Spin::Auto => pyproc::Spin::Auto,
        });
    }
    if let Some(worker) = spec.worker {
        builder = builder.core(match worker {
            Worker::Pure => Core::Pure,
            Worker::Native => Core::Native,
        });
    }
    if let Some(bytes) = spec.max_frame {
        builder = builder.max_frame(bytes);
    }
    builder
}

fn pids<C: pyproc::Codec>(pool: &Pool<C>) -> Vec<u32> {
    let workers = pool.status().workers;
    workers
        .into_iter()
        .filter_map(|worker| worker.pid)
        .collect()
}

#[derive(Serialize)]
struct Question {
    value: u64,
}

#[derive(Deserialize)]
struct Reply {
    result: u64,
}

/// `predict({"value": 42}) → {"result": 84}`.
struct Predict<C: pyproc::Codec> {
    pool: Pool<C>,
}

impl<C: pyproc::Codec> Clone for Predict<C> {
    fn clone(&self) -> Self {
        let pool = self.pool.clone();
        Self { pool }
    }
}

impl<C: pyproc::Codec> Caller for Predict<C> {
    type Reply = u64;

    async fn call(&self, number: u64) -> Result<u64> {
        let question = Question { value: number };
        let reply: Reply = self.pool.call("predict", &question).await?;
        Ok(reply.result)
    }

    fn check(&self, number: u64, reply: &u64) -> Result<()> {
        ensure!(*reply == answer(number), "{number} was answered by {reply}");
        Ok(())
    }
}
