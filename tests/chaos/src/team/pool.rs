use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pyproc::{
    Argument, Call, Codec, Error, Events, Json, MsgPack, Pool, PoolStatus, Restart, ShutdownReport,
    with_items,
};

use super::judgement::Reply;
use super::reading::Reading;
use super::{Encoding, Roster};
use crate::plan::{Arguments, DEADLINE, MAX_FRAME, POISON_LIMIT, Plan};

/// A pool with the codec of its team.
pub(super) enum TeamPool {
    Json(Pool<Json>),
    MsgPack(Pool<MsgPack>),
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/chaos.py");
const ASYNC_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/chaos_async.py");

/// Does the same with either pool.
macro_rules! with_pool {
    ($self:ident, $pool:ident => $what:expr) => {
        match $self {
            Self::Json($pool) => $what,
            Self::MsgPack($pool) => $what,
        }
    };
}

impl TeamPool {
    /// Starts it; its workers carry the mark in their environment.
    pub(super) async fn start(roster: &Roster, journal: &Path, mark: &str) -> Result<Self> {
        Ok(match roster.encoding {
            Encoding::Json => Self::Json(start(roster, journal, mark, Json).await?),
            Encoding::MsgPack => Self::MsgPack(start(roster, journal, mark, MsgPack).await?),
        })
    }

    pub(super) fn status(&self) -> PoolStatus {
        with_pool!(self, pool => pool.status())
    }

    pub(super) fn events(&self) -> Events {
        with_pool!(self, pool => pool.events())
    }

    pub(super) async fn shutdown(&self) -> Result<ShutdownReport, Error> {
        with_pool!(self, pool => pool.shutdown().await)
    }

    pub(super) async fn call(&self, plan: &Plan, arguments: &Arguments) -> Result<Reply, Error> {
        with_pool!(self, pool => call(pool, plan, arguments).await)
    }

    /// Makes calls together, as the plan of one of them says.
    pub(super) async fn call_many(
        &self,
        plan: &Plan,
        arguments: &[Arguments],
    ) -> Vec<Result<Reply, Error>> {
        with_pool!(self, pool => call_many(pool, plan, arguments).await)
    }

    /// Reads a stream. `None` says that its reader has had enough.
    pub(super) async fn read(
        &self,
        plan: &Plan,
        arguments: &Arguments,
        reading: &mut Reading,
    ) -> Option<Result<Option<Reply>, Error>> {
        let ended = with_pool!(self, pool => reading.read(pool, plan, arguments).await);
        Some(ended?.map(|()| None))
    }
}

async fn call<C: Codec>(
    pool: &Pool<C>,
    plan: &Plan,
    arguments: &Arguments,
) -> Result<Reply, Error> {
    let function = plan.function.name();
    if plan.function.takes_items() {
        let argument = with_items(arguments, plan.numbers());
        return with_options(pool.call(function, argument), plan).await;
    }
    with_options(pool.call(function, arguments), plan).await
}

async fn call_many<C: Codec>(
    pool: &Pool<C>,
    plan: &Plan,
    arguments: &[Arguments],
) -> Vec<Result<Reply, Error>> {
    let calls = pool.call_many(plan.function.name(), arguments);
    let calls = calls.deadline(plan.deadline).priority(plan.priority);
    if plan.idempotent {
        calls.idempotent().await
    } else {
        calls.await
    }
}

fn with_options<'a, C: Codec, A: Argument, R>(
    call: Call<'a, C, A, R>,
    plan: &Plan,
) -> Call<'a, C, A, R> {
    let mut call = call.deadline(plan.deadline).priority(plan.priority);
    if plan.idempotent {
        call = call.idempotent();
    }
    if let Some(key) = plan.key {
        call = call.key(key);
    }
    call
}

async fn start<C: Codec>(roster: &Roster, journal: &Path, mark: &str, codec: C) -> Result<Pool<C>> {
    // Workers die here all the time: no number of deaths is too many, and with a healthy time of zero each is answered
    // as if it were the first one.
    let restart = Restart::new()
        .intensity(u32::MAX)
        .backoff(Duration::from_millis(10))
        .reset_after(Duration::ZERO);
    let script = match roster.has_async {
        true => ASYNC_SCRIPT,
        false => SCRIPT,
    };
    let builder = Pool::builder(script)
        .name(&roster.name)
        .codec(codec)
        .core(roster.core)
        .workers(roster.workers)
        .threads(roster.threads)
        .env("PYPROC_CHAOS_JOURNAL", journal)
        .env(mark, "1")
        .max_frame(MAX_FRAME)
        .max_waiting(256)
        .poison_limit(POISON_LIMIT.into())
        .deadline(DEADLINE)
        .overdue_after(Duration::from_millis(500))
        .drain_grace(Duration::from_secs(1))
        .health_interval(Duration::from_secs(5))
        .start_timeout(Duration::from_secs(30))
        .shutdown_timeout(Duration::from_secs(1))
        .stop_timeout(Duration::from_secs(2))
        .restart(restart);
    let started = builder.start().await;
    started.with_context(|| format!("{} cannot be started", roster.name))
}
