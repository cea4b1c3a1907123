//! A descriptor that names a process for good, which a number does not; only Linux has it.
//!
//! Elsewhere, and under `--cfg pyproc_portable`, none can be opened and the number has to do.

pub(super) use platform::Pidfd;

#[cfg(all(target_os = "linux", not(pyproc_portable)))]
mod platform {
    use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
    use std::sync::Arc;

    use rustix::io::Errno;
    use rustix::process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
    };

    #[derive(Debug, Clone)]
    pub(in crate::worker) struct Pidfd(Arc<OwnedFd>);

    impl Pidfd {
        /// `None` where the kernel is older than 5.4 or a sandbox forbids it. (Opening is a little
        /// older than waiting, so the waiting is tried as well.)
        pub(in crate::worker) fn open(pid: Pid) -> Option<Self> {
            let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match waitid(WaitId::PidFd(pidfd.as_fd()), look) {
                Ok(_) | Err(Errno::INTR | Errno::CHILD) => Some(Self(Arc::new(pidfd))),
                Err(_) => None,
            }
        }

        pub(in crate::worker) fn wait_id(&self) -> WaitId<'_> {
            WaitId::PidFd(self.0.as_fd())
        }

        pub(in crate::worker) fn send_signal(&self, signal: Signal) -> rustix::io::Result<()> {
            pidfd_send_signal(&self.0, signal)
        }
    }

    impl AsRawFd for Pidfd {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_raw_fd()
        }
    }
}

#[cfg(not(all(target_os = "linux", not(pyproc_portable))))]
mod platform {
    use std::os::fd::{AsRawFd, RawFd};

    use rustix::process::{Pid, Signal, WaitId};

    /// There is none.
    #[derive(Debug, Clone)]
    pub(in crate::worker) enum Pidfd {}

    impl Pidfd {
        pub(in crate::worker) fn open(_: Pid) -> Option<Self> {
            None
        }

        pub(in crate::worker) fn wait_id(&self) -> WaitId<'_> {
            match *self {}
        }

        pub(in crate::worker) fn send_signal(&self, _: Signal) -> rustix::io::Result<()> {
            match *self {}
        }
    }

    impl AsRawFd for Pidfd {
        fn as_raw_fd(&self) -> RawFd {
            match *self {}
        }
    }
}
