use std::fs;

use crate::Result;

/// The variable by which the Python side learns its core.
pub(crate) const WORKER_CORE: &str = "PYPROC_BENCH_WORKER_CORE";

/// Which cores the two sides run on. Unpinned, the same binary gives results that differ by a
/// factor of eight from run to run, depending on where the scheduler puts the two.
pub(crate) struct Affinity {
    worker_core: Option<usize>,
    note: &'static str,
}

impl Affinity {
    /// Ties this process to core 0 and promises core 1 to the workers, if there are two cores.
    pub(crate) fn choose(pin: bool) -> Result<Self> {
        if !pin || !has_cores_0_and_1() {
            return Ok(Self {
                worker_core: None,
                note: "not pinned",
            });
        }
        pin_to_core_0()?;
        Ok(Self {
            worker_core: Some(1),
            note: "host on core 0, worker on core 1",
        })
    }

    /// What the Python side gets in its environment.
    pub(crate) fn environment(&self) -> Option<(&'static str, String)> {
        self.worker_core.map(|core| (WORKER_CORE, core.to_string()))
    }

    /// The machine and what was done to it, in one line.
    pub(crate) fn machine(&self) -> String {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown processor", |(_, model)| model);
        let uname = rustix::system::uname();
        let system = uname.sysname().to_string_lossy();
        let release = uname.release().to_string_lossy();
        let machine = uname.machine().to_string_lossy();
        format!("{model} ({machine}), {system} {release}, {}", self.note)
    }
}

#[cfg(target_os = "linux")]
fn has_cores_0_and_1() -> bool {
    rustix::thread::sched_getaffinity(None).is_ok_and(|set| set.is_set(0) && set.is_set(1))
}

#[cfg(target_os = "linux")]
fn pin_to_core_0() -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(0);
    rustix::thread::sched_setaffinity(None, &set)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn has_cores_0_and_1() -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn pin_to_core_0() -> Result<()> {
    Ok(())
}
