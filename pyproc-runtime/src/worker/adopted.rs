//! Orphans that the kernel gives to this program because it is the first process of a container, or has declared itself
//! their reaper: whoever a worker leaves behind is then a child of the host, and stays a zombie until the host reaps it.
//!
//! Only members of a dead worker's process group are reaped here. The application's own children are not looked at.

use rustix::process::Pid;

/// Whether orphans come to this program.
pub(super) use platform::adopts;

/// Reaps those members of a dead leader's group that are children of this program by now, and says whether none is left.
/// The leader's own status must not have been collected yet: it is what keeps the group's id from being another's.
pub(super) fn reap(leader: Pid) -> bool {
    loop {
        let members = platform::adopted(leader);
        let reaped = members.iter().filter(|member| platform::reap(**member));
        // One that was reaped may have left us its own children.
        if reaped.count() == 0 {
            return members.is_empty();
        }
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;

    use rustix::process::{Pid, WaitId, WaitIdOptions, child_subreaper, getpid, waitid};

    pub(in crate::worker) fn adopts() -> bool {
        getpid().is_init() || matches!(child_subreaper(), Ok(Some(_)))
    }

    /// The children of this program that are in the group, without its leader. Where the kernel does not list children,
    /// none is found.
    pub(super) fn adopted(leader: Pid) -> Vec<Pid> {
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten();
        let lists = threads
            .flatten()
            .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        let mut members = Vec::new();
        for list in lists {
            let children = list.split_whitespace().filter_map(|pid| pid.parse().ok());
            let is_member = |child: &Pid| *child != leader && group(*child) == Some(leader);
            members.extend(children.filter_map(Pid::from_raw).filter(is_member));
        }
        members
    }

    /// The process group of a child. `getpgid` would do, but for groups that come from outside of a container: those
    /// are 0, and its wrapper does not expect that.
    fn group(child: Pid) -> Option<Pid> {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        // The name, in parentheses, may hold any character; state and parent follow it.
        let (_, rest) = stat.rsplit_once(')')?;
        Pid::from_raw(rest.split_whitespace().nth(2)?.parse().ok()?)
    }

    /// Collects the status of a child, if it is dead; nobody is interested in it.
    pub(super) fn reap(child: Pid) -> bool {
        let now = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(child), now), Ok(Some(_)))
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use rustix::process::Pid;

    pub(in crate::worker) fn adopts() -> bool {
        false
    }

    pub(super) fn adopted(_: Pid) -> Vec<Pid> {
        Vec::new()
    }

    pub(super) fn reap(_: Pid) -> bool {
        false
    }
}
