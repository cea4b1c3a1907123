//! What a worker prints: read without end, so that it never blocks on a full pipe, and passed on
//! in lines of a bounded length and number.

mod lines;
mod quota;
mod tail;

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;
use tracing::Level;

use crate::telemetry::{self, Origin};
use lines::{Line, Lines};
use quota::Quota;
pub(crate) use tail::StderrTail;

/// Which of a worker's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputKind {
    Stdout,
    Stderr,
}

impl OutputKind {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// Standard error is where warnings and tracebacks of code without a logger end up.
    fn level(self) -> Level {
        match self {
            Self::Stdout => Level::INFO,
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
    let mut output = Output {
        kind,
        origin,
        tail,
        quota: Quota::new(Instant::now()),
    };
    if let Err(error) = output.drain(stream).await {
        let message = format!("cannot be read: {error}");
        output.log(Level::WARN, &message);
    }
}

struct Output {
    kind: OutputKind,
    origin: Arc<Origin>,
    tail: Option<Arc<StderrTail>>,
    quota: Quota,
}

impl Output {
    async fn drain(&mut self, stream: OwnedFd) -> io::Result<()> {
        let mut stream = pipe::Receiver::from_owned_fd(stream)?;
        let mut lines = Lines::default();
        let mut chunk = vec![0; 16 * 1024];
        loop {
            let length = match self.quota.report_at() {
                None => read(&mut stream, &mut chunk).await?,
                // What was dropped is told even when nothing comes anymore.
                Some(at) => tokio::select! {
                    length = read(&mut stream, &mut chunk) => length?,
                    () = tokio::time::sleep_until(at.into()) => {
                        self.report();
                        continue;
                    }
                },
            };
            if length == 0 {
                break;
            }
            lines.push(&chunk[..length], |line| self.line(&line));
        }
        lines.finish(|line| self.line(&line));
        self.report();
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>) {
        let text = line.to_string();
        if let Some(tail) = &self.tail {
            tail.push(&text);
        }
        if self.quota.admits(text.len(), Instant::now()) {
            self.log(self.kind.level(), &text);
        }
    }

    fn report(&mut self) {
        if let Some(dropped) = self.quota.take_dropped(Instant::now()) {
            self.log(Level::WARN, &dropped.to_string());
        }
    }

    fn log(&self, level: Level, message: &str) {
        telemetry::log(&self.origin, level, self.kind.name(), message);
    }
}

/// Reads what there is; 0 at the end. Cancel safety: a dropped future has read nothing.
async fn read(stream: &mut pipe::Receiver, chunk: &mut [u8]) -> io::Result<usize> {
    let mut buffer = ReadBuf::new(chunk);
    poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut buffer)).await?;
    Ok(buffer.filled().len())
}
