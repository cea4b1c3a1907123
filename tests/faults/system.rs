//! What the system around the workers can refuse or leak: descriptors, processes, room, names, users.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use pyproc::{ErrorKind, Fate, Pool};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;

use crate::support::{
    Host, assert_error, open_in, pid_of, pool, python_with_packages, scenario, skipped, until,
};

fn is_socket(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|path| path.starts_with("socket:"))
}

#[test]
fn fault_63_a_worker_holds_no_descriptor_of_another() {
    scenario(async {
        let pool = pool("faults.py").workers(3).start().await.unwrap();
        let open: Vec<_> = (0..3).map(|slot| open_in(pid_of(&pool, slot))).collect();
        let sockets: BTreeSet<_> = open
            .iter()
            .flatten()
            .filter(|path| is_socket(path))
            .collect();
        let connections = open
            .iter()
            .map(|open| open.iter().filter(|path| is_socket(path)).count());
        // All that are open are different ones, and every worker has as many.
        assert_eq!(
            connections.clone().sum::<usize>(),
            sockets.len(),
            "{open:?}"
        );
        assert!(
            connections
                .clone()
                .all(|count| Some(count) == connections.clone().next()),
            "{open:?}"
        );
        assert!(
            open.iter().all(|worker| worker.len() == open[0].len()),
            "{open:?}"
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_64_a_stale_a_squatted_and_a_symlinked_path_are_refused() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        drop(UnixListener::bind(place("stale")).unwrap());
        fs::write(place("file"), "mine").unwrap();
        symlink(place("nowhere"), place("link")).unwrap();
        for name in ["stale", "file", "link"] {
            let path = place(name);
            let start = Pool::attach([&path]).connect_retries(0).start();
            let error = start.await.expect_err("a pool has started");
            let culprits = [path.to_str().unwrap(), "cannot be reached"];
            assert_error(&error, ErrorKind::Connection, Fate::NotStarted, &culprits);
        }
        assert_eq!(fs::read_to_string(place("file")).unwrap(), "mine");

        // Where the host makes paths itself, nobody else may be able to replace them.
        fs::create_dir(place("open")).unwrap();
        fs::set_permissions(place("open"), Permissions::from_mode(0o777)).unwrap();
        symlink(place("open"), place("runtime")).unwrap();
        let mut command = Host::command("system::host_in_an_unsafe_place");
        // The second is where a host goes when the first does not serve.
        for name in ["XDG_RUNTIME_DIR", "TMPDIR"] {
            command.env(name, place("runtime"));
        }
        let mut host = Host::from(command.stderr(Stdio::null()));
        host.says("all is well").await;
        assert!(host.ended().await.success());
    });
}

/// Not a test of its own: a program whose directory for sockets others may change.
#[test]
#[ignore = "it is the host that another test starts"]
fn host_in_an_unsafe_place() {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let start = pool("listens.py").listen().workers(1).start();
        let error = start.await.expect_err("a pool has started");
        let culprits = ["is no safe place for sockets", "not sticky"];
        assert_error(&error, ErrorKind::Start, Fate::NotStarted, &culprits);
    });
    println!("all is well");
}

/// A user who is neither this one nor root.
const FOREIGN: u32 = 61_065;

/// Does something on a thread that belongs to another user meanwhile.
fn as_foreign_user<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    let acted = std::thread::spawn(move || {
        let foreign = Uid::from_raw(FOREIGN);
        set_thread_res_uid(Uid::ROOT, foreign, Uid::ROOT).unwrap();
        act()
    });
    acted.join().unwrap()
}

#[test]
fn fault_65_a_foreign_user_is_refused_before_anything_is_read() {
    const NAME: &str = "fault_65_a_foreign_user_is_refused_before_anything_is_read";
    if !rustix::process::geteuid().is_root() {
        skipped(NAME, "only root can act as another user");
        return;
    }
    scenario(async {
        // Somebody else listens where a worker should.
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
        let path = directory.path().join("squatted");
        let listener = as_foreign_user({
            let path = path.clone();
            move || UnixListener::bind(path).unwrap()
        });
        let start = Pool::attach([&path]).connect_retries(0).start();
        let error = start.await.expect_err("a pool has started");
        let culprits = ["belongs to the user 61065, who is neither this one nor root"];
        assert_error(&error, ErrorKind::Connection, Fate::NotStarted, &culprits);
        // Not a byte was said to them.
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"");

        // Somebody else connects to where a worker listens.
        let path = directory.path().join("worker.sock");
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("pyproc-py/python");
        let mut worker = Command::new(python_with_packages())
            .args(["-m", "pyproc"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/faults.py"))
            .arg("--socket")
            .arg(&path)
            .env("PYTHONPATH", package)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        until("the worker listens", || UnixStream::connect(&path).is_ok()).await;
        let refused = as_foreign_user(move || UnixStream::connect(path).map(drop));
        worker.kill().unwrap();
        worker.wait().unwrap();
        assert_eq!(
            refused.unwrap_err().kind(),
            std::io::ErrorKind::PermissionDenied
        );
    });
}
