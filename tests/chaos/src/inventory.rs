//! What this process holds, before a run and after it.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::findings::{Finding, Findings};
use crate::process;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// Children, zombies, and whoever else has the run's mark.
    processes: BTreeSet<u32>,
    /// What the open descriptors are open on.
    descriptors: BTreeMap<u32, PathBuf>,
    /// The product's socket directories and its files in shared memory.
    files: BTreeSet<PathBuf>,
}

/// Killed processes are reaped by a thread of the product; for so long it is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

impl Inventory {
    pub(crate) fn take(mark: &str) -> Self {
        let mut processes = process::children();
        processes.extend(process::marked(mark));
        Self {
            processes,
            descriptors: descriptors(),
            files: files(),
        }
    }

    /// Finds what is there that was not there before, and does not go away.
    pub(crate) fn compare(&self, mark: &str, findings: &Findings) {
        let start = Instant::now();
        let mut after = Self::take(mark);
        while after != *self && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
            after = Self::take(mark);
        }
        for pid in after.processes.difference(&self.processes) {
            findings.add(Finding::LeakedPid, || describe(*pid));
        }
        for (number, open_on) in &after.descriptors {
            if self.descriptors.get(number) != Some(open_on) {
                let finding = || format!("{number} on {}", open_on.display());
                findings.add(Finding::LeakedFd, finding);
            }
        }
        for file in after.files.difference(&self.files) {
            findings.add(Finding::LeakedFile, || file.display().to_string());
        }
    }
}

fn describe(pid: u32) -> String {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    format!("{pid} ({})", command.trim_end())
}

fn descriptors() -> BTreeMap<u32, PathBuf> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten();
    entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let open_on = fs::read_link(entry.path()).ok()?;
            // The descriptor through which this list is read is not part of it.
            (!open_on.ends_with("fd")).then_some((number, open_on))
        })
        .collect()
}

fn files() -> BTreeSet<PathBuf> {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let sockets = format!("pyproc-{}-", std::process::id());
    let places = [
        Some((env::temp_dir(), sockets.as_str())),
        runtime.map(|directory| (directory, sockets.as_str())),
        Some((PathBuf::from("/dev/shm"), "pyproc")),
    ];
    let places = places.iter().flatten();
    places
        .flat_map(|(directory, prefix)| beginning_with(directory, prefix))
        .collect()
}

fn beginning_with(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let fits = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    entries.map(|entry| entry.path()).filter(fits).collect()
}
