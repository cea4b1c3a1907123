//! A pool lives on the tokio runtime on which it was started. Whoever uses it after that, from whatever executor, is
//! told that it is closed, and never hangs.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Waker};

use pyproc_runtime::{ErrorKind, Json, Pool, Result};
use tokio::runtime::{Builder, Runtime};

use crate::support::{
    FakeWorker, PATIENCE, attach, echoes, holds, scenario_without_runtime, until,
};

/// A call that owns its pool, so that it can be carried from one executor to another.
type Carried = Pin<Box<dyn Future<Output = Result<u64>> + Send>>;

#[test]
fn a_call_in_flight_when_the_runtime_ends_is_closed() {
    on_each_runtime(holds_one, |runtime, worker, pool| {
        let mut call = carried(&pool);
        begin(&runtime, &mut call);
        runtime.block_on(worker.call(1));
        drop(runtime);
        assert_closed(elsewhere(call));
    });
}

#[test]
fn a_call_that_waits_when_the_runtime_ends_is_closed() {
    on_each_runtime(holds_one, |runtime, worker, pool| {
        let mut first = carried(&pool);
        begin(&runtime, &mut first);
        runtime.block_on(worker.call(1));
        let mut second = carried(&pool);
        begin(&runtime, &mut second);
        assert_eq!(pool.status().waiting, 1);
        drop(runtime);
        assert_closed(elsewhere(second));
        assert_closed(elsewhere(first));
    });
}

#[test]
fn those_who_wait_on_other_executors_are_woken_by_the_end_of_the_runtime() {
    on_each_runtime(holds_one, |runtime, worker, pool| {
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let call = carried(&pool);
                std::thread::spawn(move || elsewhere(call))
            })
            .collect();
        runtime.block_on(async {
            worker.call(1).await;
            until("the others wait", || pool.status().waiting == 2).await;
        });
        drop(runtime);
        for waits in waits {
            assert_closed(waits.join().unwrap());
        }
    });
}

#[test]
fn a_call_made_after_the_end_of_the_runtime_is_closed_and_so_is_a_shutdown() {
    on_each_runtime(
        || FakeWorker::that(echoes),
        |runtime, worker, pool| {
            assert_eq!(runtime.block_on(carried(&pool)).unwrap(), 7);
            drop(runtime);
            assert_closed(elsewhere(carried(&pool)));
            let shutdown = {
                let pool = pool.clone();
                elsewhere(async move { pool.shutdown().await })
            };
            assert_eq!(shutdown.unwrap_err().kind(), ErrorKind::Closed);
            assert_eq!((pool.status().in_flight, pool.status().waiting), (0, 0));
            drop(worker);
        },
    );
}

#[test]
fn a_call_dropped_after_the_end_of_the_runtime_harms_nobody() {
    on_each_runtime(holds_one, |runtime, worker, pool| {
        let mut first = carried(&pool);
        let mut second = carried(&pool);
        begin(&runtime, &mut first);
        begin(&runtime, &mut second);
        runtime.block_on(worker.call(1));
        drop(runtime);
        drop(first);
        drop(second);
        drop(pool);
    });
}

#[test]
fn a_pool_serves_callers_on_other_executors_as_long_as_its_own_runtime_runs() {
    scenario_without_runtime(|| {
        let worker = FakeWorker::that(echoes);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let pool = runtime.block_on(attach([&worker]).start()).unwrap();
        for _ in 0..20 {
            assert_eq!(elsewhere(carried(&pool)).unwrap(), 7);
        }
    });
}

#[test]
fn without_a_runtime_there_is_no_pool() {
    scenario_without_runtime(|| {
        let worker = FakeWorker::that(echoes);
        let start = attach([&worker]).start();
        let error = elsewhere(start).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    });
}

fn holds_one() -> FakeWorker {
    FakeWorker::that(holds)
}

/// Plays it on a runtime of each flavor, which the play ends.
fn on_each_runtime(worker: fn() -> FakeWorker, play: impl Fn(Runtime, FakeWorker, Pool<Json>)) {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        scenario_without_runtime(|| {
            let runtime = builder.worker_threads(2).enable_all().build().unwrap();
            let worker = worker();
            let pool = runtime.block_on(attach([&worker]).start()).unwrap();
            play(runtime, worker, pool);
        });
    }
}

fn carried(pool: &Pool<Json>) -> Carried {
    let pool = pool.clone();
    Box::pin(async move { pool.call("echo", 7).await })
}

/// Polls the call once within the runtime.
fn begin(runtime: &Runtime, call: &mut Carried) {
    let _within = runtime.enter();
    let mut context = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
}

/// Runs the future on an executor that knows nothing of tokio; one that hangs fails the test.
fn elsewhere<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = sender.send(futures::executor::block_on(future));
    });
    let output = receiver.recv_timeout(PATIENCE).expect("it hangs");
    thread.join().unwrap();
    output
}

fn assert_closed(result: Result<u64>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Closed);
}
