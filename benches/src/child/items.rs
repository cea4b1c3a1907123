//! The floors of a stream: a process that sends the same bytes over a Unix socket, and knows nothing of calls.

use std::env;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::server::Server;
use crate::cores::Cores;
use crate::load::{Tally, stream};
use crate::protocol::Load;
use crate::spec::{Spec, Subject};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/items.py");

/// As long as that of a frame.
const HEADER_BYTES: usize = 16;

/// What is written, and read, at once.
const BUFFER_BYTES: usize = 64 * 1024;

pub(crate) fn run(spec: &Spec, cores: Option<&Cores>, server: &mut Server) -> Result<()> {
    let mut reader = Reader::start(spec.subject)?;
    let workers = [reader.process.id()];
    if let (Some(cores), Some(placement)) = (cores, spec.placement) {
        cores.separate(placement, &workers)?;
    }
    server.ready(None)?;
    server.serve(
        || workers.to_vec(),
        |order| match order.load {
            Load::Stream { items, bytes } => {
                let end = Instant::now() + order.length();
                let mut tally = Tally::default();
                loop {
                    reader.read(items, bytes, &mut tally)?;
                    if Instant::now() >= end {
                        return Ok(tally);
                    }
                }
            }
            _ => bail!("a sender of items has one reader"),
        },
    )
}

struct Reader {
    process: Child,
    socket: BufReader<UnixStream>,
}

impl Reader {
    fn start(subject: Subject) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = if subject == Subject::FloorPythonItems {
            let python = env::var_os("PYPROC_PYTHON").unwrap_or_else(|| "python3".into());
            let mut command = Command::new(python);
            command.arg(SCRIPT);
            command
        } else {
            let mut command = Command::new(env::current_exe()?);
            command.arg("items");
            command
        };
        Ok(Self {
            process: command.stdin(OwnedFd::from(theirs)).spawn()?,
            socket: BufReader::with_capacity(BUFFER_BYTES, ours),
        })
    }

    /// Asks for items, and reads them to the end.
    fn read(&mut self, items: u64, bytes: usize, tally: &mut Tally) -> Result<()> {
        let begin = Instant::now();
        let mut request = items.to_le_bytes().to_vec();
        request.extend_from_slice(&(bytes as u64).to_le_bytes());
        self.socket.get_mut().write_all(&request)?;
        let mut item = vec![0; HEADER_BYTES + bytes];
        for number in 0..items {
            self.socket.read_exact(&mut item)?;
            if number == 0 {
                tally.record(begin.elapsed());
            }
            stream::check(number, &item[HEADER_BYTES..], bytes)?;
        }
        ensure!(self.socket.buffer().is_empty(), "there is more");
        tally.add_items(items, begin.elapsed());
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It ends by itself at the end of its input; killing it only makes sure of that.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The far side: sends what it is asked for.
pub(crate) fn serve() -> Result<()> {
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut requests = BufReader::new(socket.try_clone()?);
    let mut output = BufWriter::with_capacity(BUFFER_BYTES, socket);
    while !requests.fill_buf()?.is_empty() {
        let mut number = || -> Result<u64> {
            let mut number = [0; 8];
            requests.read_exact(&mut number)?;
            Ok(u64::from_le_bytes(number))
        };
        let (items, bytes) = (number()?, usize::try_from(number()?)?);
        let mut item = vec![0; HEADER_BYTES + bytes];
        for number in 0..items {
            item[HEADER_BYTES..][..size_of::<u64>()].copy_from_slice(&number.to_le_bytes());
            output.write_all(&item)?;
        }
        output.flush()?;
    }
    Ok(())
}
