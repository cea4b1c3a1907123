//! The floors over a Unix socket: the same message whole, there and back, between two processes that block.

use std::env;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use anyhow::{Result, bail, ensure};

use super::server::Server;
use crate::cores::Cores;
use crate::load::{BlockingCaller, blocking};
use crate::protocol::Load;
use crate::spec::{Spec, Subject};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/echo.py");

/// As long as the frame of a small call: a header of 16 bytes and `{"value": 42}` in MessagePack.
const SMALL_BYTES: usize = 24;

/// A message begins with its whole length.
const LENGTH_BYTES: usize = 8;

pub(crate) fn run(spec: &Spec, cores: Option<&Cores>, server: &mut Server) -> Result<()> {
    let mut caller = Echo::start(spec.subject)?;
    let workers = [caller.process.id()];
    if let (Some(cores), Some(placement)) = (cores, spec.placement) {
        cores.separate(placement, &workers)?;
    }
    server.ready(None)?;
    server.serve(
        || workers.to_vec(),
        |order| match order.load {
            Load::Closed { callers: 1, .. } => {
                caller.message = message(SMALL_BYTES);
                blocking::closed(&mut caller, order.length())
            }
            Load::Echo { bytes } if spec.subject == Subject::FloorRustEcho => {
                caller.message = message(bytes + LENGTH_BYTES);
                blocking::closed(&mut caller, order.length())
            }
            Load::Paced { interval_us } => blocking::paced(
                &mut caller,
                std::time::Duration::from_micros(interval_us),
                order.length(),
            ),
            _ => bail!("a floor has one caller"),
        },
    )
}

struct Echo {
    process: Child,
    socket: UnixStream,
    message: Vec<u8>,
    reply: Vec<u8>,
}

impl Echo {
    fn start(subject: Subject) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = if subject == Subject::FloorPythonEcho {
            let python = env::var_os("PYPROC_PYTHON").unwrap_or_else(|| "python3".into());
            let mut command = Command::new(python);
            command.arg(SCRIPT);
            command
        } else {
            let mut command = Command::new(env::current_exe()?);
            command.arg("echo");
            command
        };
        Ok(Self {
            process: command.stdin(OwnedFd::from(theirs)).spawn()?,
            socket: ours,
            message: message(SMALL_BYTES),
            reply: Vec::new(),
        })
    }
}

/// A message of so many bytes, its length included.
fn message(bytes: usize) -> Vec<u8> {
    let mut message = vec![0x2A; bytes.max(LENGTH_BYTES)];
    let length = message.len() as u64;
    message[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    message
}

impl BlockingCaller for Echo {
    fn call(&mut self, number: u64) -> Result<()> {
        let marked = self.message.len() > LENGTH_BYTES;
        if marked {
            self.message[LENGTH_BYTES] = number as u8;
        }
        self.reply.resize(self.message.len(), 0);
        self.socket.write_all(&self.message)?;
        self.socket.read_exact(&mut self.reply)?;
        Ok(())
    }

    fn check(&self, _: u64) -> Result<()> {
        ensure!(self.reply == self.message, "the echo differs");
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

/// The far side: reads each message whole into a buffer that it keeps, then writes it back.
pub(crate) fn serve() -> Result<()> {
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let mut filled = 0;
        let mut length = buffer.len();
        while filled < length {
            filled += match socket.read(&mut buffer[filled..]) {
                Ok(0) => return Ok(()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if let Some(prefix) = buffer[..filled].first_chunk::<LENGTH_BYTES>() {
                length = usize::try_from(u64::from_le_bytes(*prefix))?;
                if length > buffer.len() {
                    buffer.resize(length, 0);
                }
            }
        }
        socket.write_all(&buffer[..length])?;
    }
}
