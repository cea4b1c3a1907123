//! Signals, and who is still there.

use pyproc::Pool;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// The process of the worker in a slot.
pub fn pid_of<C: pyproc::Codec>(pool: &Pool<C>, slot: usize) -> u32 {
    pool.status().workers[slot].pid.expect("the slot has a process")
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

fn raw(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}
