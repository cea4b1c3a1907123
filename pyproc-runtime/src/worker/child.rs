//! A child process: signals, death and status, without waiting for anything but its death.

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};

use super::exit::Exit;
use super::pidfd::Pidfd;

/// A child process that leads a group of its own.
///
/// A process id names a process only until its status is collected; after that it may be given to
/// another. So the group is killed before the leader's status is collected, while the id is still
/// reserved.
#[derive(Debug, Clone)]
pub(super) struct Child {
    pid: Pid,
    pidfd: Option<Pidfd>,
}

/// What is known of a child at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Dead(Exit),
    /// Somebody else in this program has collected the status, so there is no such child anymore.
    Stolen,
}

impl Child {
    /// Must be called at once after the start: only the uncollected status ties the id to the
    /// process.
    pub(super) fn new(pid: Pid) -> Self {
        let pidfd = Pidfd::open(pid);
        Self { pid, pidfd }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn pidfd(&self) -> Option<&Pidfd> {
        self.pidfd.as_ref()
    }

    /// Looks at the child and leaves its status where it is.
    pub(super) fn state(&self) -> State {
        self.wait(WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
    }

    /// Collects the status if the child is dead; from then on its id is free.
    pub(super) fn collect(&self) -> State {
        self.wait(WaitIdOptions::NOHANG)
    }

    /// Blocks the thread until the child is dead, and leaves its status where it is.
    pub(super) fn wait_for_death(&self) {
        self.wait(WaitIdOptions::NOWAIT);
    }

    /// Sends a signal to the child, and not to its group.
    pub(super) fn signal(&self, signal: Signal) {
        // A signal that cannot be sent means that the process is gone, and then there is nobody to be told.
        let _ = match &self.pidfd {
            Some(pidfd) => pidfd.send_signal(signal),
            None if self.state() == State::Stolen => Ok(()),
            None => kill_process(self.pid, signal),
        };
    }

    /// Kills the child and the rest of its group, unless its status was stolen: then its id may
    /// already be another's.
    pub(super) fn kill_group(&self) {
        if self.state() != State::Stolen {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    fn wait(&self, options: WaitIdOptions) -> State {
        let id = || match &self.pidfd {
            Some(pidfd) => pidfd.wait_id(),
            None => WaitId::Pid(self.pid),
        };
        loop {
            match waitid(id(), options | WaitIdOptions::EXITED) {
                Ok(None) => return State::Running,
                Ok(Some(status)) => return State::Dead(exit(&status)),
                Err(Errno::INTR) => {}
                Err(_) => return State::Stolen,
            }
        }
    }
}

fn exit(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}
