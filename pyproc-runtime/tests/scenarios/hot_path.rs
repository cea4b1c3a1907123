//! What a call allocates in the host, once its pool is warm.

use futures::future::join_all;
use pyproc_runtime::{Json, Pool, Spin};
use tokio::runtime::Builder;

use crate::counting;
use crate::support::{FakeWorker, attach, echoes, scenario_without_runtime};

const WARM_UP: u64 = 500;

async fn calls(pool: &Pool<Json>, count: u64) {
    for number in 0..count {
        let answer: u64 = pool.call("echo", number).await.unwrap();
        assert_eq!(answer, number);
    }
}

/// How often the one thread of the host allocates per call, with so many callers in a task each.
fn allocations_per_call(spin: Spin, callers: u64, calls_each: u64) -> f64 {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let worker = FakeWorker::that(echoes);
    let start = attach([&worker])
        .spin(spin)
        .max_in_flight_per_worker(256)
        .start();
    let pool = runtime.block_on(start).unwrap();
    let round = |calls_each| {
        runtime.block_on(async {
            let tasks = (0..callers).map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { calls(&pool, calls_each).await })
            });
            for task in join_all(tasks).await {
                task.unwrap();
            }
        });
    };
    round(WARM_UP);
    let allocations = counting::allocations_of(|| round(calls_each));
    runtime.block_on(pool.shutdown()).unwrap();
    allocations as f64 / (callers * calls_each) as f64
}

/// The half that the caller waits on and the half that the connection keeps share one allocation. Beside it there is
/// what is paid for once in a while: a task, a buffer that is read into, an idle moment of the driver.
#[test]
fn a_small_call_allocates_once() {
    for (spin, callers) in [(Spin::Auto, 1), (Spin::Auto, 64), (Spin::Off, 64)] {
        scenario_without_runtime(|| {
            let allocations = allocations_per_call(spin, callers, 2_000);
            println!("{spin:?}, {callers} callers: {allocations:.3} allocations per call");
            assert!((1.0..1.5).contains(&allocations), "{allocations}");
        });
    }
}
