//! What a worker prints: read without end, so that it never blocks on a full pipe, and passed on
//! in lines of a bounded length and number. What it logs has the same bounds.

mod lines;
mod outlet;
mod quota;
mod tail;

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;
use tracing::Level;

use crate::telemetry::Origin;
use lines::{Line, Lines};
pub(crate) use outlet::Outlet;
pub(crate) use tail::StderrTail;

/// The ways in which a worker says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputKind {
    Stdout,
    Stderr,
    /// Python's `logging`.
    Log,
}

impl OutputKind {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Log => "logging",
        }
    }

    /// What its messages are called.
    fn unit(self) -> &'static str {
        match self {
            Self::Stdout | Self::Stderr => "lines",
            Self::Log => "records",
        }
    }

    /// The level of a message that has none of its own. Standard error is where warnings and tracebacks of code
    /// without a logger end up.
    fn level(self) -> Level {
        match self {
            Self::Stdout | Self::Log => Level::INFO,
            Self::Stderr => Level::WARN,
        }
    }
}

/// Passes on what comes out of `stream`, until its end; to be spawned by the caller.
///
/// A line is passed on with at most 8 KiB, and at most 1,000 lines and 1 MiB in a second; how many
/// were dropped is passed on as well. The tail gets every line, dropped or not.
pub(crate) async fn pump(
    stream: OwnedFd,
    kind: OutputKind,
    origin: Arc<Origin>,
    tail: Option<Arc<StderrTail>>,
) {
    let output = Output {
        kind,
        outlet: Outlet::new(origin, kind),
        tail,
    };
    let drained = tokio::select! {
        drained = output.drain(stream) => drained,
        never = output.outlet.keep_reporting() => match never {},
    };
    output.outlet.report();
    if let Err(error) = drained {
        output.outlet.remark(&format!("cannot be read: {error}"));
    }
}

struct Output {
    kind: OutputKind,
    outlet: Outlet,
    tail: Option<Arc<StderrTail>>,
}

impl Output {
    async fn drain(&self, stream: OwnedFd) -> io::Result<()> {
        let mut stream = pipe::Receiver::from_owned_fd(stream)?;
        let mut lines = Lines::default();
        let mut chunk = vec![0; 16 * 1024];
        loop {
            let length = read(&mut stream, &mut chunk).await?;
            if length == 0 {
                break;
            }
            lines.push(&chunk[..length], |line| self.line(&line));
        }
        lines.finish(|line| self.line(&line));
        Ok(())
    }

    fn line(&self, line: &Line<'_>) {
        let text = line.to_string();
        if let Some(tail) = &self.tail {
            tail.push(&text);
        }
        self.outlet.say(self.kind.level(), self.kind.name(), &text);
    }
}

/// Reads what there is; 0 at the end. Cancel safety: a dropped future has read nothing.
async fn read(stream: &mut pipe::Receiver, chunk: &mut [u8]) -> io::Result<usize> {
    let mut buffer = ReadBuf::new(chunk);
    poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut buffer)).await?;
    Ok(buffer.filled().len())
}
