//! Asking an interpreter who it is.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::process::Pid;

use super::Interpreter;
use crate::deadline;
use crate::worker::child::Child;
use crate::worker::pipe::pipe;
use crate::worker::spawner;

/// Why an interpreter does not do.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("{}", not_there(.0))]
    NotThere(io::Error),
    #[error("cannot be started: {0}")]
    NotStarted(io::Error),
    #[error("is too old: {}.{}.{} < 3.10", .0.0, .0.1, .0.2)]
    TooOld((u8, u8, u8)),
    #[error("gave no answer within {0:?}")]
    Hung(Duration),
    #[error("is not a Python interpreter ({0})")]
    NotPython(String),
}

fn not_there(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be looked at: {error}"),
    }
}

/// Runs under any Python, also version 2, so that one too old can say so. The marker sets the
/// answer apart from what a wrapper may print.
const QUESTION: &str = r#"
import os, sys
out = getattr(sys.stdout, "buffer", sys.stdout)
out.write(("pyproc-probe %d.%d.%d " % tuple(sys.version_info[:3])).encode())
out.write(getattr(os, "fsencode", str)(sys.executable) + b"\n")
"#;

/// Asks the interpreter at `path` for its version and its own path.
///
/// It runs isolated (`-I -S`), so that neither the environment nor what is installed can make it
/// slow or talkative, and is killed when it does not answer in time.
pub(super) fn probe(path: &Path, timeout: Duration) -> Result<Interpreter, Unfit> {
    let deadline = deadline::after(timeout);
    let (reader, writer) = pipe().map_err(Unfit::NotStarted)?;
    let child = start(path, writer).map_err(Unfit::NotStarted)?;
    let said = listen(&reader, deadline);

    // Whatever it said, it is not needed anymore, and nothing of it shall be left behind.
    child.kill_group();
    spawner::bury(child);
    let said = said
        .map_err(Unfit::NotStarted)?
        .ok_or(Unfit::Hung(timeout))?;
    parse(&said).ok_or_else(|| Unfit::NotPython(first_line(&said)))
}

fn start(path: &Path, output: OwnedFd) -> io::Result<Child> {
    let child = Command::new(path)
        .args(["-I", "-S", "-c", QUESTION])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    Ok(Child::new(Pid::from_child(&child)))
}

/// Reads until the answer is complete, the other side is closed or too much was said; `None` when
/// that takes too long.
fn listen(reader: &OwnedFd, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    const LONGEST_BYTES: usize = 16 * 1024;
    let mut said = Vec::new();
    while answer(&said).is_none() && said.len() < LONGEST_BYTES {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let remaining = Timespec::try_from(remaining).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(reader, PollFlags::IN)], Some(&remaining)) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let mut chunk = [0; 1024];
        match retry_on_intr(|| read(reader, &mut chunk))? {
            0 => break,
            length => said.extend_from_slice(&chunk[..length]),
        }
    }
    Ok(Some(said))
}

/// The complete line of the answer, without the marker.
fn answer(said: &[u8]) -> Option<&[u8]> {
    let complete = said.split_inclusive(|&byte| byte == b'\n');
    complete
        .filter_map(|line| line.strip_suffix(b"\n")?.strip_prefix(b"pyproc-probe "))
        .next()
}

fn parse(said: &[u8]) -> Option<Interpreter> {
    let answer = answer(said)?;
    let space = answer.iter().position(|&byte| byte == b' ')?;
    let version = std::str::from_utf8(&answer[..space]).ok()?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    let mut number = || numbers.next().flatten();
    let path = OsStr::from_bytes(&answer[space + 1..]);
    Some(Interpreter {
        path: path.into(),
        version: (number()?, number()?, number()?),
    })
}

fn first_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    match said.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("it said {:?}", line.chars().take(200).collect::<String>()),
        None => "it said nothing".to_owned(),
    }
}
