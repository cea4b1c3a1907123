//! A host that has set no `tracing` subscriber finds what its workers say, and their ends, on its own standard error.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::process::Command;

use support::{call, kill, pid_of, pool, scenario, until};

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
        let host = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "host", "--ignored", "--nocapture"])
            .output()
            .unwrap();
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
