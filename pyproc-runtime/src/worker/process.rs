//! The process of a worker, from its start to the collection of its status.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, Signal};

use super::adopted;
use super::child::{Child, State};
use super::exit::Exit;
use super::exit_watch::ExitWatch;
use super::spawner;

/// The process of a worker; the leader of a process group of its own.
///
/// Its status is collected by [`reap`](Self::reap) and by nothing before, so that its id cannot be
/// given to another process while signals are sent to it. Dropping it kills the group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    watch: ExitWatch,
    collected: bool,
    /// The write end of a pipe whose closing kills the group, whatever becomes of the host.
    _lifeline: OwnedFd,
}

impl Process {
    /// Takes over a process that was started at this moment.
    pub(super) fn new(pid: Pid, lifeline: OwnedFd) -> io::Result<Self> {
        let process = Self {
            child: Child::new(pid),
            watch: ExitWatch::default(),
            collected: false,
            _lifeline: lifeline,
        };
        process.watch.prepare(&process.child)?;
        Ok(process)
    }

    /// The process id. It stays this process's own until it is reaped.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// Ends when the process is dead, which is also before its descendants have closed what they
    /// inherited.
    ///
    /// Cancel safety: nothing is lost when the future is dropped, and it may be called again,
    /// before and after the death.
    pub(crate) async fn exited(&self) {
        self.watch.dead(&self.child).await;
    }

    /// Sends SIGTERM to the process itself.
    pub(crate) fn terminate(&self) {
        self.child.signal(Signal::TERM);
    }

    /// Tells the worker that it is to interrupt what it runs. Without a handler for it the signal is
    /// ignored, so it hurts no process that knows nothing of it.
    pub(crate) fn interrupt(&self) {
        self.child.signal(Signal::URG);
    }

    /// Tells the worker's fault handler to write down the stacks of all threads. Without a handler
    /// for it this signal is ignored, too.
    pub(super) fn ask_for_stacks(&self) {
        self.child.signal(Signal::WINCH);
    }

    /// Sends SIGKILL to the process and all of its group.
    pub(crate) fn kill(&self) {
        self.child.kill_group();
    }

    /// Waits for the death, kills what is left of the group and collects the status.
    ///
    /// A descendant that made itself a session of its own (`setsid`) survives.
    ///
    /// Cancel safety: dropping the future drops the process, and so kills it.
    pub(crate) async fn reap(mut self) -> Exit {
        self.exited().await;
        self.child.kill_group();
        if let (true, State::Dead(exit)) = (adopted::adopts(), self.child.state()) {
            // The spawner buries the whole group, whose last members may take a moment to die.
            return exit;
        }
        match self.child.collect() {
            State::Dead(exit) => {
                self.collected = true;
                exit
            }
            State::Stolen => {
                self.collected = true;
                Exit::Unknown
            }
            // A debugger holds the status back, or the death could not be watched. Waiting longer
            // could take for ever; dropping the process leaves that to the spawner.
            State::Running => Exit::Unknown,
        }
    }
}

impl Drop for Process {
    /// Kills the group and has the status collected, without blocking and without a runtime.
    fn drop(&mut self) {
        if !self.collected {
            self.child.kill_group();
            spawner::bury(self.child.clone());
        }
    }
}
