use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::affinity::Affinity;
use crate::{Result, Sample};

/// A Python process that sends back what it gets: nothing that answers over a socket, from Python
/// and without spinning, can be quicker.
pub(crate) struct Echo {
    process: Child,
    socket: UnixStream,
    message: Vec<u8>,
}

impl Echo {
    /// Starts the process. The messages are as long as the frames they are compared with.
    pub(crate) fn start(message_bytes: usize, affinity: &Affinity) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let python = std::env::var_os("PYPROC_PYTHON").unwrap_or_else(|| "python3".into());
        let process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/echo.py"))
            .envs(affinity.environment())
            .stdin(OwnedFd::from(theirs))
            .spawn()?;
        Ok(Self {
            process,
            socket: ours,
            message: vec![0x2A; message_bytes],
        })
    }

    /// Sends a message and waits for it, again and again.
    pub(crate) fn ping_pong(&mut self, length: Duration, sample: &mut Sample) -> Result<()> {
        let mut answer = vec![0; self.message.len()];
        let begin = Instant::now();
        let mut now = begin;
        while now - begin < length {
            self.socket.write_all(&self.message)?;
            self.socket.read_exact(&mut answer)?;
            assert_eq!(answer, self.message);
            let then = Instant::now();
            sample.record(then - now);
            now = then;
        }
        sample.end_round(now - begin, None);
        Ok(())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It ends by itself at the end of its input; killing it only makes sure of that.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
