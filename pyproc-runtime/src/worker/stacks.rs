//! Where the threads of a worker are: memory into which the worker's fault handler writes their Python stacks, on a
//! signal and at a crash.
//!
//! The handler is C code that needs neither memory nor the interpreter's lock, so it answers in an endless loop and in
//! the middle of a C function as well. The memory belongs to nobody else's file system, and outlives the worker.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::process::Process;

/// The host's end of that memory.
#[derive(Debug)]
pub(crate) struct Stacks {
    memory: OwnedFd,
}

/// How much of a dump is kept; a thread has at most 100 lines in it.
const MAX_BYTES: usize = 64 * 1024;

/// What the report of a crash begins with. Where threads are shown that were asked for, no line does.
const CRASH: &str = "Fatal Python error: ";

/// How often the memory is looked at while a dump is awaited.
const GLANCE: Duration = Duration::from_millis(2);

/// A dump is written in many small pieces, and its end has no mark. One that has not grown for so long is whole, even
/// where the worker had to wait for a processor in between.
const STILL: Duration = Duration::from_millis(50);

impl Stacks {
    /// `None` where the system has no such memory.
    pub(crate) fn create() -> Option<Self> {
        Some(Self {
            memory: memory::create()?,
        })
    }

    /// The memory, to be given to the worker.
    pub(crate) fn descriptor(&self) -> Option<OwnedFd> {
        self.memory.as_fd().try_clone_to_owned().ok()
    }

    /// Asks the process for the stacks of its threads, and waits for them, `patience` at most. `None` when it does not
    /// answer: it is stopped, or the kernel holds it, or it has no handler.
    ///
    /// Cancel safe: nothing is lost with it, and whoever asks next asks anew. A worker that answers only later, to this or
    /// because `patience` was over, may mix that dump into the next one; it is never taken for the report of a crash.
    pub(crate) async fn take(&self, process: &Process, patience: Duration) -> Option<String> {
        memory::empty(&self.memory);
        process.ask_for_stacks();
        let end = Instant::now() + patience;
        let (mut length, mut since) = (0, Instant::now());
        loop {
            sleep(GLANCE).await;
            let now = Instant::now();
            let grown = memory::length(&self.memory);
            if grown != length {
                (length, since) = (grown, now);
            }
            if now >= end || (length > 0 && now - since >= STILL) {
                return self.take_text();
            }
        }
    }

    /// What the worker has written by itself: the report of a crash. It is told once. A dump before it that was asked for
    /// and came too late says where the worker was at another time, and is left out.
    pub(crate) fn crash_report(&self) -> Option<String> {
        let text = self.take_text()?;
        let begins_line = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b'\n';
        let mut marks = text.match_indices(CRASH).map(|(at, _)| at);
        Some(text[marks.find(begins_line)?..].to_owned())
    }

    fn take_text(&self) -> Option<String> {
        let length = memory::length(&self.memory);
        if length == 0 {
            return None;
        }
        let mut text = match usize::try_from(length) {
            Ok(length) if length <= MAX_BYTES => self.part(0, length),
            // The report of a crash begins with its cause, and the main thread, which runs the calls, comes last.
            _ => {
                let (head, tail) = (MAX_BYTES / 4, MAX_BYTES / 4 * 3);
                format!(
                    "{}\n... {} bytes are left out ...\n{}",
                    self.part(0, head),
                    length - MAX_BYTES as u64,
                    self.part(length - tail as u64, tail)
                )
            }
        };
        text.truncate(text.trim_end().len());
        memory::empty(&self.memory);
        Some(text)
    }

    fn part(&self, offset: u64, length: usize) -> String {
        String::from_utf8_lossy(&memory::read(&self.memory, offset, length)).into_owned()
    }
}

#[cfg(all(target_os = "linux", not(pyproc_portable)))]
mod memory {
    use std::os::fd::OwnedFd;

    use rustix::fs::{MemfdFlags, SeekFrom, fstat, ftruncate, memfd_create, seek};
    use rustix::io::{Errno, pread};

    /// It can't be sealed, so whoever has it can always be made to forget what was written.
    pub(super) fn create() -> Option<OwnedFd> {
        memfd_create(c"pyproc-stacks", MemfdFlags::CLOEXEC).ok()
    }

    /// Both sides share one position, and so the next dump begins at the beginning.
    pub(super) fn empty(memory: &OwnedFd) {
        // Neither can fail for memory that cannot be sealed.
        let _ = ftruncate(memory, 0);
        let _ = seek(memory, SeekFrom::Start(0));
    }

    pub(super) fn length(memory: &OwnedFd) -> u64 {
        fstat(memory).map_or(0, |status| u64::try_from(status.st_size).unwrap_or(0))
    }

    /// As much as there is. The worker may be writing, or have taken it back.
    pub(super) fn read(memory: &OwnedFd, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match pread(memory, &mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        bytes.truncate(filled);
        bytes
    }
}

#[cfg(not(all(target_os = "linux", not(pyproc_portable))))]
mod memory {
    use std::os::fd::OwnedFd;

    pub(super) fn create() -> Option<OwnedFd> {
        None
    }

    pub(super) fn empty(_: &OwnedFd) {}

    pub(super) fn length(_: &OwnedFd) -> u64 {
        0
    }

    pub(super) fn read(_: &OwnedFd, _: u64, _: usize) -> Vec<u8> {
        Vec::new()
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    fn pair() -> (Stacks, File) {
        let stacks = Stacks::create().unwrap();
        let worker = stacks.descriptor().unwrap().into();
        (stacks, worker)
    }

    #[test]
    fn what_a_crash_leaves_behind_is_told_once() {
        let (stacks, mut worker) = pair();
        assert_eq!(stacks.crash_report(), None);
        for report in [
            "Fatal Python error: Aborted",
            "Fatal Python error: Bus error",
        ] {
            worker.write_all(report.as_bytes()).unwrap();
            assert_eq!(stacks.crash_report().as_deref(), Some(report));
            assert_eq!(stacks.crash_report(), None);
        }
    }

    #[test]
    fn a_dump_that_comes_too_late_is_no_report_of_a_crash() {
        let dump = "Current thread 0x1 (most recent call first):\n  File \"Fatal Python error: .py\", line 1 in f\n";
        let (stacks, mut worker) = pair();
        worker.write_all(dump.as_bytes()).unwrap();
        assert_eq!(stacks.crash_report(), None);

        let report = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1";
        worker.write_all(dump.as_bytes()).unwrap();
        worker.write_all(report.as_bytes()).unwrap();
        assert_eq!(stacks.crash_report().as_deref(), Some(report));
    }

    #[test]
    fn fault_58_what_is_read_of_a_worker_that_writes_without_end_is_bounded() {
        let (stacks, mut worker) = pair();
        worker.write_all(b"Fatal Python error: ").unwrap();
        worker.write_all(&[b'x'; 2 * MAX_BYTES]).unwrap();
        worker.write_all(b"the end\xff").unwrap();
        let text = stacks.crash_report().unwrap();
        assert!(text.starts_with(CRASH) && text.ends_with("the end\u{fffd}"));
        assert!(text.len() < MAX_BYTES + 100, "{}", text.len());

        // A hole of a terabyte is as good as a text.
        worker.set_len(1 << 40).unwrap();
        let text = stacks.take_text().unwrap();
        assert!(text.len() < MAX_BYTES + 100, "{}", text.len());
        assert_eq!(stacks.crash_report(), None);
    }

    #[test]
    fn fault_58_a_worker_cannot_seal_its_stacks() {
        let (stacks, worker) = pair();
        let seals = rustix::fs::SealFlags::SHRINK | rustix::fs::SealFlags::WRITE;
        assert!(rustix::fs::fcntl_add_seals(&worker, seals).is_err());
        assert_eq!(stacks.crash_report(), None);
    }
}
