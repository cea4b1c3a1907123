//! Plain functions in threads of their worker.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use pyproc::{ErrorKind, Fate, Pool, PoolBuilder};
use support::{
    Held, Paths, assert_error, assert_never_replaced, begun, nothing_in_flight, scenario,
    until_while,
};

fn worker(threads: usize) -> PoolBuilder {
    support::pool("threads.py").workers(1).threads(threads)
}

async fn assert_well(pool: &Pool) {
    let calls = (0..20).map(|number| pool.call::<_, u64>("double", number).into_future());
    let doubled = try_join_all(calls).await.unwrap();
    assert!(doubled.into_iter().eq((0..20).map(|number| 2 * number)));
    nothing_in_flight(pool).await;
}

#[test]
fn as_many_calls_run_at_once_as_there_are_threads() {
    scenario(async {
        let pool = worker(4).start().await.unwrap();
        // Each waits for three others.
        let calls = (0..40).map(|number| pool.call::<_, u64>("meet", number).into_future());
        assert!(try_join_all(calls).await.unwrap().into_iter().eq(0..40));
        assert_well(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn calls_that_find_no_thread_wait_and_expire_and_async_ones_run_beside_them() {
    scenario(async {
        let pool = worker(2)
            .max_in_flight_per_worker(100)
            .start()
            .await
            .unwrap();
        let held = [Held::begin(&pool).await, Held::begin(&pool).await];
        let brief = Duration::from_millis(50);
        let late = (0..10).map(|_| {
            let call = pool.call::<_, u64>("double", 1).deadline(brief);
            call.into_future()
        });
        for result in join_all(late).await {
            // Its worker has it, and may begin it at that very moment.
            let (kind, fate) = (ErrorKind::Deadline, Fate::MayHaveRun);
            let culprits = ["`double`", "while the worker had the call"];
            assert_error(&result.unwrap_err(), kind, fate, &culprits);
        }
        assert_eq!(pool.call::<_, u64>("beside", 21).await.unwrap(), 42);
        let waits = begun(pool.call::<_, u64>("double", 21));
        for held in held {
            assert_eq!(held.end().await.unwrap(), "held");
        }
        assert_eq!(waits.await.unwrap(), 42);
        assert_well(&pool).await;
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_dropped_call_is_told_and_gives_its_thread_back_when_it_ends() {
    scenario(async {
        let pool = worker(2).start().await.unwrap();
        let paths = Paths::new();
        let mut call = pool.call::<_, String>("polite", paths.path("mark"));
        until_while("it has begun", &mut call, || paths.has("mark.began")).await;
        drop(call);
        paths.there_is("mark.told").await;
        assert_well(&pool).await;
        assert_never_replaced(&pool);
        pool.shutdown().await.unwrap();
    });
}

#[test]
// Only the state page tells what the worker is in.
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
fn only_what_had_a_thread_may_have_run_when_the_worker_is_killed() {
    scenario(async {
        let pool = worker(2)
            .max_in_flight_per_worker(100)
            .start()
            .await
            .unwrap();
        let held = [Held::begin(&pool).await, Held::begin(&pool).await];
        let waiting = (0..10).map(|number| pool.call::<_, u64>("double", number).into_future());
        let waiting = begun(try_join_all(waiting));
        support::kill(support::pid_of(&pool, 0));
        let moved = waiting.await.unwrap();
        for held in held {
            let error = held.ended().await.unwrap_err();
            let (kind, fate) = (ErrorKind::WorkerDied, Fate::MayHaveRun);
            assert_error(&error, kind, fate, &["hold", "SIGKILL"]);
        }
        assert!(moved.into_iter().eq((0..10).map(|number| 2 * number)));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn what_a_function_does_in_a_thread_it_does_to_its_worker() {
    scenario(async {
        let pool = worker(3).start().await.unwrap();
        let error = pool.call::<_, ()>("fail", 5).await.unwrap_err();
        let kind = ErrorKind::Exception;
        assert_error(&error, kind, Fate::Failed, &["ValueError: no 5"]);
        for (name, culprit) in [("leave", "exit code 7"), ("die", "SIGKILL")] {
            let error = pool.call::<_, ()>(name, 7).await.unwrap_err();
            let kind = ErrorKind::WorkerDied;
            assert_error(&error, kind, Fate::MayHaveRun, &[name, culprit]);
            assert_well(&pool).await;
        }
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn generators_and_async_functions_run_in_a_worker_with_threads() {
    scenario(async {
        let pool = worker(3).start().await.unwrap();
        let stream = pool.stream::<_, u64>("count", 1000);
        let numbers: Vec<_> = stream.map(Result::unwrap).collect().await;
        assert!(numbers.into_iter().eq(0..1000));
        assert_eq!(pool.call::<_, u64>("beside", 21).await.unwrap(), 42);
        assert_well(&pool).await;
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn numbers_of_threads_that_cannot_be_are_refused() {
    scenario(async {
        for builder in [worker(0), worker(100_000), worker(2).listen()] {
            let error = builder.start().await.unwrap_err();
            assert_error(&error, ErrorKind::Config, Fate::NotStarted, &["threads"]);
        }
    });
}
