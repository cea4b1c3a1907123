//! What a fake worker does next.

use std::time::Duration;

use pyproc_proto::{RemoteError, Welcome};

/// One thing that a fake worker does. What a real worker does is `Welcome`, `Answer` and `Fail`; the rest is trouble.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Welcome(Box<Welcome>),
    Refuse(RemoteError),
    Answer {
        call: u64,
        body: Vec<u8>,
    },
    Fail {
        call: u64,
        error: RemoteError,
    },
    Log(String),
    Drain,
    Goodbye,
    /// Puts bytes on the socket as they are.
    Write(Vec<u8>),
    /// Puts bytes on the socket one at a time, far apart.
    Drip(Vec<u8>),
    /// Puts the same bytes on the socket for as long as the host takes them.
    Flood(Vec<u8>),
    StopReading,
    Close,
    /// Does it later, and other things meanwhile.
    After(Duration, Box<Act>),
}

impl Act {
    pub(crate) fn after(self, time: Duration) -> Self {
        Self::After(time, Box::new(self))
    }
}
