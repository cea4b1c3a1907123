//! What a start costs. The driver asks a new child each time, so that nothing is warm that a program's first start
//! finds cold.

use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tracing::subscriber::NoSubscriber;

use super::pool::{Predict, builder, pids, runtime};
use super::server::Server;
use crate::cpu;
use crate::load::{Caller as _, Tally};
use crate::protocol::{Function, Load, Round};
use crate::spec::{Codec, Spec};

/// `python3 -c pass`, from its start to its end.
pub(crate) fn interpreter(server: &mut Server) -> Result<()> {
    server.ready(None)?;
    server.answer(|_| {
        let python = env::var_os("PYPROC_PYTHON").unwrap_or_else(|| "python3".into());
        let begin = Instant::now();
        let status = Command::new(python).args(["-c", "pass"]).status()?;
        let time = begin.elapsed();
        ensure!(status.success(), "the interpreter has failed: {status}");
        Ok(Round {
            worker_cpu_ns: None,
            ..Tally::single(time).into_round(Duration::ZERO, None)
        })
    })
}

/// The start of a pool, or the replacement of a worker.
pub(crate) fn pool(spec: &Spec, server: &mut Server) -> Result<()> {
    // Where nobody listens, a pool tells on standard error that a worker was killed.
    tracing::subscriber::set_global_default(NoSubscriber::default())?;
    let runtime = runtime(spec)?;
    server.ready(None)?;
    server.answer(|order| match spec.codec {
        Some(Codec::Json) => runtime.block_on(measure(spec, pyproc::Json, &order.load)),
        Some(Codec::MsgPack) => runtime.block_on(measure(spec, pyproc::MsgPack, &order.load)),
        None => bail!("a pool needs a codec"),
    })
}

async fn measure<C: pyproc::Codec>(spec: &Spec, codec: C, load: &Load) -> Result<Round> {
    let builder = builder(spec, codec)?;
    let host_before = cpu::own();
    let begin = Instant::now();
    let pool = builder.start().await?;
    let started = begin.elapsed();
    let round = match load {
        Load::Start => {
            let worker = cpu::of(&pids(&pool));
            Tally::single(started).into_round(cpu::own() - host_before, worker)
        }
        Load::Replace => {
            let predict = Predict::new(&pool, Function::Predict);
            predict.call(1).await?;
            let victim = pids(&pool).first().copied().context("no worker")?;
            let victim = i32::try_from(victim).ok().and_then(Pid::from_raw);
            let host_before = cpu::own();
            let begin = Instant::now();
            kill_process(victim.context("no process")?, Signal::KILL)?;
            // A call that the dying worker took is lost, and says so.
            while predict.call(1).await.is_err() {
                tokio::task::yield_now().await;
            }
            let replaced = begin.elapsed();
            let worker = cpu::of(&pids(&pool));
            Tally::single(replaced).into_round(cpu::own() - host_before, worker)
        }
        _ => bail!("only starts are measured here"),
    };
    pool.shutdown().await?;
    Ok(round)
}
