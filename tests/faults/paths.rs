//! What may lie on the path on which a worker is to listen.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pyproc::{Pool, Target};
use rustix::process::Signal;

use crate::support::{app, python_with_packages, scenario, signal, until};

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

#[test]
fn fault_64_a_worker_listens_where_nobody_does_and_touches_nothing_else() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        drop(UnixListener::bind(place("stale")).unwrap());
        fs::write(place("file"), "no socket").unwrap();
        symlink(place("stale"), place("link")).unwrap();
        let _squatter = UnixListener::bind(place("squatted")).unwrap();
        for (name, culprit) in [
            ("file", "there is something that is not a socket"),
            ("link", "there is something that is not a socket"),
            ("squatted", "another process listens there"),
        ] {
            let modified = || {
                let metadata = fs::symlink_metadata(place(name)).unwrap();
                metadata.modified().unwrap()
            };
            let before = modified();
            let Output { status, stderr, .. } = listener(&place(name)).output().unwrap();
            let stderr = String::from_utf8_lossy(&stderr);
            assert!(!status.success(), "{status}");
            assert!(stderr.contains(culprit), "{stderr}");
            assert_eq!(modified(), before);
        }

        // What a worker that was killed has left is in nobody's way.
        let path = place("stale");
        let mut worker = listener(&path).spawn().unwrap();
        until("the worker listens", || UnixStream::connect(&path).is_ok()).await;
        let pool = Pool::attach([&path]).start().await.unwrap();
        assert_eq!(pool.call::<_, u32>("echo", 1).await.unwrap(), 1);
        pool.shutdown().await.unwrap();
        signal(worker.id(), Signal::TERM);
        assert!(worker.wait().unwrap().success());
        assert!(!path.exists());
    });
}
