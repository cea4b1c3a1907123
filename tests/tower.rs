//! Functions as services of `tower`, with that crate's own layers around them.

#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use pyproc::{ErrorKind, Fate, FunctionService, Pool, PoolBuilder};
use support::{assert_error, kill, pid_of, scenario, until};
use tower::retry::Policy;
use tower::{Service, ServiceBuilder, ServiceExt};

fn workers(count: usize) -> PoolBuilder {
    support::pool("supervised.py").workers(count)
}

/// Sleeps for as many seconds as it is asked to.
fn sleeper(pool: &Pool) -> FunctionService<f64, f64> {
    pool.service("sleep")
}

fn is_service<S>(service: &S)
where
    S: Service<String, Response = String, Error = pyproc::Error> + Clone + Send + Sync + 'static,
    S::Future: Future + Send + 'static,
{
    let _ = service;
}

#[test]
fn a_service_can_be_cloned_and_spawned_and_outlives_its_pool() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let service = pool.service::<String, String>("echo");
        is_service(&service);
        drop(pool);
        let calls = (0..8).map(|number| {
            let text = format!("text {number}");
            tokio::spawn(service.clone().oneshot(text))
        });
        for (number, reply) in join_all(calls).await.into_iter().enumerate() {
            assert_eq!(reply.unwrap().unwrap(), format!("text {number}"));
        }
    });
}

#[test]
fn a_service_has_a_deadline_and_may_be_idempotent() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let brief = sleeper(&pool).deadline(Duration::from_millis(50));
        let error = brief.oneshot(5.0).await.unwrap_err();
        assert_error(&error, ErrorKind::Deadline, Fate::Failed, &["sleep"]);

        // The first worker dies of it, and the second one would.
        let mut service = pool.service::<(), ()>("kill_self").idempotent();
        let service = service.ready().await.unwrap();
        let error = service.call(()).await.unwrap_err();
        assert_error(&error, ErrorKind::WorkerDied, Fate::MayHaveRun, &[]);
        assert_eq!(pool.status().counts.resent, 1);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_timeout_around_a_service_cancels_the_call() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let mut service = ServiceBuilder::new()
            .timeout(Duration::from_millis(50))
            .service(sleeper(&pool));
        let error = service.ready().await.unwrap().call(0.5).await.unwrap_err();
        assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
        assert_eq!(pool.status().counts.cancelled, 1);
        until("its permit is back", || pool.status().in_flight == 0).await;
        assert_eq!(service.oneshot(0.0).await.unwrap(), 0.0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_limit_around_a_service_sheds_what_is_beyond_it() {
    scenario(async {
        let pool = workers(2).start().await.unwrap();
        let service = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(2)
            .service(sleeper(&pool));
        let replies = join_all((0..6).map(|_| service.clone().oneshot(0.1))).await;
        let (served, shed): (Vec<_>, Vec<_>) = replies.into_iter().partition(Result::is_ok);
        assert_eq!((served.len(), shed.len()), (2, 4));
        for error in shed.into_iter().map(Result::unwrap_err) {
            assert!(error.is::<tower::load_shed::error::Overloaded>(), "{error}");
        }
        assert_eq!(service.oneshot(0.0).await.unwrap(), 0.0);
        pool.shutdown().await.unwrap();
    });
}

/// Tries again what may be tried again, a little later.
#[derive(Clone)]
struct Again(Arc<AtomicU32>);

impl<A: Clone, R> Policy<A, R, pyproc::Error> for Again {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _: &mut A,
        result: &mut Result<R, pyproc::Error>,
    ) -> Option<tokio::time::Sleep> {
        match result {
            Err(error) if error.is_retryable() => {
                self.0.fetch_add(1, Ordering::Relaxed);
                Some(tokio::time::sleep(Duration::from_millis(2)))
            }
            _ => None,
        }
    }

    fn clone_request(&mut self, argument: &A) -> Option<A> {
        Some(argument.clone())
    }
}

#[test]
fn a_retry_around_a_service_gets_through_an_overload() {
    scenario(async {
        let pool = workers(1)
            .max_in_flight(1)
            .max_waiting(0)
            .start()
            .await
            .unwrap();
        let tries = Arc::new(AtomicU32::new(0));
        let service = ServiceBuilder::new()
            .retry(Again(Arc::clone(&tries)))
            .service(sleeper(&pool));
        let replies = join_all((0..4).map(|_| service.clone().oneshot(0.02))).await;
        for reply in replies {
            assert_eq!(reply.unwrap(), 0.02);
        }
        assert!(tries.load(Ordering::Relaxed) > 0);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_service_that_will_never_be_served_is_not_ready() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let mut service = sleeper(&pool);
        service.ready().await.unwrap();
        pool.shutdown().await.unwrap();
        let error = service.ready().await.unwrap_err();
        assert_error(&error, ErrorKind::Closed, Fate::NotStarted, &["sleep"]);

        let pool = workers(1).restart(false).start().await.unwrap();
        let mut service = sleeper(&pool);
        kill(pid_of(&pool, 0));
        until("its slot is given up", || !pool.is_live()).await;
        let error = service.ready().await.unwrap_err();
        let culprits = ["sleep", "no worker left"];
        assert_error(&error, ErrorKind::Unavailable, Fate::NotStarted, &culprits);
        pool.shutdown().await.unwrap();
    });
}

#[pyproc::remote]
trait Sleeper {
    async fn sleep(&self, seconds: f64) -> pyproc::Result<f64>;
}

#[test]
fn a_method_of_a_client_is_a_service_by_a_closure() {
    scenario(async {
        let pool = workers(1).start().await.unwrap();
        let client = SleeperClient::new(&pool).unwrap();
        let service = tower::service_fn(move |seconds| {
            let client = client.clone();
            async move { client.sleep(seconds).await }
        });
        let mut service = ServiceBuilder::new()
            .timeout(Duration::from_millis(50))
            .service(service);
        assert_eq!(service.ready().await.unwrap().call(0.0).await.unwrap(), 0.0);
        let error = service.call(0.2).await.unwrap_err();
        assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
        pool.shutdown().await.unwrap();
    });
}
