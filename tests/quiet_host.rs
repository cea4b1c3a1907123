//! A host that has set no `tracing` subscriber finds what its workers say, and their ends, on its own standard error.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use support::{Host, call, call_with, kill, pid_of, pool, scenario, until};

/// Not a test of its own: the program whose standard error is looked at.
#[test]
#[ignore = "it is the host that the other test starts"]
fn host() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let pool = pool("surroundings.py")
            .name("iris")
            .workers(1)
            .start()
            .await
            .unwrap();
        call::<()>(&pool, "speak").await.unwrap();
        kill(pid_of(&pool, 0));
        until("the worker is replaced", || {
            pool.status().workers[0].generation == 2
        })
        .await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn what_workers_say_and_their_ends_go_to_standard_error() {
    scenario(async {
        let host = Host::command("host").output().unwrap();
        let said = String::from_utf8(host.stderr).unwrap();
        assert!(host.status.success(), "{said}");
        let expected = [
            "[iris/0] said on stdout",
            "[iris/0] said on stderr",
            "[iris/0] logged as a warning",
            "[iris/0] the worker died: killed by SIGKILL (9)",
        ];
        for line in expected {
            assert!(
                said.lines().any(|said| said.starts_with(line)),
                "{line}\nis not in\n{said}"
            );
        }
        assert!(said.contains("; a new one is started in"), "{said}");
    });
}

/// How many lines, and how many records of `logging`, a worker is made to say. Together they are more than a pipe and
/// the host take.
const FLOOD: u32 = 20_000;

/// Not a test of its own: a program that says nothing on its standard error and has only one thread for everything.
#[test]
#[ignore = "it is the host that the other test starts"]
fn host_that_nobody_listens_to() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let pool = pool("surroundings.py").workers(2).start().await.unwrap();
        for _ in 0..2 {
            call_with(&pool, "shout", json!(FLOOD)).await.unwrap();
        }
        for _ in 0..100 {
            let call = pool.call::<_, Option<f64>>("remaining", ());
            call.deadline(Duration::from_secs(10)).await.unwrap();
        }
        println!("all calls are done");
        let mut rest = String::new();
        std::io::stdin().read_to_string(&mut rest).unwrap();
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_full_standard_error_holds_up_no_call_and_what_was_lost_there_is_told() {
    scenario(async {
        let mut command = Host::command("host_that_nobody_listens_to");
        let mut host = Host::from(command.stderr(Stdio::piped()));
        host.says("all calls are done").await;

        // Now it is read, and what waited comes before the program ends.
        let mut stderr = host.take_stderr().unwrap();
        drop(host.take_stdin());
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert!(host.ended().await.success());
        let messages = said.lines().filter(|line| line.contains("shouted")).count();
        assert!(messages > 100, "{messages}");
        assert!(said.contains("messages were dropped: standard error"));
    });
}
