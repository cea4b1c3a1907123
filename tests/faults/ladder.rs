//! What is done about a function that does not end in time: it is interrupted, shown, and killed with its worker, in this
//! order and each in its time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pyproc::{Core, Error, ErrorKind, Exit, Fate, Pool, PoolBuilder};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::oracle::{GRACE, costs_its_worker};
use crate::support::{
    assert_error, call, call_with, death, gone, kill, pid_of, pool, pool_of, scenario, signal,
    until,
};
use crate::{announcement, begun};

const DEADLINE: Duration = Duration::from_millis(300);

fn ladder() -> PoolBuilder {
    pool("ladder.py").workers(1)
}

/// Calls a function that goes on for too long, and gives the error that its caller gets in time.
async fn too_long(pool: &Pool, function: &str, argument: Value) -> Error {
    let begin = Instant::now();
    let call = pool.call::<_, Value>(function, argument);
    let error = call.deadline(DEADLINE).await.unwrap_err();
    let took = begin.elapsed();
    assert!(
        (DEADLINE..DEADLINE + GRACE).contains(&took),
        "{took:?}: {error}"
    );
    error
}

/// The stacks of an error, in which some function of the script must stand.
fn stacks_with<'a>(error: &'a Error, function: &str) -> &'a str {
    let stacks = error
        .stacks()
        .unwrap_or_else(|| panic!("no stacks: {error:?}"));
    assert!(stacks.contains(&format!("in {function}\n")), "{stacks}");
    stacks
}

#[test]
fn fault_08_an_endless_loop_is_interrupted_and_its_worker_goes_on() {
    scenario(async {
        let pool = ladder().start().await.unwrap();
        let worker = call::<u32>(&pool, "pid").await.unwrap();
        for _ in 0..3 {
            let error = too_long(&pool, "loop_for_ever", json!({})).await;
            let culprits = ["`loop_for_ever`", "interrupted", "in loop_for_ever"];
            assert_error(&error, ErrorKind::Deadline, Fate::Failed, &culprits);
            let python = error.python().expect("where it was interrupted");
            assert_eq!(python.type_name(), "pyproc.Interrupted");
            assert_eq!(call::<u32>(&pool, "pid").await.unwrap(), worker);
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_08_an_interrupted_function_can_clean_up() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("end");
        let pool = ladder().start().await.unwrap();
        let error = too_long(&pool, "tidy_up", json!(path)).await;
        assert_error(&error, ErrorKind::Deadline, Fate::Failed, &["in tidy_up"]);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "Interrupted");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_08_a_call_that_begins_as_its_deadline_passes_is_interrupted_too() {
    let source = "import time\n\
        from pathlib import Path\n\
        from pyproc._runner import Runner\n\
        run = Runner.run\n\
        # For this clock, no deadline has passed.\n\
        Runner.run = lambda self, request, now_ns: run(self, request, 0)\n\
        @expose\n\
        def hold(started: str, gate: str) -> None:\n    \
            partial = Path(started + '.partial')\n    \
            partial.write_text('0')\n    \
            partial.rename(started)\n    \
            while not Path(gate).exists():\n        \
                time.sleep(0.001)\n\
        @expose\n\
        def loop_for_ever() -> None:\n    \
            while True:\n        \
                pass\n";
    scenario(async {
        let (directory, started) = announcement();
        let gate = directory.path().join("gate");
        let pool = pool_of(source)
            .core(Core::Pure)
            .workers(1)
            .max_in_flight_per_worker(2)
            .overdue_after(Duration::from_secs(3600));
        let pool = pool.start().await.unwrap();
        let worker = pid_of(&pool, 0);
        let holding = call_with(&pool, "hold", json!({ "started": started, "gate": gate }));
        let late = async {
            begun(&started).await;
            let error = too_long(&pool, "loop_for_ever", json!({})).await;
            // Nothing was known of it but that it had not begun.
            assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &[]);
            assert_eq!(error.stacks(), None);
            std::fs::write(&gate, "").unwrap();
        };
        let (held, ()) = futures::join!(holding, late);
        held.unwrap();
        let next = pool.call::<_, Value>("health", json!({}));
        let next = next.deadline(Duration::from_secs(30));
        next.await.unwrap();
        assert_eq!(pid_of(&pool, 0), worker);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_08_what_an_interrupted_function_returns_counts() {
    scenario(async {
        let pool = ladder().start().await.unwrap();
        let worker = pid_of(&pool, 0);
        let call = pool.call::<_, String>("make_do", json!({}));
        assert_eq!(call.deadline(DEADLINE).await.unwrap(), "half of it");
        assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
        assert_eq!(pid_of(&pool, 0), worker);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_08_an_interrupt_that_a_finalizer_swallows_is_followed_by_another() {
    scenario(async {
        let pool = ladder().start().await.unwrap();
        let worker = pid_of(&pool, 0);
        // The caller may have gone by then, but not the worker.
        too_long(&pool, "loop_in_a_finalizer", json!({})).await;
        assert_eq!(call::<u32>(&pool, "pid").await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_08_the_function_of_a_caller_that_has_gone_is_interrupted_too() {
    scenario(async {
        let (_directory, started) = announcement();
        let pool = ladder().start().await.unwrap();
        let looping = pool
            .call::<_, Value>("loop_and_announce", &started)
            .deadline(Duration::from_secs(2));
        let worker = tokio::select! {
            worker = begun(&started) => worker,
            result = looping => panic!("{result:?}"),
        };
        assert_eq!(call::<u32>(&pool, "pid").await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_08_a_function_that_nothing_ends_is_shown_and_costs_one_worker() {
    scenario(async {
        let pool = pool("ladder.py")
            .workers(3)
            .max_in_flight_per_worker(1)
            .overdue_after(2 * GRACE);
        let pool = pool.start().await.unwrap();
        let end = (ErrorKind::Deadline, Fate::MayHaveRun);
        let culprits = ["in carry_on"];
        let error = costs_its_worker(&pool, "carry_on", json!({}), DEADLINE, end, &culprits).await;
        stacks_with(&error, "carry_on");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_08_a_worker_that_is_killed_before_its_caller_is_told_is_shown_as_well() {
    scenario(async {
        let pool = ladder()
            .stacks_after(GRACE)
            .overdue_after(Duration::from_millis(10));
        let pool = pool.start().await.unwrap();
        let stuck = pid_of(&pool, 0);
        let error = too_long(&pool, "carry_on", json!({})).await;
        assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &[]);
        stacks_with(&error, "carry_on");
        until("the worker is gone", || gone(stuck)).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_08_a_pool_without_interrupts_shows_the_function_and_lets_it_be() {
    scenario(async {
        let pool = ladder().interrupt_after(None).start().await.unwrap();
        let worker = pid_of(&pool, 0);
        let error = too_long(&pool, "loop_for_ever", json!({})).await;
        assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &[]);
        stacks_with(&error, "loop_for_ever");
        assert!(!gone(worker));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_09_the_interpreter_lock_is_held_in_c() {
    scenario(async {
        let pool = pool("ladder.py")
            .workers(3)
            .max_in_flight_per_worker(1)
            .overdue_after(2 * GRACE);
        let pool = pool.start().await.unwrap();
        let end = (ErrorKind::Deadline, Fate::MayHaveRun);
        let culprits = ["in hold_the_lock"];
        let error =
            costs_its_worker(&pool, "hold_the_lock", json!({}), DEADLINE, end, &culprits).await;
        stacks_with(&error, "hold_the_lock");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_07_a_worker_that_is_stopped_within_a_call_can_neither_be_interrupted_nor_shown() {
    scenario(async {
        let (_directory, started) = announcement();
        let pool = ladder().overdue_after(2 * GRACE).start().await.unwrap();
        let stopping = async {
            let worker = begun(&started).await;
            signal(worker, Signal::STOP);
            worker
        };
        let looping = pool
            .call::<_, Value>("loop_and_announce", &started)
            .deadline(Duration::from_secs(2));
        let begin = Instant::now();
        let (result, stopped) = futures::join!(looping, stopping);
        let error = result.unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(2) + GRACE, "{error}");
        assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &[]);
        assert_eq!(error.stacks(), None);
        until("the stopped worker is gone", || gone(stopped)).await;
        assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_07_stacks_that_come_too_late_are_not_told_of_a_later_death() {
    scenario(async {
        let (_directory, started) = announcement();
        let pool = ladder().overdue_after(Duration::from_secs(3600));
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        let stopping = async {
            let worker = begun(&started).await;
            signal(worker, Signal::STOP);
            worker
        };
        let call = pool.call::<_, Value>("loop_and_announce", &started);
        let (result, worker) = futures::join!(call.deadline(Duration::from_secs(2)), stopping);
        let error = result.unwrap_err();
        assert_error(&error, ErrorKind::Deadline, Fate::MayHaveRun, &[]);
        assert_eq!(error.stacks(), None);
        signal(worker, Signal::CONT);
        until("it shows where it was", || stacks_bytes(worker) > 0).await;
        kill(worker);
        let report = death(&mut events).await;
        assert_eq!(report.exit(), Some(Exit::Signal(9)));
        assert_eq!(report.stacks(), None);
        pool.shutdown().await.unwrap();
    });
}

/// How much of its stacks a worker has written.
fn stacks_bytes(worker: u32) -> u64 {
    let descriptors = std::fs::read_dir(format!("/proc/{worker}/fd")).unwrap();
    let mut paths = descriptors.map(|descriptor| descriptor.unwrap().path());
    let is_memory = |path: &PathBuf| {
        let target = std::fs::read_link(path).unwrap_or_default();
        target.to_string_lossy().contains("pyproc-stacks")
    };
    let memory = paths.find(is_memory).expect("the memory for its stacks");
    memory.metadata().unwrap().len()
}

#[test]
fn fault_12_a_boot_that_hangs_is_shown_where_it_does() {
    let hangs = [
        ("while True:\n        pass", "wait_for_the_model"),
        (
            "import ctypes\n    ctypes.PyDLL(None).sleep(1000)",
            "wait_for_the_model",
        ),
    ];
    for (body, function) in hangs {
        scenario(async {
            let source = format!("def {function}():\n    {body}\n\n{function}()\n");
            let time = Duration::from_secs(2);
            let start = pool_of(&source).workers(1).start_timeout(time).start();
            let begin = Instant::now();
            let error = start.await.unwrap_err();
            assert!(begin.elapsed() < time + GRACE, "{error}");
            let culprits = ["not ready within 2s"];
            assert_error(&error, ErrorKind::Start, Fate::NotStarted, &culprits);
            stacks_with(&error, function);
        });
    }
}

#[test]
fn fault_12_an_idle_worker_whose_health_hangs_is_replaced() {
    scenario(async {
        let source = "import time\n\
            @expose\n\
            def health() -> None:\n    \
                while True:\n        \
                    try:\n            \
                        time.sleep(0.001)\n        \
                    except BaseException:\n            \
                        pass\n";
        let pool = pool_of(source)
            .workers(1)
            .health_interval(Duration::from_millis(50))
            .health_timeout(DEADLINE);
        let pool = pool.start().await.unwrap();
        until("it is replaced", || pool.status().workers[0].generation > 1).await;
        let failure = pool.status().workers[0].last_failure.clone().unwrap();
        assert!(failure.contains("did not answer within 300ms"), "{failure}");
        pool.shutdown().await.unwrap();
    });
}
