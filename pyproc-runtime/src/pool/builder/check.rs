//! From what is asked for to what is possible.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pyproc_proto::{Codec, Limits, Protocol};
use tracing::Level;

use super::{Origin, PoolBuilder, Settings};
use crate::config::{Config, HealthPolicy, Ladder, Recipe, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::pool::admission::Limits as AdmissionLimits;
use crate::pool::router::Router;
use crate::remote::Arguments;
use crate::script::Target;
use crate::supervisor::Recycle;
use crate::worker::{Core, EventLoop};

/// A frame cannot state a greater length than its field can hold, and a smaller one than this leaves no room for a
/// handshake.
const MAX_FRAME_BYTES: std::ops::RangeInclusive<usize> = 64 * 1024..=u32::MAX as usize;

/// Each costs the worker some memory of its own, and the interpreter a switch.
const MAX_THREADS: u32 = 1024;

impl<C: Codec> PoolBuilder<C> {
    /// Checks the configuration.
    pub(super) fn check(self) -> Result<(C, Config, AdmissionLimits, Box<dyn Router>)> {
        let Self {
            codec,
            origin,
            mut settings,
        } = self;
        settings.check()?;
        if settings.protocol == Protocol::Json && codec.name() != "json" {
            return Err(impossible(format!(
                "the JSON protocol carries JSON only, but the codec is `{}`: add `.codec(Json)`",
                codec.name()
            )));
        }
        if settings.protocol == Protocol::Json
            && !settings.listens
            && matches!(origin, Origin::Target(_))
        {
            return Err(impossible(
                "a worker that is handed a connection speaks the binary protocol: add `.listen()` for the JSON protocol",
            ));
        }
        if settings.recycle != Recycle::new() && matches!(origin, Origin::Paths(_)) {
            return Err(impossible(
                "the workers of an attached pool belong to somebody else, so the pool cannot recycle them",
            ));
        }
        if settings.event_loop != EventLoop::Asyncio
            && (settings.listens || matches!(origin, Origin::Paths(_)))
        {
            return Err(impossible(
                "event_loop is for workers that are handed a connection; those that listen serve no async functions",
            ));
        }
        let workers = settings.workers(&origin)?;
        settings.settle_processes(&origin, workers)?;
        let limits = settings.admission(workers)?;
        let mut body = Vec::new();
        codec.encode(&Arguments(()), &mut body).map_err(|error| {
            Error::new(ErrorKind::Config, "the codec cannot encode an empty map").with_source(error)
        })?;
        let config = Config {
            name: settings.name(&origin)?,
            workers,
            threads: settings.threads(&origin)?,
            protocol: settings.protocol,
            codec: codec.name().to_owned(),
            limits: Limits {
                max_frame: settings.max_frame,
                handshake_timeout: settings.start_timeout,
                progress_timeout: settings.progress_timeout,
                overdue_after: settings.overdue_after,
            },
            max_in_flight_per_worker: settings.max_in_flight_per_worker,
            stream_window: settings.stream_window,
            poison_limit: settings.poison_limit,
            retry: settings.retry,
            retry_budget: settings.retry_budget,
            ladder: Ladder {
                interrupt_after: settings.interrupt_after,
                stacks_after: settings.stacks_after,
                overdue_after: settings.overdue_after,
                drain_grace: settings.drain_grace,
                loop_blocked_after: settings.loop_blocked_after,
            },
            deadline: settings.deadline,
            start_timeout: settings.start_timeout,
            connect_retries: settings.connect_retries,
            health: HealthPolicy {
                interval: settings.health_interval,
                timeout: settings.health_timeout,
                body,
            },
            restart: settings.restart,
            recycle: settings.recycle,
            breaker: settings.breaker,
            function_breaker: settings.function_breaker,
            // What the host did not start it cannot replace.
            eject_after: match origin {
                Origin::Paths(_) => None,
                Origin::Target(_) => settings.eject_after,
            },
            shutdown_timeout: settings.shutdown_timeout,
            stop_timeout: settings.stop_timeout,
            log_level: python_level(settings.log_level),
            spin: settings.spin,
            source: match origin {
                Origin::Paths(paths) => Source::Attach(paths),
                Origin::Target(target) => Source::Start(Box::new(Recipe {
                    target: target
                        .resolve()
                        .map_err(|error| Error::saying(ErrorKind::Start, error))?,
                    python: settings.python,
                    python_path: settings.python_path,
                    environment: settings.environment,
                    isolation: settings.isolation,
                    event_loop: settings.event_loop,
                    core: settings.core.map_or_else(core_of_environment, Ok)?,
                    listens: settings.listens,
                })),
            },
        };
        Ok((codec, config, limits, settings.router))
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        let more_than_zero = [
            (
                "max_in_flight_per_worker",
                self.max_in_flight_per_worker.most_of_all(),
            ),
            ("max_in_flight", self.max_in_flight.unwrap_or(1)),
            ("workers", self.workers.unwrap_or(1)),
            ("threads", self.threads),
            ("stream_window", self.stream_window as usize),
        ];
        if let Some((name, _)) = more_than_zero.iter().find(|(_, value)| *value == 0) {
            return Err(impossible(format!(
                "{name} is 0, so that no call could ever run"
            )));
        }
        if self.poison_limit == 0 {
            return Err(impossible(
                "poison_limit is 0, but whatever is sent may take one worker with it; 1 sends nothing again",
            ));
        }
        if self.eject_after == Some(0) {
            return Err(impossible(
                "eject_after is 0, so that workers would be replaced that have not failed once; `None` ejects none",
            ));
        }
        let longer_than_zero = [
            ("deadline", self.deadline.unwrap_or(Duration::MAX)),
            ("start_timeout", self.start_timeout),
            ("progress_timeout", self.progress_timeout),
            (
                "health_interval",
                self.health_interval.unwrap_or(Duration::MAX),
            ),
            ("health_timeout", self.health_timeout),
        ];
        if let Some((name, _)) = longer_than_zero.iter().find(|(_, value)| value.is_zero()) {
            return Err(impossible(format!(
                "{name} is zero, so that nothing could be done in time"
            )));
        }
        if !MAX_FRAME_BYTES.contains(&self.max_frame) {
            let (min, max) = (MAX_FRAME_BYTES.start(), MAX_FRAME_BYTES.end());
            return Err(impossible(format!(
                "max_frame is {}, but must be from {min} to {max} bytes",
                self.max_frame
            )));
        }
        if let Some(retry) = &self.retry {
            retry.check().map_err(impossible)?;
        }
        self.retry_budget.check().map_err(impossible)?;
        self.restart.check().map_err(impossible)?;
        self.recycle.check().map_err(impossible)?;
        let breakers = [
            ("breaker", &self.breaker),
            ("function_breaker", &self.function_breaker),
        ];
        for (name, breaker) in breakers {
            breaker
                .check()
                .map_err(|reason| impossible(format!("{name}: {reason}")))?;
        }
        Ok(())
    }

    fn workers(&self, origin: &Origin) -> Result<usize> {
        match (origin, self.workers) {
            (Origin::Target(_), Some(workers)) => Ok(workers),
            (Origin::Target(_), None) => {
                Ok(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
            }
            (Origin::Paths(paths), None) if !paths.is_empty() => Ok(paths.len()),
            (Origin::Paths(paths), Some(workers)) if paths.len() == workers => Ok(workers),
            (Origin::Paths(paths), _) => Err(impossible(format!(
                "an attached pool has one worker per path, and {} paths were given",
                paths.len()
            ))),
        }
    }

    fn threads(&self, origin: &Origin) -> Result<u32> {
        if self.threads > 1 && (self.listens || matches!(origin, Origin::Paths(_))) {
            return Err(impossible(
                "threads is for workers that are handed a connection; those that listen run one call after the other",
            ));
        }
        u32::try_from(self.threads)
            .ok()
            .filter(|threads| *threads <= MAX_THREADS)
            .ok_or_else(|| {
                impossible(format!(
                    "threads is {}, but must be from 1 to {MAX_THREADS}; calls that wait in greater numbers are for async functions",
                    self.threads
                ))
            })
    }

    fn admission(&self, workers: usize) -> Result<AdmissionLimits> {
        let in_flight_per_worker = self.max_in_flight_per_worker;
        let most = in_flight_per_worker.most_of_all();
        workers.checked_mul(most).ok_or_else(|| {
            impossible(format!(
                "{workers} workers with {most} calls each are beyond counting"
            ))
        })?;
        Ok(AdmissionLimits {
            in_flight: self.max_in_flight,
            in_flight_per_worker,
            waiting: self.max_waiting,
        })
    }

    fn name(&self, origin: &Origin) -> Result<Arc<str>> {
        let name = match (&self.name, origin) {
            (Some(name), _) => name.clone(),
            (None, Origin::Paths(_)) => "attached".to_owned(),
            (None, Origin::Target(Target::Module(name))) => name.clone(),
            (None, Origin::Target(Target::Script(path))) => stem(path),
            (None, Origin::Target(Target::Source { name, .. })) => stem(Path::new(name)),
        };
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(impossible(format!("{name:?} is no name for a pool")));
        }
        Ok(name.into())
    }
}

/// What `PYPROC_CORE` says.
fn core_of_environment() -> Result<Core> {
    let Some(value) = std::env::var_os("PYPROC_CORE") else {
        return Ok(Core::Auto);
    };
    let name = value.to_string_lossy();
    Core::from_name(&name).ok_or_else(|| {
        impossible(format!(
            "PYPROC_CORE is `{name}`, but must be `auto`, `native` or `pure`"
        ))
    })
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(
        || "pool".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

pub(super) fn impossible(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// The number that Python's `logging` gives to a level.
fn python_level(level: Level) -> u8 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 10,
        Level::INFO => 20,
        Level::WARN => 30,
        Level::ERROR => 40,
    }
}
