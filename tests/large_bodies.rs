//! Bodies of many megabytes, and what is left of them.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::fs;

use support::{pid_of, pool_of, scenario, until};

const MIB: usize = 1024 * 1024;

/// How much memory of a process is in use, in bytes.
fn resident(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: usize = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

#[test]
#[cfg(target_os = "linux")]
fn a_call_with_64_mib_leaves_no_memory_occupied_on_either_side() {
    scenario(async {
        let pool = pool_of("@expose\ndef echo(text): return text\n")
            .workers(1)
            .max_frame(80 * MIB)
            .start()
            .await
            .unwrap();
        let sides = [std::process::id(), pid_of(&pool, 0)];
        // What is needed once is there before the measurement.
        for _ in 0..100 {
            let short: String = pool.call("echo", "short").await.unwrap();
            assert_eq!(short, "short");
        }
        let before = sides.map(resident);

        let long = "ä".repeat(32 * MIB);
        let answer: String = pool.call("echo", &long).await.unwrap();
        assert!(answer == long);
        drop((answer, long));

        let is_back = || {
            let after = sides.map(resident);
            (0..2).all(|side| after[side] <= before[side] + 4 * MIB)
        };
        until("the memory of both sides is given back", is_back).await;
        pool.shutdown().await.unwrap();
    });
}
