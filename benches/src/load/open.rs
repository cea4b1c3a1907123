use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::{Semaphore, mpsc};

use super::{Caller, Tally};
use alarm::Alarm;

/// Calls that begin at random moments, as the requests of many independent users do (a Poisson process).
///
/// A latency counts from the moment at which the call was to begin: a subject that holds up the calls behind a slow
/// one, or the program that makes them, does not get away with it.
///
/// The calls are made by the host itself, as by a service that reads its requests from a socket: it sleeps, and makes
/// all calls that have become due when it wakes up. It never spins, since that would take a core from what is measured.
pub(crate) async fn poisson<C: Caller>(
    caller: &C,
    per_second: f64,
    length: Duration,
) -> Result<Tally> {
    let caller = caller.clone();
    tokio::spawn(async move {
        let calls = Calls::new();
        let mut alarm = Alarm::new()?;
        let begin = Instant::now();
        let mut next = Duration::ZERO;
        for number in 0.. {
            // The time between two events of such a process is exponentially distributed.
            next += Duration::from_secs_f64(-(1.0 - fastrand::f64()).ln() / per_second);
            if next >= length {
                break;
            }
            let intended = begin + next;
            alarm.wait_until(intended).await?;
            if number % 64 == 63 {
                // Whoever is late never waits, and the calls would have no turn.
                tokio::task::yield_now().await;
            }
            calls.begin(&caller, number, intended, ());
        }
        calls.end(begin).await
    })
    .await?
}

/// So many calls at any time, each a task of its own. What a subject can do at most when calls come as they do above.
pub(crate) async fn saturate<C: Caller>(
    caller: &C,
    at_once: usize,
    length: Duration,
) -> Result<Tally> {
    let caller = caller.clone();
    tokio::spawn(async move {
        let calls = Calls::new();
        let places = Arc::new(Semaphore::new(at_once));
        let begin = Instant::now();
        for number in 0.. {
            let place = places.clone().acquire_owned().await?;
            let now = Instant::now();
            if now - begin >= length {
                break;
            }
            calls.begin(&caller, number, now, place);
        }
        calls.end(begin).await
    })
    .await?
}

/// The calls of a round, each of which is a task.
struct Calls {
    shared: Arc<Mutex<Shared>>,
    /// Every call has a sender, so that the end of all of them can be waited for.
    under_way: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

#[derive(Default)]
struct Shared {
    tally: Tally,
    failure: Option<anyhow::Error>,
}

impl Calls {
    fn new() -> Self {
        let (under_way, ended) = mpsc::channel(1);
        Self {
            shared: Arc::default(),
            under_way,
            ended,
        }
    }

    /// Makes a call, and keeps a value until it has ended.
    fn begin<C: Caller>(&self, caller: &C, number: u64, since: Instant, kept: impl Send + 'static) {
        let caller = caller.clone();
        let shared = self.shared.clone();
        let under_way = self.under_way.clone();
        let question = super::question(0, number);
        tokio::spawn(async move {
            let reply = caller.call(question).await;
            let latency = since.elapsed();
            let checked = reply.and_then(|reply| caller.check(question, &reply));
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            match checked {
                Ok(()) => shared.tally.record(latency),
                Err(error) => shared.failure = Some(error),
            }
            drop((under_way, kept));
        });
    }

    async fn end(self, begin: Instant) -> Result<Tally> {
        let Self {
            shared,
            under_way,
            mut ended,
        } = self;
        drop(under_way);
        let _ = ended.recv().await;
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = shared.failure.take() {
            bail!("a call has failed: {failure:#}");
        }
        let mut tally = std::mem::take(&mut shared.tally);
        tally.elapsed = begin.elapsed();
        Ok(tally)
    }
}

/// The shortest sleep: what begins within it begins together. Shorter ones cost more processor time than they are worth.
const SHORTEST: Duration = Duration::from_micros(25);

#[cfg(target_os = "linux")]
mod alarm {
    use super::*;

    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A timer that is not rounded to milliseconds, as those of tokio are.
    pub(super) struct Alarm {
        timer: AsyncFd<OwnedFd>,
    }

    impl Alarm {
        #[expect(
            deprecated,
            reason = "the unsafe constructor that replaces it wants a descriptor that stays the same, as an OwnedFd's does"
        )]
        pub(super) fn new() -> Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self {
                timer: AsyncFd::with_interest(timer, Interest::READABLE)?,
            })
        }

        pub(super) async fn wait_until(&mut self, moment: Instant) -> Result<()> {
            let rest = moment.saturating_duration_since(Instant::now());
            if !rest.is_zero() {
                let time = Itimerspec {
                    it_interval: Timespec {
                        tv_sec: 0,
                        tv_nsec: 0,
                    },
                    it_value: Timespec::try_from(rest.max(SHORTEST))?,
                };
                timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &time)?;
                let mut ready = self.timer.readable().await?;
                let mut expirations = [0; 8];
                let _ = rustix::io::read(self.timer.get_ref(), &mut expirations);
                ready.clear_ready();
            }
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod alarm {
    use super::*;

    pub(super) struct Alarm;

    impl Alarm {
        pub(super) fn new() -> Result<Self> {
            Ok(Self)
        }

        pub(super) async fn wait_until(&mut self, moment: Instant) -> Result<()> {
            tokio::time::sleep_until(moment.max(Instant::now() + SHORTEST).into()).await;
            Ok(())
        }
    }
}
