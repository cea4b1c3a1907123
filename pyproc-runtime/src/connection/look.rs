//! A caller's look for its own reply.

use std::sync::TryLockError;
use std::time::{Duration, Instant};

use pyproc_proto::HostEvent;

use super::Connection;
use crate::lane::Received;
use crate::ledger::{Entry, Failure, Receipt, Reply};
use crate::sync::thread;

/// What a caller owes a connection that does not wake the driver: either it looks for its reply, or it tells the driver
/// that it does not. Where it does neither, because nobody polls it, the driver finds out a millisecond later.
#[derive(Debug)]
pub(crate) struct Look {
    longest: Duration,
}

/// What one read brought.
enum Glance {
    Nothing,
    /// A piece of a frame; the next one follows at once.
    Piece,
    /// Whole frames, some of them for the driver.
    News,
    /// The rest is for the driver.
    Lost,
}

impl Look {
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest }
    }
}

impl Connection {
    /// Reads, without blocking, until the outcome of this call is there or the look is over.
    pub(crate) fn look_for(&self, receipt: &Receipt, look: &Look) {
        receipt.wake_nobody();
        let begin = Instant::now();
        let mut now = begin;
        loop {
            // No reply can be there yet. And where both sides share a core, this is what lets the worker run at all.
            thread::yield_now();
            let away = now.elapsed();
            now += away;
            // What came meanwhile is found in the next read, and no other follows.
            let is_last = away > look.longest && self.lock().spinner.offered(away);
            let glance = self.glance();
            if receipt.has_ended() {
                if matches!(glance, Glance::Nothing) {
                    // Somebody else has ended it: its deadline, or whoever reads for all.
                    self.lock().is_looked_for = false;
                }
                return;
            }
            let is_over = match glance {
                Glance::Nothing => is_last || now - begin >= look.longest,
                Glance::Piece => false,
                // A worker that writes without end must not keep the caller, who has a deadline and a thread to give
                // back, nor fill the memory with what only the driver can pass on.
                Glance::News => now - begin >= look.longest,
                Glance::Lost => true,
            };
            if is_over {
                self.give_up(!is_last);
                return;
            }
        }
    }

    fn give_up(&self, is_in_vain: bool) {
        let mut state = self.lock();
        if is_in_vain {
            state.spinner.missed();
        }
        state.is_looked_for = false;
        drop(state);
        self.kick.notify_one();
    }

    /// Reads once, and hands out the reply if there is one. Whoever holds the lock meanwhile reads too.
    fn glance(&self) -> Glance {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Glance::Nothing,
        };
        match self.lane.receive(state.protocol.input_mut()) {
            Ok(Received::Nothing) => return Glance::Nothing,
            Ok(Received::Bytes | Received::LastBytes) => {}
            // The driver reads the end of the stream, and says what it means.
            Ok(Received::Eof) | Err(_) => return Glance::Lost,
        }
        let now = Instant::now();
        state.progress += 1;
        let is_sound = state.protocol.handle_input(now).is_ok();
        let mut answer = None;
        while let Some(event) = state.protocol.poll_event() {
            let is_answer = match &event {
                HostEvent::Reply { .. } => true,
                // The items before the end of a stream are the driver's to hand out, and so is the end.
                HostEvent::Failed { token, .. } => !token.is_stream(),
                _ => false,
            };
            if is_answer && answer.is_none() {
                state.note_answer(&event);
            }
            match event {
                HostEvent::Reply {
                    token,
                    metadata,
                    body,
                    ..
                } if answer.is_none() => {
                    answer = Some((token, Ok(Reply::new(body, metadata))));
                }
                HostEvent::Failed { token, error, .. } if is_answer && answer.is_none() => {
                    answer = Some((token, Err(Failure::Remote(error))));
                }
                event => state.for_driver.push_back(event),
            }
        }
        if answer.is_some() {
            state.is_looked_for = false;
            state.spinner.found();
        }
        let has_news = !is_sound || !state.for_driver.is_empty();
        drop(state);
        if let Some((token, outcome)) = answer {
            Entry::end(token, outcome);
        }
        if has_news {
            self.kick.notify_one();
        }
        match (is_sound, has_news) {
            (false, _) => Glance::Lost,
            (true, true) => Glance::News,
            (true, false) => Glance::Piece,
        }
    }
}
