//! A worker that shares no code with ours, written from `docs/protocol.md`: what the document says is enough.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pyproc::{Codec, CodecError, ErrorKind, Fate, Json, Pool, PoolBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::{app, assert_error, scenario, until};

/// The foreign worker, started by somebody who is not a pool.
struct ForeignWorker {
    process: Child,
    directory: tempfile::TempDir,
}

impl ForeignWorker {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("worker.sock");
        let pyproc::Target::Script(script) = app("foreign_worker.py") else {
            panic!("it is a script");
        };
        let process = Command::new("python3")
            .arg("-I")
            .arg(script)
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let worker = Self { process, directory };
        until("the worker listens", || UnixStream::connect(&path).is_ok()).await;
        worker
    }

    fn attach(&self) -> PoolBuilder<Json> {
        Pool::attach([self.directory.path().join("worker.sock")]).codec(Json)
    }

    /// Waits for the worker to end by itself, and returns what it printed.
    fn last_words(mut self) -> Vec<String> {
        let mut printed = String::new();
        let mut stdout = self.process.stdout.take().unwrap();
        stdout.read_to_string(&mut printed).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        printed.lines().map(str::to_owned).collect()
    }
}

/// A test that fails leaves no process behind either.
impl Drop for ForeignWorker {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_foreign_worker_serves_calls_and_answers_with_every_error() {
    scenario(async {
        let worker = ForeignWorker::start().await;
        let pool = worker.attach().max_frame(64 * 1024).start().await.unwrap();
        let status = pool.status();
        assert_eq!(status.workers[0].pid, Some(worker.process.id()));
        assert_eq!(
            status.workers[0].runs.as_deref(),
            Some("Python none, pyproc 1 (foreign)")
        );
        for number in 0..100 {
            let doubled: i64 = pool.call("double", number).await.unwrap();
            assert_eq!(doubled, 2 * number);
        }
        let cases = [
            (
                "fail",
                json!("no such flower"),
                ErrorKind::Exception,
                Fate::Failed,
                "ValueError: no such flower",
            ),
            (
                "doubel",
                json!(1),
                ErrorKind::FunctionNotFound,
                Fate::NotStarted,
                "did you mean `double`?",
            ),
            (
                "sleep",
                json!("long"),
                ErrorKind::InvalidArgument,
                Fate::NotStarted,
                "$: expected float, got str",
            ),
            (
                "nan",
                json!(null),
                ErrorKind::InvalidResult,
                Fate::Failed,
                "JSON compliant",
            ),
            (
                "fill",
                json!(64 * 1024),
                ErrorKind::TooLarge,
                Fate::Failed,
                "the reply has 65538 bytes",
            ),
        ];
        for (function, argument, kind, fate, culprit) in cases {
            let error = pool.call::<_, Value>(function, argument).await.unwrap_err();
            assert_error(&error, kind, fate, &[culprit]);
        }
        let filled: String = pool.call("fill", 60 * 1024).await.unwrap();
        assert_eq!(filled.len(), 60 * 1024);
        pool.shutdown().await.unwrap();
        assert_eq!(worker.last_words().last().unwrap(), "drain");
    });
}

#[test]
fn a_foreign_worker_skips_what_nobody_waits_for() {
    scenario(async {
        let worker = ForeignWorker::start().await;
        let pool = worker
            .attach()
            .max_in_flight_per_worker(4)
            .start()
            .await
            .unwrap();
        let brief = Duration::from_millis(50);
        // The others are sent while the worker sleeps for the first time. So it has read all of them when it falls asleep
        // again, and counts what remained of their deadlines then.
        let (_, slept, expired, dropped) = tokio::join!(
            pool.call::<_, String>("sleep", 0.5),
            pool.call::<_, String>("sleep", 0.5),
            pool.call::<_, i64>("double", 1).deadline(brief),
            tokio::time::timeout(brief, pool.call::<_, i64>("double", 2)),
        );
        assert_eq!(slept.unwrap(), "rested");
        assert_error(
            &expired.unwrap_err(),
            ErrorKind::Deadline,
            Fate::MayHaveRun,
            &[],
        );
        assert!(dropped.is_err());
        // Both permits come back with the answers that nobody waited for.
        until("nothing is in flight", || pool.status().in_flight == 0).await;
        pool.shutdown().await.unwrap();
        let printed = worker.last_words();
        assert!(
            printed.ends_with(&["expired".into(), "cancelled".into(), "drain".into()]),
            "{printed:?}"
        );
    });
}

#[test]
fn a_foreign_worker_that_drains_is_left_and_connected_to_again() {
    scenario(async {
        let worker = ForeignWorker::start().await;
        let pool = worker
            .attach()
            .max_in_flight_per_worker(2)
            .start()
            .await
            .unwrap();
        // The second call crosses the worker's Drain on its way, or waits for the next connection.
        let (gone, doubled) = tokio::join!(
            pool.call::<_, String>("leave", Value::Null),
            pool.call::<_, i64>("double", 21),
        );
        assert_eq!(gone.unwrap(), "gone");
        assert_eq!(doubled.unwrap(), 42);
        let doubled: i64 = pool.call("double", 4).await.unwrap();
        assert_eq!(doubled, 8);
        assert_eq!(pool.status().workers[0].generation, 2);
        assert_eq!(pool.status().counts.failed, 0);
        pool.shutdown().await.unwrap();
        assert_eq!(worker.last_words().last().unwrap(), "drain");
    });
}

#[test]
fn a_foreign_worker_refuses_a_codec_that_it_does_not_have() {
    scenario(async {
        let worker = ForeignWorker::start().await;
        let error = worker.attach().codec(Unheard).start().await.unwrap_err();
        assert_error(
            &error,
            ErrorKind::Start,
            Fate::NotStarted,
            &["there is no codec 'unheard' here"],
        );
        // It serves the next host all the same.
        let pool = worker.attach().start().await.unwrap();
        let doubled: i64 = pool.call("double", 1).await.unwrap();
        assert_eq!(doubled, 2);
        pool.shutdown().await.unwrap();
        worker.last_words();
    });
}

/// A codec of the host's own, of which no worker has heard.
#[derive(Clone, Debug)]
struct Unheard;

impl Codec for Unheard {
    fn name(&self) -> &str {
        "unheard"
    }

    fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        Json.encode(value, output)
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CodecError> {
        Json.decode(body)
    }
}
