//! Where threads may run.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::process::Pid;

use crate::spec::Placement;

/// The two cores of the pinned placements: the first two that this process may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    host: usize,
    worker: Option<usize>,
}

impl Cores {
    /// `None` where threads cannot be tied to cores.
    pub(crate) fn find() -> Option<Self> {
        let mut allowed = affinity::allowed();
        let host = allowed.next()?;
        let worker = allowed.next();
        Some(Self { host, worker })
    }

    /// Why this machine cannot have a placement.
    pub(crate) fn obstacle(cores: Option<&Self>, placement: Placement) -> Option<&'static str> {
        match (placement, cores) {
            (Placement::Free, _) | (Placement::Same, Some(_)) => None,
            (Placement::Across, Some(cores)) if cores.worker.is_some() => None,
            (Placement::Across, Some(_)) => Some("`across` needs two cores"),
            (_, None) => Some("threads cannot be tied to cores on this system"),
        }
    }

    /// Before the subject is started. With one core for both, the two sides must know it from their first moment, as
    /// in a container that has one.
    pub(crate) fn confine(&self, placement: Placement) -> Result<()> {
        if placement == Placement::Same {
            affinity::pin(None, self.host)?;
        }
        Ok(())
    }

    /// Before the subject is started: both sides share the first so many cores.
    pub(crate) fn limit(count: usize) -> Result<()> {
        let cores: Vec<_> = affinity::allowed().take(count).collect();
        affinity::confine(None, &cores)
    }

    /// When both sides are there: every thread of this process goes to the one core, every thread of the workers to
    /// the other. Threads that are started later inherit it.
    pub(crate) fn separate(&self, placement: Placement, workers: &[u32]) -> Result<()> {
        if let (Placement::Across, Some(worker)) = (placement, self.worker) {
            pin_process(std::process::id(), self.host)?;
            for &pid in workers {
                pin_process(pid, worker)?;
            }
        }
        Ok(())
    }
    /// The cores of the two sides, where they are tied to one each.
    pub(crate) fn pair(&self, placement: Placement) -> Option<[usize; 2]> {
        match placement {
            Placement::Across => Some([self.host, self.worker?]),
            Placement::Same => Some([self.host; 2]),
            Placement::Free => None,
        }
    }

    /// The same for two threads of this process: the one that asks, and another.
    pub(crate) fn separate_threads(&self, placement: Placement, other: i32) -> Result<()> {
        if let (Placement::Across, Some(worker)) = (placement, self.worker) {
            affinity::pin(None, self.host)?;
            affinity::pin(Pid::from_raw(other), worker)?;
        }
        Ok(())
    }
}

/// How many cores this process may use.
pub(crate) fn count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A thread that starts while the others are pinned may have inherited the old set, so it is done until a look finds
/// no new one.
fn pin_process(pid: u32, core: usize) -> Result<()> {
    let mut pinned = Vec::new();
    loop {
        let threads = threads(pid)?;
        let new: Vec<_> = threads
            .into_iter()
            .filter(|id| !pinned.contains(id))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        for thread in new {
            affinity::pin(Pid::from_raw(thread), core)
                .with_context(|| format!("thread {thread} of process {pid}"))?;
            pinned.push(thread);
        }
    }
}

/// The threads of a process.
pub(crate) fn threads(pid: u32) -> Result<Vec<i32>> {
    let directory = format!("/proc/{pid}/task");
    let mut threads = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| directory.clone())? {
        let name = entry?.file_name();
        threads.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(threads)
}

#[cfg(target_os = "linux")]
mod affinity {
    use anyhow::Result;
    use rustix::process::Pid;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub(super) fn allowed() -> impl Iterator<Item = usize> {
        let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        (0..CpuSet::MAX_CPU).filter(move |&core| set.is_set(core))
    }

    pub(super) fn pin(thread: Option<Pid>, core: usize) -> Result<()> {
        confine(thread, &[core])
    }

    pub(super) fn confine(thread: Option<Pid>, cores: &[usize]) -> Result<()> {
        let mut set = CpuSet::new();
        for &core in cores {
            set.set(core);
        }
        Ok(sched_setaffinity(thread, &set)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    use anyhow::{Result, bail};
    use rustix::process::Pid;

    pub(super) fn allowed() -> impl Iterator<Item = usize> {
        std::iter::empty()
    }

    pub(super) fn pin(_: Option<Pid>, _: usize) -> Result<()> {
        bail!("threads cannot be tied to cores on this system")
    }

    pub(super) fn confine(_: Option<Pid>, _: &[usize]) -> Result<()> {
        bail!("threads cannot be tied to cores on this system")
    }
}
