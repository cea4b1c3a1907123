//! Many calls of one caller, where there is no room for them or a breaker is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyproc_runtime::{Breaker, ErrorKind, Retry, RetryBudget};

use crate::support::{FakeWorker, attach, echo, echoes, holds, scenario, until, within};

/// A policy that tries calls again for as long as a test may take, and a budget for it.
fn patient() -> (Retry, RetryBudget) {
    let ms = Duration::from_millis(1);
    let retry = Retry::new().attempts(100_000);
    (
        retry.backoff(ms).max_backoff(3 * ms),
        RetryBudget::new().per_second(10_000),
    )
}

#[test]
fn calls_that_fill_the_line_themselves_wait_for_each_other_and_not_for_the_retry_policy() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).max_waiting(3).retry(3).start();
        let pool = pool.await.unwrap();
        let many = pool.call_many::<_, u64>("echo", 0..300);
        let results = within("their ends", many).await;
        assert!(results.into_iter().map(Result::unwrap).eq(0..300));
        let counts = pool.status().counts;
        assert_eq!((counts.retried, counts.failed), (0, 0));
    });
}

#[test]
fn while_others_fill_the_line_one_of_many_is_tried_again_and_the_rest_waits_for_it() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let (retry, budget) = patient();
        let pool = attach([&worker])
            .max_waiting(0)
            .retry(retry)
            .retry_budget(budget)
            .start()
            .await
            .unwrap();
        let other = echo(&pool, 9);
        worker.call(1).await;
        let many = tokio::spawn({
            let pool = pool.clone();
            async move { pool.call_many::<_, u64>("echo", 0..5).await }
        });
        until("it was refused three times", || {
            pool.status().counts.retried >= 3
        })
        .await;
        worker.answers_from_now_on();
        let results = within("their ends", many).await.unwrap();
        assert!(results.into_iter().map(Result::unwrap).eq(0..5));
        assert_eq!(within("the answer", other).await.unwrap().unwrap(), 9);
        assert_eq!(pool.status().counts.failed, 0);
    });
}

#[test]
fn those_that_a_breaker_refuses_are_tried_again_as_any_call_is() {
    scenario(async || {
        let is_mended = Arc::new(AtomicBool::new(false));
        let mended = Arc::clone(&is_mended);
        let worker = FakeWorker::that(move |request| match mended.load(Ordering::SeqCst) {
            true => [request.echo()],
            false => [request.exception("Moody", "not today")],
        });
        let (retry, budget) = patient();
        let breaker = Breaker::new()
            .failures(1)
            .open_for(Duration::from_millis(50));
        let pool = attach([&worker])
            .max_waiting(2)
            .function_breaker(breaker)
            .retry(retry)
            .retry_budget(budget)
            .start()
            .await
            .unwrap();
        let call = pool.call::<_, u64>("echo", 1);
        let error = within("the exception", call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exception);
        is_mended.store(true, Ordering::SeqCst);
        let many = pool.call_many::<_, u64>("echo", 0..600);
        let results = within("their ends", many).await;
        assert!(results.into_iter().map(Result::unwrap).eq(0..600));
        let counts = pool.status().counts;
        assert_eq!((counts.failed, counts.returned), (1, 600));
        assert!(counts.retried > 0);
    });
}
