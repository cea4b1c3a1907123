//! Whoever does not shake hands as it should be: the start fails, and says so; no call is needed to find out.

use std::time::Duration;

use pyproc_proto::{Hello, Kind, RemoteError, Status};
use pyproc_runtime::{ErrorKind, Json, Pool, WorkerState};

use crate::support::{
    Act, FakeWorker, attach, echoes, frame, scenario, until, welcome, welcomes, within,
};

/// What a worker does about a `Hello`, and the kind and the words of the error that it leads to.
type Threat = (
    &'static str,
    fn(&Hello) -> Vec<Act>,
    ErrorKind,
    &'static str,
);

const THREATS: [Threat; 10] = [
    (
        "it refuses the codec",
        |_| vec![refusal(Status::UnsupportedCodec)],
        ErrorKind::Start,
        "because I say so",
    ),
    (
        "it refuses the version",
        |_| vec![refusal(Status::UnsupportedVersion)],
        ErrorKind::Start,
        "because I say so",
    ),
    (
        "its script does not load",
        |_| vec![refusal(Status::StartFailed)],
        ErrorKind::Start,
        "because I say so",
    ),
    (
        "it speaks another version",
        |hello| vec![edited(hello, r#""protocol":1"#, r#""protocol":9"#)],
        ErrorKind::Protocol,
        "version 9",
    ),
    (
        "it answers with another codec",
        |hello| vec![edited(hello, r#""codec":"json""#, r#""codec":"xml""#)],
        ErrorKind::Protocol,
        r#""xml""#,
    ),
    (
        "it has two functions of one name",
        |hello| vec![edited(hello, "classify", "echo")],
        ErrorKind::Protocol,
        r#""echo" twice"#,
    ),
    (
        "its Welcome is not JSON",
        |_| vec![Act::Write(frame(Kind::Welcome, 0, b"hi"))],
        ErrorKind::Protocol,
        "malformed",
    ),
    (
        "it replies before its Welcome",
        |_| vec![Act::Write(frame(Kind::Reply, 1, b"1"))],
        ErrorKind::Protocol,
        "not in flight",
    ),
    (
        "it talks garbage",
        |_| vec![Act::Write(vec![0xFF; 32])],
        ErrorKind::Protocol,
        "the limit is",
    ),
    (
        "it closes at once",
        |_| vec![Act::Close],
        ErrorKind::Connection,
        "closed the connection",
    ),
];

#[test]
fn fault_40_who_does_not_shake_hands_fails_the_start_and_not_the_first_call() {
    for (threat, greeting, kind, expected) in THREATS {
        scenario(async || {
            let good = FakeWorker::that(echoes);
            let bad = FakeWorker::greeting(greeting, echoes);
            let start = attach([&good, &bad]).start();
            let error = within(threat, start).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{threat}: {error}");
            assert!(error.to_string().contains(expected), "{threat}: {error}");
            let path = bad.path().display().to_string();
            assert!(error.to_string().contains(&path), "{threat}: {error}");
            assert_eq!(
                bad.record().connections.len(),
                1,
                "{threat}: what is said once is enough"
            );
            good.until("the other connection is closed", |record| {
                record.ended == record.connections.len()
            })
            .await;
        });
    }
}

#[test]
fn fault_12_a_worker_that_says_nothing_is_not_waited_for_for_ever() {
    scenario(async || {
        let silent = FakeWorker::greeting(|_| [], echoes);
        let time = Duration::from_millis(100);
        let start = attach([&silent]).start_timeout(time).start();
        let error = within("a verdict", start).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Start);
        let text = error.to_string();
        assert!(text.contains("was not ready within 100ms"), "{text}");
        silent
            .until("its connection is closed", |record| record.ended == 1)
            .await;
    });
}

#[test]
fn a_script_that_does_not_load_brings_its_traceback() {
    scenario(async || {
        let worker = FakeWorker::greeting(|_| [refusal(Status::StartFailed)], echoes);
        let error = within("a verdict", attach([&worker]).start())
            .await
            .unwrap_err();
        let python = error.python().expect("the exception of the script");
        assert_eq!(
            (python.type_name(), python.traceback()),
            ("ImportError", Some("line 7"))
        );
    });
}

#[test]
fn nobody_listens_and_after_all_the_retries_the_start_says_where() {
    scenario(async || {
        let path = std::path::PathBuf::from("/nonexistent/pyproc.sock");
        let start = Pool::attach([&path]).codec(Json).connect_retries(1).start();
        let error = within("a verdict", start).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connection);
        assert!(
            error.to_string().contains("/nonexistent/pyproc.sock"),
            "{error}"
        );
    });
}

#[test]
fn a_worker_that_closes_at_first_is_connected_to_again() {
    scenario(async || {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let greeting =
            move |hello: &Hello| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => [Act::Close],
                _ => welcomes(hello),
            };
        let worker = FakeWorker::greeting(greeting, echoes);
        let pool = within("the start", attach([&worker]).connect_retries(1).start())
            .await
            .unwrap();
        let answer: u64 = within("an answer", pool.call("echo", 1)).await.unwrap();
        assert_eq!((answer, pool.status().workers[0].generation), (1, 1));
    });
}

#[test]
fn the_status_says_who_runs_there() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).name("iris").start().await.unwrap();
        let status = pool.status();
        assert_eq!((pool.name(), status.name.as_str()), ("iris", "iris"));
        let worker = &status.workers[0];
        assert_eq!(
            (worker.state, worker.pid),
            (WorkerState::Ready, Some(std::process::id()))
        );
        assert_eq!(
            worker.runs.as_deref(),
            Some("Python 3.11.7, pyproc 0.1.0 (fake)")
        );
    });
}

#[test]
fn a_start_that_is_given_up_leaves_nobody_connected() {
    scenario(async || {
        let good = FakeWorker::that(echoes);
        let silent = FakeWorker::greeting(|_| [], echoes);
        let start = attach([&good, &silent]).start();
        tokio::select! {
            result = start => panic!("it cannot start: {result:?}"),
            () = silent.until("a connection", |record| record.connections.len() == 1) => {}
        }
        for worker in [&good, &silent] {
            until("its connection is closed", || {
                let record = worker.record();
                record.ended == record.connections.len()
            })
            .await;
        }
    });
}

fn refusal(status: Status) -> Act {
    let mut error = RemoteError::new(status, "ImportError", "because I say so");
    error.traceback = Some("line 7".to_owned());
    Act::Refuse(error)
}

/// The right `Welcome`, but for one thing.
fn edited(hello: &Hello, from: &str, to: &str) -> Act {
    let right = serde_json::to_string(&welcome(hello)).unwrap();
    assert!(right.contains(from), "{right}");
    Act::Write(frame(Kind::Welcome, 0, right.replace(from, to).as_bytes()))
}
