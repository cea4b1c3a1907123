//! Starting the process of a worker.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::process::Pid;

use super::environment::Environment;
use super::pipe::pipe;
use super::process::Process;
use super::spawn_error::SpawnError;
use super::spawner;

/// How to start a worker.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// Absolute: a search along `PATH` would use the child's, which may be cleared.
    pub interpreter: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: Environment,
    /// The pool's name and the slot, which the worker finds as `PYPROC_POOL` and `PYPROC_SLOT`.
    pub pool: Arc<str>,
    pub slot: usize,
    /// The user and the group that it runs as, where that is not the host's.
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// A worker that was just started, and the host's ends of everything that ties it to the host.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub process: Process,
    /// Does not block. The other end is the worker's standard input.
    pub socket: UnixStream,
    /// The read end of the pipe whose other end lives in `process`; to be sent to the worker.
    pub lifeline: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// Starts a worker's process, in a process group of its own.
///
/// Cancel safety: a process whose start nobody waits for anymore is killed and reaped.
pub(crate) async fn spawn(launch: Launch) -> Result<Spawned, SpawnError> {
    let outcome = spawner::start(launch).map_err(|source| SpawnError::Other { source })?;
    outcome.await.unwrap_or_else(|_| {
        let source = io::Error::other("the spawner thread has ended");
        Err(SpawnError::Other { source })
    })
}

impl Launch {
    /// Starts the process from the calling thread, and returns when it runs the interpreter.
    pub(super) fn start(&self) -> Result<Spawned, SpawnError> {
        self.try_start()
            .map_err(|error| SpawnError::new(self, error))
    }

    /// Without `pre_exec`, so that the standard library can use `posix_spawn`, which does not copy
    /// the page tables of a large host. The child gets descriptors 0, 1 and 2; all others here are
    /// close-on-exec.
    fn try_start(&self) -> io::Result<Spawned> {
        let (socket, worker_end) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let (lifeline, lifeline_of_process) = pipe()?;

        let mut command = Command::new(&self.interpreter);
        command
            .args(&self.arguments)
            .process_group(0)
            .stdin(OwnedFd::from(worker_end))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(gid) = self.gid {
            command.gid(gid);
        }
        if let Some(uid) = self.uid {
            command.uid(uid);
        }
        self.environment.apply(&mut command, self.slot);
        command.env("PYPROC_POOL", &*self.pool);
        command.env("PYPROC_SLOT", self.slot.to_string());
        let mut child = command.spawn()?;
        let process = Process::new(Pid::from_child(&child), lifeline_of_process)?;

        match (child.stdout.take(), child.stderr.take()) {
            (Some(stdout), Some(stderr)) => Ok(Spawned {
                process,
                socket,
                lifeline,
                stdout: stdout.into(),
                stderr: stderr.into(),
            }),
            _ => Err(io::Error::other("the child was started without its pipes")),
        }
    }
}
