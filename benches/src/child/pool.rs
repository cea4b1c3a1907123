//! The subject that all of this is about.

use std::env;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use pyproc::{Core, ErrorKind, Pool, PoolBuilder};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use super::blocking;
use super::server::Server;
use crate::cores::{self, Cores};
use crate::load::{self, Caller, Tally, answer, cancel, closed, naps, stream};
use crate::protocol::{Function, Load, Order};
use crate::spec::{Codec, Placement, Runtime, Spec, Spin, Worker};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/predict.py");
const SCRIPT_WITH_BATCHES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/batch.py");
const SCRIPT_WITH_ASYNC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/naps.py");

/// Names the interpreter that has none of the optional packages.
const BARE_PYTHON: &str = "PYPROC_BENCH_BARE_PYTHON";

pub(crate) fn run(spec: &Spec, cores: Option<&Cores>, server: &mut Server) -> Result<()> {
    match spec.codec {
        Some(Codec::Json) => with_codec(spec, pyproc::Json, cores, server),
        Some(Codec::MsgPack) => with_codec(spec, pyproc::MsgPack, cores, server),
        None => bail!("a pool needs a codec"),
    }
}

fn with_codec<C: pyproc::Codec>(
    spec: &Spec,
    codec: C,
    cores: Option<&Cores>,
    server: &mut Server,
) -> Result<()> {
    match spec.runtime {
        Runtime::Blocking => blocking::serve(spec, codec, cores, server),
        _ => serve(spec, codec, cores, server),
    }
}

fn serve<C: pyproc::Codec>(
    spec: &Spec,
    codec: C,
    cores: Option<&Cores>,
    server: &mut Server,
) -> Result<()> {
    let runtime = runtime(spec)?;
    let starting = builder(spec, codec)?.start();
    let Some(pool) = started(spec, server, runtime.block_on(starting))? else {
        return Ok(());
    };
    let about = pool.status().workers.first().and_then(|w| w.runs.clone());
    let native = about
        .as_ref()
        .is_some_and(|text| text.contains("native core"));
    if native != (spec.worker == Some(Worker::Native)) {
        return server.unfit(format!("no native core: {}", about.unwrap_or_default()));
    }
    if let (Some(cores), Some(placement)) = (cores, spec.placement) {
        cores.separate(placement, &pids(&pool))?;
    }
    server.ready(about)?;
    server.serve(
        || pids(&pool),
        |order| runtime.block_on(carry_out(&pool, order)),
    )?;
    runtime.block_on(pool.shutdown())?;
    Ok(())
}

/// The pool, unless it cannot start because the machine has no native core: then the driver knows.
pub(crate) fn started<P>(
    spec: &Spec,
    server: &mut Server,
    started: pyproc::Result<P>,
) -> Result<Option<P>> {
    match started {
        Ok(pool) => Ok(Some(pool)),
        // Where the pure loop runs too, an interpreter that cannot start shows in its rows.
        Err(error) if error.kind() == ErrorKind::Start && spec.worker == Some(Worker::Native) => {
            let reason = error.to_string();
            // What follows tells one worker from another, and the reason is the same for all of them.
            let reason = reason.split(" [worker").next().unwrap_or_default();
            server.unfit(format!("no native core: {reason}"))?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

async fn carry_out<C: pyproc::Codec>(pool: &Pool<C>, order: &Order) -> Result<Tally> {
    let length = order.length();
    match order.load {
        Load::Closed { callers, function } => {
            closed::run(&Predict::new(pool, function), callers, length).await
        }
        Load::Echo { bytes } => closed::run(&Echo::new(pool, bytes), 1, length).await,
        Load::Cancel { function } => cancel::run(pool, function.name(), length).await,
        Load::Stream { items, bytes } => stream::run(pool, items, bytes, length).await,
        Load::Naps { naps, calls } => naps::run(pool, naps, calls, length).await,
        Load::Idle => {
            tokio::time::sleep(length).await;
            Ok(Tally::idle(length))
        }
        _ => load::run(&Predict::new(pool, Function::Predict), order).await,
    }
}

/// The runtime, with as many threads as its side has cores.
pub(crate) fn runtime(spec: &Spec) -> Result<tokio::runtime::Runtime> {
    let mut builder = match spec.runtime {
        Runtime::MultiThread => tokio::runtime::Builder::new_multi_thread(),
        Runtime::CurrentThread | Runtime::Blocking => tokio::runtime::Builder::new_current_thread(),
    };
    let threads = match spec.placement {
        Some(Placement::Across | Placement::Same) => 1,
        _ => cores::count(),
    };
    Ok(builder.worker_threads(threads).enable_all().build()?)
}

/// The pool as its defaults make it, but for what the axes say.
pub(crate) fn builder<C: pyproc::Codec>(spec: &Spec, codec: C) -> Result<PoolBuilder<C>> {
    let script = if spec.has_async {
        SCRIPT_WITH_ASYNC
    } else if spec.has_batches {
        SCRIPT_WITH_BATCHES
    } else {
        SCRIPT
    };
    let mut builder = Pool::builder(script)
        .codec(codec)
        .workers(spec.workers)
        // An open loop may have a burst longer than the default line, and a refusal has no latency.
        .max_waiting(1 << 20);
    if let Some(calls) = spec.in_flight {
        builder = builder.max_in_flight_per_worker(calls);
    }
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
    if spec.bare {
        let python =
            env::var_os(BARE_PYTHON).with_context(|| format!("{BARE_PYTHON} is not set"))?;
        builder = builder.python(python);
    }
    Ok(builder)
}

pub(crate) fn pids<C: pyproc::Codec>(pool: &Pool<C>) -> Vec<u32> {
    let workers = pool.status().workers;
    workers
        .into_iter()
        .filter_map(|worker| worker.pid)
        .collect()
}

#[derive(Serialize)]
pub(crate) struct Question {
    pub(crate) value: u64,
}

#[derive(Deserialize)]
pub(crate) struct Reply {
    pub(crate) result: u64,
}

/// `{"value": 42} → {"result": 84}`.
#[derive(Clone)]
pub(crate) struct Predict<C: pyproc::Codec> {
    pool: Pool<C>,
    function: &'static str,
}

impl<C: pyproc::Codec> Predict<C> {
    pub(crate) fn new(pool: &Pool<C>, function: Function) -> Self {
        Self {
            pool: pool.clone(),
            function: function.name(),
        }
    }
}

impl<C: pyproc::Codec> Caller for Predict<C> {
    type Reply = u64;

    async fn call(&self, number: u64) -> Result<u64> {
        let question = Question { value: number };
        let reply: Reply = self.pool.call(self.function, &question).await?;
        Ok(reply.result)
    }

    fn check(&self, number: u64, reply: &u64) -> Result<()> {
        ensure!(*reply == answer(number), "{number} was answered by {reply}");
        Ok(())
    }
}

/// Bytes, there and back.
#[derive(Clone)]
struct Echo<C: pyproc::Codec> {
    pool: Pool<C>,
    body: Arc<[u8]>,
}

impl<C: pyproc::Codec> Echo<C> {
    fn new(pool: &Pool<C>, bytes: usize) -> Self {
        Self {
            pool: pool.clone(),
            body: (0..bytes).map(|place| (place % 251) as u8).collect(),
        }
    }
}

impl<C: pyproc::Codec> Caller for Echo<C> {
    type Reply = ByteBuf;

    const CHECKS_LONG: bool = true;

    async fn call(&self, _: u64) -> Result<ByteBuf> {
        Ok(self.pool.call("echo", Bytes::new(&self.body)).await?)
    }

    fn check(&self, _: u64, reply: &ByteBuf) -> Result<()> {
        ensure!(reply[..] == self.body[..], "the echo differs");
        Ok(())
    }
}
