//! What a worker may do to the frames, and what becomes of the calls then.

use std::time::{Duration, Instant};

use pyproc_proto::{Hello, Kind};
use pyproc_runtime::{ErrorKind, Fate};

use crate::support::{
    Act, FakeWorker, attach, echo, echo_all, echoes, frame, holds, scenario, until, welcome, within,
};

/// What a worker sends in place of an answer to call 1, and what the error must say about it.
fn violations() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let edited = |mut bytes: Vec<u8>, place: usize, byte: u8| {
        bytes[place] = byte;
        bytes
    };
    let reply = || frame(Kind::Reply, 1, b"1");
    vec![
        (
            "fault 28: garbage",
            b"hello world, this is no frame".to_vec(),
            "length",
        ),
        (
            "fault 28: print",
            b"\x00\x00\x00\x20Traceback (most recent call last)".to_vec(),
            "kind",
        ),
        (
            "fault 29: 4 GiB",
            edited(reply(), 0, 0xFF),
            "the limit is 65536",
        ),
        (
            "a length below the header's",
            vec![0; 16],
            "a length of 0 bytes",
        ),
        (
            "fault 31: trailing bytes",
            frame(Kind::Drain, 0, b"more"),
            "4 bytes after its header",
        ),
        (
            "an unknown kind",
            edited(reply(), 4, 0xFE),
            "unknown kind 0xfe",
        ),
        (
            "an unknown flag",
            edited(reply(), 5, 0x80),
            "unknown flags: 0x80",
        ),
        (
            "an index in a reply",
            edited(reply(), 7, 9),
            "has 9 where nothing belongs",
        ),
        (
            "fault 32: an unknown id",
            frame(Kind::Reply, 77, b"1"),
            "call 77, which is not in flight",
        ),
        (
            "a reply to no call",
            frame(Kind::Reply, 0, b"1"),
            "cannot have the call id 0",
        ),
        (
            "an unknown status",
            edited(frame(Kind::Error, 1, b"{}"), 7, 99),
            "unknown status 99",
        ),
        (
            "an error that is not JSON",
            edited(frame(Kind::Error, 1, b"oh"), 7, 1),
            "malformed",
        ),
        (
            "an item for a value",
            frame(Kind::StreamItem, 1, b"1"),
            "StreamItem cannot answer call 1",
        ),
        (
            "the end of a stream for a value",
            frame(Kind::StreamEnd, 1, b""),
            "StreamEnd cannot answer call 1",
        ),
        (
            "credit",
            frame(Kind::Credit, 1, b"1234"),
            "which streams none",
        ),
        (
            "shared memory",
            edited(reply(), 5, 0x10),
            "was not negotiated",
        ),
        (
            "a request from a worker",
            frame(Kind::Request, 1, b""),
            "from a worker",
        ),
        (
            "a second Welcome",
            frame(Kind::Welcome, 0, b"{}"),
            "after the handshake",
        ),
        (
            "a late refusal",
            edited(frame(Kind::Error, 0, b"{}"), 7, 16),
            "after the handshake",
        ),
        (
            "a Pong without its Ping",
            frame(Kind::Pong, 0, b""),
            "without its ping",
        ),
        (
            "a log record that is not JSON",
            frame(Kind::Log, 0, b"oh"),
            "malformed",
        ),
    ]
}

#[test]
fn fault_28_to_32_whoever_breaks_the_grammar_is_condemned_and_replaced() {
    for (threat, bytes, expected) in violations() {
        scenario(async || {
            let bytes = bytes.clone();
            let worker = FakeWorker::that(move |request| match request.connection {
                1 => [Act::Write(bytes.clone())],
                _ => [request.echo()],
            });
            let pool = attach([&worker])
                .max_frame(64 * 1024)
                .start()
                .await
                .unwrap();

            let error = within(threat, pool.call::<_, u64>("echo", 1))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{threat}: {error}");
            assert_eq!(error.fate(), Fate::MayHaveRun, "{threat}");
            assert!(error.to_string().contains(expected), "{threat}: {error}");
            assert_eq!(error.worker().unwrap().slot(), 0);

            let answer: u64 = within("the next worker", pool.call("echo", 2))
                .await
                .unwrap();
            assert_eq!(
                (answer, worker.record().connections.len()),
                (2, 2),
                "{threat}"
            );
        });
    }
}

#[test]
fn a_violation_while_nothing_is_in_flight_replaces_the_worker_too() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).start().await.unwrap();
        worker.does(Act::Write(frame(Kind::Reply, 5, b"1")));
        worker
            .until("a second connection", |record| {
                record.connections.len() == 2
            })
            .await;
        let answer: u64 = within("an answer", pool.call("echo", 2)).await.unwrap();
        assert_eq!(answer, 2);
        let failure = pool.status().workers[0].last_failure.clone().unwrap();
        assert!(
            failure.contains("call 5, which is not in flight"),
            "{failure}"
        );
    });
}

#[test]
fn fault_30_a_request_over_the_limit_fails_before_a_byte_is_written() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker])
            .max_frame(64 * 1024)
            .start()
            .await
            .unwrap();
        let large = "x".repeat(64 * 1024);
        let error = within("a refusal", pool.call::<_, String>("echo", &large))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::TooLarge, Fate::NotStarted)
        );
        assert!(error.to_string().contains("the limit is 65536"), "{error}");

        let fits = "x".repeat(60 * 1024);
        let answer: String = within("an answer", pool.call("echo", &fits)).await.unwrap();
        assert_eq!(answer, fits);
        let record = worker.record();
        assert_eq!((record.requests.len(), record.connections.len()), (1, 1));
    });
}

#[test]
fn a_reply_over_the_limit_is_refused_by_its_length_alone() {
    scenario(async || {
        let worker = FakeWorker::that(|_| {
            [Act::Write(
                frame(Kind::Reply, 1, &[b'1'; 70_000])[..16].to_vec(),
            )]
        });
        let pool = attach([&worker])
            .max_frame(64 * 1024)
            .start()
            .await
            .unwrap();
        let error = within("a verdict", pool.call::<_, u64>("echo", 1))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains("70012"), "{error}");
    });
}

#[test]
fn fault_31_a_connection_that_ends_in_the_middle_of_a_frame_ends_its_calls() {
    for cut in [1, 4, 15, 16, 17] {
        scenario(async || {
            let half = frame(Kind::Reply, 1, b"12345")[..cut].to_vec();
            let worker = FakeWorker::that(move |_| [Act::Write(half.clone()), Act::Close]);
            let pool = attach([&worker]).start().await.unwrap();
            let error = within("a verdict", pool.call::<_, u64>("echo", 1))
                .await
                .unwrap_err();
            assert_eq!(
                (error.kind(), error.fate()),
                (ErrorKind::Protocol, Fate::MayHaveRun)
            );
            let expected = format!("ended after {cut} bytes of a frame");
            assert!(error.to_string().contains(&expected), "{error}");
        });
    }
}

#[test]
fn fault_33_of_two_replies_the_caller_sees_the_first_and_the_worker_is_condemned() {
    scenario(async || {
        let worker = FakeWorker::that(|request| match request.connection {
            1 => vec![Act::Write(
                [frame(Kind::Reply, 1, b"1"), frame(Kind::Reply, 1, b"2")].concat(),
            )],
            _ => vec![request.echo()],
        });
        let pool = attach([&worker]).start().await.unwrap();
        let first: u64 = within("the first reply", pool.call("echo", 0))
            .await
            .unwrap();
        assert_eq!(first, 1);
        worker
            .until("its replacement", |record| record.connections.len() == 2)
            .await;
        let next: u64 = within("an answer", pool.call("echo", 3)).await.unwrap();
        assert_eq!(next, 3);
    });
}

#[test]
fn fault_34_a_late_reply_reaches_nobody_and_frees_the_worker() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).start().await.unwrap();
        let deadline = Duration::from_millis(150);
        let late = pool.call::<_, u64>("echo", 1).deadline(deadline);
        let error = within("the deadline", late).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Deadline, Fate::MayHaveRun)
        );
        assert_eq!(pool.status().in_flight, 1, "the worker is not free yet");

        let next = echo(&pool, 2);
        until("the next call waits", || pool.status().waiting == 1).await;
        worker.call(1).await.answer();
        let second = worker.call(2).await;
        assert_eq!(second.call, 2, "no id is used twice");
        second.answer();
        assert_eq!(within("the answer", next).await.unwrap().unwrap(), 2);
        assert_eq!(pool.status().in_flight, 0);
    });
}

#[test]
fn fault_35_a_worker_that_drips_has_the_time_of_one_frame() {
    scenario(async || {
        let worker = FakeWorker::that(|request| match request.connection {
            1 => [Act::Drip(frame(Kind::Reply, 1, &[b' '; 60_000]))],
            _ => [request.echo()],
        });
        let timeout = Duration::from_millis(100);
        let pool = attach([&worker])
            .progress_timeout(timeout)
            .start()
            .await
            .unwrap();
        let begin = Instant::now();
        let error = within("a verdict", pool.call::<_, u64>("echo", 1))
            .await
            .unwrap_err();
        assert!(begin.elapsed() >= timeout);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains("100ms"), "{error}");
        let next: u64 = within("an answer", pool.call("echo", 2)).await.unwrap();
        assert_eq!(next, 2);
    });
}

#[test]
fn fault_36_a_worker_that_stops_reading_holds_up_nobody_else() {
    scenario(async || {
        let deafens = |hello: &Hello| [Act::Welcome(Box::new(welcome(hello))), Act::StopReading];
        let deaf = FakeWorker::greeting(deafens, echoes);
        let sound = FakeWorker::that(echoes);
        let pool = attach([&deaf, &sound]).start().await.unwrap();
        // More than the socket takes, so that the rest waits in the host.
        let large = "x".repeat(512 * 1024);
        let stuck = async {
            let call = pool.call::<_, String>("echo", large);
            call.deadline(Duration::from_secs(1)).await
        };
        let others = async {
            until("the large call is in flight", || {
                pool.status().in_flight == 1
            })
            .await;
            for number in 0..100 {
                let answer: u64 = pool.call("echo", number).await.unwrap();
                assert_eq!(answer, number);
            }
        };
        let (stuck, ()) = within("all of it", futures::future::join(stuck, others)).await;
        let error = stuck.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        assert_eq!(error.worker().unwrap().slot(), 0);
        assert_eq!(sound.record().requests.len(), 100);
    });
}

#[test]
fn fault_43_single_bytes_add_up_to_the_same_frames() {
    scenario(async || {
        let worker = FakeWorker::that_echoes_byte_by_byte();
        let pool = attach([&worker])
            .max_in_flight_per_worker(8)
            .start()
            .await
            .unwrap();
        for (number, call) in echo_all(&pool, 0..64).into_iter().enumerate() {
            let answer = within("an answer", call).await.unwrap().unwrap();
            assert_eq!(answer, number as u64);
        }
    });
}

#[test]
fn a_flood_of_frames_holds_up_neither_a_deadline_nor_the_end_of_the_worker() {
    // Small frames are more work to read than to write, so the host never comes to their end.
    for (length, count) in [(4000, 64), (0, 4096)] {
        scenario(async || {
            let record =
                serde_json::json!({"level": 10, "logger": "", "message": "x".repeat(length)});
            let noise = frame(Kind::Log, 0, record.to_string().as_bytes()).repeat(count);
            let worker = FakeWorker::that(move |request| match request.connection {
                1 => [Act::Flood(noise.clone())],
                _ => [request.echo()],
            });
            let pool = attach([&worker])
                .overdue_after(Duration::from_millis(50))
                .start()
                .await
                .unwrap();
            let call = pool
                .call::<_, u64>("echo", 1)
                .deadline(Duration::from_millis(100));
            let error = within("the deadline", call).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Deadline);
            let answer: u64 = within("an answer", pool.call("echo", 2)).await.unwrap();
            assert_eq!(answer, 2);
            // The worker would still write; it was the host that put an end to it.
            worker
                .until("the flood is cut off", |record| record.ended == 1)
                .await;
            assert_eq!(worker.record().connections.len(), 2);
        });
    }
}

#[test]
fn what_a_worker_logs_before_between_and_after_answers_disturbs_none_of_them() {
    scenario(async || {
        let log = || Act::Log("a line of the log".to_owned());
        let greeting = move |hello: &Hello| [log(), Act::Welcome(Box::new(welcome(hello))), log()];
        let worker = FakeWorker::greeting(greeting, move |request| [log(), request.echo(), log()]);
        let pool = attach([&worker])
            .max_in_flight_per_worker(4)
            .start()
            .await
            .unwrap();
        for (number, call) in echo_all(&pool, 0..50).into_iter().enumerate() {
            let answer = within("an answer", call).await.unwrap().unwrap();
            assert_eq!(answer, number as u64);
        }
        assert_eq!(worker.record().connections.len(), 1);
    });
}
