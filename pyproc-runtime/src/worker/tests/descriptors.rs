//! What a worker inherits, and that nothing stays behind in the host.

use super::*;

use rustix::io::ioctl_fionbio;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::worker::spawn_error::SpawnError;

#[cfg(target_os = "linux")]
use std::{collections::BTreeSet, fs};

#[cfg(target_os = "linux")]
#[test]
fn the_worker_has_descriptors_0_1_and_2_only() {
    in_own_process(the_worker_has_descriptors_0_1_and_2_only, || {
        // Whoever runs the tests may have left something open for all descendants.
        let mut expected = descriptors("self");
        expected.retain(|&number| !is_close_on_exec(number));
        expected.extend([0, 1, 2]);
        block_on(async {
            let first = spawn(program("/bin/sleep", ["1000"])).await.unwrap();
            let second = spawn(program("/bin/sleep", ["1000"])).await.unwrap();
            for worker in [&first, &second] {
                let pid = worker.process.pid().to_string();
                // Linux lets the parent go on a moment before it closes what is close-on-exec.
                eventually("only the expected are left", || {
                    descriptors(&pid) == expected
                });
            }
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_stays_behind_in_the_host() {
    in_own_process(nothing_stays_behind_in_the_host, || {
        let one_round = || {
            block_on(async {
                let reaped = started("exit 0").await;
                reaped.process.reap().await;
                drop(started("exec sleep 1000").await);
                spawn(program("/no/such/program", [])).await.unwrap_err();
            });
        };
        // The first round opens what stays open for the whole program.
        one_round();
        eventually("all children are reaped", has_no_children);
        let before = descriptors("self").len();
        for _ in 0..20 {
            one_round();
        }
        eventually("all children are reaped", has_no_children);
        let is_as_before = || descriptors("self").len() <= before;
        eventually("no descriptor is left", is_as_before);
    });
}

#[cfg(target_os = "linux")]
fn descriptors(process: &str) -> BTreeSet<u32> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut numbers: BTreeSet<u32> = names.map(|name| name.parse().unwrap()).collect();
    if process == "self" {
        // The directory itself was open while it was read.
        numbers.retain(|number| fs::read_link(format!("/proc/self/fd/{number}")).is_ok());
    }
    numbers
}

#[cfg(target_os = "linux")]
fn is_close_on_exec(number: u32) -> bool {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
    flags & CLOSE_ON_EXEC != 0
}

#[tokio::test]
async fn the_socket_is_the_workers_standard_input_in_both_directions() {
    let worker = started("read line; echo \"got $line\" >&0").await;
    let mut socket = UnixStream::from_std(worker.socket).unwrap();
    socket.write_all(b"hello\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "got hello\n");
}

#[tokio::test]
async fn the_worker_sees_the_end_when_the_host_lets_go_of_the_socket() {
    let worker = started("read line || exit 5").await;
    drop(worker.socket);
    assert_eq!(worker.process.reap().await, crate::worker::Exit::Code(5));
}

#[test]
fn the_lifeline_breaks_when_the_process_is_dropped() {
    let worker = block_on(started("exec sleep 1000"));
    let mut byte = [0];
    ioctl_fionbio(&worker.lifeline, true).unwrap();
    let nothing_yet = rustix::io::read(&worker.lifeline, &mut byte);
    assert_eq!(nothing_yet, Err(Errno::AGAIN));
    drop(worker.process);
    // Not at once: what another test starts at this moment holds a copy until it runs its program.
    ioctl_fionbio(&worker.lifeline, false).unwrap();
    assert_eq!(rustix::io::read(&worker.lifeline, &mut byte), Ok(0));
}

#[test]
fn a_lack_of_descriptors_is_told_and_passes() {
    in_own_process(a_lack_of_descriptors_is_told_and_passes, || {
        block_on(async {
            started("exit 0").await.process.reap().await;
            let normal = getrlimit(Resource::Nofile);
            // Descriptors are given out from the lowest, so the next is the first free one.
            let next_free = rustix::io::dup(std::io::stdin()).unwrap();
            let limit = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&next_free)).unwrap();
            for room in 0..10 {
                set_limit(Rlimit {
                    current: Some(limit + room),
                    ..normal
                });
                match spawn(shell("exit 0")).await {
                    Ok(worker) => drop(worker),
                    Err(error) => {
                        assert!(
                            matches!(error, SpawnError::TooManyFiles { .. }),
                            "{error:?}"
                        );
                    }
                }
            }
            set_limit(normal);
            let exit = started("exit 0").await.process.reap().await;
            assert_eq!(exit, crate::worker::Exit::Code(0));
        });
        eventually("all children are reaped", has_no_children);
    });
}

fn set_limit(limit: Rlimit) {
    setrlimit(Resource::Nofile, limit).unwrap();
}
