//! Calls that cannot succeed, and what is said about each of them; the worker goes on.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::future::Future;

use pyproc::{Error, ErrorKind, Fate, Pool, PythonError, WorkerState};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde::Serialize;
use serde_json::{Value, json};
use support::{app, assert_error, call, call_with, pool, scenario, until};

/// Runs a test with one worker, which must be the same before and after.
fn with_worker<F: Future<Output = ()>>(test: impl FnOnce(Pool) -> F) {
    scenario(async {
        let pool = pool("bad_calls.py").workers(1).start().await.unwrap();
        let before: u32 = call(&pool, "pid").await.unwrap();
        test(pool.clone()).await;
        let after: u32 = call(&pool, "pid").await.unwrap();
        assert_eq!(before, after, "the worker did not survive");
        pool.shutdown().await.unwrap();
    });
}

/// Asserts that a call fails, how, and that the error names the function and the culprits.
fn fails(function: &str, argument: Value, kind: ErrorKind, fate: Fate, culprits: &[&str]) {
    with_worker(async |pool| {
        let error = failure(&pool, function, argument).await;
        assert_error(&error, kind, fate, culprits);
        assert_eq!(error.function(), Some(function));
        assert!(error.to_string().contains(&format!("`{function}`")));
        assert!(!error.is_retryable(), "{error}");
    });
}

async fn failure(pool: &Pool, function: &str, argument: Value) -> Error {
    let result = call_with(pool, function, argument).await;
    result.expect_err("the call succeeded")
}

/// The exception that a call of this function ends with.
async fn exception(pool: &Pool, function: &str, argument: Value) -> PythonError {
    let error = failure(pool, function, argument).await;
    assert_error(&error, ErrorKind::Exception, Fate::Failed, &[]);
    assert_eq!(error.function(), Some(function));
    assert_eq!(error.worker().unwrap().slot(), 0);
    error.python().unwrap().clone()
}

// The function.

#[test]
fn a_function_that_is_not_exposed_is_answered_with_the_nearest_name() {
    let culprits = ["`clasify`: no such function", "did you mean `classify`?"];
    let kind = ErrorKind::FunctionNotFound;
    fails("clasify", json!({}), kind, Fate::NotStarted, &culprits);
}

#[test]
fn a_function_unlike_any_other_is_answered_with_all_names() {
    let culprits = [
        "`qqq`: no such function",
        "`classify`",
        "`nearest`",
        "`health`",
    ];
    let kind = ErrorKind::FunctionNotFound;
    fails("qqq", json!({}), kind, Fate::NotStarted, &culprits);
}

#[test]
fn a_function_that_is_defined_but_not_exposed_cannot_be_called() {
    let kind = ErrorKind::FunctionNotFound;
    let argument = json!({"a": 1, "b": 2});
    fails(
        "quotient",
        argument,
        kind,
        Fate::NotStarted,
        &["`quotient`"],
    );
}

#[derive(Serialize)]
struct Flower {
    petal_length: f64,
    petal_width: f64,
}

#[pyproc::remote]
trait Misspelled {
    async fn clasify(&self, flower: &Flower) -> pyproc::Result<String>;
}

#[pyproc::remote]
trait Renamed {
    async fn nearest(&self, bloom: &Flower, k: u32) -> pyproc::Result<Vec<String>>;
}

#[pyproc::remote]
trait Incomplete {
    async fn nearest(&self, k: u32, metric: &str) -> pyproc::Result<Vec<String>>;
}

#[pyproc::remote]
trait Fitting {
    async fn nearest(&self, flower: &Flower, k: u32) -> pyproc::Result<Vec<String>>;
}

#[test]
fn a_client_is_refused_when_a_function_is_missing() {
    with_worker(async |pool| {
        let error = MisspelledClient::new(&pool).unwrap_err();
        let culprits = ["`Misspelled::clasify`", "did you mean `classify`?"];
        assert_error(
            &error,
            ErrorKind::FunctionNotFound,
            Fate::NotStarted,
            &culprits,
        );
    });
}

#[test]
fn a_client_is_refused_when_python_has_no_such_parameter() {
    with_worker(async |pool| {
        let error = RenamedClient::new(&pool).unwrap_err();
        let culprits = ["`Renamed::nearest`", "`bloom`", "`flower`, `k`, `metric`"];
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &culprits,
        );
    });
}

#[test]
fn a_client_is_refused_when_a_required_parameter_is_missing() {
    with_worker(async |pool| {
        let error = IncompleteClient::new(&pool).unwrap_err();
        let culprits = ["`Incomplete::nearest`", "required parameter `flower`"];
        assert_error(
            &error,
            ErrorKind::InvalidArgument,
            Fate::NotStarted,
            &culprits,
        );
    });
}

#[test]
fn a_client_may_leave_out_what_has_a_default() {
    with_worker(async |pool| {
        let client = FittingClient::new(&pool).unwrap();
        let flower = Flower {
            petal_length: 1.4,
            petal_width: 0.2,
        };
        assert_eq!(client.nearest(&flower, 2).await.unwrap(), ["euclid"; 2]);
    });
}

// The arguments.

#[test]
fn arguments_that_do_not_fit_are_named_with_their_path() {
    let flower = json!({"petal_length": 1.4, "petal_width": 0.2});
    let cases: [(&str, Value, &[&str]); 9] = [
        ("nearest", json!({"k": 1}), &["`flower` is missing"]),
        (
            "nearest",
            json!({"flower": flower, "k": 1, "metrik": "l1"}),
            &["`metrik` is unknown", "did you mean `metric`?"],
        ),
        (
            "nearest",
            json!({"flower": flower, "k": "3"}),
            &["$.k: expected int, got str"],
        ),
        (
            "nearest",
            json!({"flower": {"petal_length": [], "petal_width": 1}, "k": 1}),
            &["$.flower.petal_length: expected float, got list"],
        ),
        (
            "nearest",
            json!([1, 2]),
            &["$", "map of arguments, got list"],
        ),
        ("nearest", json!(null), &["$", "map of arguments, got None"]),
        (
            "classify",
            json!({"petal_length": 1.4}),
            &["$", "petal_width"],
        ),
        (
            "classify",
            json!("rose"),
            &["$", "expected Flower, got str"],
        ),
        ("pid", json!({"now": true}), &["`now` is unknown"]),
    ];
    with_worker(async |pool| {
        for (function, argument, culprits) in cases {
            let error = failure(&pool, function, argument).await;
            assert_error(
                &error,
                ErrorKind::InvalidArgument,
                Fate::NotStarted,
                culprits,
            );
            assert_eq!(error.function(), Some(function));
            assert!(
                error.python().is_none(),
                "no exception was raised: {error:?}"
            );
        }
    });
}

#[test]
fn a_result_of_another_type_is_named_with_its_path() {
    with_worker(async |pool| {
        let argument = json!({"flower": {"petal_length": 1, "petal_width": 1}, "k": 2});
        let error = pool.call::<_, Vec<u8>>("nearest", &argument).await;
        let error = error.unwrap_err();
        let culprits = ["`nearest`", "not of the type asked for", "$[0]"];
        assert_error(&error, ErrorKind::Codec, Fate::Failed, &culprits);
    });
}

// Exceptions.

#[test]
fn an_exception_arrives_with_type_message_and_the_lines_of_the_script_only() {
    with_worker(async |pool| {
        let argument = json!({"a": 1, "b": 0});
        let error = failure(&pool, "divide", argument.clone()).await;
        let shown = error.to_string();
        let begin =
            "call of `divide`: ZeroDivisionError: division by zero [worker bad_calls/0 pid ";
        assert!(shown.starts_with(begin), "{shown}");

        let python = exception(&pool, "divide", argument).await;
        assert_eq!(python.type_name(), "ZeroDivisionError");
        assert_eq!(python.message(), "division by zero");
        let traceback = python.traceback().unwrap();
        let files: Vec<&str> = traceback
            .lines()
            .filter(|line| line.contains("File"))
            .collect();
        let script = app("bad_calls.py").to_string();
        let source = include_str!("apps/bad_calls.py");
        let place = |function: &str, text: &str| {
            let line = source.lines().position(|line| line.trim() == text).unwrap() + 1;
            format!("  File \"{script}\", line {line}, in {function}")
        };
        let expected = [
            place("divide", "return quotient(a, b)"),
            place("quotient", "return a / b"),
        ];
        assert_eq!(files, expected);
        assert!(
            traceback.contains("    return quotient(a, b)\n"),
            "{traceback}"
        );
        assert!(traceback.contains("    return a / b\n"), "{traceback}");
    });
}

#[test]
fn the_cause_of_an_exception_is_in_its_traceback() {
    with_worker(async |pool| {
        let python = exception(&pool, "chained", json!({})).await;
        assert_eq!(python.type_name(), "LookupError");
        let traceback = python.traceback().unwrap();
        for part in [
            "ZeroDivisionError",
            "direct cause",
            "LookupError: no quotient",
        ] {
            assert!(traceback.contains(part), "{traceback}");
        }
    });
}

#[test]
fn fault_52_an_exception_whose_str_raises_arrives_nevertheless() {
    with_worker(async |pool| {
        let python = exception(&pool, "unprintable", json!({})).await;
        assert_eq!(python.type_name(), "bad_calls.Unprintable");
        let message = python.message();
        assert!(message.contains("__str__ raised RuntimeError"), "{message}");
        assert!(python.traceback().unwrap().contains("in unprintable"));
    });
}

#[test]
fn fault_52_a_message_of_a_hundred_megabytes_is_cut_in_the_middle() {
    with_worker(async |pool| {
        let python = exception(&pool, "talkative", json!({})).await;
        let message = python.message();
        assert!(message.len() <= 64 * 1024, "{} bytes", message.len());
        assert!(message.starts_with("begin xxx") && message.ends_with("xxx end"));
        assert!(message.contains("about 99934474 bytes are left out"));
        assert!(python.traceback().unwrap().len() <= 64 * 1024);
    });
}

#[test]
fn an_endless_recursion_is_an_exception() {
    with_worker(async |pool| {
        let python = exception(&pool, "bottomless", json!(0)).await;
        assert_eq!(python.type_name(), "RecursionError");
    });
}

#[test]
fn fault_53_exceptions_beside_the_usual_ones_are_exceptions_too() {
    with_worker(async |pool| {
        for (function, type_name, message) in [
            ("interrupted", "KeyboardInterrupt", ""),
            ("stopped", "StopIteration", ""),
            ("odd", "bad_calls.Odd", "neither fish nor fowl"),
        ] {
            let python = exception(&pool, function, json!({})).await;
            assert_eq!((python.type_name(), python.message()), (type_name, message));
            assert!(
                python
                    .traceback()
                    .unwrap()
                    .contains(&format!("in {function}"))
            );
        }
    });
}

#[test]
fn a_breakpoint_in_a_worker_names_the_command_that_can_stop_there() {
    with_worker(async |pool| {
        let python = exception(&pool, "debug", json!({})).await;
        let message = python.message();
        assert!(message.contains("breakpoint()"), "{message}");
        let script = app("bad_calls.py").to_string();
        let command = format!(" -m pyproc {script} --call debug");
        assert!(message.contains(&command), "{message}");
    });
}

// The end of the process.

#[test]
fn a_function_that_exits_ends_its_worker_and_is_told_apart_by_the_code() {
    scenario(async {
        let pool = pool("bad_calls.py").workers(1).start().await.unwrap();
        for (function, culprits) in [
            ("leave", &["exit code 3", "leaving"][..]),
            ("leave_at_once", &["exit code 3"][..]),
        ] {
            let before: u32 = call(&pool, "pid").await.unwrap();
            let error = failure(&pool, function, json!(3)).await;
            assert_error(&error, ErrorKind::WorkerDied, Fate::MayHaveRun, culprits);
            assert_eq!(error.worker().unwrap().pid(), Some(before));
            assert!(!error.is_retryable(), "{error}");
            let after: u32 = call(&pool, "pid").await.unwrap();
            assert_ne!(before, after, "the worker was not replaced");
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_worker_that_exits_after_a_call_is_replaced_and_the_status_says_why() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        let pool = pool("bad_calls.py").workers(1).start().await.unwrap();
        let answer = call_with(&pool, "leave_when_told", json!(pipe)).await;
        assert_eq!(answer.unwrap(), "not yet");

        std::fs::write(&pipe, "now").unwrap();
        until("the worker is replaced", || {
            let worker = &pool.status().workers[0];
            worker.generation == 2 && worker.state == WorkerState::Ready
        })
        .await;
        let failure = pool.status().workers[0].last_failure.clone().unwrap();
        assert!(
            failure.contains("the worker died: exit code 5"),
            "{failure}"
        );
        assert!(call::<u32>(&pool, "pid").await.is_ok());
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_call_after_the_shutdown_is_closed() {
    scenario(async {
        let pool = pool("bad_calls.py").workers(1).start().await.unwrap();
        let client = FittingClient::new(&pool).unwrap();
        pool.shutdown().await.unwrap();
        let flower = Flower {
            petal_length: 1.4,
            petal_width: 0.2,
        };
        let error = client.nearest(&flower, 2).await.unwrap_err();
        let culprits = ["`nearest`", "pool `bad_calls` is closed"];
        assert_error(&error, ErrorKind::Closed, Fate::NotStarted, &culprits);
        assert!(!error.is_retryable(), "{error}");
    });
}

// The result.

#[test]
fn fault_51_a_result_that_cannot_be_encoded_is_named_with_path_and_type() {
    let kind = ErrorKind::InvalidResult;
    let culprits = ["$.verdicts[1].model", "an object cannot be sent"];
    fails("unsendable", json!({}), kind, Fate::Failed, &culprits);
}

#[test]
fn fault_51_a_result_that_contains_itself_is_refused() {
    let culprits = ["$[0][0]", "nested deeper than 127 levels, or in itself"];
    fails(
        "endless",
        json!({}),
        ErrorKind::InvalidResult,
        Fate::Failed,
        &culprits,
    );
}
