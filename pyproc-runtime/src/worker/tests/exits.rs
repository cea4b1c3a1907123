//! How deaths are seen, and what dies with a worker.

use super::*;
use crate::worker::Exit;

#[tokio::test]
async fn the_exit_says_how_it_ended() {
    let cases = [
        ("exit 0", Exit::Code(0)),
        ("exit 3", Exit::Code(3)),
        ("kill -9 $$", Exit::Signal(9)),
        ("kill -SEGV $$", Exit::Signal(11)),
    ];
    for (script, exit) in cases {
        assert_eq!(started(script).await.process.reap().await, exit, "{script}");
    }
}

#[tokio::test]
async fn a_death_is_seen_within_100_milliseconds() {
    // The best of some tries: a machine that is busy elsewhere proves nothing.
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let worker = started("exec sleep 1000").await;
        let killed = Instant::now();
        worker.process.kill();
        worker.process.exited().await;
        best = best.min(killed.elapsed());
        assert_eq!(worker.process.reap().await, Exit::Signal(9));
    }
    assert!(best < Duration::from_millis(100), "{best:?}");
}

#[tokio::test]
async fn a_death_can_be_awaited_by_many_and_again() {
    let worker = started("exec sleep 1000").await;
    let dropped = tokio::time::timeout(Duration::from_millis(1), worker.process.exited());
    assert!(dropped.await.is_err());

    let kill = async { worker.process.kill() };
    tokio::join!(worker.process.exited(), worker.process.exited(), kill);
    worker.process.exited().await;
    assert_eq!(worker.process.reap().await, Exit::Signal(9));
}

#[tokio::test]
async fn a_reaped_process_leaves_no_zombie() {
    let worker = started("exit 0").await;
    let pid = pid_of(&worker.process);
    worker.process.reap().await;
    assert!(is_gone(pid));
}

#[tokio::test]
async fn the_worker_leads_a_group_of_its_own() {
    let worker = started("exec sleep 1000").await;
    let pid = pid_of(&worker.process);
    assert_eq!(rustix::process::getpgid(Some(pid)).unwrap(), pid);
}

#[tokio::test]
async fn killing_takes_the_descendants_along() {
    let worker = started("sleep 1000 & sleep 1000 & echo started; wait").await;
    let (_, mut stdout) = read_line(worker.stdout).await;
    worker.process.kill();
    assert_eq!(worker.process.reap().await, Exit::Signal(9));
    // The end of the stream means that nobody holds it anymore.
    assert!(stdout.read_u8().await.is_err());
}

#[tokio::test]
async fn a_death_is_seen_before_the_descendants_end_and_reaping_kills_them() {
    let worker = started("sleep 1000 & echo started").await;
    let (_, mut stdout) = read_line(worker.stdout).await;
    worker.process.exited().await;
    assert!(stdout.try_read(&mut [0]).is_err(), "the sleeper holds it");
    assert_eq!(worker.process.reap().await, Exit::Code(0));
    assert!(stdout.read_u8().await.is_err());
}

#[tokio::test]
async fn a_stopped_process_can_be_killed() {
    let worker = started("kill -STOP $$").await;
    worker.process.kill();
    assert_eq!(worker.process.reap().await, Exit::Signal(9));
}

#[tokio::test]
async fn terminating_asks_only_the_process_itself() {
    let script = "trap 'exit 7' TERM; (trap 'echo asked' TERM; echo ready; while :; do sleep 0.01; done) & \
                  while :; do sleep 0.01; done";
    let worker = started(script).await;
    let (_, mut stdout) = read_line(worker.stdout).await;
    worker.process.terminate();
    assert_eq!(worker.process.reap().await, Exit::Code(7));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "", "the child of the worker was asked too");
}

#[tokio::test]
async fn a_status_that_the_program_takes_is_unknown() {
    let worker = started("exec sleep 1000").await;
    let pid = pid_of(&worker.process);
    let (exit, ()) = tokio::join!(worker.process.reap(), async {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let _ = waitpid(Some(pid), WaitOptions::empty());
    });
    // Under the fallback the watching thread may see the death before it is stolen, but the status
    // is gone all the same.
    assert_eq!(exit, Exit::Unknown);
}

#[tokio::test]
async fn a_stolen_status_makes_signals_harmless() {
    let worker = started("exit 0").await;
    let pid = pid_of(&worker.process);
    waitpid(Some(pid), WaitOptions::empty()).unwrap();
    worker.process.terminate();
    worker.process.kill();
    worker.process.exited().await;
    assert_eq!(worker.process.reap().await, Exit::Unknown);
}

#[test]
fn a_program_that_ignores_sigchld_gets_unknown_exits() {
    // Done in Python because some shells quietly undo it.
    let ignoring = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); \
                    os.execv(sys.argv[1], sys.argv[1:])";
    let launcher = ["python3", "-c", ignoring];
    in_own_process_under(
        &launcher,
        a_program_that_ignores_sigchld_gets_unknown_exits,
        || {
            block_on(async {
                let worker = started("exit 0").await;
                assert_eq!(worker.process.reap().await, Exit::Unknown);
                let worker = started("exec sleep 1000").await;
                worker.process.kill();
                assert_eq!(worker.process.reap().await, Exit::Unknown);
            });
        },
    );
}
