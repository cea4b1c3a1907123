//! Workers that listen on a path: scripts of the origin's style, workers that somebody else started, and clients that
//! write the JSON protocol by hand.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyproc::{ErrorKind, Event, Json, Pool, PoolBuilder, Protocol};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{app, call_with, python_with_packages, raw, scenario, signal, until, within};

/// A worker that somebody else has started.
struct Listener {
    process: Child,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Listener {
    async fn start(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("worker.sock");
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("pyproc-py/python");
        let process = Command::new(python_with_packages())
            .args(["-m", "pyproc"])
            .arg(script_path(script))
            .arg("--socket")
            .arg(&path)
            .env("PYTHONPATH", package)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until("the worker listens", || UnixStream::connect(&path).is_ok()).await;
        Self {
            process,
            path,
            _directory: directory,
        }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).unwrap()
    }

    /// Tells the worker to end, which it does in good order, and removes its socket.
    fn terminate(mut self) {
        signal(self.process.id(), Signal::TERM);
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        assert!(!self.path.exists());
    }
}

/// A test that fails leaves no process behind either.
impl Drop for Listener {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn script_path(script: &str) -> PathBuf {
    match app(script) {
        pyproc::Target::Script(path) => path,
        other => panic!("{other:?} is no script"),
    }
}

/// The three ways in which a script of the origin's style runs.
fn ways(script: &str) -> [(&'static str, PoolBuilder<Json>); 3] {
    let pool = || Pool::builder(app(script)).workers(2).codec(Json);
    [
        ("imported", pool()),
        ("listening", pool().listen()),
        (
            "listening, JSON protocol",
            pool().listen().protocol(Protocol::Json),
        ),
    ]
}

#[test]
fn a_script_of_the_origin_runs_imported_and_listening() {
    for (way, builder) in ways("origin/doubler.py") {
        scenario(async move {
            let pool = builder
                .start()
                .await
                .unwrap_or_else(|error| panic!("{way}: {error}"));
            let result: Value = pool.call("predict", json!({"value": 21})).await.unwrap();
            assert_eq!(result, json!({"result": 42}), "{way}");
            pool.shutdown().await.unwrap();
        });
    }
}

#[test]
fn workers_that_listen_are_replaced_in_good_order() {
    for (way, builder) in ways("origin/doubler.py") {
        scenario(async move {
            // A worker that had to be killed would be waited for so long.
            let builder = builder.stop_timeout(Duration::from_secs(600));
            let pool = builder.start().await.unwrap();
            let mut events = pool.events();
            let is_over = Arc::new(AtomicBool::new(false));
            let callers = (0..4_u32).map(|caller| {
                let (pool, is_over) = (pool.clone(), is_over.clone());
                tokio::spawn(async move {
                    while !is_over.load(Ordering::Relaxed) {
                        let result: Value = pool
                            .call("predict", json!({"value": caller}))
                            .await
                            .unwrap();
                        assert_eq!(result, json!({"result": 2 * caller}), "{way}");
                    }
                })
            });
            let callers: Vec<_> = callers.collect();
            within(Duration::from_secs(30), "the pool changes", async {
                pool.restart().await.unwrap();
                pool.resize(3).await.unwrap();
                pool.resize(1).await.unwrap();
            })
            .await;
            is_over.store(true, Ordering::Relaxed);
            for caller in callers {
                caller.await.unwrap();
            }
            pool.shutdown().await.unwrap();
            let mut drained = 0;
            while let Some(event) = events.next().await {
                assert!(!matches!(event, Event::Died { .. }), "{way}: {event}");
                drained += usize::from(matches!(event, Event::Drained { .. }));
            }
            // The last one is ended by the shutdown.
            assert!(drained >= 4, "{way}: {drained}");
        });
    }
}

#[test]
fn a_script_of_the_origin_keeps_its_state_and_its_errors() {
    for (way, builder) in ways("origin/summary.py") {
        scenario(async move {
            let pool = builder
                .workers(1)
                .start()
                .await
                .unwrap_or_else(|error| panic!("{way}: {error}"));
            for calls in 1..4 {
                let result: Value = pool
                    .call("predict", json!({"values": [1.0, 3.0]}))
                    .await
                    .unwrap();
                assert_eq!(result, json!({"mean": 2.0, "calls": calls}), "{way}");
            }
            let error = pool
                .call::<_, Value>("fail", json!({"model": "oak"}))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Exception, "{way}");
            assert_eq!(error.python().unwrap().type_name(), "ValueError", "{way}");
            assert!(
                error.to_string().contains("no such model: oak"),
                "{way}: {error}"
            );
            let error = pool
                .call::<_, Value>("predikt", json!({}))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FunctionNotFound, "{way}");
            pool.shutdown().await.unwrap();
        });
    }
}

#[test]
fn a_script_of_the_origin_that_is_not_guarded_runs_too() {
    for (way, builder) in ways("origin/unguarded.py") {
        scenario(async move {
            let pool = builder
                .start()
                .await
                .unwrap_or_else(|error| panic!("{way}: {error}"));
            let result: Value = pool
                .call("predict", json!({"numbers": [1, 2]}))
                .await
                .unwrap();
            assert_eq!(result, json!([2, 3]), "{way}");
            let health: Value = pool.call("health", json!({})).await.unwrap();
            assert_eq!(health["model"], "loaded", "{way}");
            pool.shutdown().await.unwrap();
        });
    }
}

#[test]
fn a_pool_attaches_to_workers_that_somebody_else_started() {
    scenario(async {
        let listeners = [
            Listener::start("faults.py").await,
            Listener::start("faults.py").await,
        ];
        let pool = Pool::attach(listeners.iter().map(|listener| &listener.path))
            .start()
            .await
            .unwrap();
        let pids: Vec<u32> = pool
            .status()
            .workers
            .iter()
            .map(|worker| worker.pid.unwrap())
            .collect();
        assert_eq!(pids, [listeners[0].process.id(), listeners[1].process.id()]);
        for number in 0..10 {
            assert_eq!(
                call_with(&pool, "echo", json!(number)).await.unwrap(),
                json!(number)
            );
        }
        pool.shutdown().await.unwrap();
        // They were never the pool's to end.
        listeners.into_iter().for_each(Listener::terminate);
    });
}

#[test]
fn an_attached_worker_that_always_errs_is_left_alone() {
    scenario(async {
        let listeners = [
            Listener::start("supervised.py").await,
            Listener::start("supervised.py").await,
        ];
        let ill = listeners[0].process.id();
        let pool = Pool::attach(listeners.iter().map(|listener| &listener.path))
            .eject_after(10)
            .start()
            .await
            .unwrap();
        let mut events = pool.events();
        let mut errors = 0;
        while errors < 40 {
            errors += usize::from(call_with(&pool, "fail_in", json!(ill)).await.is_err());
        }
        pool.shutdown().await.unwrap();
        while let Some(event) = events.next().await {
            assert!(!matches!(event, Event::Recycling { .. }), "{event}");
        }
        listeners.into_iter().for_each(Listener::terminate);
    });
}

#[test]
fn three_connections_to_one_worker_speak_two_protocols_interleaved() {
    scenario(async {
        let listener = Listener::start("faults.py").await;
        let (mut first, mut second) = (listener.connect(), listener.connect());
        let pool = Pool::attach([&listener.path]).start().await.unwrap();
        for round in 0..5 {
            // All three have asked before any of them reads.
            raw::send(
                &mut first,
                &json!({"id": round, "method": "echo", "body": "first"}),
            );
            raw::send(
                &mut second,
                &json!({"id": round, "method": "echo", "body": "second"}),
            );
            assert_eq!(
                call_with(&pool, "echo", json!("third")).await.unwrap(),
                json!("third")
            );
            let reply = json!({"id": round, "ok": true, "body": "second"});
            assert_eq!(raw::receive(&mut second), reply);
            let reply = json!({"id": round, "ok": true, "body": "first"});
            assert_eq!(raw::receive(&mut first), reply);
        }
        pool.shutdown().await.unwrap();
        drop((first, second));
        listener.terminate();
    });
}

#[test]
fn a_malformed_json_request_is_answered_and_the_connection_lives() {
    scenario(async {
        let listener = Listener::start("faults.py").await;
        let mut client = listener.connect();
        let cases = [
            (r#"{"id": 1, "method": "echo", "body": "#, 0, "JSON"),
            (r#"{"method": "echo"}"#, 0, "id"),
            (r#"{"id": 2}"#, 2, "method"),
            (r#"{"id": 3, "method": "ecko"}"#, 3, "echo"),
        ];
        for (request, id, culprit) in cases {
            raw::send_text(&mut client, request);
            let reply = raw::receive(&mut client);
            assert_eq!(
                (&reply["id"], &reply["ok"]),
                (&json!(id), &json!(false)),
                "{request} gave {reply}"
            );
            assert!(
                reply["error"].as_str().unwrap().contains(culprit),
                "{request} gave {reply}"
            );
        }
        // An absent body is an empty map.
        raw::send(&mut client, &json!({"id": 4, "method": "pid"}));
        assert_eq!(raw::receive(&mut client)["ok"], true);
        raw::send(&mut client, &json!({"id": 5, "method": "health"}));
        let reply = raw::receive(&mut client);
        assert_eq!(
            reply["body"],
            json!({"status": "healthy", "pid": listener.process.id()})
        );
        drop(client);
        listener.terminate();
    });
}
