//! Processes, and what they hold.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Sends a signal to a child of this process, and says whether it was one: a process id that the kernel has given to
/// somebody else is left alone.
pub(crate) fn signal(pid: u32, signal: Signal) -> bool {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(pidfd) = raw.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return false;
    };
    // Asked after the process was opened, so that the answer is about the one that was opened, or about none.
    parent(pid) == Some(std::process::id()) && pidfd_send_signal(pidfd, signal).is_ok()
}

/// The children of this process, zombies among them.
pub(crate) fn children() -> BTreeSet<u32> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks
        .flatten()
        .flat_map(|task| {
            // A thread may end while it is looked at.
            let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

/// All processes that have this variable in their environment, whoever their parent is now.
pub(crate) fn marked(name: &str) -> BTreeSet<u32> {
    let begin = format!("{name}=");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let mut variables = environment.split(|byte| *byte == 0);
            variables
                .any(|variable| variable.starts_with(begin.as_bytes()))
                .then_some(pid)
        })
        .collect()
}

/// How many bytes of memory a process has.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// How many descriptors a process has open.
pub(crate) fn descriptors(pid: u32) -> Option<u64> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64)
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The parent follows the state, which follows the name, which is in parentheses and may hold any character.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_whitespace().nth(1)?.parse().ok()
}
