//! Who reads and writes when no caller does.

use std::convert::Infallible;
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep};

use super::turn::{Harvest, Turn};
use super::{Connection, ConnectionEvent, Lost};
use crate::flavor::has_one_thread;
use crate::lane::Watch;

/// So often the lane wakes the driver for what a caller has read already, before it is told not to.
const MAX_IDLE_WAKES: u32 = 4;

/// How long a lane stays without a watch after the last call on it.
const DOZE: Duration = Duration::from_millis(1);

/// What a driver does until the next turn is due.
enum Rest {
    /// It goes on looking.
    Look,
    /// It sleeps until the lane wakes it.
    Sleep,
    /// Callers look for what comes, so the lane need not wake it.
    Doze,
}

/// What a driver remembers from turn to turn.
struct Driver<'a> {
    connection: &'a Connection,
    /// Without it, what happens on the lane wakes nobody. That is how it should be while others read anyway: otherwise
    /// each reply wakes a sleeping thread of the runtime, which takes as long as the call and finds nothing.
    watch: Option<Watch>,
    /// When the look that is going on began, and how long it may take.
    look: Option<(Instant, Duration)>,
    /// Whether looks, in which it yields all the time, disturb nobody.
    may_look: bool,
    /// Whether there was a look since something was read last. There is one per wait.
    has_looked: bool,
    /// How often in a row the lane woke the driver for nothing.
    idle_wakes: u32,
}

impl Connection {
    /// Drives the connection until it is lost. Cancel safe: another driver may take over.
    pub(crate) async fn drive(&self, mut tell: impl FnMut(ConnectionEvent)) -> Lost {
        self.lock().is_watched = false;
        let driver = Driver {
            connection: self,
            watch: None,
            look: None,
            may_look: has_one_thread(&Handle::current()),
            has_looked: false,
            idle_wakes: 0,
        };
        let Err(lost) = driver.run(&mut tell).await;
        self.close();
        lost
    }
}

impl Driver<'_> {
    async fn run(mut self, tell: &mut impl FnMut(ConnectionEvent)) -> Result<Infallible, Lost> {
        let mut timer = pin!(sleep(Duration::ZERO));
        let mut set_to = None;
        let mut harvest = Harvest::default();
        self.watch()?;
        loop {
            let turn = self.connection.turn(&mut harvest, tell)?;
            if turn.has_read {
                self.note_read(&turn);
            }
            if turn.is_unfinished {
                yield_now().await;
                continue;
            }
            match self.rest(&turn) {
                Rest::Look => {
                    // Where both sides share a core, this is what lets the worker run at all.
                    let offer = Instant::now();
                    thread::yield_now();
                    let came_back = offer.elapsed();
                    if self.connection.lock().spinner.offered(came_back) {
                        self.look = None;
                    }
                    yield_now().await;
                }
                Rest::Sleep if self.watch.is_none() => self.watch()?,
                Rest::Sleep => {
                    if set_to != turn.timeout {
                        set_to = turn.timeout;
                        if let Some(at) = set_to {
                            timer.as_mut().reset(at.into());
                        }
                    }
                    self.sleep(&turn, timer.as_mut()).await?;
                }
                Rest::Doze => self.doze().await?,
            }
        }
    }

    fn rest(&mut self, turn: &Turn) -> Rest {
        let mut state = self.connection.lock();
        let is_idle = state.protocol.in_flight_len() == 0 || state.is_looked_for;
        if !turn.is_flushed || (is_idle && self.watch.is_some()) {
            return Rest::Sleep;
        }
        if is_idle {
            return Rest::Doze;
        }
        if let Some((begin, longest)) = self.look {
            if begin.elapsed() < longest {
                return Rest::Look;
            }
            self.look = None;
            state.spinner.missed();
            return Rest::Sleep;
        }
        if self.may_look && !std::mem::replace(&mut self.has_looked, true) {
            if let Some(longest) = state.spinner.next_look() {
                self.look = Some((Instant::now(), longest));
                return Rest::Look;
            }
        }
        Rest::Sleep
    }

    fn note_read(&mut self, turn: &Turn) {
        self.has_looked = false;
        self.idle_wakes = if turn.was_looked_for {
            self.idle_wakes + 1
        } else {
            0
        };
        if self.look.take().is_some() {
            self.connection.lock().spinner.found();
            self.unwatch();
        }
    }

    /// What has arrived by now is seen in the turn that follows.
    fn watch(&mut self) -> Result<(), Lost> {
        self.watch = Some(self.connection.lane.watch().map_err(Lost::Io)?);
        self.connection.lock().is_watched = true;
        Ok(())
    }

    fn unwatch(&mut self) {
        // In this order, so that a caller that relies on the watch is seen in the turn that follows.
        self.connection.lock().is_watched = false;
        self.watch = None;
    }

    async fn sleep(&mut self, turn: &Turn, timer: std::pin::Pin<&mut Sleep>) -> Result<(), Lost> {
        let Some(watch) = &self.watch else {
            return Ok(());
        };
        let interest = if turn.is_flushed {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let progress = self.connection.lock().progress;
        tokio::select! {
            ready = watch.ready(interest) => {
                ready.map_err(Lost::Io)?;
                if self.connection.lock().progress != progress {
                    self.idle_wakes += 1;
                }
            }
            () = timer, if turn.timeout.is_some() => self.connection.lock().armed = None,
            () = self.connection.kick.notified() => {
                let company = self.connection.lock().protocol.in_flight_len() > 1;
                if company {
                    // Whoever is woken runs next, on some runtimes. The callers that run before it have their requests
                    // written together with the one that it was told of.
                    yield_now().await;
                }
            }
        }
        if self.idle_wakes >= MAX_IDLE_WAKES {
            self.idle_wakes = 0;
            self.unwatch();
        }
        Ok(())
    }

    /// Sleeps without a watch as long as callers make progress. Then, and before anybody else can be missing something,
    /// there is a watch again.
    async fn doze(&mut self) -> Result<(), Lost> {
        let progress = self.connection.lock().progress;
        tokio::select! {
            () = sleep(DOZE) => {
                if self.connection.lock().progress == progress {
                    self.watch()?;
                }
            }
            () = self.connection.kick.notified() => {}
        }
        Ok(())
    }
}
