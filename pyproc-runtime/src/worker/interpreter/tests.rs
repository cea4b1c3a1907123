use super::*;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

/// Enough for a Python on a busy machine; a test that needs it all has failed.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A shell script that takes the place of an interpreter.
struct Fake {
    _directory: TempDir,
    path: PathBuf,
}

fn fake(script: &str) -> Fake {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("python3");
    write(&path, script);
    Fake {
        _directory: directory,
        path,
    }
}

/// Writes a script by the hand of another process. A file open for writing cannot be executed, and
/// one that were open here would be so for a moment in every process that other tests start.
fn write(path: &Path, script: &str) {
    shell(
        path,
        "cat > \"$0\" && chmod 755 \"$0\"",
        &format!("#!/bin/sh\n{script}\n"),
    );
}

/// Makes the file look as if it had last been changed long ago.
fn age(path: &Path) {
    shell(path, "touch -t 200001010000 \"$0\"", "");
}

fn shell(path: &Path, command: &str, input: &str) {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", command])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    assert!(shell.wait().unwrap().success());
}

fn refusal(path: &Path, timeout: Duration) -> String {
    match find(Some(path), None, timeout).unwrap_err() {
        InterpreterError::Refused(candidate) => {
            assert_eq!(candidate.origin, "builder");
            InterpreterError::Refused(candidate).to_string()
        }
        other => panic!("{other}"),
    }
}

fn message(path: &Path, reason: &str) -> String {
    format!(
        "the Python interpreter {} (from builder) {reason}",
        path.display()
    )
}

#[test]
fn an_interpreter_of_this_machine_is_found() {
    let found = find(None, None, TIMEOUT).unwrap();
    assert!(found.path.is_absolute(), "{found:?}");
    assert!(found.version >= OLDEST, "{found:?}");
}

#[test]
fn a_shim_is_looked_through() {
    let real = find(None, None, TIMEOUT).unwrap();
    let shim = fake(&format!(
        "echo noise; exec '{}' \"$@\"",
        real.path.display()
    ));
    assert_eq!(find(Some(&shim.path), None, TIMEOUT).unwrap(), real);
}

#[test]
fn a_virtual_environment_keeps_its_own_path() {
    let real = find(None, None, TIMEOUT).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().canonicalize().unwrap();
    let venv = directory.join(".venv");
    let made = Command::new(&real.path)
        .args(["-m", "venv", "--without-pip"])
        .arg(&venv)
        .status()
        .unwrap();
    assert!(made.success());

    let explicit = find(Some(&venv.join("bin/python")), None, TIMEOUT).unwrap();
    assert_eq!(explicit.path, venv.join("bin/python"));
    assert_eq!(explicit.version, real.version);
}

#[test]
fn a_missing_interpreter_is_refused() {
    let path = Path::new("/no/such/python");
    assert_eq!(refusal(path, TIMEOUT), message(path, "does not exist"));
}

#[test]
fn an_interpreter_that_cannot_be_executed_is_refused() {
    let fake = fake("");
    fs::set_permissions(&fake.path, Permissions::from_mode(0o644)).unwrap();
    let expected = message(
        &fake.path,
        "cannot be started: Permission denied (os error 13)",
    );
    assert_eq!(refusal(&fake.path, TIMEOUT), expected);
}

#[test]
fn an_old_interpreter_is_refused() {
    let fake = fake("echo pyproc-probe 3.8.1 $0");
    let expected = message(&fake.path, "is too old: 3.8.1 < 3.10");
    assert_eq!(refusal(&fake.path, TIMEOUT), expected);
}

#[test]
fn something_else_is_refused_with_what_it_said() {
    let cases = [
        (
            "echo 'command not found' >&2; exit 127",
            "it said \"command not found\"",
        ),
        ("exit 0", "it said nothing"),
        (
            "echo pyproc-probe three /bin/sh",
            "it said \"pyproc-probe three /bin/sh\"",
        ),
    ];
    for (script, said) in cases {
        let fake = fake(script);
        let expected = message(&fake.path, &format!("is not a Python interpreter ({said})"));
        assert_eq!(refusal(&fake.path, TIMEOUT), expected);
    }
}

#[test]
fn one_that_talks_without_end_is_refused() {
    let fake = fake("exec yes");
    let expected = message(&fake.path, "is not a Python interpreter (it said \"y\")");
    assert_eq!(refusal(&fake.path, TIMEOUT), expected);
}

#[test]
fn a_hanging_interpreter_is_killed_and_refused() {
    let fake = fake("echo $$ > \"$0.pid\"; sleep 1000");
    let timeout = Duration::from_millis(300);
    let started = Instant::now();
    let expected = message(&fake.path, "gave no answer within 300ms");
    assert_eq!(refusal(&fake.path, timeout), expected);
    assert!(started.elapsed() < TIMEOUT);

    let pid = fs::read_to_string(fake.path.with_extension("pid")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    let limit = Instant::now() + TIMEOUT;
    while rustix::process::test_kill_process(pid).is_ok() {
        assert!(Instant::now() < limit, "it is still there");
        std::thread::yield_now();
    }
}

#[test]
fn an_interpreter_may_have_all_the_time_there_is() {
    let python = fake("echo pyproc-probe 3.12.1 /usr/bin/python3");
    let found = find(Some(&python.path), None, Duration::MAX).unwrap();
    assert_eq!(found.version, (3, 12, 1));
}

#[test]
fn a_file_that_changes_is_asked_again() {
    let fake = fake("echo pyproc-probe 3.11.1 /first");
    let asked = || find(Some(&fake.path), None, TIMEOUT).unwrap().path;
    assert_eq!(asked(), Path::new("/first"));

    write(&fake.path, "echo pyproc-probe 3.11.1 /second");
    age(&fake.path);
    assert_eq!(asked(), Path::new("/second"));

    // Unchanged as far as anybody can see, so it is not asked again.
    write(&fake.path, "exit 1");
    age(&fake.path);
    assert_eq!(asked(), Path::new("/second"));
}

#[test]
fn an_error_lists_all_that_was_tried() {
    let candidate = |origin, path: &str, reason: &str| Candidate {
        origin,
        path: path.into(),
        reason: reason.to_owned(),
    };
    let error = InterpreterError::NotFound {
        tried: vec![
            candidate("VIRTUAL_ENV", "/venv/bin/python", "does not exist"),
            candidate("PATH", "/usr/bin/python3", "is too old: 3.8.1 < 3.10"),
        ],
    };
    assert_eq!(
        error.to_string(),
        "no Python 3.10 or newer was found; tried \
         /venv/bin/python (from VIRTUAL_ENV) does not exist; \
         /usr/bin/python3 (from PATH) is too old: 3.8.1 < 3.10"
    );
}
