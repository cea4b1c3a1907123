//! Descriptors, processes and room on a disk that run out, and come back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use pyproc::{Codec, Core, ErrorKind, Fate, Pool, Restart};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::all_ready;
use crate::support::{Host, assert_error, kill, pid_of, pool, scenario, skipped, until};

/// Lacks pass, so they are tried again soon.
fn persistent() -> Restart {
    Restart::new()
        .intensity(1000)
        .backoff(Duration::from_millis(20))
        .max_backoff(Duration::from_millis(50))
}

/// Kills one of two workers while there is no other to be had, and asserts that the slot says why it stays empty and is
/// tried again, that the other worker goes on, and that all is as before when there is enough again.
async fn lacks_a_worker<C: Codec>(pool: &Pool<C>, why: &str, enough: impl FnOnce()) {
    kill(pid_of(pool, 0));
    let failure = || pool.status().workers[0].last_failure.clone();
    until(why, || failure().is_some_and(|said| said.contains(why))).await;
    for number in 0..20 {
        assert_eq!(pool.call::<_, u32>("echo", number).await.unwrap(), number);
    }
    let generation = pool.status().workers[0].generation;
    until("it is tried again", || {
        pool.status().workers[0].generation > generation
    })
    .await;
    enough();
    all_ready(pool, 3).await;
    assert_eq!(pool.call::<_, u32>("echo", 1).await.unwrap(), 1);
}

/// Sets the soft limit of this process, and gives what restores it.
fn limited(resource: Resource, soft: u64) -> impl FnOnce() {
    let normal = getrlimit(resource);
    let less = Rlimit {
        current: Some(soft),
        ..normal
    };
    setrlimit(resource, less).unwrap();
    move || setrlimit(resource, normal).unwrap()
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(test);
    println!("all is well");
}

async fn is_well(mut host: Host) {
    host.says("all is well").await;
    assert!(host.ended().await.success());
}

/// Not a test of its own: a program that has no descriptor left.
#[test]
#[ignore = "it is the host that another test starts"]
fn host_without_descriptors() {
    block_on(async {
        let pool = pool("faults.py").workers(2).restart(persistent());
        let pool = pool.start().await.unwrap();
        // What is open stays open.
        let enough = limited(Resource::Nofile, 3);
        let other = crate::support::pool("faults.py").workers(1).start().await;
        let error = other.expect_err("a pool has started");
        assert_error(&error, ErrorKind::Start, Fate::NotStarted, &["open files"]);
        lacks_a_worker(&pool, "too many open files", enough).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_54_no_descriptor_is_left_for_a_worker() {
    scenario(async {
        is_well(Host::start("scarcity::host_without_descriptors")).await;
    });
}

/// A user of whom there are no other processes.
const NOBODY_ELSE: u32 = 61_054;

/// An interpreter that any user may execute.
const EVERYBODYS_PYTHON: &str = "/usr/bin/python3";

/// Not a test of its own: a program whose workers may be no more than they are.
#[test]
#[ignore = "it is the host that another test starts"]
fn host_without_processes() {
    block_on(async {
        let source = "@expose\ndef echo(value: object) -> object:\n    return value\n";
        let pool = Pool::from_source("app.py", format!("from pyproc import expose\n{source}"))
            .python(EVERYBODYS_PYTHON)
            // It need not have the native one.
            .core(Core::Pure)
            .codec(pyproc::Json)
            .uid(NOBODY_ELSE)
            .gid(NOBODY_ELSE)
            .workers(2)
            .restart(persistent())
            .start()
            .await
            .unwrap();
        let enough = limited(Resource::Nproc, 0);
        lacks_a_worker(&pool, "too many processes", enough).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_55_no_process_is_left_for_a_worker() {
    const NAME: &str = "fault_55_no_process_is_left_for_a_worker";
    if !rustix::process::geteuid().is_root() {
        skipped(
            NAME,
            "only root can start workers of another user, whom the limit binds",
        );
        return;
    }
    let is_recent = "import sys; sys.exit(sys.version_info < (3, 10))";
    let mut python = Command::new(EVERYBODYS_PYTHON);
    if !(python.args(["-c", is_recent]).status()).is_ok_and(|status| status.success()) {
        skipped(
            NAME,
            "there is no /usr/bin/python3 of version 3.10, which other users may execute",
        );
        return;
    }
    scenario(async {
        is_well(Host::start("scarcity::host_without_processes")).await;
    });
}

/// Takes all the room that there is in a directory, also what becomes free later, with empty files.
struct Hog {
    directory: PathBuf,
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<u32>,
}

impl Hog {
    fn start(directory: PathBuf) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (full, is_full) = std::sync::mpsc::channel();
        let thread = std::thread::spawn({
            let (directory, is_stopped) = (directory.clone(), Arc::clone(&is_stopped));
            move || {
                let mut count = 0;
                while !is_stopped.load(Ordering::SeqCst) {
                    if fs::write(directory.join(count.to_string()), "").is_ok() {
                        count += 1;
                    } else {
                        // Nobody listens after the first time.
                        let _ = full.send(());
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                count
            }
        });
        is_full.recv().unwrap();
        Self {
            directory,
            is_stopped,
            thread,
        }
    }

    fn stop(self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        let count = self.thread.join().unwrap();
        for number in 0..count {
            fs::remove_file(self.directory.join(number.to_string())).unwrap();
        }
    }
}

/// Not a test of its own: a program that has no room for sockets.
#[test]
#[ignore = "it is the host that another test starts"]
fn host_without_room() {
    block_on(async {
        let listening = || pool("listens.py").listen().restart(persistent());
        let pool = listening().workers(2).start().await.unwrap();
        let hog = Hog::start(std::env::var("XDG_RUNTIME_DIR").unwrap().into());
        let error = listening().workers(1).start().await;
        let error = error.expect_err("a pool has started");
        let culprits = ["no path to listen on", "No space left on device"];
        assert_error(&error, ErrorKind::Start, Fate::NotStarted, &culprits);
        lacks_a_worker(&pool, "no path to listen on", || hog.stop()).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_56_no_room_is_left_for_a_socket() {
    const NAME: &str = "fault_56_no_room_is_left_for_a_socket";
    let mount = |directory: &Path| {
        // A directory and a socket for each of two workers, and the root of it all.
        let script = r#"mount -t tmpfs -o size=64k,nr_inodes=6 tmpfs "$0" && exec "$@""#;
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(directory);
        command.stderr(Stdio::null());
        command
    };
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let probe = mount(directory.path()).arg("true").status();
        if !probe.is_ok_and(|status| status.success()) {
            skipped(NAME, "this user may not mount a small file system");
            return;
        }
        let test = Host::command("scarcity::host_without_room");
        let mut command = mount(directory.path());
        command.arg(test.get_program()).args(test.get_args());
        // The second is where a host goes when the first does not serve.
        for name in ["XDG_RUNTIME_DIR", "TMPDIR"] {
            command.env(name, directory.path());
        }
        is_well(Host::from(&mut command)).await;
    });
}
