//! Callers that share a pool, a task or a runtime do not get in each other's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use pyproc_runtime::{Json, Pool};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::runtime::Handle;
use tokio::time::interval;

use crate::support::{
    FakeWorker, PATIENCE, attach, echo, echo_all, echoes, holds, scenario,
    scenario_without_runtime, until, within,
};

#[test]
fn many_calls_in_one_task_reach_the_permitted_number_in_flight() {
    scenario(async || {
        let workers = FakeWorker::crew(4, holds);
        let pool = attach(&workers)
            .max_in_flight_per_worker(8)
            .start()
            .await
            .unwrap();
        let calls = join_all((0..64).map(|number| pool.call::<u64, u64>("echo", number)));
        let referee = async {
            until("all places are taken", || workers[0].gauge().now() == 32).await;
            assert_eq!((pool.status().in_flight, pool.status().waiting), (32, 32));
            workers.iter().for_each(FakeWorker::answers_from_now_on);
        };
        let (answers, ()) = within("the answers", futures::future::join(calls, referee)).await;
        let answers: Vec<u64> = answers.into_iter().map(|answer| answer.unwrap()).collect();
        assert_eq!(answers, (0..64).collect::<Vec<_>>());
        assert_eq!(workers[0].gauge().peak(), 32);
    });
}

#[test]
fn a_ticker_beside_a_loop_of_calls_keeps_ticking() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).start().await.unwrap();
        let ticks = Arc::new(AtomicUsize::new(0));
        let ticker = tokio::spawn({
            let ticks = Arc::clone(&ticks);
            async move {
                let mut interval = interval(Duration::from_millis(1));
                loop {
                    interval.tick().await;
                    ticks.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let begin = Instant::now();
        let mut calls = 0;
        while begin.elapsed() < Duration::from_millis(200) {
            let answer: u64 = within("an answer", pool.call("echo", calls)).await.unwrap();
            assert_eq!(answer, calls);
            calls += 1;
        }
        ticker.abort();
        let ticks = ticks.load(Ordering::SeqCst);
        assert!(ticks > 10, "{ticks} ticks in 200 ms beside {calls} calls");
    });
}

#[test]
fn a_caller_that_was_to_look_and_is_not_polled_again_holds_nobody_up() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker])
            .max_in_flight_per_worker(1)
            .start()
            .await
            .unwrap();
        // After some calls without company the lane has no watch, and callers read their replies themselves.
        for number in 0..1_000 {
            let answer: u64 = pool.call("echo", number).await.unwrap();
            assert_eq!(answer, number);
        }
        for number in 0..20 {
            let mut neglected = Box::pin(pool.call::<_, u64>("echo", number));
            let first = futures::poll!(neglected.as_mut());
            // Whoever reads it, the reply gives the only place to the next call.
            let next: u64 = within("an answer", pool.call("echo", 7)).await.unwrap();
            assert_eq!(next, 7);
            let answer = match first {
                Poll::Ready(answer) => answer,
                Poll::Pending => within("the neglected answer", neglected).await,
            };
            assert_eq!(answer.unwrap(), number);
        }
    });
}

#[test]
fn refusals_in_a_loop_leave_room_for_other_tasks() {
    scenario(async || {
        let worker = FakeWorker::that(holds);
        let pool = attach([&worker]).max_waiting(0).start().await.unwrap();
        let held = echo(&pool, 1);
        worker.call(1).await;
        // Every one of these is ready at once; without a budget the loop would keep the thread to itself.
        let greedy = tokio::spawn({
            let pool = pool.clone();
            async move {
                let begin = Instant::now();
                while begin.elapsed() < PATIENCE {
                    let _ = pool.call::<_, u64>("echo", 2).await;
                }
            }
        });
        worker.call(1).await.answer();
        assert_eq!(within("the answer", held).await.unwrap().unwrap(), 1);
        assert!(!greedy.is_finished(), "it had the thread to itself");
        greedy.abort();
    });
}

/// An argument that panics while it is encoded.
struct Bomb;

impl Serialize for Bomb {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("an argument that cannot be looked at")
    }
}

/// A result that panics while it is decoded.
#[derive(Debug)]
struct Mine;

impl<'de> Deserialize<'de> for Mine {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("a result that cannot be looked at")
    }
}

#[test]
fn an_argument_or_a_result_that_panics_harms_no_other_call() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).start().await.unwrap();
        let others = echo_all(&pool, 0..20);
        for _ in 0..3 {
            let (one, other) = (pool.clone(), pool.clone());
            let bomb = tokio::spawn(async move { one.call::<_, u64>("echo", Bomb).await });
            let mine = tokio::spawn(async move { other.call::<_, Mine>("echo", 1).await });
            assert!(within("its end", bomb).await.unwrap_err().is_panic());
            assert!(within("its end", mine).await.unwrap_err().is_panic());
        }
        for (number, call) in others.into_iter().enumerate() {
            assert_eq!(
                within("an answer", call).await.unwrap().unwrap(),
                number as u64
            );
        }
        let answer: u64 = within("an answer", pool.call("echo", 7)).await.unwrap();
        assert_eq!((answer, pool.status().in_flight), (7, 0));
        assert_eq!(worker.record().connections.len(), 1);
    });
}

/// An argument that calls the pool while it is encoded, and drops that call.
struct Recursive<'a>(&'a Pool<Json>);

impl Serialize for Recursive<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut inner = Box::pin(self.0.call::<_, u64>("echo", 1));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // It is in flight now, or even answered.
        let _ = inner.as_mut().poll(&mut context);
        drop(inner);
        self.0.status();
        serializer.serialize_u64(2)
    }
}

#[test]
fn an_argument_that_calls_the_pool_gets_no_deadlock() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).start().await.unwrap();
        let answer: u64 = within("an answer", pool.call("echo", Recursive(&pool)))
            .await
            .unwrap();
        assert_eq!(answer, 2);
        until("nothing is in flight", || pool.status().in_flight == 0).await;
    });
}

/// An argument that waits for a call of the same pool while it is encoded.
struct Patient(Pool<Json>);

impl Serialize for Patient {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = futures::executor::block_on(self.0.call::<_, u64>("echo", 41));
        serializer.serialize_u64(inner.unwrap() + 1)
    }
}

#[test]
fn an_argument_may_wait_for_the_only_place_there_is() {
    scenario_without_runtime(|| {
        let worker = FakeWorker::that(echoes);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let pool = attach([&worker]).start().await.unwrap();
            let argument = Patient(pool.clone());
            // On a thread that the runtime does not need, because it blocks.
            let call = tokio::task::spawn_blocking(move || {
                let pool = argument.0.clone();
                Handle::current().block_on(pool.call::<_, u64>("echo", argument))
            });
            assert_eq!(within("an answer", call).await.unwrap().unwrap(), 42);
        });
    });
}

#[test]
fn callers_in_the_line_that_nobody_polls_hold_nobody_up() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).start().await.unwrap();
        let calls = stream::iter(1..9).map(|number| pool.call::<_, u64>("echo", number));
        let mut answers = calls.buffered(3);
        // While this call waits for its turn, nobody polls those that came before it.
        while let Some(answer) = within("an answer", answers.next()).await {
            let stored: u64 = within("it is stored", pool.call("echo", 100 + answer.unwrap()))
                .await
                .unwrap();
            assert!(stored > 100);
        }
        assert_eq!(worker.record().requests.len(), 16);
    });
}

#[test]
fn a_caller_that_does_not_fetch_its_answer_holds_nobody_up() {
    scenario(async || {
        let worker = FakeWorker::that(|request| match request.number() {
            1 => None,
            _ => Some(request.echo()),
        });
        let pool = attach([&worker]).start().await.unwrap();
        let mut lazy = Box::pin(pool.call::<_, u64>("echo", 1));
        assert!(futures::poll!(&mut lazy).is_pending());
        worker.call(1).await.answer();
        for number in 2..20 {
            let answer: u64 = within("an answer", pool.call("echo", number))
                .await
                .unwrap();
            assert_eq!(answer, number);
        }
        assert_eq!(within("the answer", lazy).await.unwrap(), 1);
    });
}
