//! Workers that nobody waits for.

use super::*;

#[test]
fn a_dropped_process_is_killed_and_reaped_without_a_runtime() {
    let worker = block_on(started("sleep 1000 & exec sleep 1000"));
    let pid = pid_of(&worker.process);
    drop(worker);
    eventually("the process is gone", || is_gone(pid));
}

#[test]
fn a_death_is_seen_after_the_runtime_that_watched_it_has_ended() {
    let worker = block_on(async {
        let worker = started("exec sleep 1000").await;
        let watched = tokio::time::timeout(Duration::from_millis(1), worker.process.exited());
        assert!(watched.await.is_err());
        worker
    });
    worker.process.kill();
    let exit = block_on(worker.process.reap());
    assert_eq!(exit, crate::worker::Exit::Signal(9));
}

#[test]
fn a_start_that_nobody_waits_for_leaves_nothing() {
    in_own_process(a_start_that_nobody_waits_for_leaves_nothing, || {
        block_on(async {
            for _ in 0..20 {
                let start = spawn(shell("exec sleep 1000"));
                let polled_once = tokio::time::timeout(Duration::ZERO, start).await;
                drop(polled_once);
            }
        });
        // One more, so that all the others have been started before this looks.
        drop(block_on(started("exec sleep 1000")));
        eventually("all children are reaped", has_no_children);
    });
}

#[test]
fn a_dropped_reap_kills() {
    let pid = block_on(async {
        let worker = started("exec sleep 1000").await;
        let pid = pid_of(&worker.process);
        let reap = tokio::time::timeout(Duration::from_millis(1), worker.process.reap());
        assert!(reap.await.is_err());
        pid
    });
    eventually("the process is gone", || is_gone(pid));
}
