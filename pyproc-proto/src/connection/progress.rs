//! How long the frame that arrives now has been arriving.

use std::time::{Duration, Instant};

use crate::{Decoder, ProtocolError};

/// The clock of one frame. It starts with the frame's first byte and later bytes do not reset it,
/// so a worker that drips is caught as surely as one that stops.
#[derive(Debug)]
pub(super) struct Progress {
    timeout: Duration,
    since: Option<Instant>,
}

impl Progress {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            since: None,
        }
    }

    /// Input was handled: `completed` says whether a frame ended in it, so that what is left
    /// belongs to a new one.
    pub(super) fn observe(&mut self, completed: bool, decoder: &Decoder, now: Instant) {
        if !decoder.is_partial() {
            self.since = None;
        } else if completed || self.since.is_none() {
            self.since = Some(now);
        }
    }

    /// When the frame must be there, if one is arriving.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since?.checked_add(self.timeout)
    }

    /// # Errors
    ///
    /// [`ProtocolError::ProgressTimeout`] when the frame has had its time.
    pub(super) fn check(&self, decoder: &Decoder, now: Instant) -> Result<(), ProtocolError> {
        match self.deadline() {
            Some(deadline) if deadline <= now => Err(ProtocolError::ProgressTimeout {
                received: decoder.buffered_len(),
                timeout: self.timeout,
            }),
            _ => Ok(()),
        }
    }
}

/// The earlier of two moments that may never come.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
