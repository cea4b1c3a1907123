//! Waiting for the death of a child without polling, and without collecting its status.

use std::io;
use std::sync::OnceLock;
use std::thread;

use tokio::io::{Interest, unix::AsyncFd};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::child::Child;
use super::pidfd::Pidfd;

/// Sees the death of one child.
///
/// Its pidfd becomes readable then. Where there is none, a small thread waits for the child: a
/// handler of `SIGCHLD` would belong to the whole program, which may have other plans for it.
#[derive(Debug, Default)]
pub(super) struct ExitWatch {
    /// Registered when it is first awaited, because a process may be started, and dropped,
    /// outside of a tokio runtime.
    pidfd: OnceLock<Option<AsyncFd<Pidfd>>>,
    waiter: OnceLock<Waiter>,
}

impl ExitWatch {
    /// Starts a thread where one is needed, so that the lack of one shows at the start.
    pub(super) fn prepare(&self, child: &Child) -> io::Result<()> {
        if child.pidfd().is_none() {
            let waiter = Waiter::start(child)?;
            self.waiter.get_or_init(|| waiter);
        }
        Ok(())
    }

    /// Ends when the child is dead.
    ///
    /// Cancel safety: nothing is lost when the future is dropped, and any number of them may be
    /// awaited, before and after the death.
    pub(super) async fn dead(&self, child: &Child) {
        let registered = || child.pidfd().cloned().and_then(register);
        if let Some(pidfd) = self.pidfd.get_or_init(registered) {
            if pidfd.readable().await.is_ok() {
                return;
            }
        }
        // No pidfd, or the runtime that watched it has ended. A waiter that cannot be started
        // counts as a death: the process is then killed, which is better than never seen.
        let waiter = self
            .waiter
            .get_or_init(|| Waiter::start(child).unwrap_or_else(|_| Waiter::ended()));
        waiter.ended_at_last().await;
    }
}

#[allow(
    deprecated,
    reason = "the unsafe constructor that replaces it wants a descriptor that stays the same, which a Pidfd is"
)]
fn register(pidfd: Pidfd) -> Option<AsyncFd<Pidfd>> {
    Handle::try_current().ok()?;
    AsyncFd::with_interest(pidfd, Interest::READABLE).ok()
}

/// A thread that waits for a child. It never sends anything: its end closes the channel.
#[derive(Debug)]
struct Waiter(watch::Receiver<()>);

impl Waiter {
    fn start(child: &Child) -> io::Result<Self> {
        let (sender, receiver) = watch::channel(());
        let child = child.clone();
        thread::Builder::new()
            .name(format!("pyproc-wait-{}", child.pid()))
            .stack_size(64 * 1024)
            .spawn(move || {
                child.wait_for_death();
                drop(sender);
            })?;
        Ok(Self(receiver))
    }

    fn ended() -> Self {
        Self(watch::channel(()).1)
    }

    async fn ended_at_last(&self) {
        let _ = self.0.clone().changed().await;
    }
}
