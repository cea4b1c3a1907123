//! Signals, and who is still there.

use pyproc::Pool;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// The process of the worker in a slot.
pub fn pid_of<C: pyproc::Codec>(pool: &Pool<C>, slot: usize) -> u32 {
    pool.status().workers[slot]
        .pid
        .expect("the slot has a process")
}

/// Kills a process with -9.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Sends a signal to a process.
pub fn signal(pid: u32, signal: Signal) {
    kill_process(raw(pid), signal).unwrap();
}

/// Whether there is no process of this id, not even a zombie.
pub fn gone(pid: u32) -> bool {
    test_kill_process(raw(pid)).is_err()
}

/// Whether the process has ended. A zombie counts: the orphans of a dead host are for the machine's init to reap, and
/// that of a container may not care.
pub fn ended(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    // The state follows the name, which is in parentheses and may hold any character.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// What a process has open.
pub fn open_in(pid: u32) -> Vec<std::path::PathBuf> {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    descriptors
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .collect()
}

fn raw(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

/// The processes and zombies whose parent is this one, whichever of its threads has started them.
pub fn children_of(pid: u32) -> Vec<u32> {
    // A process, or a thread of it, may end while it is looked at.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let lists = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let pids = list.split_whitespace().map(|pid| pid.parse().unwrap());
            pids.collect::<Vec<u32>>()
        })
        .collect()
}

/// All descendants of a process.
pub fn descendants_of(pid: u32) -> Vec<u32> {
    let mut found = children_of(pid);
    let mut next = 0;
    while next < found.len() {
        found.extend(children_of(found[next]));
        next += 1;
    }
    found
}
