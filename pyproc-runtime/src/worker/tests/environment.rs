//! What a worker finds around it.

use super::*;
use std::collections::BTreeMap;

use crate::worker::Inherited;

/// The environment that a worker sees.
async fn seen(inherited: Inherited) -> BTreeMap<String, String> {
    let mut launch = program("/usr/bin/env", []);
    launch.environment.inherited = inherited;
    launch.environment.set = [("GREETING".into(), "hello".into())].into();
    let worker = spawn(launch).await.unwrap();
    let text = read_to_end(worker.stdout).await;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn names(environment: &BTreeMap<String, String>) -> Vec<&str> {
    environment.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn everything_is_inherited_by_default() {
    let seen = seen(Inherited::default()).await;
    assert_eq!(seen["PATH"], std::env::var("PATH").unwrap());
    assert_eq!(seen["GREETING"], "hello");
    assert_eq!(seen["PYPROC_POOL"], "test");
    assert_eq!(seen["PYPROC_SLOT"], "3");
}

#[tokio::test]
async fn a_cleared_environment_has_only_what_is_set() {
    let seen = seen(Inherited::Nothing).await;
    assert_eq!(names(&seen), ["GREETING", "PYPROC_POOL", "PYPROC_SLOT"]);
}

#[tokio::test]
async fn an_allow_list_lets_through_what_it_names() {
    let allowed = Inherited::Only(vec!["PATH".into(), "NO_SUCH_VARIABLE".into()]);
    let seen = seen(allowed).await;
    let expected = ["GREETING", "PATH", "PYPROC_POOL", "PYPROC_SLOT"];
    assert_eq!(names(&seen), expected);
}

#[test]
fn the_values_of_variables_stay_out_of_logs() {
    let mut environment = Environment::default();
    environment.set.insert("TOKEN".into(), "secret".into());
    let shown = format!("{environment:?}");
    assert!(
        shown.contains("TOKEN") && !shown.contains("secret"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_worker_may_be_another_user_with_no_group_but_its_own() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can start processes of other users");
        return;
    }
    let mut launch = shell("id -u; id -g; id -G");
    (launch.uid, launch.gid) = (Some(65534), Some(65533));
    let worker = spawn(launch).await.unwrap();
    assert_eq!(read_to_end(worker.stdout).await, "65534\n65533\n65533\n");
    assert_eq!(worker.process.reap().await, crate::worker::Exit::Code(0));
}
