//! Whether a worker that was killed was killed for want of memory.
//!
//! The kernel does not say so in the status of the process. It counts such deaths per control group, so a count that has
//! risen in the worker's own is evidence, though not proof: another process of the group may have been the one.

use std::fs;
use std::path::{Path, PathBuf};

/// The count of a worker's control group, as it was when it was first looked at.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    /// Where the count is to be found, and what it was. `None` where the system keeps none.
    count: Option<(PathBuf, u64)>,
}

impl MemoryWatch {
    /// Looks up the control group of a process that is alive.
    pub(crate) fn of(pid: u32) -> Self {
        let count = || {
            let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
            let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
            let file = events_file(&group, &mounts)?;
            let kills = kills(&file)?;
            Some((file, kills))
        };
        Self { count: count() }
    }

    /// Whether the kernel has killed for want of memory since.
    pub(crate) fn has_run_out(&self) -> bool {
        let Some((file, before)) = &self.count else {
            return false;
        };
        kills(file).is_some_and(|now| now > *before)
    }
}

/// The count in such a file, which has it on a line of its own in both versions of control groups.
fn kills(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count?.trim().parse().ok()
}

/// The file with the count, by what the kernel says of the process's groups and of what is mounted where. Where both
/// versions are mounted, the memory is looked after by the one that names it.
fn events_file(group: &str, mounts: &str) -> Option<PathBuf> {
    let entries = || {
        group.lines().filter_map(|line| {
            let (_, entry) = line.split_once(':')?;
            entry.split_once(':')
        })
    };
    let named = entries().find(|(controllers, _)| controllers.split(',').any(is_memory));
    if let Some((_, path)) = named {
        let directory = directory(path, mounts, |kind, options| {
            kind == "cgroup" && options.split(',').any(is_memory)
        })?;
        return Some(directory.join("memory.oom_control"));
    }
    let (_, path) = entries().find(|(controllers, _)| controllers.is_empty())?;
    let directory = directory(path, mounts, |kind, _| kind == "cgroup2")?;
    Some(directory.join("memory.events"))
}

fn is_memory(controller: &str) -> bool {
    controller == "memory"
}

/// The directory of a group in the first file system of this kind that shows it.
fn directory(path: &str, mounts: &str, is_wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        // `36 35 98:0 /root /mount/point rw,noatime shared:1 - cgroup2 source rw,options`
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next()?, kind.nth(1)?);
        if !is_wanted(kind, options) {
            return None;
        }
        let mut place = place.split(' ').skip(3);
        let (root, mount_point) = (place.next()?, place.next()?);
        let below = Path::new(path).strip_prefix(root).ok()?;
        Some(Path::new(mount_point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    const HYBRID: &str = "\
        24 22 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n\
        25 24 0:23 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw,nsdelegate\n\
        26 24 0:24 / /sys/fs/cgroup/cpu,cpuacct rw shared:6 - cgroup cgroup rw,cpu,cpuacct\n\
        27 24 0:25 / /sys/fs/cgroup/memory rw shared:7 - cgroup cgroup rw,memory\n";

    #[test]
    fn the_group_is_found_whatever_is_mounted() {
        let own_root = "30 23 0:26 /pods/a /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        let cases = [
            (
                "0::/system.slice/iris.service\n",
                UNIFIED,
                Some("/sys/fs/cgroup/system.slice/iris.service/memory.events"),
            ),
            ("0::/\n", UNIFIED, Some("/sys/fs/cgroup/memory.events")),
            (
                "0::/pods/a/b\n",
                own_root,
                Some("/sys/fs/cgroup/b/memory.events"),
            ),
            (
                "9:cpu,cpuacct:/x\n4:memory:/user/iris\n0::/user\n",
                HYBRID,
                Some("/sys/fs/cgroup/memory/user/iris/memory.oom_control"),
            ),
            ("0::/elsewhere\n", own_root, None),
            ("0::/a\n", "", None),
            ("", UNIFIED, None),
            ("nonsense", UNIFIED, None),
        ];
        for (group, mounts, expected) in cases {
            let found = events_file(group, mounts);
            assert_eq!(found.as_deref(), expected.map(Path::new), "{group}");
        }
    }

    #[test]
    fn memory_has_run_out_when_the_count_has_risen() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("memory.events");
        let write = |count: u64| {
            let text = format!("low 0\nmax 9\noom 3\noom_kill {count}\noom_group_kill 7\n");
            fs::write(&file, text).unwrap();
        };
        write(2);
        let watch = MemoryWatch {
            count: Some((file.clone(), kills(&file).unwrap())),
        };
        assert!(!watch.has_run_out());
        write(3);
        assert!(watch.has_run_out());
        fs::remove_file(&file).unwrap();
        assert!(!watch.has_run_out());
    }
}
