//! Worker processes, tried with real ones. The interpreter is a shell: nothing here is Python's.

mod descriptors;
mod environment;
mod exits;
mod output;
mod refusals;
mod unowned;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, test_kill_process, waitpid};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::{Environment, Launch, Process, Spawned, spawn};

/// A worker that runs this shell script.
fn shell(script: &str) -> Launch {
    program("/bin/sh", ["-c", script])
}

fn program<const N: usize>(path: &str, arguments: [&str; N]) -> Launch {
    Launch {
        interpreter: path.into(),
        arguments: arguments.map(OsString::from).to_vec(),
        environment: Environment::default(),
        pool: "test".into(),
        slot: 3,
        uid: None,
        gid: None,
    }
}

async fn started(script: &str) -> Spawned {
    spawn(shell(script)).await.unwrap()
}

/// Everything that the worker, and whoever inherited the pipe, prints.
async fn read_to_end(stream: OwnedFd) -> String {
    let mut text = String::new();
    let mut stream = pipe::Receiver::from_owned_fd(stream).unwrap();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// The first line that the worker prints; the stream stays open.
async fn read_line(stream: OwnedFd) -> (String, pipe::Receiver) {
    let mut line = String::new();
    let mut stream = pipe::Receiver::from_owned_fd(stream).unwrap();
    while !line.ends_with('\n') {
        line.push(char::from(stream.read_u8().await.unwrap()));
    }
    (line.trim_end().to_owned(), stream)
}

/// Waits until a condition holds. The limit is only there to end a test that has failed.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < limit, "not within 20 s: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn pid_of(process: &Process) -> Pid {
    Pid::from_raw(process.pid().try_into().unwrap()).unwrap()
}

/// Whether the id names neither a process nor a zombie.
fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid) == Err(Errno::SRCH)
}

/// Whether this process has no child at all, not even a dead one. Takes the status of any that is
/// dead, so it is only for a process of its own.
fn has_no_children() -> bool {
    waitpid(None, WaitOptions::NOHANG).is_err_and(|error| error == Errno::CHILD)
}

/// Runs the body of a test in a process of its own, because it needs all of it: its limits, its
/// children, its descriptors.
fn in_own_process<T: Fn()>(test: T, body: impl FnOnce()) {
    in_own_process_under(&["/usr/bin/env"], test, body);
}

/// The same, started through a program that becomes the one named by its last arguments.
fn in_own_process_under<T: Fn()>(launcher: &[&str], _test: T, body: impl FnOnce()) {
    const MARK: &str = "PYPROC_TEST_IN_OWN_PROCESS";
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let (_, name) = std::any::type_name::<T>().split_once("::").unwrap();
    let output = Command::new(launcher[0])
        .args(&launcher[1..])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{complained}"
    );
}

/// Runs a future on a runtime of its own, for tests in a process of its own.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
