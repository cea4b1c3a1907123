//! Who may be at the path of a socket that is not who should be there: nobody, another file, another worker, another
//! user.

use std::fs::{self, Permissions};
use std::io::{ErrorKind as IoErrorKind, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use pyproc::{ErrorKind, Fate, Pool, Target};
use rustix::process::{Signal, Uid, geteuid};
use rustix::thread::set_thread_uid;

use crate::support::{app, assert_error, python_with_packages, scenario, signal, skipped, until};

/// A user who is nobody in particular.
const STRANGER: u32 = 65_534;

/// A worker that listens on a path of its own choice.
fn listener(path: &Path) -> Command {
    let Target::Script(script) = app("faults.py") else {
        panic!("it is a script");
    };
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("pyproc-py/python");
    let mut command = Command::new(python_with_packages());
    command
        .args(["-m", "pyproc"])
        .arg(script)
        .arg("--socket")
        .arg(path)
        .env("PYTHONPATH", package)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    command
}

/// A worker that listens, and is killed in the end.
struct Listening(Child);

impl Listening {
    async fn start(path: &Path) -> Self {
        let worker = Self(listener(path).stdout(Stdio::null()).spawn().unwrap());
        until("the worker listens", || UnixStream::connect(path).is_ok()).await;
        worker
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The name of a socket whose listener is gone.
fn stale(directory: &Path) -> PathBuf {
    let path = directory.join("stale");
    drop(UnixListener::bind(&path).unwrap());
    path
}

#[test]
fn fault_64_a_host_attaches_to_nothing_but_a_worker() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let stale = stale(directory.path());
        let file = directory.path().join("file");
        fs::write(&file, "no socket").unwrap();
        let link = directory.path().join("link");
        symlink(&stale, &link).unwrap();
        for path in [&stale, &file, &link] {
            let pool = Pool::attach([path.clone()]).connect_retries(0);
            let error = pool.start().await.expect_err("the pool was started");
            let culprits = [path.to_str().unwrap(), "Connection refused"];
            assert_error(&error, ErrorKind::Connection, Fate::NotStarted, &culprits);
        }
        assert_eq!(fs::read(&file).unwrap(), b"no socket");
    });
}

#[test]
fn fault_64_a_worker_listens_where_nobody_does_and_touches_nothing_else() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "no socket").unwrap();
        let link = directory.path().join("link");
        symlink(stale(directory.path()), &link).unwrap();
        let squatted = directory.path().join("squatted");
        let _squatter = UnixListener::bind(&squatted).unwrap();
        for (path, culprit) in [
            (&file, "there is something that is not a socket"),
            (&link, "there is something that is not a socket"),
            (&squatted, "another process listens there"),
        ] {
            let before = fs::symlink_metadata(path).unwrap();
            let Output { status, stderr, .. } = listener(path).output().unwrap();
            let stderr = String::from_utf8_lossy(&stderr);
            assert!(!status.success(), "{status}");
            assert!(stderr.contains(culprit), "{stderr}");
            let after = fs::symlink_metadata(path).unwrap();
            assert_eq!(before.modified().unwrap(), after.modified().unwrap());
        }
        // What a worker that was killed has left is in nobody's way.
        let stale = directory.path().join("stale");
        let worker = Listening::start(&stale).await;
        let pool = Pool::attach([stale]).start().await.unwrap();
        let answer: u32 = pool.call("echo", 1).await.unwrap();
        assert_eq!(answer, 1);
        pool.shutdown().await.unwrap();
        signal(worker.0.id(), Signal::TERM);
    });
}

/// Does something as another user; the system knows the user of each thread.
fn as_stranger<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    let stranger = thread::spawn(move || {
        set_thread_uid(Uid::from_raw(STRANGER)).unwrap();
        act()
    });
    stranger.join().unwrap()
}

/// Whether this is root, who alone can be somebody else.
fn can_be_a_stranger(test: &str) -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        skipped(test, "only root can be another user");
    }
    is_root
}

#[test]
fn fault_65_a_worker_of_another_user_is_told_nothing() {
    if !can_be_a_stranger("fault_65_a_worker_of_another_user_is_told_nothing") {
        return;
    }
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        let path = directory.path().join("worker.sock");
        let bound = path.clone();
        let socket = as_stranger(move || UnixListener::bind(bound).unwrap());
        let heard = thread::spawn(move || {
            let mut heard = Vec::new();
            let (mut host, _) = socket.accept().unwrap();
            host.read_to_end(&mut heard).unwrap();
            heard
        });
        let pool = Pool::attach([path.clone()]).connect_retries(0);
        let error = pool.start().await.expect_err("the pool was started");
        let culprits = [path.to_str().unwrap(), "belongs to the user 65534"];
        assert_error(&error, ErrorKind::Connection, Fate::NotStarted, &culprits);
        assert_eq!(heard.join().unwrap(), b"", "not even a Hello");
    });
}

#[test]
fn fault_65_a_host_of_another_user_cannot_connect() {
    if !can_be_a_stranger("fault_65_a_host_of_another_user_cannot_connect") {
        return;
    }
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        let path = directory.path().join("worker.sock");
        let worker = Listening::start(&path).await;
        let error = as_stranger(move || UnixStream::connect(path).unwrap_err());
        assert_eq!(error.kind(), IoErrorKind::PermissionDenied);
        drop(worker);
    });
}
