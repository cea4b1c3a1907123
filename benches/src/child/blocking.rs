//! The pool through its blocking door: callers are threads.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use pyproc::blocking::Pool;
use serde_bytes::{ByteBuf, Bytes};

use super::pool::{Question, Reply, builder, started};
use super::server::Server;
use crate::cores::Cores;
use crate::load::{BlockingCaller, Tally, answer, blocking};
use crate::protocol::{Function, Load, Order};
use crate::spec::Spec;

pub(crate) fn serve<C: pyproc::Codec>(
    spec: &Spec,
    codec: C,
    cores: Option<&Cores>,
    server: &mut Server,
) -> Result<()> {
    let Some(pool) = started(spec, server, builder(spec, codec)?.start_blocking())? else {
        return Ok(());
    };
    let pids = || {
        let workers = pool.status().workers;
        workers
            .into_iter()
            .filter_map(|worker| worker.pid)
            .collect::<Vec<_>>()
    };
    if let (Some(cores), Some(placement)) = (cores, spec.placement) {
        cores.separate(placement, &pids())?;
    }
    server.ready(None)?;
    server.serve(pids, |order| carry_out(&pool, order))?;
    pool.shutdown()?;
    Ok(())
}

fn carry_out<C: pyproc::Codec>(pool: &Pool<C>, order: &Order) -> Result<Tally> {
    let length = order.length();
    let predict = |function: Function| Predict {
        pool: pool.clone(),
        function: function.name(),
        reply: 0,
    };
    match order.load {
        Load::Closed { callers, function } => {
            blocking::many(callers, |_| predict(function), length)
        }
        Load::Paced { interval_us } => {
            let interval = Duration::from_micros(interval_us);
            blocking::paced(&mut predict(Function::Predict), interval, length)
        }
        Load::Echo { bytes } => {
            let mut echo = Echo {
                pool: pool.clone(),
                body: vec![0x2A; bytes].into(),
                reply: ByteBuf::new(),
            };
            blocking::closed(&mut echo, length)
        }
        Load::Idle => {
            std::thread::sleep(length);
            Ok(Tally::idle(length))
        }
        _ => bail!("the blocking door cannot do that: {:?}", order.load),
    }
}

struct Predict<C: pyproc::Codec> {
    pool: Pool<C>,
    function: &'static str,
    reply: u64,
}

impl<C: pyproc::Codec> BlockingCaller for Predict<C> {
    fn call(&mut self, number: u64) -> Result<()> {
        let question = Question { value: number };
        let reply: Reply = self.pool.call(self.function, &question)?;
        self.reply = reply.result;
        Ok(())
    }

    fn check(&self, number: u64) -> Result<()> {
        let reply = self.reply;
        ensure!(reply == answer(number), "{number} was answered by {reply}");
        Ok(())
    }
}

struct Echo<C: pyproc::Codec> {
    pool: Pool<C>,
    body: Arc<[u8]>,
    reply: ByteBuf,
}

impl<C: pyproc::Codec> BlockingCaller for Echo<C> {
    fn call(&mut self, _: u64) -> Result<()> {
        self.reply = self.pool.call("echo", Bytes::new(&self.body))?;
        Ok(())
    }

    fn check(&self, _: u64) -> Result<()> {
        ensure!(self.reply[..] == self.body[..], "the echo differs");
        Ok(())
    }
}
