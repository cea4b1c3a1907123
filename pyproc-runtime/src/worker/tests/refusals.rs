//! What cannot be started, and the errors that say so.

use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::worker::spawn_error::SpawnError;

async fn refused(launch: Launch) -> SpawnError {
    spawn(launch).await.unwrap_err()
}

#[tokio::test]
async fn a_missing_interpreter_is_named() {
    let error = refused(program("/no/such/python", [])).await;
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the interpreter /no/such/python does not exist"
    );
}

#[tokio::test]
async fn an_interpreter_that_cannot_be_executed_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("python");
    let expected = format!("the interpreter {} cannot be executed", path.display());
    fs::write(&path, "no program").unwrap();
    for mode in [0o644, 0o755] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = refused(program(path.to_str().unwrap(), [])).await;
        assert!(
            matches!(error, SpawnError::NotExecutable { .. }),
            "{error:?}"
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_lack_of_processes_or_memory_is_told() {
    for errno in [Errno::AGAIN, Errno::NOMEM] {
        let error = SpawnError::new(&shell(""), errno.into());
        assert!(
            matches!(error, SpawnError::TooManyProcesses { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn a_user_that_this_program_may_not_become_is_named() {
    let mut launch = shell("");
    launch.uid = Some(rustix::process::geteuid().as_raw() + 1000);
    let error = SpawnError::new(&launch, Errno::PERM.into());
    assert!(matches!(error, SpawnError::NotThatUser { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot run as user"), "{error}");
}

#[test]
fn a_user_that_may_not_execute_the_interpreter_is_named() {
    let mut launch = shell("");
    launch.uid = Some(1000);
    let error = SpawnError::new(&launch, Errno::ACCESS.into());
    let said = error.to_string();
    assert!(said.ends_with("cannot be executed by user 1000"), "{said}");
}
