//! What can come over the connection, or not come: garbage, lies, drips, floods, and silence.

use std::time::{Duration, Instant};

use pyproc::{ErrorKind, Fate, Json, Pool, PoolBuilder};
use serde_json::{Value, json};

use crate::all_ready;
use crate::oracle::{DEADLINE, GRACE, costs_its_worker, others_call};
use crate::support::{app, assert_error, call, call_with, gone, pid_of, pool, scenario, until};

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
        let deadline = Duration::from_millis(500);
        let overdue = Duration::from_millis(200);
        let pool = hostile().overdue_after(overdue).start().await.unwrap();
        // Far more than a socket takes, so that the rest waits in the host: one request of it, and no more.
        let large = json!("x".repeat(8 * 1024 * 1024));
        let end = (ErrorKind::Deadline, Fate::MayHaveRun);
        costs_its_worker(&pool, "deaf", large, deadline, end, &["`deaf`"]).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_38_prints_arrive_as_logs_and_never_corrupt_a_frame() {
    scenario(async {
        let pool = pool("faults.py").workers(1).start().await.unwrap();
        assert_eq!(call::<u32>(&pool, "print_a_lot").await.unwrap(), 2000);
        assert_eq!(
            call_with(&pool, "echo", json!("still in step"))
                .await
                .unwrap(),
            json!("still in step")
        );
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
            let pool = hostile().env("GREETING", greeting);
            let pool = pool.start_timeout(Duration::from_secs(2));
            let error = pool.start().await.expect_err("the pool was started");
            assert_error(&error, kind, Fate::NotStarted, &[culprit]);
        });
    }
}

#[test]
fn fault_41_user_code_closes_the_connection() {
    scenario(async {
        let pool = pool("faults.py").workers(1).start().await.unwrap();
        let error = call::<Value>(&pool, "close_descriptors").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WorkerDied);
        assert!(
            error.to_string().contains("closed its connection"),
            "{error}"
        );
        assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_42_user_code_writes_to_the_connection() {
    scenario(async {
        let pool = pool("faults.py").workers(1).start().await.unwrap();
        let error = call::<Value>(&pool, "write_everywhere").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
        pool.shutdown().await.unwrap();
    });
}
