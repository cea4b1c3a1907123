//! Pools that cannot be started, and what is said about each of them.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pyproc::{
    Breaker, Codec, CodecError, Error, ErrorKind, Exit, Fate, Json, Pool, PoolBuilder, Protocol,
    PythonError, Resource, Restart, Retry, RetryBudget, Target,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use support::{app, assert_error, call, pool_of, said, scenario};
use tempfile::TempDir;

/// Starts a pool that cannot be started, and gives the reason.
async fn refusal<C: Codec>(pool: PoolBuilder<C>) -> Error {
    let pool = pool.workers(1).start().await;
    pool.expect_err("the pool was started")
}

/// Asserts that a pool is not started, and why.
async fn assert_refused<C: Codec>(pool: PoolBuilder<C>, culprits: &[&str]) {
    let error = refusal(pool).await;
    assert_error(&error, ErrorKind::Start, Fate::NotStarted, culprits);
    assert!(!error.is_retryable(), "{error}");
    let traceback = error.python().and_then(PythonError::traceback);
    let traceback = traceback.unwrap_or_default();
    assert!(
        !traceback.contains("File \"<embedded>"),
        "lines of ours:\n{traceback}"
    );
}

/// The same, as a whole scenario.
fn fails_to_start<C: Codec>(pool: PoolBuilder<C>, culprits: &[&str]) {
    scenario(assert_refused(pool, culprits));
}

/// A directory with one file in it.
fn file(name: &str, mode: u32, text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

// The interpreter.

#[test]
fn fault_11_a_missing_interpreter_is_named() {
    let pool = pool_of("").python("/nowhere/python3");
    fails_to_start(
        pool,
        &["/nowhere/python3", "does not exist", "from builder"],
    );
}

#[test]
fn a_bare_name_that_is_nowhere_is_no_interpreter() {
    fails_to_start(pool_of("").python("no-such-python"), &["no-such-python"]);
}

#[test]
fn fault_11_an_interpreter_that_may_not_be_executed_is_named() {
    scenario(async {
        let (_directory, path) = file("python3", 0o644, "#!/bin/sh\n");
        let culprits = [shown(&path), "Permission denied"];
        assert_refused(pool_of("").python(&path), &culprits).await;
    });
}

#[test]
fn an_interpreter_that_is_too_old_is_named_with_its_version() {
    scenario(async {
        let answer = "#!/bin/sh\necho pyproc-probe 3.9.2 /usr/bin/python3.9\n";
        let (_directory, path) = file("python3", 0o755, answer);
        let culprits = [shown(&path), "is too old: 3.9.2 < 3.10"];
        assert_refused(pool_of("").python(&path), &culprits).await;
    });
}

#[test]
fn a_program_that_is_no_python_is_named_with_what_it_says() {
    scenario(async {
        let (_directory, path) = file("python3", 0o755, "#!/bin/sh\necho I am a teapot\n");
        let culprits = [shown(&path), "is not a Python interpreter", "I am a teapot"];
        assert_refused(pool_of("").python(&path), &culprits).await;
    });
}

#[test]
fn fault_12_an_interpreter_that_hangs_is_not_waited_for_longer_than_the_start_timeout() {
    scenario(async {
        let (_directory, path) = file("python3", 0o755, "#!/bin/sh\nexec sleep 1000\n");
        let pool = pool_of("").python(&path);
        let culprits = [shown(&path), "no answer within 300ms"];
        assert_refused(pool.start_timeout(Duration::from_millis(300)), &culprits).await;
    });
}

#[test]
fn an_interpreter_that_is_elsewhere_than_it_says_is_the_failure_of_the_first_worker() {
    scenario(async {
        let answer = "#!/bin/sh\necho pyproc-probe 3.12.1 /nowhere/python3\n";
        let (_directory, path) = file("python3", 0o755, answer);
        let error = refusal(pool_of("").python(&path)).await;
        assert!(said(&error).contains("/nowhere/python3"), "{error}");
        let worker = error.worker().unwrap();
        assert_eq!((worker.slot(), worker.generation()), (0, 1));
    });
}

// The process.

#[test]
fn a_limit_that_cannot_be_raised_is_named_with_what_it_is() {
    // More descriptors than the kernel itself allows to anybody.
    let pool = pool_of("").rlimit(Resource::OpenFiles, 64, 1 << 40);
    fails_to_start(
        pool,
        &[
            "refused to start: RLIMIT_NOFILE cannot be set to 64 (hard 1099511627776)",
            "it is",
        ],
    );
}

#[test]
fn a_working_directory_that_is_not_there_is_named() {
    let pool = pool_of("").working_directory("/nowhere/at/all");
    fails_to_start(
        pool,
        &[
            "refused to start: the working directory /nowhere/at/all",
            "No such file",
        ],
    );
}

#[test]
fn settings_of_the_process_that_cannot_be_are_refused_before_it_is_started() {
    scenario(async {
        for (pool, culprit) in [
            (pool_of("").umask(0o1000), "umask is 0o1000"),
            (pool_of("").oom_score_adj(-1001), "oom_score_adj is -1001"),
            (pool_of("").uid(1000), "`uid` and `gid` go together"),
            (
                pool_of("").rlimit(Resource::Stack, None, 1),
                "the soft limit of Stack is above its hard limit",
            ),
            (
                pool_of("").listen().uid(1000).gid(1000),
                "`listen` and `uid` do not go together",
            ),
            (
                Pool::attach(["/run/worker.sock"]).umask(0o077),
                "somebody else's processes",
            ),
        ] {
            let error = refusal(pool).await;
            assert_error(&error, ErrorKind::Config, Fate::NotStarted, &[culprit]);
        }
    });
}

// The script.

#[test]
fn a_missing_script_is_named_by_its_absolute_path() {
    let path = std::path::absolute("no/such/script.py").unwrap();
    fails_to_start(
        Pool::builder("no/such/script.py"),
        &[shown(&path), "does not exist"],
    );
}

#[test]
fn a_script_that_is_a_directory_is_named() {
    fails_to_start(Pool::builder(app("")), &["tests/apps", "is not a file"]);
}

#[test]
fn a_module_that_python_cannot_find_is_named() {
    fails_to_start(
        Pool::builder("no_such_module"),
        &["ModuleNotFoundError", "no_such_module"],
    );
}

#[test]
fn what_cannot_be_a_module_is_refused_before_a_process_is_started() {
    fails_to_start(
        Pool::builder(Target::Module("iris..py".to_owned())),
        &["iris..py"],
    );
}

#[test]
fn a_syntax_error_is_shown_with_its_line() {
    scenario(async {
        let error = refusal(pool_of("def broken(:\n    pass\n")).await;
        let culprits = ["SyntaxError", "app.py", "line 2", "def broken(:"];
        assert_error(&error, ErrorKind::Start, Fate::NotStarted, &culprits);
        assert_eq!(error.python().unwrap().type_name(), "SyntaxError");
    });
}

#[test]
fn fault_10_an_exception_at_import_arrives_with_the_lines_of_the_script_only() {
    scenario(async {
        let source = "def load(path):\n    raise OSError(f'no model at {path}')\n\n\
            load('/models/iris')\n";
        let (_directory, path) = file("model.py", 0o644, source);
        let error = refusal(Pool::builder(path.clone())).await;
        let culprits = ["OSError", "no model at /models/iris"];
        assert_error(&error, ErrorKind::Start, Fate::NotStarted, &culprits);
        let python = error.python().unwrap();
        assert_eq!(python.type_name(), "OSError");
        assert_eq!(python.message(), "no model at /models/iris");
        let expected = format!(
            "Traceback (most recent call last):\n  \
             File \"{path}\", line 4, in <module>\n    load('/models/iris')\n  \
             File \"{path}\", line 2, in load\n    raise OSError(f'no model at {{path}}')\n\
             OSError: no model at /models/iris\n",
            path = shown(&path),
        );
        assert_eq!(without_marks(python.traceback().unwrap()), expected);
    });
}

/// Later versions of Python underline the culprit within its line.
fn without_marks(traceback: &str) -> String {
    let is_mark =
        |line: &&str| line.trim().is_empty() || !line.trim_matches([' ', '^', '~']).is_empty();
    let lines = traceback.lines().filter(is_mark);
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn sys_exit_at_import_is_an_error_that_says_so() {
    fails_to_start(
        pool_of("import sys\nsys.exit('no license')\n"),
        &["SystemExit", "no license"],
    );
}

#[test]
fn fault_12_an_endless_loop_at_import_ends_with_the_start_timeout() {
    let pool = pool_of("import sys\nprint('loading', file=sys.stderr)\nwhile True: pass\n");
    fails_to_start(
        pool.start_timeout(Duration::from_secs(2)),
        &["not ready within 2s", "loading"],
    );
}

#[test]
fn an_exit_at_import_is_reported_with_the_last_lines_of_stderr() {
    let source = "import os, sys\nprint('the disk is full', file=sys.stderr)\nos._exit(7)\n";
    fails_to_start(
        pool_of(source),
        &[
            "ended before it was ready",
            "exit code 7",
            "the disk is full",
        ],
    );
}

#[test]
fn a_crash_at_import_is_reported_with_its_signal() {
    fails_to_start(
        pool_of("import os\nos.abort()\n"),
        &["ended before it was ready", "SIGABRT", "\"app.py\", line 3"],
    );
}

#[test]
fn an_error_tells_how_the_process_ended() {
    scenario(async {
        let ends = [
            ("import os\nos._exit(7)\n", Exit::Code(7)),
            ("import os\nos.abort()\n", Exit::Signal(6)),
            // Here it was the pool that ended it.
            ("while True: pass\n", Exit::Signal(9)),
        ];
        for (source, exit) in ends {
            let error = refusal(pool_of(source).start_timeout(Duration::from_secs(2))).await;
            assert_eq!(error.exit(), Some(exit), "{source}");
        }
    });
}

#[test]
fn fault_10_one_worker_that_fails_ends_the_start_of_all() {
    let source = "import os\nassert os.environ['PYPROC_SLOT'] != '2', 'slot two'\n";
    scenario(async {
        let error = pool_of(source).workers(3).start().await.unwrap_err();
        let culprits = ["AssertionError", "slot two"];
        assert_error(&error, ErrorKind::Start, Fate::NotStarted, &culprits);
        assert_eq!(error.worker().unwrap().slot(), 2);
    });
}

#[test]
fn a_start_hook_that_raises_fails_the_start() {
    let source = "from pyproc import on_start\n\
        @on_start\ndef warm_up():\n    raise RuntimeError('no GPU')\n";
    fails_to_start(pool_of(source), &["RuntimeError", "no GPU", "warm_up"]);
}

// What is exposed.

#[test]
fn two_functions_of_one_name_are_refused_with_both_places() {
    let source = "@expose\ndef classify(flower): ...\n\
        @expose(name='classify')\ndef other(flower): ...\n";
    fails_to_start(
        pool_of(source),
        &[
            "two functions are called `classify`",
            "app.py:2",
            "app.py:4",
        ],
    );
}

#[test]
fn an_async_hook_without_an_event_loop_is_refused_by_name() {
    let source = "from pyproc import on_start\n@on_start\nasync def connect(): ...\n";
    fails_to_start(pool_of(source), &["`connect`", "app.py:3", "no event loop"]);
}

#[test]
fn an_event_loop_that_is_not_installed_is_asked_for_at_the_start() {
    // As where uvloop is not there.
    let source = "import sys\nsys.modules['uvloop'] = None\n@expose\nasync def fetch(url): ...\n";
    let pool = pool_of(source).event_loop(pyproc::EventLoop::Uvloop);
    fails_to_start(pool, &["`uvloop`", "pip install uvloop"]);
}

#[test]
fn an_annotation_that_needs_an_absent_package_is_refused_at_the_start() {
    let source = "@expose\ndef predict(image: 'absent_package.Tensor', k: int): ...\n";
    fails_to_start(pool_of(source), &["`predict`", "`image`", "absent_package"]);
}

#[test]
fn an_annotation_without_a_meaning_on_the_wire_is_refused_at_the_start() {
    let source = "import socket\n@expose\ndef predict(image: socket.socket, k: int): ...\n";
    fails_to_start(pool_of(source), &["`predict`", "`image`", "socket"]);
}

// The other side's packages.

/// A codec that no worker knows.
#[derive(Debug, Clone)]
struct Cbor;

impl Codec for Cbor {
    fn name(&self) -> &str {
        "cbor"
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

#[test]
fn a_codec_that_the_worker_does_not_know_is_named() {
    fails_to_start(
        pool_of("").codec(Cbor),
        &["there is no codec `cbor`", "register_codec"],
    );
}

#[cfg(feature = "msgpack")]
#[test]
fn an_interpreter_without_a_messagepack_package_is_told_what_to_install() {
    // Whatever the interpreter has, these come first, and cannot be imported.
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        for package in ["msgspec", "ormsgpack", "msgpack"] {
            let path = directory.path().join(format!("{package}.py"));
            fs::write(path, "raise ImportError\n").unwrap();
        }
        let pool = pool_of("").codec(pyproc::MsgPack);
        // The native core needs none of them.
        let pool = pool.core(pyproc::Core::Pure);
        let pool = pool.env("PYTHONPATH", directory.path());
        assert_refused(pool, &["codec `msgpack`", "-m pip install msgspec"]).await;
    });
}

#[test]
fn a_foreign_package_of_our_name_is_passed_over() {
    scenario(async {
        let source = "raise SystemExit('this is another pyproc')\n";
        let (directory, _) = file("pyproc/__init__.py", 0o644, source);
        let pool = pool_of("@expose\ndef answer(): return 42\n").workers(1);
        let pool = pool.env("PYTHONPATH", directory.path()).start().await;
        let pool = pool.unwrap();
        assert_eq!(call::<u32>(&pool, "answer").await.unwrap(), 42);
        let runs = pool.status().workers[0].runs.clone().unwrap();
        assert!(runs.contains("embedded"), "{runs}");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_script_that_needs_a_foreign_package_of_our_name_learns_which_one_it_got() {
    scenario(async {
        let (directory, path) = file("pyproc/__init__.py", 0o644, "Unrelated = 1\n");
        let pool = pool_of("from pyproc import Unrelated\n");
        let pool = pool.env("PYTHONPATH", directory.path());
        assert_refused(pool, &["ImportError", "Unrelated", shown(&path)]).await;
    });
}

// The configuration.

/// Changes one setting of a good configuration.
type Change = fn(PoolBuilder<Json>) -> PoolBuilder<Json>;

#[test]
fn an_impossible_configuration_is_refused_by_the_name_of_the_setting() {
    let changes: [(Change, &[&str]); 22] = [
        (|pool| pool.workers(0), &["workers is 0"]),
        (
            |pool| pool.max_in_flight_per_worker(0),
            &["max_in_flight_per_worker is 0"],
        ),
        (|pool| pool.max_in_flight(0), &["max_in_flight is 0"]),
        (|pool| pool.poison_limit(0), &["poison_limit is 0"]),
        (|pool| pool.eject_after(0), &["eject_after is 0"]),
        (|pool| pool.retry(0), &["retry has 0 attempts"]),
        (
            |pool| pool.retry(Retry::new().backoff(Duration::from_secs(2))),
            &["retry", "max_backoff"],
        ),
        (
            |pool| pool.retry_budget(RetryBudget::new().ratio(1.5)),
            &["ratio of retry_budget is 1.5"],
        ),
        (
            |pool| pool.breaker(Breaker::new().failures(0)),
            &["breaker", "failures is 0"],
        ),
        (
            |pool| pool.breaker(Breaker::new().open_for(Duration::ZERO)),
            &["breaker", "open_for is zero"],
        ),
        (
            |pool| pool.function_breaker(Breaker::new().failures(0)),
            &["function_breaker", "failures is 0"],
        ),
        (
            |pool| pool.max_in_flight_per_worker(usize::MAX),
            &["2 workers", "beyond counting"],
        ),
        (|pool| pool.max_frame(1000), &["max_frame is 1000", "65536"]),
        (
            |pool| pool.max_frame(usize::MAX),
            &["max_frame is 18446744073709551615", "4294967295"],
        ),
        (|pool| pool.deadline(Duration::ZERO), &["deadline is zero"]),
        (
            |pool| pool.start_timeout(Duration::ZERO),
            &["start_timeout is zero"],
        ),
        (
            |pool| pool.progress_timeout(Duration::ZERO),
            &["progress_timeout is zero"],
        ),
        (
            |pool| pool.health_interval(Duration::ZERO),
            &["health_interval is zero"],
        ),
        (
            |pool| pool.health_timeout(Duration::ZERO),
            &["health_timeout is zero"],
        ),
        (|pool| pool.name(""), &["\"\" is no name for a pool"]),
        (|pool| pool.name("iris\n\x1b[2J"), &[r#""iris\n\u{1b}[2J""#]),
        (
            |pool| pool.name("two\0names"),
            &[r#""two\0names" is no name for a pool"#],
        ),
    ];
    scenario(async {
        for (change, culprits) in changes {
            let pool = pool_of("").codec(Json).workers(2);
            let error = change(pool).start().await.unwrap_err();
            assert_error(&error, ErrorKind::Config, Fate::NotStarted, culprits);
            assert!(!error.is_retryable(), "{error}");
        }
    });
}

#[test]
fn an_impossible_restart_policy_is_refused() {
    scenario(async {
        let restart = Restart::new().max_backoff(Duration::from_millis(50));
        let error = refusal(pool_of("").restart(restart)).await;
        let culprits = ["max_backoff (50ms) is below its backoff (100ms)"];
        assert_error(&error, ErrorKind::Config, Fate::NotStarted, &culprits);
    });
}

#[test]
fn the_json_protocol_refuses_another_codec() {
    scenario(async {
        let pool = pool_of("").protocol(Protocol::Json).codec(Cbor);
        let error = refusal(pool).await;
        let culprits = ["JSON protocol", "`cbor`", "`.codec(Json)`"];
        assert_error(&error, ErrorKind::Config, Fate::NotStarted, &culprits);
    });
}

#[test]
fn the_json_protocol_asks_for_workers_that_listen() {
    scenario(async {
        let pool = pool_of("").protocol(Protocol::Json).codec(Json);
        let error = refusal(pool).await;
        let culprits = ["JSON protocol", "`.listen()`"];
        assert_error(&error, ErrorKind::Config, Fate::NotStarted, &culprits);
    });
}

#[test]
fn a_pool_that_is_started_outside_of_a_runtime_says_what_it_needs() {
    let error = futures::executor::block_on(refusal(pool_of("")));
    let culprits = ["tokio runtime"];
    assert_error(&error, ErrorKind::Config, Fate::NotStarted, &culprits);
}

#[test]
fn attaching_to_nothing_is_refused() {
    scenario(async {
        let error = Pool::attach::<PathBuf>([]).start().await.unwrap_err();
        let culprits = ["one worker per path", "0 paths"];
        assert_error(&error, ErrorKind::Config, Fate::NotStarted, &culprits);
        let pool = Pool::attach(["/run/a.sock", "/run/b.sock"]).workers(3);
        let error = pool.start().await.unwrap_err();
        let culprits = ["one worker per path", "2 paths"];
        assert_error(&error, ErrorKind::Config, Fate::NotStarted, &culprits);
    });
}

#[test]
fn a_path_on_which_nobody_listens_is_named() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("worker.sock");
        let pool = Pool::attach([&path]).connect_retries(1);
        let error = pool.start().await.unwrap_err();
        let culprits = [shown(&path)];
        assert_error(&error, ErrorKind::Connection, Fate::NotStarted, &culprits);
        assert!(error.is_retryable(), "{}", said(&error));
    });
}
