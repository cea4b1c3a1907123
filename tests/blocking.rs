//! The pool without an async runtime, with real workers.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::thread;
use std::time::Duration;

use pyproc::{ErrorKind, Event, Fate, Pool, WorkerState};
use support::{pid_of, pool, pool_of, scenario_without_runtime, signal};

const SHAPES: &str = r#"
import time

@expose
def area(sides):
    return sides[0] * sides[1]

@expose
def fail(message):
    raise ValueError(message)

@expose
def rest(seconds):
    time.sleep(seconds)
"#;

#[pyproc::remote]
trait Shapes {
    async fn area(&self, sides: (f64, f64)) -> pyproc::Result<f64>;
}

#[test]
fn a_program_without_a_runtime_calls_python() {
    scenario_without_runtime(|| {
        let pool = pool_of(SHAPES).workers(1).start_blocking().unwrap();
        let area: f64 = pool.call("area", [3.0, 4.0]).unwrap();
        assert_eq!(area, 12.0);

        let error = pool.call::<_, ()>("fail", "no shape").unwrap_err();
        assert_eq!(error.python().unwrap().message(), "no shape");

        let client = ShapesClient::new(pool.handle()).unwrap();
        assert_eq!(pool.wait(client.area((2.0, 5.0))).unwrap(), 10.0);

        let hurried = pool.handle().call::<_, ()>("rest", 0.5);
        let error = pool
            .wait(hurried.deadline(Duration::from_millis(50)))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        // With a state page it is known to have been interrupted.
        assert_ne!(error.fate(), Fate::NotStarted);

        assert_eq!(pool.status().workers[0].state, WorkerState::Ready);
        let report = pool.shutdown().unwrap();
        assert_eq!(report.cut, 0);
        let error = pool.call::<_, f64>("area", [1.0, 1.0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    });
}

#[test]
fn many_threads_call_while_a_worker_dies() {
    scenario_without_runtime(|| {
        let pool = pool_of(SHAPES).workers(2).start_blocking().unwrap();
        let callers: Vec<_> = (0..16)
            .map(|caller| {
                let pool = pool.clone();
                thread::spawn(move || {
                    let mut lost = 0;
                    for number in 0..200 {
                        let sides = [f64::from(caller), f64::from(number)];
                        match pool.call::<_, f64>("area", sides) {
                            Ok(area) => assert_eq!(area, sides[0] * sides[1]),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::WorkerDied);
                                lost += 1;
                            }
                        }
                    }
                    lost
                })
            })
            .collect();
        signal(pid_of(pool.handle(), 0), rustix::process::Signal::KILL);
        let lost: i32 = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .sum();
        // Only what the dead worker may have had is lost.
        assert!(lost <= 16, "{lost}");
        pool.shutdown().unwrap();
    });
}

#[test]
fn a_pool_that_cannot_start_says_why_and_leaves_nothing() {
    scenario_without_runtime(|| {
        let error = Pool::builder("missing.py").start_blocking().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Start);
        assert!(error.to_string().contains("missing.py"), "{error}");
    });
}

#[test]
fn the_last_handle_ends_the_workers() {
    scenario_without_runtime(|| {
        let pool = pool_of(SHAPES).workers(2).start_blocking().unwrap();
        let other = pool.clone();
        drop(pool);
        assert_eq!(other.call::<_, f64>("area", [1.0, 1.0]).unwrap(), 1.0);
        // The oracle waits for the workers, and for all that the pool's thread holds.
    });
}

#[test]
fn workers_come_and_go_and_whoever_listens_hears_of_it() {
    scenario_without_runtime(|| {
        let pool = pool("supervised.py").workers(1).start_blocking().unwrap();
        assert!(pool.is_ready() && pool.is_live());
        let events = pool.events();
        pool.restart().unwrap();
        pool.resize(2).unwrap();
        assert_eq!(pool.status().workers.len(), 2);
        let error = pool.resize(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        pool.shutdown().unwrap();
        assert!(!pool.is_ready() && !pool.is_live());
        // The stories end with the pool.
        let told: Vec<_> = events.collect();
        let is_resized = |event: &Event| matches!(event, Event::Resized { from: 1, to: 2, .. });
        assert!(told.iter().any(is_resized), "{told:?}");
        let drained = |event: &&Event| matches!(event, Event::Drained { .. });
        assert_eq!(told.iter().filter(drained).count(), 3, "{told:?}");
    });
}
