//! What a connection tolerates.

use std::time::Duration;

/// The default of [`Limits::max_frame`]: 16 MiB, which leaves room for a batch of images and
/// keeps a claimed length from being a way to exhaust memory.
pub const DEFAULT_MAX_FRAME: usize = 16 * 1024 * 1024;

/// What a connection tolerates before it condemns the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest length that a frame may state, in bytes; at most `u32::MAX`, which is all that
    /// a frame can state. On the binary protocol a worker goes by the `Hello` instead.
    pub max_frame: usize,
    /// How long the worker has from the beginning of the connection to its `Welcome`. Only the
    /// host looks at it; 60 s by default, because it covers importing the user's modules, and large
    /// models take their time.
    pub handshake_timeout: Duration,
    /// How long a frame has from its first byte to its last. It is a total: a byte a second does
    /// not extend it. 30 s by default: even the largest frame takes milliseconds, so whoever takes
    /// longer has stopped in the middle.
    pub progress_timeout: Duration,
    /// How long after its deadline, or after it was cancelled, where the host interrupts such calls,
    /// a call that is still unanswered is reported as overdue; 5 s by default, because losing the
    /// worker costs more than a function that is merely late. Only the host looks at it. A call
    /// that waits behind others at the worker has this time from the moment when it is the oldest
    /// without an answer, if that is later.
    pub overdue_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: DEFAULT_MAX_FRAME,
            handshake_timeout: Duration::from_secs(60),
            progress_timeout: Duration::from_secs(30),
            overdue_after: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// The limit on lengths, within what the length field can express.
    pub(super) fn frame_limit(&self) -> usize {
        self.max_frame.min(u32::MAX as usize)
    }
}
