//! A worker that knows only the JSON protocol, as those of the origin do.

use std::time::Duration;

use pyproc_proto::{Protocol, Status};
use pyproc_runtime::{ErrorKind, Fate, Json, PoolBuilder};
use serde_json::json;

use crate::support::{
    Act, FakeWorker, Request, attach, echo_all, echoes, holds, json_message, length_prefixed,
    scenario, within,
};

fn json_pool(worker: &FakeWorker) -> PoolBuilder<Json> {
    attach([worker]).protocol(Protocol::Json)
}

#[test]
fn calls_are_answered_by_name_and_out_of_turn() {
    scenario(async || {
        let worker = FakeWorker::that(|request| {
            // Those with an even argument are answered later than those after them.
            let pause = Duration::from_millis(if request.number() % 2 == 0 { 10 } else { 0 });
            [request.echo().after(pause)]
        });
        let pool = json_pool(&worker)
            .max_in_flight_per_worker(4)
            .start()
            .await
            .unwrap();
        for (number, call) in echo_all(&pool, 0..32).into_iter().enumerate() {
            let answer = within("an answer", call).await.unwrap().unwrap();
            assert_eq!(answer, number as u64);
        }
        assert!(
            worker
                .record()
                .requests
                .iter()
                .all(|request| request.function == "echo")
        );
        assert_eq!(
            worker.record().health_checks,
            1,
            "the start shows that somebody answers"
        );
    });
}

/// What a worker answers with, and what the caller hears.
type Verdict = (&'static str, fn(&Request) -> Act, ErrorKind, Fate);

const VERDICTS: [Verdict; 7] = [
    (
        "ValueError: no",
        |request| request.exception("ValueError", "no"),
        ErrorKind::Exception,
        Fate::Failed,
    ),
    (
        "nobody",
        |request| request.refusal(Status::FunctionNotFound, "nobody"),
        ErrorKind::FunctionNotFound,
        Fate::NotStarted,
    ),
    (
        "$.x",
        |request| request.refusal(Status::InvalidArgument, "$.x"),
        ErrorKind::InvalidArgument,
        Fate::NotStarted,
    ),
    (
        "$[0]",
        |request| request.refusal(Status::InvalidResult, "$[0]"),
        ErrorKind::InvalidResult,
        Fate::Failed,
    ),
    (
        "no body",
        |request| request.refusal(Status::InvalidBody, "no body"),
        ErrorKind::Codec,
        Fate::NotStarted,
    ),
    (
        "late",
        |request| request.refusal(Status::Deadline, "late"),
        ErrorKind::Deadline,
        Fate::NotStarted,
    ),
    (
        "long",
        |request| request.refusal(Status::TooLarge, "long"),
        ErrorKind::TooLarge,
        Fate::Failed,
    ),
];

#[test]
fn a_verdict_means_the_same_in_both_protocols() {
    for (message, verdict, kind, fate) in VERDICTS {
        for protocol in [Protocol::Binary, Protocol::Json] {
            scenario(async || {
                let worker = FakeWorker::that(move |request| [verdict(request)]);
                let pool = attach([&worker]).protocol(protocol).start().await.unwrap();
                let error = within("a verdict", pool.call::<_, u64>("echo", 1))
                    .await
                    .unwrap_err();
                assert_eq!(
                    (error.kind(), error.fate()),
                    (kind, fate),
                    "{protocol:?}: {error}"
                );
                let (begin, end) = (format!("call of `echo`: {message}"), "[worker attached/0");
                let text = error.to_string();
                assert!(
                    text.starts_with(&begin) && text.contains(end),
                    "{protocol:?}: {text}"
                );
                assert_eq!(pool.status().in_flight, 0);
            });
        }
    }
}

#[test]
fn fault_28_to_33_a_message_that_cannot_be_trusted_condemns_the_worker() {
    let duplicate = json_message(&json!({"id": 2, "ok": true, "body": 1})).repeat(2);
    let threats = [
        ("garbage", length_prefixed(b"{\"id\": 2, oops"), "malformed"),
        ("an empty message", length_prefixed(b""), "0 bytes"),
        (
            "an unknown id",
            json_message(&json!({"id": 99, "ok": true, "body": 1})),
            "call 99",
        ),
        (
            "no id",
            json_message(&json!({"ok": true, "body": 1})),
            "malformed",
        ),
        (
            "the id of the last call",
            json_message(&json!({"id": 1, "ok": true, "body": 1})),
            "call 1",
        ),
        ("4 GiB", vec![0xFF; 4], "the limit is"),
        ("a duplicate", duplicate, ""),
    ];
    for (threat, bytes, expected) in threats {
        scenario(async || {
            let bytes = bytes.clone();
            let worker = FakeWorker::that(move |request| match request.connection {
                1 => [Act::Write(bytes.clone())],
                _ => [request.echo()],
            });
            let pool = json_pool(&worker).start().await.unwrap();
            let first = within(threat, pool.call::<_, u64>("echo", 1)).await;
            match first {
                Ok(answer) => assert_eq!((threat, answer), ("a duplicate", 1)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Protocol, "{threat}: {error}");
                    assert!(error.to_string().contains(expected), "{threat}: {error}");
                }
            }
            worker
                .until("its replacement", |record| record.connections.len() == 2)
                .await;
            let next: u64 = within("an answer", pool.call("echo", 2)).await.unwrap();
            assert_eq!(next, 2);
        });
    }
}

#[test]
fn fault_40_whoever_does_not_answer_at_the_start_fails_it() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        worker.answers_health_so(holds);
        let time = Duration::from_millis(100);
        let start = json_pool(&worker).start_timeout(time).start();
        let error = within("a verdict", start).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Start | ErrorKind::Connection),
            "{error}"
        );
        assert!(error.to_string().contains("within 100ms"), "{error}");
    });
}

#[test]
fn a_deadline_is_kept_though_the_worker_does_not_learn_of_it() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = json_pool(&worker).start().await.unwrap();
        let call = pool
            .call::<_, u64>("echo", 1)
            .deadline(Duration::from_millis(150));
        let error = within("the deadline", call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        worker.call(1).await.answer();
    });
}
