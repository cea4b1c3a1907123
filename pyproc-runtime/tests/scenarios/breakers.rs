//! Calls that are refused because those before them have failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyproc_runtime::{Breaker, ErrorKind, Event, Fate, Json, Pool, Restart};

use crate::support::{Act, FakeWorker, Request, attach, scenario, until, within};

/// Dies of every call until it is mended.
fn dies_until(is_mended: &Arc<AtomicBool>) -> impl Fn(&Request) -> [Act; 1] + Clone + use<> {
    let is_mended = Arc::clone(is_mended);
    move |request| match is_mended.load(Ordering::SeqCst) {
        true => [request.echo()],
        false => [Act::Close],
    }
}

fn tireless() -> Restart {
    let backoff = Duration::from_millis(2);
    Restart::new()
        .backoff(backoff)
        .max_backoff(backoff)
        .intensity(u32::MAX)
}

async fn kind_of(pool: &Pool<Json>, function: &str) -> Result<u64, ErrorKind> {
    let call = pool.call::<_, u64>(function, 1);
    within("an end", call).await.map_err(|error| {
        if error.kind() == ErrorKind::Unavailable {
            assert_eq!(error.fate(), Fate::NotStarted);
            assert!(error.is_retryable(), "{error}");
            assert!(error.to_string().contains("breaker"), "{error}");
        }
        error.kind()
    })
}

#[test]
fn where_worker_after_worker_dies_the_pool_refuses_until_a_call_succeeds() {
    scenario(async || {
        let is_mended = Arc::new(AtomicBool::new(false));
        let workers = FakeWorker::crew(2, dies_until(&is_mended));
        let breaker = Breaker::new()
            .failures(3)
            .open_for(Duration::from_millis(300));
        let pool = attach(&workers).restart(tireless()).breaker(breaker);
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        for _ in 0..3 {
            assert_eq!(kind_of(&pool, "echo").await, Err(ErrorKind::WorkerDied));
        }
        until("the third death is noted", || {
            pool.status()
                .workers
                .iter()
                .map(|worker| worker.restarts)
                .sum::<u64>()
                == 3
        })
        .await;
        let sent = || -> usize {
            let requests = workers.iter().map(|worker| worker.record().requests.len());
            requests.sum()
        };
        assert_eq!(kind_of(&pool, "echo").await, Err(ErrorKind::Unavailable));
        assert_eq!(sent(), 3, "it was not tried");
        // The first one that is tried fails, so that the others wait once more.
        let mut ends = Vec::new();
        until_async(async || {
            ends.push(kind_of(&pool, "echo").await);
            ends.last() == Some(&Err(ErrorKind::WorkerDied))
        })
        .await;
        assert_eq!(sent(), 4);
        is_mended.store(true, Ordering::SeqCst);
        until_async(async || kind_of(&pool, "echo").await == Ok(1)).await;
        assert_eq!(kind_of(&pool, "echo").await, Ok(1));
        let mut told = Vec::new();
        while told.last() != Some(&"closed") {
            match within("an event", events.next()).await.unwrap() {
                Event::BreakerOpened { function: None, .. } => told.push("opened"),
                Event::BreakerClosed { function: None, .. } => told.push("closed"),
                _ => {}
            }
        }
        assert_eq!(told.first(), Some(&"opened"));
    });
}

#[test]
fn workers_that_are_well_and_die_of_every_call_are_not_tried_for_ever() {
    scenario(async || {
        let worker = FakeWorker::that(|_| [Act::Close]);
        let breaker = Breaker::new()
            .failures(2)
            .open_for(Duration::from_secs(3600));
        let pool = attach([&worker])
            .restart(tireless())
            .breaker(breaker)
            .health_interval(Duration::from_millis(5));
        let pool = pool.start().await.unwrap();
        let mut events = pool.events();
        for _ in 0..2 {
            // The answer to the first check has been read when the second one comes.
            let asked = worker.record().health_checks;
            worker
                .until("it is well", |record| record.health_checks > asked + 1)
                .await;
            assert_eq!(kind_of(&pool, "echo").await, Err(ErrorKind::WorkerDied));
        }
        let opening = async {
            loop {
                if let Some(Event::BreakerOpened { function, .. }) = events.next().await {
                    return function;
                }
            }
        };
        assert_eq!(within("the breaker opens", opening).await, None);
        assert_eq!(kind_of(&pool, "echo").await, Err(ErrorKind::Unavailable));
    });
}

#[test]
fn a_function_that_keeps_raising_is_refused_alone() {
    scenario(async || {
        let worker = FakeWorker::that(|request| match request.function.as_str() {
            "classify" => [request.exception("Moody", "not today")],
            _ => [request.echo()],
        });
        let breaker = Breaker::new()
            .failures(3)
            .open_for(Duration::from_secs(3600));
        let pool = attach([&worker]).function_breaker(breaker);
        let pool = pool.start().await.unwrap();
        for _ in 0..3 {
            assert_eq!(kind_of(&pool, "classify").await, Err(ErrorKind::Exception));
        }
        assert_eq!(
            kind_of(&pool, "classify").await,
            Err(ErrorKind::Unavailable)
        );
        assert_eq!(kind_of(&pool, "echo").await, Ok(1));
        assert_eq!(worker.record().requests.len(), 4);
    });
}

#[test]
fn by_default_exceptions_open_nothing() {
    scenario(async || {
        let worker = FakeWorker::that(|request| [request.exception("Moody", "not today")]);
        let pool = attach([&worker]).start().await.unwrap();
        for _ in 0..50 {
            assert_eq!(kind_of(&pool, "echo").await, Err(ErrorKind::Exception));
        }
    });
}

async fn until_async(mut holds: impl AsyncFnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < crate::support::PATIENCE, "in vain");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
