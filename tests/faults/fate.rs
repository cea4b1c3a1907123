//! What becomes of the calls that a worker had when it died, and what is said of its death.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pyproc::{ErrorKind, Exit, Fate};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::oracle::costs_its_worker;
use crate::support::{
    assert_error, call, call_with, kill, pid_of, pool, pool_of, scenario, signal, skipped, until,
};

/// Where the functions of a test leave their traces.
pub(crate) struct Log {
    _directory: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Log {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        Self {
            _directory: directory,
            path,
        }
    }

    /// The arguments of a function that leaves its trace here.
    pub(crate) fn with(&self, entry: &str) -> Value {
        json!({ "path": self.path, "entry": entry })
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often a function has run.
    pub(crate) fn count(&self, entry: &str) -> usize {
        let entries = self.entries();
        entries.iter().filter(|found| *found == entry).count()
    }

    pub(crate) async fn has(&self, entry: &str) {
        until("a function has run", || self.count(entry) > 0).await;
    }
}

#[test]
fn fault_04_a_worker_is_killed_while_the_host_writes() {
    scenario(async {
        let pool = pool("fate.py").workers(1).start().await.unwrap();
        let stopped = pid_of(&pool, 0);
        signal(stopped, Signal::STOP);
        // No socket takes that much.
        let text = "x".repeat(8 << 20);
        let sending = pool.call::<_, usize>("length", &text);
        let killing = async {
            // The caller writes what the socket takes in its first poll, which was before this one.
            until("it is being written", || pool.status().in_flight == 1).await;
            kill(stopped);
        };
        let (length, ()) = futures::join!(sending, killing);
        // The worker never had the whole of it, so another one gets it.
        assert_eq!(length.unwrap(), text.len());
        assert_ne!(pid_of(&pool, 0), stopped);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_14_a_poisonous_call_is_refused_when_it_has_taken_enough_workers() {
    // Whether it may run twice, the limit, and how many workers it takes.
    let cases = [
        (false, None, 1),
        (false, Some(5), 1),
        (true, None, 2),
        (true, Some(1), 1),
        (true, Some(3), 3),
    ];
    scenario(async {
        for (is_idempotent, limit, expected) in cases {
            let log = Log::new();
            let builder = pool("fate.py").workers(2);
            let builder = match limit {
                Some(limit) => builder.poison_limit(limit),
                None => builder,
            };
            let pool = builder.start().await.unwrap();
            let poison = pool.call::<_, Value>("note_and_die", log.with("poison"));
            let poison = if is_idempotent {
                poison.idempotent()
            } else {
                poison
            };
            let error = poison.await.unwrap_err();
            assert_error(
                &error,
                ErrorKind::WorkerDied,
                Fate::MayHaveRun,
                &["SIGKILL"],
            );
            assert_eq!(log.count("poison"), expected, "{is_idempotent}, {limit:?}");
            assert_eq!(pool.status().counts.resent, expected as u64 - 1);
            // The pool lives.
            assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
            pool.shutdown().await.unwrap();
        }
    });
}

#[test]
fn fault_14_a_call_that_kills_its_workers_before_they_begin_it_is_moved_three_times() {
    // What the worker has at its start is enough for it, but not for a request of that size.
    let source = "import resource\n\
        from pathlib import Path\n\
        pages = int(Path('/proc/self/statm').read_text().split()[0])\n\
        most = pages * resource.getpagesize() + (24 << 20)\n\
        resource.setrlimit(resource.RLIMIT_AS, (most, most))\n\
        @expose\n\
        def length(text: str) -> int:\n    \
            return len(text)\n";
    scenario(async {
        let pool = pool_of(source).workers(2).max_frame(128 << 20);
        let pool = pool.start().await.unwrap();
        let text = "x".repeat(64 << 20);
        let error = pool.call::<_, usize>("length", &text).await.unwrap_err();
        let culprits = ["4 workers have died", "would have begun this call next"];
        assert_error(&error, ErrorKind::WorkerDied, Fate::NotStarted, &culprits);
        assert!(!error.is_retryable(), "{error}");
        assert!(error.death().is_some());
        let counts = pool.status().counts;
        assert_eq!((counts.moved, counts.resent), (3, 0));
        // The pool lives, and other calls are as welcome as ever.
        assert_eq!(pool.call::<_, usize>("length", "four").await.unwrap(), 4);
        pool.shutdown().await.unwrap();
    });
}

/// A control group whose processes may have little memory together; removed when dropped.
struct Group(PathBuf);

const MEMORY_BYTES: u64 = 128 << 20;

/// How long it may take to fill a group's memory, on a machine that has other things to do.
const SLOW: Duration = Duration::from_secs(20);

impl Group {
    /// `None` where this test may not make one.
    fn new() -> Option<Self> {
        let name = format!("pyproc-fault-15-{}", std::process::id());
        let kinds = [
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                // That is for both together.
                ("memory.memsw.limit_in_bytes", MEMORY_BYTES),
            ),
            ("/sys/fs/cgroup", "memory.max", ("memory.swap.max", 0)),
        ];
        kinds.into_iter().find_map(|(mount, limit, swap)| {
            let group = Path::new(mount).join(&name);
            std::fs::create_dir(&group).ok()?;
            let group = Self(group);
            std::fs::write(group.0.join(limit), MEMORY_BYTES.to_string()).ok()?;
            // Where there is room to swap, nobody would be killed; not every kernel counts that.
            let (swap, none) = swap;
            let swap = group.0.join(swap);
            if swap.exists() {
                std::fs::write(swap, none.to_string()).ok()?;
            }
            Some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It is empty: its processes are dead.
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn fault_15_a_worker_runs_out_of_memory() {
    let Some(group) = Group::new() else {
        skipped(
            "fault_15_a_worker_runs_out_of_memory",
            "no control group can be made that limits memory",
        );
        return;
    };
    scenario(async {
        // Both are in the group; the kernel kills the one that has the most of its memory.
        let pool = pool("fate.py").workers(2).max_in_flight_per_worker(1);
        let pool = pool.env("FATE_GROUP", &group.0).start().await.unwrap();
        let end = (ErrorKind::WorkerDied, Fate::MayHaveRun);
        let culprits = ["SIGKILL", "probably out of memory"];
        let function = "eat_memory";
        let error = costs_its_worker(&pool, function, json!({}), SLOW, end, &culprits).await;
        assert_eq!(error.exit(), Some(Exit::Signal(9)));
        pool.shutdown().await.unwrap();

        // One that is killed by somebody else says nothing of the kind, although the count is not 0 any more.
        let pool = crate::support::pool("fate.py").workers(1);
        let pool = pool.env("FATE_GROUP", &group.0).start().await.unwrap();
        let log = Log::new();
        let hanging = call_with(&pool, "note_and_hang", log.with("begun"));
        let killing = async {
            log.has("begun").await;
            kill(pid_of(&pool, 0));
        };
        let (result, ()) = futures::join!(hanging, killing);
        let error = result.unwrap_err();
        assert!(!error.to_string().contains("memory"), "{error}");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_worker_whose_processor_time_is_used_up_says_so() {
    scenario(async {
        let pool = pool("fate.py").workers(1).start().await.unwrap();
        let error = call::<Value>(&pool, "use_up_the_processor")
            .await
            .unwrap_err();
        let culprits = ["SIGXCPU", "its processor time was used up"];
        assert_error(&error, ErrorKind::WorkerDied, Fate::MayHaveRun, &culprits);
        pool.shutdown().await.unwrap();
    });
}
