//! The leak oracle: what a test with processes may leave behind is nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Killed processes are reaped by a thread of the product; for so long it is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What this process holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Processes and zombies whose parent is this process.
    children: BTreeSet<u32>,
    /// What the open descriptors are open on.
    descriptors: BTreeMap<u32, PathBuf>,
    /// The product's socket directories.
    sockets: BTreeSet<PathBuf>,
    /// Shared memory files.
    shared_memory: BTreeSet<PathBuf>,
}

impl Inventory {
    /// What is there before a test: the workers of one that has failed are given the time to die.
    pub fn before() -> Self {
        let start = Instant::now();
        while !children().is_empty() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
        Self::take()
    }

    fn take() -> Self {
        Self {
            children: children(),
            descriptors: descriptors(),
            sockets: socket_directories(std::process::id()),
            shared_memory: entries("/dev/shm".as_ref(), "pyproc"),
        }
    }

    /// # Panics
    ///
    /// When something is there that was not there before, and does not go away.
    pub fn assert_nothing_is_left(&self) {
        let start = Instant::now();
        loop {
            let after = Self::take();
            if after == *self {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "something was left behind:\nbefore {self:#?}\nafter {after:#?}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn children() -> BTreeSet<u32> {
    let mut children = BTreeSet::new();
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        // A thread may end while it is looked at.
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(
            list.split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    children
}

fn descriptors() -> BTreeMap<u32, PathBuf> {
    let directory = fs::read_dir("/proc/self/fd").unwrap();
    directory
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let open_on = fs::read_link(entry.path()).ok()?;
            // The descriptor through which this list is read is not part of it.
            let is_this_list = open_on.to_str()?.ends_with("/fd");
            (!is_this_list).then_some((number, open_on))
        })
        .collect()
}

/// The directories for sockets that a host of this process id has made.
pub fn socket_directories(host: u32) -> BTreeSet<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let parents = [Some(std::env::temp_dir()), runtime];
    let prefix = format!("pyproc-{host}-");
    (parents.iter().flatten())
        .flat_map(|parent| entries(parent, &prefix))
        .collect()
}

fn entries(directory: &std::path::Path, prefix: &str) -> BTreeSet<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return BTreeSet::new();
    };
    let begins = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(begins)
        .collect()
}
