//! What can come over the connection, or not come: garbage, lies, drips, floods, and silence.

use std::time::{Duration, Instant};

use pyproc::{ErrorKind, Fate, Json, Pool, PoolBuilder};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::signal::unix::SignalKind;

use crate::all_ready;
use crate::oracle::{DEADLINE, GRACE, costs_its_worker, others_call};
use crate::support::{
    Peaks, app, assert_error, call, call_with, gone, pid_of, pool, scenario, signal, until,
};

/// A pool of workers that follow the protocol until a call asks them not to.
fn hostile() -> PoolBuilder<Json> {
    let pool = Pool::builder(app("hostile.py")).listen().codec(Json);
    pool.workers(2).max_in_flight_per_worker(1)
}

/// The oracle for a worker that breaks the protocol in place of an answer.
fn condemns(cases: &[(&str, Value, &str)]) {
    for (how, with, culprit) in cases {
        scenario(async {
            let pool = hostile().max_frame(64 * 1024).start().await.unwrap();
            let argument = json!({ "how": how, "with": with });
            let end = (ErrorKind::Protocol, Fate::MayHaveRun);
            let culprits = ["`misbehave`", "broke the protocol", culprit];
            let error =
                costs_its_worker(&pool, "misbehave", argument, DEADLINE, end, &culprits).await;
            assert!(error.exit().is_some(), "{error}");
            pool.shutdown().await.unwrap();
        });
    }
}

#[test]
fn fault_28_garbage_in_place_of_a_frame() {
    let print = json!({ "text": "Traceback (most recent call last):\n" });
    let zeros = json!({ "before": "00".repeat(64) });
    // A length that is allowed, and then something that is no kind.
    let kind = json!({ "before": "00000020", "text": "x".repeat(32) });
    condemns(&[
        ("raw", print, "the limit is 65536"),
        ("raw", zeros, "a length of 0 bytes"),
        ("raw", kind, "unknown kind 0x78"),
    ]);
}

#[test]
fn fault_29_a_length_of_four_gigabytes() {
    let length = json!({ "length": u32::MAX });
    condemns(&[("claim", length, "a length of 4294967295 bytes")]);
}

#[test]
fn fault_30_a_request_over_the_limit() {
    scenario(async {
        const MAX_FRAME: usize = 64 * 1024;
        let pool = pool("faults.py").workers(1).max_frame(MAX_FRAME);
        let pool = pool.start().await.unwrap();
        let worker = pid_of(&pool, 0);
        for _ in 0..10 {
            let error = call_with(&pool, "echo", json!("x".repeat(MAX_FRAME))).await;
            let culprits = ["`echo`", "the request takes", "the limit is 65536"];
            let (kind, fate) = (ErrorKind::TooLarge, Fate::NotStarted);
            assert_error(&error.unwrap_err(), kind, fate, &culprits);
            let fits = json!("x".repeat(MAX_FRAME - 100));
            assert_eq!(call_with(&pool, "echo", fits.clone()).await.unwrap(), fits);
        }
        assert_eq!(pid_of(&pool, 0), worker, "the worker is used again");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_31_a_length_that_is_not_that_of_the_payload() {
    let longer = json!({ "length": 1000 });
    // A `Drain` with a body of 4 bytes.
    let trailing =
        json!({ "before": "000000108d000000" .to_owned() + &"00".repeat(8), "text": "more" });
    condemns(&[
        ("claim", longer, "ended after 20 bytes of a frame"),
        ("raw", trailing, "4 bytes after its header"),
    ]);
}

#[test]
fn fault_32_an_answer_to_a_call_that_nobody_made() {
    condemns(&[("unknown", json!({}), "which is not in flight")]);
}

#[test]
fn fault_33_two_answers_to_one_call() {
    scenario(async {
        let pool = hostile().start().await.unwrap();
        let workers = [pid_of(&pool, 0), pid_of(&pool, 1)];
        let first: String = pool
            .call("misbehave", json!({ "how": "twice" }))
            .await
            .unwrap();
        assert_eq!(first, "first");
        all_ready(&pool, 3).await;
        let status = pool.status();
        let condemned = status
            .workers
            .iter()
            .find(|worker| worker.generation == 2)
            .unwrap();
        let failure = condemned.last_failure.as_ref().unwrap();
        assert!(
            failure.contains("call 1, which is not in flight"),
            "{failure}"
        );
        until("it is gone", || gone(workers[condemned.slot])).await;
        others_call(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_34_an_answer_after_the_deadline() {
    scenario(async {
        let pool = hostile().workers(1).start().await.unwrap();
        let deadline = Duration::from_millis(100);
        for _ in 0..3 {
            let argument = json!({ "how": "late", "with": { "seconds": 0.3 } });
            let begin = Instant::now();
            let call = pool.call::<_, Value>("misbehave", argument);
            let error = call.deadline(deadline).await.unwrap_err();
            let end = (ErrorKind::Deadline, Fate::MayHaveRun);
            assert_error(&error, end.0, end.1, &["`misbehave`"]);
            assert!(begin.elapsed() < deadline + GRACE);
            // The next call has its own answer, when the late one has been thrown away.
            assert_eq!(pool.call::<_, u32>("echo", 7).await.unwrap(), 7);
        }
        let ids: Vec<u64> = pool.call("ids", ()).await.unwrap();
        assert!(
            ids.windows(2).all(|pair| pair[0] < pair[1]),
            "an id was used twice: {ids:?}"
        );
        let status = pool.status();
        assert_eq!((status.in_flight, status.workers[0].generation), (0, 1));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_35_an_answer_that_drips() {
    scenario(async {
        let progress = Duration::from_millis(300);
        let pool = hostile().progress_timeout(progress).start().await.unwrap();
        let begin = Instant::now();
        let argument = json!({ "how": "drip", "with": { "seconds": 0.01 } });
        let end = (ErrorKind::Protocol, Fate::MayHaveRun);
        let culprits = ["`misbehave`", "the rest did not within 300ms"];
        costs_its_worker(&pool, "misbehave", argument, DEADLINE, end, &culprits).await;
        assert!(begin.elapsed() >= progress);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_36_a_worker_that_stops_reading() {
    scenario(async {
        let deadline = Duration::from_secs(1);
        let overdue = Duration::from_millis(200);
        let pool = hostile().overdue_after(overdue).start().await.unwrap();
        // Far more than a socket takes, so that the rest waits in the host.
        let large = json!("x".repeat(1024 * 1024));
        let end = (ErrorKind::Deadline, Fate::MayHaveRun);
        costs_its_worker(&pool, "deaf", large, deadline, end, &["`deaf`"]).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_38_prints_arrive_as_logs_and_never_corrupt_a_frame() {
    scenario(async {
        let pool = pool("faults.py").workers(1).start().await.unwrap();
        let worker = pid_of(&pool, 0);
        assert_eq!(call::<u32>(&pool, "print_a_lot").await.unwrap(), 2000);
        call::<()>(&pool, "print_by_all_means").await.unwrap();
        others_call(&pool).await;
        assert_eq!(pid_of(&pool, 0), worker);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_39_a_gigabyte_of_standard_error_without_a_line() {
    floods_stderr("no end of the line ", 1 << 30);
}

#[test]
fn fault_39_a_million_lines_of_standard_error() {
    floods_stderr("line\n", 5_000_000);
}

/// A flood holds up nobody, and the host keeps none of it.
fn floods_stderr(text: &str, size: u64) {
    scenario(async {
        let pool = pool("faults.py").workers(2).start().await.unwrap();
        others_call(&pool).await;
        let peaks = Peaks::of([std::process::id()]);
        let argument = json!({ "text": text, "size": size });
        let flood = pool.call::<_, u64>("flood_stderr", argument);
        let flood = flood.deadline(Duration::from_secs(50));
        let (written, ()) = futures::join!(flood, others_call(&pool));
        assert!(written.unwrap() >= size);
        peaks.assert_grown_by_at_most(8 << 20);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_40_a_handshake_that_does_not_fit() {
    let protocol = (ErrorKind::Protocol, "broke the protocol");
    for (greeting, (kind, culprit)) in [
        (
            "another version",
            (ErrorKind::Protocol, "speaks protocol version 2, this one 1"),
        ),
        ("another codec", protocol),
        ("no pid", protocol),
        ("two functions of one name", protocol),
        ("a reply", protocol),
        ("garbage", protocol),
        ("a refusal", (ErrorKind::Start, "version 2 is spoken here")),
        ("nothing", (ErrorKind::Start, "not ready within")),
    ] {
        scenario(async {
            let pool = hostile().workers(1).env("GREETING", greeting);
            let pool = pool.start_timeout(Duration::from_secs(2));
            let error = pool.start().await.expect_err("the pool was started");
            assert_error(&error, kind, Fate::NotStarted, &[culprit]);
        });
    }
}

#[test]
fn fault_41_user_code_closes_the_connection() {
    scenario(async {
        let pool = pool("faults.py").workers(2).max_in_flight_per_worker(1);
        let pool = pool.start().await.unwrap();
        let end = (ErrorKind::WorkerDied, Fate::MayHaveRun);
        let culprits = ["closed its connection (does the function close descriptors?)"];
        let function = "close_descriptors";
        let error = costs_its_worker(&pool, function, json!({}), DEADLINE, end, &culprits).await;
        assert!(error.exit().is_some(), "{error}");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_42_user_code_writes_to_the_connection() {
    let reply = |call: &str| format!("0000000d84000000{call}31");
    for (function, argument, culprit) in [
        ("write_everywhere", json!({}), "unknown kind 0x62"),
        (
            "write_to_connection",
            json!("0d0a0d0a0d0a"),
            "a length of 218762506 bytes",
        ),
        (
            "write_to_connection",
            json!(reply("00000000000003e8")),
            "call 1000, which is not in flight",
        ),
    ] {
        scenario(async {
            let pool = pool("faults.py").workers(2).max_in_flight_per_worker(1);
            let pool = pool.start().await.unwrap();
            let end = (ErrorKind::Protocol, Fate::MayHaveRun);
            costs_its_worker(&pool, function, argument, DEADLINE, end, &[culprit]).await;
            pool.shutdown().await.unwrap();
        });
    }
}

#[test]
fn fault_43_single_bytes_in_both_directions() {
    scenario(async {
        let pool = hostile().start().await.unwrap();
        for _ in 0..2 {
            let _: String = pool
                .call("misbehave", json!({ "how": "single_bytes" }))
                .await
                .unwrap();
        }
        others_call(&pool).await;
        let long = "x".repeat(10_000);
        assert_eq!(pool.call::<_, String>("echo", &long).await.unwrap(), long);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_43_signals_interrupt_both_sides_all_the_time() {
    scenario(async {
        let pool = pool("faults.py").workers(1).start().await.unwrap();
        call_with(&pool, "be_interrupted", json!(0.0005))
            .await
            .unwrap();
        // A handler, so that the signal interrupts this process and does not end it.
        let mut handled = tokio::signal::unix::signal(SignalKind::user_defined1()).unwrap();
        let host = std::process::id();
        let shower = async {
            loop {
                signal(host, Signal::USR1);
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
        };
        let calls = async {
            for size in [0, 100, 1_000_000, 5_000_000] {
                let text = json!("x".repeat(size));
                assert_eq!(call_with(&pool, "echo", text.clone()).await.unwrap(), text);
                others_call(&pool).await;
            }
        };
        tokio::select! {
            () = shower => {},
            () = calls => {},
        }
        handled.recv().await;
        let status = pool.status();
        assert_eq!((status.counts.failed, status.workers[0].generation), (0, 1));
        pool.shutdown().await.unwrap();
    });
}
